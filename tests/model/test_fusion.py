"""Fusions: what "only m" means by hand, every subset against brute force, and what absent modalities may not do."""

import pytest
import torch
from torch import Tensor, nn

from robustmm.errors import UsageError
from robustmm.model.fusion import FUSIONS, Additive, Attention, Concat, Fusion, Gated, Sum, build_fusion
from robustmm.model.fusion_model import FusionModel

WIDTH, CLASSES = 12, 5
ADDITIVE = [name for name in FUSIONS if issubclass(FUSIONS[name], Additive)]
every_fusion = pytest.mark.parametrize("name", list(FUSIONS))


def built(name: str, modalities: int = 3, **options: object) -> Fusion:
    torch.manual_seed(0)
    return build_fusion(name, modalities, WIDTH, CLASSES, **options).eval()


def model(made: Fusion) -> FusionModel:
    class Identity(nn.Identity):
        width = WIDTH

    return FusionModel({f"m{i}": Identity() for i in range(made.modalities)}, made, WIDTH)


def masks(modalities: int, batch: int) -> Tensor:
    """Every subset (2**M, batch, M); subset k holds modality m iff (k >> m) & 1."""
    k = torch.arange(2**modalities)[:, None]
    return (k >> torch.arange(modalities) & 1).bool()[:, None].expand(-1, batch, -1)


def drawn(batch: int, modalities: int = 3) -> Tensor:
    return torch.randn(batch, modalities, WIDTH, generator=torch.Generator().manual_seed(1))


def test_the_registry_holds_the_four() -> None:
    assert list(FUSIONS) == ["attention", "concat", "gated", "sum"]
    assert ADDITIVE == ["concat", "sum"]


@every_fusion
@pytest.mark.parametrize("modalities", range(1, 11))
def test_one_to_ten_modalities(name: str, modalities: int) -> None:
    z = drawn(4, modalities)
    logits = built(name, modalities)(z, torch.ones(4, modalities, dtype=torch.bool))
    assert logits.shape == (4, CLASSES)
    assert logits.isfinite().all()


@every_fusion
@pytest.mark.parametrize("modalities", [1, 2, 4])
def test_subsets_equal_decoding_each_mask(name: str, modalities: int) -> None:
    whole = model(built(name, modalities))
    z, present = drawn(6, modalities), masks(modalities, 6)
    together = whole.decode_subsets(z, present)
    assert together.shape == (2**modalities, 6, CLASSES)
    for mask, logits in zip(present, together, strict=True):
        torch.testing.assert_close(logits, whole.decode(z, mask), atol=1e-5, rtol=1e-5)


@every_fusion
def test_subsets_take_a_mask_per_row(name: str) -> None:
    made = built(name)
    z, present = drawn(7), torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(2)) < 0.5
    expected = torch.stack([model(made).decode(z, mask) for mask in present])
    torch.testing.assert_close(made.decode_subsets(z, present), expected, atol=1e-5, rtol=1e-5)


@every_fusion
def test_subsets_in_parts_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, z, present = built(name), drawn(4), masks(3, 4)
    whole = made.decode_subsets(z, present)
    monkeypatch.setattr("robustmm.model.fusion.ROWS", 9)
    torch.testing.assert_close(made.decode_subsets(z, present), whole, atol=1e-6, rtol=1e-6)


@every_fusion
@pytest.mark.parametrize("poison", [1e6, torch.nan, torch.inf])
def test_what_an_absent_modality_contains_does_not_matter(name: str, poison: float) -> None:
    whole, z = model(built(name)), drawn(5)
    present = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]]).bool()
    dirty = torch.where(present[..., None], z, torch.tensor(poison))
    assert torch.equal(whole.decode(z, present), whole.decode(dirty, present))
    each = masks(3, 5) & present
    assert torch.equal(whole.fusion.decode_subsets(z, each), whole.fusion.decode_subsets(dirty, each))
    assert torch.equal(whole.decode_subsets(z, each), whole.decode_subsets(dirty, each))


@every_fusion
def test_a_spoilt_modality_spoils_only_the_subsets_that_hold_it(name: str) -> None:
    made, z, present = built(name), drawn(2), masks(3, 2)
    clean, spoilt = (
        made.decode_subsets(z, present),
        made.decode_subsets(z.index_fill(1, torch.tensor(1), torch.nan), present),
    )
    holds = present[:, 0, 1]
    assert torch.equal(spoilt[~holds], clean[~holds])
    assert spoilt[holds].isnan().all()


