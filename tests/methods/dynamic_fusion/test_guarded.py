"""guarded: the quality weight, its loss and its place, by hand."""

import pytest
import torch
import torch.nn.functional as F
from toys import CLASSES, WIDTH, fresh, optimiser, ready, step, toy, train

from robustmm.errors import UsageError
from robustmm.methods import Chain, build_method
from robustmm.methods.bottleneck import VariationalBottleneck
from robustmm.methods.dynamic_fusion.guarded import Guarded, QualityBottleneck, quality_loss
from robustmm.model.fusion_model import Bottleneck


def by_hand(bottleneck: QualityBottleneck, z: torch.Tensor) -> torch.Tensor:
    """q (batch, modality) of z (batch, modality, width)."""
    columns = []
    for m, head in enumerate(bottleneck.heads):
        A, b, a, c = head.parameters()
        columns.append(torch.sigmoid(torch.relu(z[:, m] @ A.T + b) @ a.T + c))
    return torch.cat(columns, 1)


def test_z_is_weighed_by_the_quality_of_each_modality_alone() -> None:
    torch.manual_seed(0)
    bottleneck, z = QualityBottleneck(Bottleneck(), 3, WIDTH), torch.randn(5, 3, WIDTH)
    present = torch.ones(5, 3, dtype=torch.bool)
    q = by_hand(bottleneck, z)
    found = bottleneck(z, present)
    torch.testing.assert_close(found.z, q.unsqueeze(-1) * z)
    torch.testing.assert_close(found.quality.sigmoid(), q)
    for m in range(3):
        torch.testing.assert_close(bottleneck.embed_one(z[:, m], m), found.z[:, m])


@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_a_quality_of_0_is_an_absent_modality(fusion: str) -> None:
    data = toy(2)
    model, _ = ready("guarded", data, fusion)
    assert isinstance(model.bottleneck, QualityBottleneck)
    model.bottleneck.heads[1][-1].weight.data.zero_()
    model.bottleneck.heads[1][-1].bias.data.fill_(-1e4)
    z = model.embed(data.inputs)
    alone = torch.tensor([True, False]).expand(len(z), 2)
    whole = model.decode(z, torch.ones_like(alone))
    difference = model.fusion.biases[1] if fusion == "sum" else torch.zeros(CLASSES)
    torch.testing.assert_close(whole, model.decode(z, alone) + difference)


def test_the_quality_loss_is_a_mean_over_the_samples_that_have_the_modality() -> None:
    q = torch.tensor([[0.3, -1.0], [2.0, 0.5], [-0.7, 9.0]])
    right = torch.tensor([[True, False], [False, True], [True, False]])
    present = torch.tensor([[True, True], [True, True], [True, False]])
    p = q.sigmoid()
    first = -(p[0, 0].log() + (1 - p[1, 0]).log() + p[2, 0].log()) / 3
    second = -((1 - p[0, 1]).log() + p[1, 1].log()) / 2
    torch.testing.assert_close(quality_loss(q, right, present), first + second)
    assert quality_loss(q, right, torch.zeros_like(present)) == 0


def test_the_terms_by_hand() -> None:
    data = toy(2, missing=0.3)
    batch = data.batch()
    model, method = ready("guarded", data, options={"guarded": {"rate": 0.0, "gamma": 3.0, "quality": 0.5}})
    losses = step(model, method, batch)
    embedding = model.embedding(batch.inputs, batch.present)
    W, b = model.fusion.weight, model.fusion.bias
    s = torch.einsum("bmw,mcw->bmc", embedding.z, W)
    fused = (s * batch.present.unsqueeze(-1)).sum(1) + b
    torch.testing.assert_close(losses["fused"], F.cross_entropy(fused, batch.target))
    unimodal = quality = 0.0
    for m in range(2):
        have = batch.present[:, m]
        alone, truth = s[have, m] + b, batch.target[have]
        unimodal += 3.0 * F.cross_entropy(alone, truth)
        right = (alone.argmax(1) == truth).float()
        quality += 0.5 * F.binary_cross_entropy_with_logits(embedding.quality[have, m], right)
    torch.testing.assert_close(losses["unimodal"], unimodal)
    torch.testing.assert_close(losses["quality"], quality)


