"""one-stage, a reconstruction: One-stage Modality Distillation (Wei, Luo, Luo, Luo; arXiv 2309.08204) has no code.

This project follows its abstract, and the same authors' description of the blocks in their later papers.

    K    = a random non-empty combination of what the sample has
    h_m  = E_m([z_k; k != m], zeros outside K)                       hallucination
    x_m  = z_m where K has m, h_m elsewhere;   j_k = [T_1(x_k);..;T_M(x_k)]           translation.py
    D_m  = mmd MMD^2(h_m, sg z_m) + kl T^2 KL(softmax(sg g_m(z_m) / T) || softmax(g_m(h_m) / T))
    L    = CE(head(mean_k j_k)) + sum_k CE(head(j_k)) + jda sum_m D_m + sum_m CE(g_m(z_m))

D_m compares over the samples that have m and for whom K dropped it: features and answers together, the paper's joint
distribution adaptation. The first two terms are its cross translation. MMD sums Gaussian kernels exp(-d^2 / (b 2^i)), i
= 0..4, where b is a quarter of the mean squared distance between different rows, without gradient; fewer than two rows
give 0. g_m, a train-only linear classifier, is the teacher's head, learned in the same single stage. It learns from the
last sum only, which reaches the encoder too; the KL term does not change its weights.

Where this differs: the paper has one modality that is there when the model is used and one that is not; here each of M
may be missing, the hallucination encoders read embeddings instead of inputs, and one that is there takes its own place.
For two modalities with K = {1} the terms are the paper's. A single modality is trained by the fused term only. Each of
several processes measures MMD^2 over its own rows.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.methods.combinations import draw_combination
from robustmm.methods.missing.translation import Translation
from robustmm.model.fusion import apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]
KERNELS = 5


@METHODS.register("one-stage")
class OneStage(Method):
    """Reconstruction: the paper has no code. A dropped modality is hallucinated, and compared with the real one."""

    terms = ("fused", "auxiliary", "distillation", "teacher")
    grid = {"kl": (0.1, 1.0)}
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
        self.classifiers = nn.ModuleList(nn.Linear(model.width, data.classes) for _ in range(M if M > 1 else 0))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        fusion = model.fusion
        assert isinstance(fusion, Translation)
        kept = draw_combination(batch.present)
        seen = apply_mask(embedding.z, kept)
        hallucinated = fusion.hallucinate(seen)
        joints = fusion.translate_streams(fusion.fill_missing(seen, hallucinated, kept))
        fused = self.cross_entropy(fusion.head(joints.mean(1)), batch.target)
        if not self.classifiers:  # one modality: its stream is the fused one, and nothing is hallucinated from it
            return {"fused": fused} | {term: fused.new_zeros(()) for term in self.terms[1:]}
        streams = fusion.head(joints).unbind(1)
        z = apply_mask(embedding.z, batch.present)
        teacher_logits = torch.stack([classifier(z[:, m]) for m, classifier in enumerate(self.classifiers)])
        return {
            "fused": fused,
            "auxiliary": torch.stack([self.cross_entropy(logits, batch.target) for logits in streams]).sum(),
            "distillation": self.jda * self.adaptation(hallucinated, z, teacher_logits, batch.present & ~kept),
            "teacher": self.unimodal_losses(teacher_logits, batch).sum(),
        }

    def adaptation(self, hallucinated: Tensor, z: Tensor, taught: Tensor, dropped: Tensor) -> Tensor:
        """sum_m D_m of h and z (batch, modality, width) and g(z) (modality, batch, class), over the dropped."""
        found = []
        for m, (classifier, rows) in enumerate(zip(self.classifiers, dropped.T, strict=True)):
            assert isinstance(classifier, nn.Linear)
            h = hallucinated[:, m]
            answers = F.linear(h, classifier.weight.detach(), classifier.bias.detach())
            features = maximum_mean_discrepancy(h[rows], z[rows, m].detach())
            each = divergence(taught[m].detach(), answers, self.temperature)
            found.append(self.mmd * features + self.kl * weighted_mean(each, rows.to(each.dtype)))
        return torch.stack(found).sum()


def maximum_mean_discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """MMD^2 of two samples (n, width); 0 where n < 2."""
    n = len(x)
    if n < 2:
        return x.new_zeros(())
    both = torch.cat([x, y]).float()
    square = torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist").square()
    b = square.detach().sum() / (2 * n * (2 * n - 1)) / 4
    kernel = torch.stack([(-square / (b * 2**i).clamp(min=1e-8)).exp() for i in range(KERNELS)]).sum(0)
    found: Tensor = kernel[:n, :n].mean() + kernel[n:, n:].mean() - kernel[:n, n:].mean() - kernel[n:, :n].mean()
    return found


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) (..) of logits (.., class)."""
    p, q = ((logits.float() / temperature).log_softmax(-1) for logits in (teacher, student))
    return temperature**2 * (p.exp() * (p - q)).sum(-1)
