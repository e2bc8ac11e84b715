"""one-stage, a reconstruction: One-stage Modality Distillation (Wei, Luo, Luo, Luo; arXiv 2309.08204) has no code.

Every modality has a stand-in made from the others; stand-in and real one are taught to agree while both are learned:

    K     = a random non-empty combination of what the sample has;   a_m = z_m where K has m, else 0
    h_m   = E_m([a_k; k != m])                                              hallucination of m from the others
    x_m   = a_m where K has m, h_m elsewhere                                in training and when the model is used
    real_m = T_m(x_m), cross_m = U_m(x_m) for what is there;  U_m and T_m swapped for what is hallucinated
    L     = CE(head([1/2 (real_m + cross_m)])) + CE(head([real_m])) + CE(head([cross_m]))
            + jda sum_m (mmd MMD^2(h_m, sg z_m) + kl T^2 KL(softmax(sg t_m / T) || softmax(s_m / T))) + sum_m CE(t_m, y)

over the samples that have m and for whom K dropped it. t_m and s_m are what a train-only linear classifier of m says
of z_m (it learns from the last sum) and of h_m. MMD sums five Gaussian kernels exp(-d^2 / (b 2^i)), i = 0..4, with b
a quarter of the mean squared distance, no gradient through b. So the joint distribution of features and answers is
adapted (JDA) and the two streams are translated into one another (CTN), in one stage.

Ours, where nothing is published: the form for more than two modalities, in which every one may go missing;
hallucination from embeddings instead of raw inputs. Of several ranks each compares the distributions of its own
share."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm.fusion import Fusion
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, mean
from robustmm.methods.combinations import kept_at_random
from robustmm.model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


class Translation(Fusion):
    """Absent embeddings are hallucinated, both streams translated, and their mean classified."""

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.hallucinate = nn.ModuleList(
            nn.Sequential(nn.Linear(modalities * width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(modalities)
        )
        self.real = nn.ModuleList(nn.Linear(width, width) for _ in range(modalities))
        self.stand_in = nn.ModuleList(nn.Linear(width, width) for _ in range(modalities))
        self.head = nn.Linear(modalities * width, classes)

    def hallucinated(self, z: Tensor) -> Tensor:
        """h (batch, modality, width) from z (batch, modality, width), zero where absent; h_m does not see z_m."""
        others = ~torch.eye(self.modalities, dtype=torch.bool, device=z.device).unsqueeze(-1)
        made = [net((z * others[m]).flatten(1)) for m, net in enumerate(self.hallucinate)]
        return torch.stack(made, dim=1)

    def streams(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """x (batch, modality, width) translated by its own stream and by the other, (batch, modality * width) each."""
        T = torch.stack([F.relu(net(x[:, m])) for m, net in enumerate(self.real)], dim=1)
        U = torch.stack([F.relu(net(x[:, m])) for m, net in enumerate(self.stand_in)], dim=1)
        there = present.unsqueeze(-1)
        return torch.where(there, T, U).flatten(1), torch.where(there, U, T).flatten(1)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        x = torch.where(present.unsqueeze(-1), z, self.hallucinated(z))
        own, other = self.streams(x, present)
        logits: Tensor = self.head((own + other) / 2)
        return logits


@METHODS.register("one-stage")
class OneStage(Method):
    """Reconstruction: the paper has no code. What is dropped is hallucinated and held against the real one."""

    terms = ("fused", "auxiliary", "distillation", "teacher")
    owns_fused = True

    def __init__(
        self,
        *,
        jda: Amount = 1.0,
        mmd: Amount = 2.0,
        kl: Amount = 1.0,
        temperature: Annotated[float, Field(gt=0)] = 2.0,
    ) -> None:
        super().__init__()
        self.jda, self.mmd, self.kl, self.temperature = jda, mmd, kl, temperature

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        model.place("fusion", Translation(M, model.width, data.classes), by="one-stage")
        self.classifiers = nn.ModuleList(nn.Linear(model.width, data.classes) for _ in range(M))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        fusion = model.fusion
        assert isinstance(fusion, Translation)
        kept = kept_at_random(batch.present)
        z = torch.where(batch.present.unsqueeze(-1), embedding.z, 0.0)
        a = torch.where(kept.unsqueeze(-1), z, 0.0)
        h = fusion.hallucinated(a)
        own, other = fusion.streams(torch.where(kept.unsqueeze(-1), a, h), kept)
        taught = torch.stack([net(z[:, m]) for m, net in enumerate(self.classifiers)])
        heard = torch.stack([net(h[:, m]) for m, net in enumerate(self.classifiers)])
        dropped = batch.present & ~kept
        distances = [
            self.mmd * mmd(h[rows, m], z[rows, m].detach())
            + self.kl * answers_apart(heard[m], taught[m].detach(), dropped[:, m], self.temperature)
            for m, rows in enumerate(dropped.T)
        ]
        return {
            "fused": self.cross_entropy(fusion.head((own + other) / 2), batch.target),
            "auxiliary": sum((self.cross_entropy(fusion.head(x), batch.target) for x in (own, other)), z.new_zeros(())),
            "distillation": self.jda * torch.stack(distances).sum(),
            "teacher": self.unimodal(taught, batch).sum(),
        }


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """MMD^2 of two samples (n, width) each; 0 where n is below 2."""
    n = len(x)
    if n < 2:
        return x.sum() * 0.0
    both = torch.cat([x, y])
    square = (both[:, None] - both[None]).square().sum(-1)
    bandwidth = (square.detach().sum() / (4 * n**2 - 2 * n) / 4).clamp(min=1e-8)
    kernel = torch.stack([(-square / (bandwidth * 2**i)).exp() for i in range(5)]).sum(0)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - kernel[:n, n:].mean() - kernel[n:, :n].mean()


def answers_apart(student: Tensor, teacher: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) (batch, class), mean over the chosen rows (batch,)."""
    p, q = (teacher / temperature).log_softmax(-1), (student / temperature).log_softmax(-1)
    return temperature**2 * mean((p.exp() * (p - q)).sum(-1), rows.to(q.dtype))
