"""DGL's two truncations, against the paper's two backward passes."""

import pytest
import torch
import torch.nn.functional as F
from toys import ready, step, toy

from robustmm.methods.balance.dgl import freeze_parameters


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
