"""Data Remixing's decision by hand, how an epoch is made of it, and what learns in a batch."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from toys import SAMPLES, Toy, optimiser, ready, step, toy, train

from robustmm.errors import UsageError
from robustmm.methods import build_method
from robustmm.methods.alternating.remix import Remix, certainty, find_hardest
from robustmm.model.fusion_model import FusionModel


def remixed(M: int, epoch: int = 1, missing: float = 0.0, **options: Any) -> tuple[Toy, FusionModel, Remix]:
    """After the warm-up of one epoch; samples are assigned in turn, to modalities that they have."""
    data = toy(M, missing)
    model, method = ready("remix", data, options={"remix": options})
    assert isinstance(method, Remix)
    method.epoch.fill_(epoch)
    wanted = torch.arange(SAMPLES) % M
    has = data.present[torch.arange(SAMPLES), wanted]
    method.assigned.copy_(torch.where(has, wanted, data.present.long().argmax(1)))
    return data, model, method


def test_certainty_runs_from_zero_bits_to_log2_of_the_classes() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0], [100.0, 100.0, 0.0, 0.0]])
    torch.testing.assert_close(certainty(logits), torch.tensor([0.0, 2.0, 1.0]).double())


def test_the_hardest_modality_by_hand() -> None:
    """p of two modalities and three classes: (0.8, 0.1, 0.1) is surer than (0.5, 0.3, 0.2), though it may be wrong."""
    p = torch.tensor([[0.8, 0.1, 0.1], [0.5, 0.3, 0.2]])
    K = [math.log2(3) + float((x * x.log2()).sum()) for x in p]
    torch.testing.assert_close(certainty(p.log()), torch.tensor(K).double())
    logits = p.log().expand(3, 2, 3)
    present = torch.tensor([[True, True], [True, False], [True, True]])
    assert find_hardest(logits, present).tolist() == [1, 0, 1]
    assert find_hardest(logits, present, torch.tensor([1, 1, 0])).tolist() == [0, 0, 1]  # 0.1 < 0.3; 0.8 > 0.5


def test_a_missing_modality_is_never_the_hardest() -> None:
    torch.manual_seed(0)
    logits, present = torch.randn(200, 3, 4), torch.rand(200, 3) < 0.5
    present[:, 0] |= ~present.any(1)
    chosen = find_hardest(logits, present)
    assert present[torch.arange(200), chosen].all()
    assert set(chosen.tolist()) == {0, 1, 2}


def test_samples_are_assigned_as_the_model_in_evaluation_answers() -> None:
    data, model, method = remixed(3, 0, 0.3)
    train(model, method, data, range(1), optimiser(model, method))
    z = torch.stack([model.projections[m](model.encoders[m](data.inputs[m])) for m in model.modalities], 1)
    for i in range(SAMPLES):
        K = [certainty(method.heads[m](z[i, m])) if data.present[i, m] else math.inf for m in range(3)]
        assert int(method.assigned[i]) == min(range(3), key=lambda m: float(torch.as_tensor(K[m]).detach())), i


@pytest.mark.parametrize("M", [2, 3])
@pytest.mark.parametrize("order", ["interleaved", "sequential"])
def test_an_epoch_has_every_sample_once_through_its_modality(M: int, order: str) -> None:
    data, _, method = remixed(M, missing=0.3, order=order)
    turns = method.arrange(torch.randperm(SAMPLES), 16)
    assert sorted(torch.cat([turn.rows for turn in turns]).tolist()) == list(range(SAMPLES))
    shown = []
    for turn in turns:
        assert turn.kept is not None
        assert len(turn.rows) <= 17
        (m,) = turn.kept[0].nonzero()[:, 0].tolist()
        assert turn.kept.sum() == turn.kept[:, m].sum() == len(turn.rows)
        assert (method.assigned[turn.rows] == m).all()
        assert data.present[turn.rows, m].all()
        shown.append(m)
    assert (shown == sorted(shown)) == (order == "sequential")


def test_the_same_seed_draws_the_same_epoch_and_empty_groups_are_no_batches() -> None:
    _, _, method = remixed(2)
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append([turn.rows.tolist() for turn in method.arrange(torch.randperm(SAMPLES), 16)])
    assert found[0] == found[1]
    method.assigned.fill_(1)
    assert all(turn.kept[:, 1].all() for turn in method.arrange(torch.arange(SAMPLES), 16))


def test_a_share_of_the_samples_may_stay_whole() -> None:
    _, _, method = remixed(2, full=0.25)
    turns = method.arrange(torch.randperm(SAMPLES), 12)
    assert sum(len(turn.rows) for turn in turns if turn.kept is None) == SAMPLES // 4
    assert sorted(torch.cat([turn.rows for turn in turns]).tolist()) == list(range(SAMPLES))


def test_the_warm_up_is_joint_with_heads_and_lasts_its_share() -> None:
    data, model, method = remixed(2, 0, 0.3, warmup=0.02, alpha=0.3)
    assert all(turn.kept is None for turn in method.arrange(torch.arange(SAMPLES), 16))
    losses = step(model, method, data.batch())
    z = model.embedding(data.inputs, data.present).z
    each = [F.cross_entropy(method.heads[m](z[h, m]), data.target[h]) for m, h in enumerate(data.present.T)]
    torch.testing.assert_close(losses["fused"], F.cross_entropy(model.decode(z, data.present), data.target))
    torch.testing.assert_close(losses["unimodal"], 0.3 * sum(each))
    before = method.assigned.clone()
    method.end_epoch(model, data)  # the first of two
    assert method.is_warm
    assert torch.equal(method.assigned, before)
    method.end_epoch(model, data)
    assert not method.is_warm
    assert not torch.equal(method.assigned, before)


def test_a_batch_of_one_modality_trains_nothing_of_the_others() -> None:
    data, model, method = remixed(2, gamma=0.7)
    turn = next(turn for turn in method.arrange(torch.arange(SAMPLES), 16) if turn.kept[0, 1])
    losses = step(model, method, data.take(turn))
    assert all(p.grad is None for p in (*model.encoders["m0"].parameters(), *model.projections["m0"].parameters()))
    assert all(p.grad.any() for p in (*model.encoders["m1"].parameters(), *method.heads[1].parameters()))
    assert not model.fusion.weight.grad[0].any()
    z = model.projections["m1"](model.encoders["m1"](data.inputs["m1"][turn.rows]))
    target = data.target[turn.rows]
    torch.testing.assert_close(
        losses["fused"], F.cross_entropy(z @ model.fusion.weight[1].T + model.fusion.bias, target)
    )
    torch.testing.assert_close(losses["unimodal"], 0.7 * F.cross_entropy(method.heads[1](z), target))


def test_what_makes_no_sense_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="option full: input should be less than or equal to 1"):
        build_method("remix", {"remix": {"full": 1.5}})
    with pytest.raises(UsageError, match="share of the run's epochs"):
        build_method("remix", {"remix": {"warmup": 10}})
    with pytest.raises(UsageError, match='both have a loss term "unimodal"; chain only one'):
        build_method("remix+unimodal", {})


@pytest.mark.parametrize("name", ["remix", "valuation"])
def test_samples_are_looked_at_in_evaluation_mode(name: str) -> None:
    """Dropout would judge the same samples differently twice."""
    data = toy(2)
    model, method = ready(name, data)
    for encoder in model.encoders.children():
        encoder.append(torch.nn.Dropout(0.8))
    found = []
    for _ in range(2):
        model.train()
        method.end_epoch(model, data)
        found.append(method.state_dict()["assigned" if name == "remix" else "copies"].clone())
    assert torch.equal(found[0], found[1])
    assert found[0].any()
