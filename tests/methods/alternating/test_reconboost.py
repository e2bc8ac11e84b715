"""ReconBoost's two phases by hand: the residual step, what learns in which epoch, and the additive answer."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from toys import CLASSES, Toy, optimiser, ready, step, toy, train

from robustmm.errors import UsageError
from robustmm.methods import build_method
from robustmm.methods.alternating.reconboost import Ensemble, ReconBoost
from robustmm.model.fusion_model import FusionModel


def boosted(M: int, epoch: int, missing: float = 0.0, **options: Any) -> tuple[Toy, FusionModel, ReconBoost]:
    data = toy(M, missing)
    model, method = ready("reconboost", data, options={"reconboost": options})
    assert isinstance(method, ReconBoost)
    method.epoch.fill_(epoch)
    with torch.no_grad():
        model.fusion.scale.fill_(1.3)
    return data, model, method


def answers(model: FusionModel, data: Toy) -> Tensor:
    """phi (batch, modality, class), each modality by itself."""
    alone = [model.projections[m](model.encoders[m](data.inputs[m])) for m in model.modalities]
    return torch.stack([model.fusion.head(z) for z in alone], dim=1)


def test_stages_take_turns_and_each_ends_with_a_rectification() -> None:
    _, _, method = boosted(2, 0, boost=2, rectify=1)
    found = []
    for epoch in range(7):
        method.epoch.fill_(epoch)
        found.append((method.stage, method.is_boosting))
    assert found == [(0, True), (0, True), (0, False), (1, True), (1, True), (1, False), (2, True)]


def test_the_residual_step_by_hand() -> None:
    """The gradient on phi_m is (own - residual q_y) / C times cross-entropy's, sample by sample."""
    _, _, method = boosted(2, 0, own=5.0, residual=1.0)
    torch.manual_seed(0)
    phi, target = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 1])
    q = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.0, 0.0, 1.0]])
    rows = torch.tensor([True, True, True, False])
    method.boosting_loss(phi, q, target, rows).backward()
    error = phi.detach().softmax(-1) - F.one_hot(target, 3)
    weight = torch.tensor([4.0, 4.75, 4.4, 0.0]) / 3 / 3  # over C, and over the three samples that have m
    torch.testing.assert_close(phi.grad, weight.unsqueeze(-1) * error)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_boosting_learns_what_the_present_and_boosted_leave(missing: float) -> None:
    data, model, method = boosted(3, 4, missing)  # stage 2 of one epoch each: modality 2 after 1, all boosted once
    losses = step(model, method, data.batch())
    phi, have = answers(model, data), data.present
    total, both_error = [], []
    for i, y in enumerate(data.target.tolist()):
        others = sum((phi[i, k] for k in (0, 1) if have[i, k]), torch.zeros(CLASSES))
        q = torch.softmax(1.3 * others, 0)
        if have[i, 2]:
            total.append((5 - q[y]) / CLASSES * F.cross_entropy(phi[i, 2], data.target[i]))
            if have[i, 1]:
                both_error.append((phi[i, 2].softmax(0) - phi[i, 1].softmax(0)).square().mean())
    torch.testing.assert_close(losses["boosting"], torch.stack(total).mean())
    torch.testing.assert_close(losses["consolidation"], 0.5 * torch.stack(both_error).mean())
    summed = torch.where(have.unsqueeze(-1), phi, 0.0).sum(1)
    torch.testing.assert_close(losses["fused"], F.cross_entropy(1.3 * summed, data.target))
    assert not losses["fused"].requires_grad


def test_before_anything_is_boosted_the_rest_is_uniform_and_nothing_is_consolidated() -> None:
    data, model, method = boosted(2, 0)
    losses = step(model, method, data.batch())
    phi = answers(model, data)[:, 0]
    torch.testing.assert_close(losses["boosting"], (5 - 1 / CLASSES) / CLASSES * F.cross_entropy(phi, data.target))
    assert losses["consolidation"] == 0
    torch.testing.assert_close(losses["fused"], F.cross_entropy(1.3 * phi, data.target))


def test_consolidation_moves_the_boosted_one_towards_the_one_before_and_not_the_other_way() -> None:
    data, model, method = boosted(2, 2)  # modality 1 after modality 0
    batch = data.batch()
    losses = method.losses(model, batch, model.embedding(batch.inputs, batch.present))
    first, second = (
        torch.autograd.grad(
            losses["consolidation"], list(model.encoders[m].parameters()), retain_graph=True, materialize_grads=True
        )
        for m in model.modalities
    )
    assert not any(g.any() for g in first)
    assert all(g.any() for g in second)
    data, model, method = boosted(2, 2, consolidation=0.0)
    assert step(model, method, data.batch())["consolidation"] == 0


@pytest.mark.parametrize(
    ("epoch", "learning"),
    [
        (0, {"m0", "head"}),
        (1, {"m0", "head", "scale"}),
        (2, {"m1", "head"}),
        (3, {"m0", "m1", "head", "scale"}),
        (4, {"m2", "head"}),
        (5, {"m0", "m1", "m2", "head", "scale"}),
        (6, {"m0", "head"}),
    ],
)
def test_only_what_has_its_turn_moves(epoch: int, learning: set[str]) -> None:
    """With momentum and decay from epochs before: a gradient of zeros would not do."""
    data, model, method = boosted(3, 5)
    steps = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    train(model, method, data, range(1), steps)
    method.epoch.fill_(epoch)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, method, data, range(1), steps)
    moved = {name.split(".")[1] for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == learning


def test_a_sample_with_one_modality_is_answered_by_it_alone() -> None:
    torch.manual_seed(0)
    fusion, z = Ensemble(3, 4, 5), torch.randn(2, 3, 4)
    with torch.no_grad():
        fusion.scale.fill_(0.7)
    only = torch.tensor([[False, True, False], [True, False, True]])
    found = fusion(torch.where(only.unsqueeze(-1), z, 0.0), only)
    torch.testing.assert_close(found[0], 0.7 * fusion.head(z[0, 1]))
    torch.testing.assert_close(found[1], 0.7 * (fusion.head(z[1, 0]) + fusion.head(z[1, 2])))


def test_class_weights_weigh_both_phases() -> None:
    for epoch, term in ((0, "boosting"), (1, "fused")):
        found = []
        for moved in (False, True):
            data, model, method = boosted(2, epoch)
            method.class_weight = torch.tensor([1.0, 0.0, 0.0])
            batch = data.batch()
            batch.target = torch.where(batch.target == 1, 2, batch.target) if moved else batch.target
            found.append(step(model, method, batch)[term])
        torch.testing.assert_close(found[0], found[1])


def test_it_learns_with_sgd_as_released_and_with_one_modality() -> None:
    data, model, method = boosted(1, 0, consolidation=0.0)
    curve = train(model, method, data, range(12), optimiser(model, method))
    assert curve[-1] < 0.5 * curve[0]


def test_what_makes_no_sense_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="residual should be below own, found 5 and 5"):
        build_method("reconboost", {"reconboost": {"residual": 5.0}})
    with pytest.raises(UsageError, match="option boost: input should be greater than 0"):
        build_method("reconboost", {"reconboost": {"boost": 0}})
    with pytest.raises(UsageError, match="reconboost decides itself which modality learns in a step"):
        build_method("joint+reconboost", {})
