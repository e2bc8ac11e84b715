"""InfoReg's pull, traces and window by hand."""

import math
from typing import Any

import pytest
import torch
from toys import SAMPLES, Toy, optimiser, ready, step, toy, train

from robustmm.errors import UsageError
from robustmm.methods import build_method
from robustmm.methods.balance.inforeg import InfoReg, information_growth, pulls
from robustmm.model.fusion_model import FusionModel


def inforeg(M: int, missing: float = 0.0, **options: Any) -> tuple[Toy, FusionModel, InfoReg]:
    data = toy(M, missing)
    model, method = ready("inforeg", data, options={"inforeg": options})
    assert isinstance(method, InfoReg)
    return data, model, method


def test_a_constant_trace_closes_the_window_after_eleven_epochs() -> None:
    """1, 1, 1/2, 1/3, .., 1/10, then 0: the zeros before the run are in the means."""
    found, traces = [], torch.zeros(11, 1, dtype=torch.float64)
    for _ in range(13):
        found.append(float(information_growth(traces)))
        traces = torch.cat([traces[1:], torch.full((1, 1), 4.0, dtype=torch.float64)])
    assert found == pytest.approx([1, *(1 / t for t in range(1, 11)), 0, 0])


def test_the_leader_is_pulled_by_how_far_it_leads() -> None:
    score, seen = torch.tensor([0.5, 0.25, 0.1]).double(), torch.tensor([True, True, True])
    found = pulls(score, seen, 4, 0.5)
    lead = 0.5 - 0.175
    torch.testing.assert_close(found, torch.tensor([0.5 * math.exp(math.tanh(4 * lead)), 0.0, 0.0]).double())
    unseen = pulls(score, torch.tensor([False, True, True]), 4, 0.5)
    torch.testing.assert_close(unseen, torch.tensor([0.0, 0.5 * math.exp(math.tanh(4 * 0.15)), 0.0]).double())
    assert not pulls(score, torch.tensor([False, True, False]), 4, 0.5).any()


@pytest.mark.parametrize("M", [2, 3])
def test_without_a_pull_it_is_joint_with_unimodal_terms(M: int) -> None:
    data = toy(M, 0.3)
    gradients = []
    for name, options in (("inforeg", {"beta": 0.0, "gamma": 4.0}), ("joint+unimodal", {})):
        model, method = ready(name, data, options={"inforeg": options})
        step(model, method, data.batch())
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_leader_is_drawn_back_to_the_start_of_the_epoch() -> None:
    data, model, method = inforeg(2, 0.2)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    _, plain = ready("inforeg", data, options={"inforeg": {"beta": 0.0}})
    step(model, method, data.batch())
    held = method.pull.clone()
    assert sorted((held > 0).tolist()) == [False, True]
    step(model, plain, data.batch())
    first = [p.grad.clone() for p in model.parameters()]
    step(model, method, data.batch())
    torch.testing.assert_close([p.grad for p in model.parameters()], first)  # nothing has moved yet

    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    step(model, method, data.batch())
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    held = method.pull.clone()
    step(model, plain, data.batch())
    for name, p in model.named_parameters():
        m = int(name.split(".")[1][1:]) if name.startswith(("encoders", "projections")) else None
        beta = 0.0 if m is None else float(held[m])
        torch.testing.assert_close(found[name], p.grad + beta * (p.detach() - start[name]), msg=name)


def test_a_trace_is_the_sum_over_steps_of_mean_squared_gradients() -> None:
    data, model, method = inforeg(2)
    totals = {m: torch.zeros(2) for m in model.modalities}
    for start in (0, 48):
        step(model, method, data.batch(slice(start, start + 48)))
        for m in model.modalities:
            weights = (model.encoders[m][0].weight, model.projections[m].weight)
            totals[m] += torch.stack([w.grad.square().mean() for w in weights])
    method.end_epoch(model, data)
    torch.testing.assert_close(method.traces[-1].float(), torch.stack([totals[m].sum() for m in model.modalities]))
    assert not method.traces[:-1].any()
    assert SAMPLES == 96


def test_each_modality_has_a_window_of_its_own() -> None:
    data, model, method = inforeg(2)
    method.traces[:, 0] = torch.arange(11.0)
    method.traces[:, 1] = 3.0
    assert method.open_windows().tolist() == [True, False]
    _, _, share = inforeg(2, window="share", share=0.02)
    share.epoch.fill_(1)
    assert share.open_windows().tolist() == [True, True]
    share.epoch.fill_(2)
    assert share.open_windows().tolist() == [False, False]
    step(model, share, data.batch())
    assert not share.pull.any()


def test_an_epochs_start_is_taken_anew() -> None:
    data, model, method = inforeg(2)
    train(model, method, data, range(1), optimiser(model, method))
    weight = model.encoders["m0"][0].weight
    old = method.anchors[weight]
    step(model, method, data.batch())
    assert torch.equal(method.anchors[weight], weight)
    assert not torch.equal(method.anchors[weight], old)


def test_what_makes_no_sense_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="option window: input should be 'trace' or 'share'"):
        build_method("inforeg", {"inforeg": {"window": "fim"}})
    with pytest.raises(UsageError, match="each run their own backward pass"):
        build_method("inforeg+ogm-ge", {})