def test_the_fused_term_drops_modalities_and_never_all() -> None:
    data = toy(3)
    batch = data.batch()
    model, method = ready("guarded", data, options={"guarded": {"rate": 0.99}})
    seen: list[torch.Tensor] = []
    decode = model.decode
    model.decode = lambda z, present: seen.append(present) or decode(z, present)  # type: ignore[method-assign,func-returns-value]
    torch.manual_seed(0)
    method.fused_loss(model, batch, model.embedding(batch.inputs, batch.present))
    (kept,) = seen
    assert kept.any(1).all()
    assert (kept.sum(1) == 1).any()


def test_judging_does_not_teach_the_encoders() -> None:
    data = toy(2, missing=0.3)
    batch = data.batch()
    model, method = ready("guarded", data)
    losses = method.losses(model, batch, model.embedding(batch.inputs, batch.present))
    model.zero_grad()
    losses["quality"].backward()
    assert isinstance(model.bottleneck, QualityBottleneck)
    assert all(p.grad is None or not p.grad.any() for p in [*model.encoders.parameters(), *model.fusion.parameters()])
    assert all(p.grad is not None and p.grad.any() for p in model.bottleneck.heads.parameters())


def test_a_modality_that_is_wrecked_loses_its_quality() -> None:
    """Half of the samples have noise in place of m0: the head tells them from the others."""
    data = toy(2)
    random = torch.Generator().manual_seed(5)
    wrecked = torch.arange(len(data.target)) // 3 % 2 == 1  # both halves hold every class
    data.inputs["m0"][wrecked] = 0.2 * torch.randn(int(wrecked.sum()), data.inputs["m0"].shape[1], generator=random)
    model, method = ready("guarded", data)
    train(model, method, data, range(30), optimiser(model, method))
    model.eval()
    q = model.embedding(data.inputs).quality.sigmoid()[:, 0]  # type: ignore[union-attr]
    assert q[~wrecked].mean() > q[wrecked].mean() + 0.3


# Chains


def test_in_a_chain_the_other_methods_unimodal_term_counts() -> None:
    data = toy(2, missing=0.3)
    model, chained = ready("cal+guarded", data, options={"guarded": {"gamma": 100.0}})
    assert isinstance(chained, Chain)
    assert chained.terms == ("fused", "unimodal", "bottleneck", "quality")
    losses = step(model, chained, data.batch())
    cal, guarded = chained.methods
    for part, counts in ((cal, True), (guarded, False)):
        torch.manual_seed(0)
        own = part.losses(model, data.batch(), model.embedding(data.inputs, data.present))  # type: ignore[operator]
        assert torch.allclose(own["unimodal"], losses["unimodal"]) == counts
    assert chained.owns_fused
    assert chained.corrupt == Guarded.corrupt
    assert build_method("guarded+mce", {}).terms == ("fused", "unimodal", "quality", "completion", "separate", "subset")


def test_the_quality_of_a_chain_weighs_what_the_other_bottleneck_gives() -> None:
    data = toy(2)
    model, _ = ready("cal+guarded", data)
    assert isinstance(model.bottleneck, QualityBottleneck)
    assert isinstance(model.bottleneck.inner, VariationalBottleneck)
    model.eval()
    encoded = model.encode(data.inputs)
    inner = model.bottleneck.inner(encoded, data.present)
    found = model.bottleneck(encoded, data.present)
    torch.testing.assert_close(found.z, by_hand(model.bottleneck, inner.z).unsqueeze(-1) * inner.z)
    assert torch.equal(found.mean, inner.mean)
    torch.testing.assert_close(model.embed_one("m1", data.inputs["m1"]), found.z[:, 1])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("guarded+cal", "^guarded wraps the bottleneck that cal brings; chain them as cal\\+guarded$"),
        ("guarded+dropout", "methods guarded and dropout each have a fused term of their own; chain only one"),
        ("guarded+guarded", 'methods guarded and guarded both have a loss term "quality"; chain only one'),
    ],
)
def test_what_collides_is_a_sentence(name: str, sentence: str) -> None:
    data = toy(2)
    with pytest.raises(UsageError, match=sentence):
        build_method(name, {}).setup(fresh(data), data)
