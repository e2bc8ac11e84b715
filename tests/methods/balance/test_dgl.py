"""DGL's two truncations, against the paper's two backward passes."""

import pytest
import torch
import torch.nn.functional as F
from toys import ready, step, toy, train

from robustmm.config.recipe import Train
from robustmm.methods.balance.dgl import freeze_parameters
from robustmm.training.optimiser import build_optimiser, optimiser_name


@pytest.mark.parametrize("fusion", ["concat", "sum", "gated", "attention"])
@pytest.mark.parametrize("alpha", [1.0, 4.0])
def test_one_pass_has_the_gradients_of_the_papers_two(fusion: str, alpha: float) -> None:
    data = toy(3, missing=0.3)
    batch = data.batch()
    model, method = ready("dgl", data, fusion, {"dgl": {"alpha": alpha}})
    model.eval()
    step(model, method, batch)
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert set(found) == {name for name, _ in model.named_parameters()}

    model.zero_grad()
    z = model.embedding(batch.inputs, batch.present).z
    for m in range(3):
        only, rows = torch.zeros_like(batch.present), batch.present[:, m]
        only[:, m] = rows
        (alpha * F.cross_entropy(model.decode(z, only)[rows], batch.target[rows])).backward(retain_graph=True)
    for parameter in model.fusion.parameters():
        parameter.grad = None  # what the unimodal losses left on the fusion is thrown away
    F.cross_entropy(model.decode(z.detach(), batch.present), batch.target).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, msg=name)


def test_frozen_lets_gradients_through_and_thaws_what_was_learning_only() -> None:
    layer = torch.nn.Linear(2, 1)
    layer.bias.requires_grad_(False)
    x = torch.ones(1, 2, requires_grad=True)
    with freeze_parameters(layer):
        layer(x).sum().backward()
    assert layer.weight.grad is None
    torch.testing.assert_close(x.grad, layer.weight)
    assert layer.weight.requires_grad
    assert not layer.bias.requires_grad


def test_an_error_inside_leaves_nothing_frozen() -> None:
    layer = torch.nn.Linear(2, 1)
    with pytest.raises(ValueError, match="broke"), freeze_parameters(layer):
        raise ValueError("broke")
    assert all(p.requires_grad for p in layer.parameters())


def test_alpha_is_a_rate_for_the_encoders_alone() -> None:
    data, gradients = toy(2, missing=0.2), []
    for alpha in (1.0, 5.0):
        model, method = ready("dgl", data, options={"dgl": {"alpha": alpha}})
        step(model, method, data.batch())
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        scale = 1.0 if name.startswith("fusion.") else 5.0
        torch.testing.assert_close(gradients[1][name], scale * gradient)


def test_under_adamw_alpha_does_nothing_so_sgd_is_the_default_and_adamw_is_warned_of() -> None:
    weights = []
    for alpha in (1.0, 5.0):
        data = toy(2)
        model, method = ready("dgl", data, options={"dgl": {"alpha": alpha}})
        with pytest.warns(
            UserWarning, match="scales gradients, and AdamW's per-parameter normalisation nearly cancels"
        ):
            steps = build_optimiser(Train(optimiser="adamw"), model, method)
        train(model, method, data, range(2), steps)
        weights.append(model.encoders["m0"][0].weight)
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)
    assert optimiser_name(Train(), method) == "sgd"