@every_fusion
def test_gradients_do_not_see_what_is_absent(name: str) -> None:
    whole, present = model(built(name)), torch.tensor([[True, False, True]] * 4)
    z = drawn(4).index_fill(1, torch.tensor(1), torch.nan).requires_grad_()
    for logits in (whole.decode(z, present), whole.fusion.decode_subsets(z, masks(3, 4) & present)):
        whole.zero_grad()
        z.grad = None
        logits.square().sum().backward()
        assert z.grad is not None
        assert not z.grad[:, 1].any()
        assert all(p.grad is None or p.grad.isfinite().all() for p in whole.fusion.parameters())


@every_fusion
def test_gradients_reach_every_parameter(name: str) -> None:
    made = built(name)
    made(drawn(8), torch.ones(8, 3, dtype=torch.bool)).square().sum().backward()
    assert [n for n, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []


@every_fusion
def test_nothing_present_is_finite_and_the_same_for_every_row(name: str) -> None:
    logits = model(built(name)).decode(drawn(4), torch.zeros(4, 3, dtype=torch.bool))
    assert logits.isfinite().all()
    assert torch.equal(logits, logits[:1].expand_as(logits))


@every_fusion
def test_half_precision_is_near(name: str) -> None:
    whole, z, present = model(built(name)), drawn(4), masks(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = whole.decode_subsets(z, present)
    torch.testing.assert_close(rounded.float(), whole.decode_subsets(z, present), atol=0.05, rtol=0.05)


@every_fusion
def test_rows_do_not_see_each_other(name: str) -> None:
    whole, z, present = model(built(name)), drawn(6), torch.rand(6, 3) < 0.7
    alone = torch.cat([whole.decode(z[i : i + 1], present[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(whole.decode(z, present), alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ADDITIVE)
def test_additive_fusions_run_their_terms_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, calls = built(name), []
    terms = made.terms
    monkeypatch.setattr(made, "terms", lambda z: calls.append(z) or terms(z))
    made.decode_subsets(drawn(4), masks(3, 4))
    assert len(calls) == 1


def test_concat_is_one_linear_layer() -> None:
    made = built("concat")
    assert isinstance(made, Concat)
    z = drawn(4)
    weight = made.weight.permute(1, 0, 2).flatten(1)  # (class, modality * width)
    expected = nn.functional.linear(z.flatten(1), weight, made.bias)
    torch.testing.assert_close(made(z, torch.ones(4, 3, dtype=torch.bool)), expected)


def test_concat_alone_keeps_the_whole_bias() -> None:
    made, z = built("concat"), drawn(4)
    alone = model(made).decode(z, torch.tensor([[False, True, False]] * 4))
    torch.testing.assert_close(alone, z[:, 1] @ made.weight[1].T + made.bias)
    nothing = model(made).decode(z, torch.zeros(4, 3, dtype=torch.bool))
    torch.testing.assert_close(nothing, made.bias.expand(4, -1))


def test_concat_is_drawn_like_the_linear_layer_it_is() -> None:
    torch.manual_seed(0)
    made, linear = Concat(4, 64, 50), nn.Linear(256, 50)
    assert made.weight.abs().max().item() == pytest.approx(linear.weight.abs().max().item(), rel=1e-3)
    assert made.weight.std().item() == pytest.approx(linear.weight.std().item(), rel=0.02)
    assert made.bias.abs().max() <= 256**-0.5


def test_sum_leaves_the_bias_of_the_absent_out() -> None:
    made, z = built("sum"), drawn(4)
    assert isinstance(made, Sum)
    each = [z[:, m] @ made.weight[m].T + made.biases[m] for m in range(3)]
    two = model(made).decode(z, torch.tensor([[True, False, True]] * 4))
    torch.testing.assert_close(two, each[0] + each[2])
    assert not model(made).decode(z, torch.zeros(4, 3, dtype=torch.bool)).any()


def test_sum_does_not_depend_on_the_order_of_modalities() -> None:
    made, turned, order = built("sum"), built("sum"), torch.tensor([2, 0, 1])
    with torch.no_grad():
        turned.weight.copy_(made.weight[order])
        turned.biases.copy_(made.biases[order])
    z, present = drawn(6), torch.rand(6, 3) < 0.6
    torch.testing.assert_close(
        model(turned).decode(z[:, order], present[:, order]), model(made).decode(z, present), atol=1e-6, rtol=1e-5
    )


def test_attention_does_not_depend_on_the_order_of_modalities() -> None:
    made, turned, order = built("attention"), built("attention"), torch.tensor([2, 0, 1])
    with torch.no_grad():
        turned.tokens[1:] = made.tokens[1:][order]
    z, present = drawn(6), torch.rand(6, 3) < 0.6
    torch.testing.assert_close(
        model(turned).decode(z[:, order], present[:, order]), model(made).decode(z, present), atol=1e-6, rtol=1e-5
    )


def test_gated_follows_the_paper() -> None:
    made, z = built("gated"), drawn(4)
    assert isinstance(made, Gated)
    h = [torch.tanh(z[:, m] @ made.hidden[m].T) for m in range(3)]
    g = torch.sigmoid(z.flatten(1) @ made.gates.weight.T).split(WIDTH, 1)
    expected = made.head(g[0] * h[0] + g[1] * h[1] + g[2] * h[2])
    torch.testing.assert_close(made(z, torch.ones(4, 3, dtype=torch.bool)), expected)


def test_gated_alone_gates_itself() -> None:
    made, z = built("gated"), drawn(4)
    own = made.gates.weight[WIDTH : 2 * WIDTH, WIDTH : 2 * WIDTH]
    expected = made.head(torch.sigmoid(z[:, 1] @ own.T) * torch.tanh(z[:, 1] @ made.hidden[1].T))
    torch.testing.assert_close(model(made).decode(z, torch.tensor([[False, True, False]] * 4)), expected)


def test_attention_alone_is_a_model_without_the_others() -> None:
    made, small = built("attention"), built("attention", modalities=1)
    content = {k: v for k, v in made.state_dict().items() if k != "tokens"}
    small.load_state_dict({**content, "tokens": made.tokens[[0, 2]]})
    z = drawn(4)
    alone = model(made).decode(z, torch.tensor([[False, True, False]] * 4))
    torch.testing.assert_close(alone, small(z[:, 1:2], torch.ones(4, 1, dtype=torch.bool)), atol=1e-6, rtol=1e-5)


def test_attention_matches_torch() -> None:
    made = built("attention", layers=2, heads=3)
    assert isinstance(made, Attention)
    z, present = drawn(5), torch.tensor([[1, 1, 1], [0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 1, 1]]).bool()
    x = torch.cat([made.tokens[:1].expand(5, 1, -1), z * present[..., None] + made.tokens[1:]], 1)
    absent = torch.cat([torch.zeros(5, 1, dtype=torch.bool), ~present], 1)
    for layer in made.layers:
        theirs = nn.MultiheadAttention(WIDTH, 3, batch_first=True)
        theirs.load_state_dict(
            {
                "in_proj_weight": layer.qkv.weight,
                "in_proj_bias": layer.qkv.bias,
                "out_proj.weight": layer.out.weight,
                "out_proj.bias": layer.out.bias,
            }
        )
        normed = layer.norm(x)
        x = x + theirs(normed, normed, normed, key_padding_mask=absent, need_weights=False)[0]
        x = x + layer.mlp(x)
    expected = made.head(made.norm(x[:, 0]))
    torch.testing.assert_close(model(made).decode(z, present), expected, atol=1e-5, rtol=1e-5)


def test_attention_takes_any_width() -> None:
    for width in (1, 6, 7, 64):
        assert build_fusion("attention", 2, width, 3)(torch.ones(1, 2, width), torch.ones(1, 2).bool()).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("attention", {"heads": 5}, "heads should divide the width 12, found 5"),
        ("attention", {"layer": 2}, '"layer" is not an option of fusion "attention", did you mean "layers"?'),
        ("attention", {"layers": 0}, 'fusion "attention", option layers: input should be greater than 0, found 0'),
        ("concat", {"heads": 2}, '"heads" is not an option of fusion "concat" (known: none)'),
        ("concta", {}, '"concta" is not a fusion, did you mean "concat"?'),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        build_fusion(name, 3, WIDTH, CLASSES, **options)
    assert sentence in str(error.value)


def test_a_modality_may_have_any_name_of_a_modules_own() -> None:
    class Identity(nn.Identity):
        width = WIDTH

    names = ["values", "type", "type_", "train", "keys", "half", "forward", "parameters", "training"]
    found = FusionModel({name: Identity() for name in names}, built("concat", len(names)), WIDTH)
    inputs = {name: torch.randn(4, WIDTH) for name in names}
    assert found.train().eval().training is False
    assert found.embed(inputs).shape == (4, len(names), WIDTH)
    assert len({id(found.encoders[name]) for name in names}) == len(names)
    assert {"projections.values.weight", "projections.type_.weight"} <= found.state_dict().keys(), (
        "as ever where it can be"
    )
    other = FusionModel({name: Identity() for name in names}, built("concat", len(names)), WIDTH)
    other.load_state_dict(found.state_dict())
    torch.testing.assert_close(other.embed(inputs), found.embed(inputs))
