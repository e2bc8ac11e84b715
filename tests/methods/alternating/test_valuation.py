"""Valuation: the paper's table, Shapley values by permutations, and the epoch that copies make."""

from itertools import permutations
from typing import Any

import pytest
import torch
from toys import SAMPLES, Toy, optimiser, ready, step, toy, train

from robustmm.errors import UsageError
from robustmm.methods import build_method
from robustmm.methods.alternating.valuation import Valuation, count_copies, shapley_values
from robustmm.methods.coalitions import all_coalitions
from robustmm.model.fusion_model import FusionModel


def valued(M: int, missing: float = 0.0, **options: Any) -> tuple[Toy, FusionModel, Valuation]:
    data = toy(M, missing)
    model, method = ready("valuation", data, options={"valuation": options})
    assert isinstance(method, Valuation)
    return data, model, method


def values(right: list[bool], M: int) -> torch.Tensor:
    """phi of one sample with all modalities, of which subsets (1, .., 2^M - 1) answer right."""
    masks, weights, _ = (torch.from_numpy(x) for x in all_coalitions(M))
    return shapley_values(torch.tensor([False, *right]).unsqueeze(1), masks.unsqueeze(1), weights)[0]


@pytest.mark.parametrize(
    ("right", "phi", "copies"),
    [
        ([True, True, True], [1.0, 1.0], [0, 0]),
        ([True, False, True], [1.5, 0.5], [0, 1]),
        ([False, False, True], [1.0, 1.0], [0, 0]),
        ([True, False, False], [0.5, -0.5], [1, 3]),
        ([True, True, False], [0.0, 0.0], [2, 2]),
        ([False, False, False], [0.0, 0.0], [2, 2]),
    ],
)
def test_the_papers_table_of_two(right: list[bool], phi: list[float], copies: list[int]) -> None:
    found = values(right, 2)
    assert found.tolist() == pytest.approx(phi)
    assert count_copies(found).tolist() == copies
    assert float(found.sum()) == pytest.approx(2.0 * right[2])


def test_three_are_valued_as_the_mean_over_all_orders() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        right = (torch.rand(8) < 0.5).tolist()
        right[0] = False
        v = [bin(S).count("1") * right[S] for S in range(8)]
        expected = torch.zeros(3)
        for order in permutations(range(3)):
            S = 0
            for m in order:
                expected[m] += (v[S | 1 << m] - v[S]) / 6
                S |= 1 << m
        torch.testing.assert_close(values(right[1:], 3).float(), expected)


def test_copies_are_counted_as_the_model_in_evaluation_answers() -> None:
    data, model, method = valued(2, 0.3, warmup=0.01)
    train(model, method, data, range(1), optimiser(model, method))
    z = model.embed(data.inputs)
    right = {}
    for S in ((True, False), (False, True), (True, True)):
        right[S] = model.decode(z, data.present & torch.tensor(S)).argmax(1) == data.target
    both = data.present.all(1)
    assert not method.copies[~both].any()
    for i in both.nonzero()[:, 0].tolist():
        one, two, all_ = (float(right[S][i]) * sum(S) for S in right)
        phi = torch.tensor([(one + all_ - two) / 2, (two + all_ - one) / 2])
        assert method.copies[i].tolist() == count_copies(phi).tolist(), i
    assert method.copies.any()


@pytest.mark.parametrize("fusion", ["concat", "attention"])
def test_many_modalities_are_valued_too(fusion: str) -> None:
    """All subsets of an additive fusion, random orders else."""
    data = toy(7, 0.2)
    model, method = ready("valuation", data, fusion, {"valuation": {"warmup": 0.01}})
    method.end_epoch(model, data)
    assert method.copies.any()
    assert not method.copies[~data.present].any()
    assert not (method.copies > 3).any()


def test_an_epoch_is_every_sample_and_its_copies() -> None:
    _, _, method = valued(3)
    torch.manual_seed(0)
    method.copies.copy_(torch.randint(0, 4, (SAMPLES, 3)))
    turns = method.arrange(torch.randperm(SAMPLES), 16)
    rows, kept = torch.cat([turn.rows for turn in turns]), torch.cat([turn.kept for turn in turns])
    assert len(rows) == SAMPLES + int(method.copies.sum())
    whole = kept.all(1)
    assert sorted(rows[whole].tolist()) == list(range(SAMPLES))
    for m in range(3):
        alone = kept[:, m] & (kept.sum(1) == 1)
        torch.testing.assert_close(rows[alone].bincount(minlength=SAMPLES), method.copies[:, m])
    assert any(turn.kept.all(1).any() and not turn.kept.all() for turn in turns), "copies are mixed with samples"


def test_nothing_is_copied_in_the_warm_up() -> None:
    data, model, method = valued(2, warmup=0.02)
    order = torch.randperm(SAMPLES)
    for _ in range(2):
        turns = method.arrange(order, 16)
        assert torch.equal(torch.cat([turn.rows for turn in turns]), order)
        assert all(turn.kept.all() for turn in turns)
        method.end_epoch(model, data)
    assert len(method.arrange(order, 16)) > len(turns)


def test_a_copy_trains_the_encoder_that_it_keeps() -> None:
    data, model, method = valued(2)
    method.copies[:, 1] = 1
    (turn,) = method.arrange(torch.arange(SAMPLES), 500)
    alone = ~turn.kept[:, 0]
    assert int(alone.sum()) == SAMPLES
    step(model, method, data.take(turn._replace(rows=turn.rows[alone], kept=turn.kept[alone])))
    assert all(p.grad is None for p in model.encoders["m0"].parameters())
    assert all(p.grad.any() for p in model.encoders["m1"].parameters())


def test_what_makes_no_sense_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="option orders: input should be greater than 0"):
        build_method("valuation", {"valuation": {"orders": 0}})
    with pytest.raises(UsageError, match="methods valuation and remix each arrange the batches; chain only one"):
        build_method("valuation+remix", {})
