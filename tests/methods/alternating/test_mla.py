"""MLA's turns, its projection against numpy, and its fusion by hand."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from toys import SAMPLES, ready, step, toy, train

from robustmm.methods.alternating.mla import MLA, SharedHead, entropy_weights, remove_direction
from robustmm.model.fusion_model import FusionModel


def mla(M: int, missing: float = 0.0, **options: Any) -> tuple[Any, FusionModel, MLA]:
    data = toy(M, missing)
    model, method = ready("mla", data, options={"mla": options})
    assert isinstance(method, MLA)
    return data, model, method


@pytest.mark.parametrize("M", [2, 3])
def test_each_batch_is_gone_through_once_a_modality_with_what_has_it(M: int) -> None:
    data, _, method = mla(M, 0.3)
    order = torch.randperm(SAMPLES)
    turns = method.arrange(order, 32)
    assert len(turns) == 3 * M
    for number, turn in enumerate(turns):
        batch, m = divmod(number, M)
        rows = [row for row in order[32 * batch : 32 * batch + 32].tolist() if data.present[row, m]]
        assert turn.rows.tolist() == rows
        assert turn.kept is not None
        assert turn.kept.sum(0).tolist() == [len(rows) if k == m else 0 for k in range(M)]


def test_a_modality_that_no_sample_of_a_batch_has_is_passed_over() -> None:
    data, _, method = mla(2)
    method.have = data.present.clone()
    method.have[:32, 1] = False
    assert [bool(t.kept[0, 1]) for t in method.arrange(torch.arange(SAMPLES), 32)] == [False, False, True, False, True]


def test_shuffled_turns_come_in_every_order_and_by_the_seed() -> None:
    _, _, method = mla(3, order="shuffled")
    torch.manual_seed(0)
    first = [turn.kept[0].long().argmax().item() for turn in method.arrange(torch.arange(SAMPLES), 4)]
    torch.manual_seed(0)
    assert first == [turn.kept[0].long().argmax().item() for turn in method.arrange(torch.arange(SAMPLES), 4)]
    batches = [tuple(first[i : i + 3]) for i in range(0, len(first), 3)]
    assert all(sorted(turns) == [0, 1, 2] for turns in batches)
    assert len(set(batches)) == 6


def test_a_turn_moves_its_encoder_and_the_head_only() -> None:
    data, model, method = mla(3, 0.2, projection="off")
    turn = method.arrange(torch.arange(SAMPLES), 32)[1]
    losses = step(model, method, data.take(turn))
    for name, parameter in model.named_parameters():
        touched = ".m1." in name or name.startswith("fusion.head")
        assert (parameter.grad is not None) == touched, name
    logits = model.fusion.head(model.projections["m1"](model.encoders["m1"](data.inputs["m1"][turn.rows])))
    torch.testing.assert_close(losses["unimodal"], F.cross_entropy(logits, data.target[turn.rows]))


def test_the_second_turn_of_a_batch_sees_the_head_that_the_first_moved() -> None:
    """Two steps by hand of an optimiser with momentum, encoder by encoder, are the epoch."""
    data, model, method = mla(2, projection="off")
    again = copy.deepcopy(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, method, data, range(1), optimiser)
    byhand = torch.optim.SGD(again.parameters(), lr=0.1, momentum=0.9)
    for start in range(0, SAMPLES, 32):
        rows = slice(start, start + 32)
        for name in again.modalities:
            byhand.zero_grad()
            logits = again.fusion.head(again.projections[name](again.encoders[name](data.inputs[name][rows])))
            F.cross_entropy(logits, data.target[rows]).backward()
            torch.nn.utils.clip_grad_norm_(again.parameters(), 1.0)
            byhand.step()
    torch.testing.assert_close(model.state_dict(), again.state_dict())


def test_previous_projects_by_the_inverse_over_the_means_of_the_others() -> None:
    """P = (1 + sum of r r' / alpha)^-1 of the running means (Woodbury), with alpha = 0.1^(1 + i / n)."""
    data, model, method = mla(3)
    turns = method.arrange(torch.arange(SAMPLES), 32)
    running: dict[int, np.ndarray] = {}
    for number, turn in enumerate(turns):
        m, alpha = number % 3, 0.1 ** (1 + number / len(turns))
        batch = data.take(turn)
        plain = step_gradient(model, batch)
        step(model, method, batch)
        others = [np.outer(r, r) / alpha for k, r in running.items() if k != m]
        P = np.linalg.inv(np.eye(model.width) + np.sum(others, axis=0)) if others else np.eye(model.width)
        np.testing.assert_allclose(method.projector.numpy(), P, atol=1e-8)
        np.testing.assert_allclose(model.fusion.head.weight.grad.numpy(), plain @ P, atol=1e-5)
        r = model.embedding(batch.inputs, batch.present).z[:, m].detach().double().numpy().mean(0)
        running[m] = 0.9 * running[m] + 0.1 * r if m in running else r
    assert len(running) == 3


def step_gradient(model: FusionModel, batch: Any) -> np.ndarray:
    """The head's gradient before anything is projected."""
    logits = model.fusion.head(model.embedding(batch.inputs, batch.present).z)
    m = int(batch.present[0].long().argmax())
    loss = F.cross_entropy(logits[:, m], batch.target)
    found: np.ndarray = torch.autograd.grad(loss, model.fusion.head.weight)[0].double().numpy()
    return found


def test_cumulative_adds_up_the_means_of_every_turn_but_the_first() -> None:
    data, model, method = mla(2, projection="cumulative")
    turns, total = method.arrange(torch.arange(SAMPLES), 32), np.eye(model.width)
    for number, turn in enumerate(turns):
        step(model, method, data.take(turn))
        r = model.embedding(data.take(turn).inputs, data.take(turn).present).z[:, number % 2].detach().double().numpy()
        if number:
            total += np.outer(r.mean(0), r.mean(0)) / 0.1 ** (1 + number / len(turns))
        np.testing.assert_allclose(method.projector.numpy(), np.linalg.inv(total), atol=1e-6)


def test_a_removed_direction_is_gone_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    r = torch.randn(6, dtype=torch.float64)
    P = remove_direction(torch.eye(6, dtype=torch.float64), r, 1e-12)
    torch.testing.assert_close(P, P.T)
    torch.testing.assert_close(P @ r, torch.zeros_like(r))
    across = torch.randn(6, dtype=torch.float64)
    across -= r * (across @ r) / (r @ r)
    torch.testing.assert_close(P @ across, across)


def test_off_leaves_the_gradient_as_it_is() -> None:
    data, model, method = mla(2, projection="off")
    for turn in method.arrange(torch.arange(SAMPLES), 32)[:2]:
        plain = step_gradient(model, data.take(turn))
        step(model, method, data.take(turn))
        np.testing.assert_allclose(model.fusion.head.weight.grad.numpy(), plain, atol=1e-6)


def test_the_fused_answer_weighs_by_entropy_sample_by_sample() -> None:
    torch.manual_seed(0)
    fusion, z = SharedHead(3, 4, 5), torch.randn(7, 3, 4)
    present = torch.rand(7, 3) < 0.6
    present[0], present[1] = False, torch.tensor([False, True, False])
    z = torch.where(present.unsqueeze(-1), z, 0.0)
    found = fusion(z, present)
    for i in range(7):
        s = [fusion.head(z[i, m]) for m in range(3) if present[i, m]]
        e = torch.stack([torch.distributions.Categorical(logits=x).entropy() for x in s]) if s else torch.zeros(0)
        w = torch.softmax(-e, 0)
        expected = sum((a * x for a, x in zip(w, s, strict=True)), torch.zeros(5))
        torch.testing.assert_close(found[i], expected)
    torch.testing.assert_close(entropy_weights(fusion.head(z), present).sum(1), present.any(1).float())
    torch.testing.assert_close(found[1], fusion.head(z[1, 1]))
    assert not found[0].any()


def test_a_batch_with_several_modalities_moves_the_means_and_not_the_projection() -> None:
    data, model, method = mla(2)
    step(model, method, data.batch())
    torch.testing.assert_close(method.projector, torch.eye(model.width, dtype=torch.float64))
    assert method.met.all()
