"""ARL against the paper's two-modality formulas, and the gate by autograd."""

import math

import pytest
import torch
from toys import ready, step, toy

from robustmm.methods.balance.arl import ARL, boosts
from robustmm.methods.coalitions import unimodal_and_fused
from robustmm.model.fusion_model import FusionModel


def arl(M: int = 2, missing: float = 0.0, **options: object) -> tuple[FusionModel, ARL]:
    model, method = ready("arl", toy(M, missing), options={"arl": {"warmup": 0, **options}})
    assert isinstance(method, ARL)
    return model, method


@pytest.mark.parametrize(
    ("H_a", "H_v", "d_a", "d_v"), [(0.9, 0.6, 2.0, 5.0), (0.1, 1.0, 3.0, 1.0), (1.0, 1.0, 1.0, 1.0)]
)
def test_two_modalities_have_the_papers_weights(H_a: float, H_v: float, d_a: float, d_v: float) -> None:
    T = 8.0
    h = [max(x / (H_a + H_v), 0.3) for x in (H_a, H_v)]
    q = [(1 / x) / (1 / h[0] + 1 / h[1]) for x in h]
    d = [x / (d_a + d_v) for x in (d_a, d_v)]
    logits = [T * d[1] * q[0], T * d[0] * q[1]]
    expected = [math.exp(x) / sum(map(math.exp, logits)) for x in logits]
    entropy, dependence = torch.tensor([H_a, H_v]).double(), torch.tensor([d_a, d_v]).double()
    found = boosts(entropy, dependence, torch.tensor([True, True]), T)
    torch.testing.assert_close(found, torch.tensor(expected).double())


def test_the_certain_modality_the_model_depends_on_least_is_boosted_most() -> None:
    seen = torch.ones(3, dtype=torch.bool)
    boost = boosts(torch.tensor([0.2, 1.0, 1.0]), torch.tensor([1.0, 1.0, 1.0]), seen, 8.0)
    assert boost.argmax() == 0
    boost = boosts(torch.ones(3), torch.tensor([0.1, 1.0, 2.0]), seen, 8.0)
    assert boost.argsort().tolist() == [2, 1, 0]
    assert float(boost.sum()) == pytest.approx(1.5)  # M/2: the mean boost is 1/2 whatever M


def test_what_nobody_has_takes_no_part_and_one_modality_is_boosted_by_a_half() -> None:
    pair = boosts(torch.tensor([0.9, 0.6]), torch.tensor([2.0, 5.0]), torch.tensor([True, True]), 8.0)
    nan = torch.nan
    three = boosts(torch.tensor([0.9, nan, 0.6]), torch.tensor([2.0, nan, 5.0]), torch.tensor([True, False, True]), 8.0)
    torch.testing.assert_close(three[[0, 2]], pair)
    assert three[1] == 0
    assert boosts(torch.ones(1), torch.ones(1), torch.tensor([True]), 8.0).tolist() == [0.5]
    assert boosts(torch.zeros(2), torch.zeros(2), torch.tensor([False, False]), 8.0).tolist() == [0, 0]


def test_entropy_and_dependence_are_means_over_the_samples_that_have_the_modality() -> None:
    torch.manual_seed(0)
    _, method = arl(2, temperature=3.0)
    alone = torch.randn(2, 5, 3).double()
    present = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1], [0, 1]], dtype=torch.bool)
    entropy, dependence = [], []
    for m in range(2):
        rows = [b for b in range(5) if present[b, m]]
        entropy.append(
            sum(float(torch.distributions.Categorical(logits=alone[m, b]).entropy()) for b in rows) / len(rows)
        )
        dependence.append(sum(float(alone[m, b].abs().sum()) for b in rows) / len(rows))
    expected = boosts(
        torch.tensor(entropy).double(), torch.tensor(dependence).double(), torch.tensor([True, True]), 3.0
    )
    spoilt = torch.where(present.T.unsqueeze(-1), alone, torch.nan)
    torch.testing.assert_close(method.boost(spoilt, present), expected)
    alone_there = torch.tensor([[True, False]]).expand(5, 2)
    assert method.boost(spoilt.nan_to_num(), alone_there).tolist() == [0.5, 0.0], "nobody has the second"


@pytest.mark.parametrize(
    ("options", "warm"),
    [({}, False), ({"uniform": True}, False), ({"warmup": 0.01}, True), ({"warmup": 0.01, "uniform": True}, True)],
)
def test_encoder_gradients_are_multiplied_and_the_fusions_are_not(options: dict[str, object], warm: bool) -> None:
    data = toy(3)
    batch = data.batch()
    model, method = arl(3, **options)
    losses = step(model, method, batch)
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    embedding = model.embedding(batch.inputs, batch.present)
    alone, fused = unimodal_and_fused(model, embedding)
    gamma = 1.0 if warm else 4.0
    plain = torch.nn.functional.cross_entropy(fused, batch.target)
    terms = [torch.nn.functional.cross_entropy(s, batch.target) for s in alone]
    torch.testing.assert_close(losses["unimodal"], gamma * sum(terms))
    model.zero_grad()
    (plain + gamma * sum(terms)).backward()
    boost = method.boost(alone.detach().double(), batch.present).float()
    factor = torch.ones(3) if warm else torch.full((3,), 1.5) if method.uniform else 1 + boost
    for name, parameter in model.named_parameters():
        which = next((m for m, modality in enumerate(model.modalities) if f".{modality}." in name), None)
        scale = 1.0 if which is None else factor[which]
        torch.testing.assert_close(found[name], parameter.grad * scale)
