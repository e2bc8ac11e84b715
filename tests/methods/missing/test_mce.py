import itertools
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from toys import CLASSES, SAMPLES, WIDTH, Toy, ready, step, toy

from robustmm.methods.coalitions import all_coalitions, draw_coalitions
from robustmm.methods.missing.completion import Completion
from robustmm.methods.missing.mce import (
    MCE,
    completion_loss,
    draw_subsets,
    nested_mean,
    paper_value,
    scarcity,
    subset_loss,
    subset_shares,
)
from robustmm.model.fusion_model import Coalitions, FusionModel


def mce(data: Toy, **options: object) -> tuple[FusionModel, MCE]:
    model, method = ready("mce", data, options={"mce": {"dropout": 0.0, **options}})
    assert isinstance(method, MCE)
    assert isinstance(model.fusion, Completion)
    return model, method


def game(M: int, logits: torch.Tensor | None = None) -> Coalitions:
    masks, weights, alone = (torch.from_numpy(part) for part in all_coalitions(M))
    return Coalitions(masks, weights, alone, torch.zeros(2**M, 1, CLASSES) if logits is None else logits)


def proper_subsets(has: list[int]) -> Iterator[tuple[int, ...]]:
    for size in range(1, len(has)):
        yield from itertools.combinations(has, size)


def one(M: int, held: tuple[int, ...]) -> torch.Tensor:
    present = torch.zeros(1, M, dtype=torch.bool)
    present[0, list(held)] = True
    return present


# A_m, phi_m, b_m


def test_scarcity_is_the_inverse_of_what_is_there() -> None:
    present = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0]]).bool()
    assert scarcity(present).tolist() == [1.0, 2.0, 0.0]
    assert mce(toy(2, missing=0.5))[1].scarcity.tolist() == pytest.approx(
        (SAMPLES / toy(2, missing=0.5).present.sum(0)).tolist()
    )


def test_the_papers_value_credits_the_weakest_most_and_shapleys_does_not() -> None:
    played = game(3)
    v = played.masks.double() @ torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    assert [round(phi, 2) for phi in paper_value(v, played).tolist()] == [0.42, 0.45, 0.47]
    assert (played.weights @ v).tolist() == pytest.approx([0.5, 0.3, 0.2])


@pytest.mark.parametrize("M", [1, 2, 3, 4])
def test_the_papers_value_by_its_formula(M: int) -> None:
    fact = torch.tensor([1.0, 1, 2, 6, 24], dtype=torch.float64)
    v = torch.rand(2**M, dtype=torch.float64)
    for m, phi in enumerate(paper_value(v, game(M))):
        expected = v[1 << m] / M
        for S in range(2**M):
            size = S.bit_count()
            if S >> m & 1 and size >= 2:
                expected = expected + fact[size - 1] * fact[M - size] / fact[M] * (v[S] - v[1 << m])
        torch.testing.assert_close(phi, expected)


def test_the_papers_value_over_sampled_orders_comes_close() -> None:
    exact, parts = game(6), draw_coalitions(6, 4096, 0)
    orders = Coalitions(*(torch.from_numpy(part) for part in parts), exact.logits)
    worth = torch.rand(64, dtype=torch.float64) + exact.masks.sum(1)
    seen = worth[(orders.masks * 2 ** torch.arange(6)).sum(1)]
    torch.testing.assert_close(paper_value(seen, orders), paper_value(worth, exact), rtol=0.02, atol=0.02)


def told(right: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Logits (K, batch, class) that are right where `right` (K, batch) says so."""
    said = torch.where(right, target, (target + 1) % CLASSES)
    return F.one_hot(said, CLASSES).float()


def neglected(valuation: str) -> list[float]:
    """Four samples of two modalities, the last without the second: b by hand below."""
    data = toy(2)
    data.present[7, 1] = False
    _, method = mce(data, valuation=valuation)
    method.correct[4:8] = True
    method.correct[4, 0] = method.correct[7, 1] = False
    batch = data.batch(slice(4, 8))
    nothing, first, second, both = [1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 1, 1], [1, 1, 0, 1]
    right = torch.tensor([nothing, first, second, both]).bool()
    return method.neglect(game(2, told(right, batch.target)), batch).tolist()


def test_the_papers_neglect_by_hand() -> None:
    # c = 3 of 4, 3 of 3; v(1) = 2, and without the last v(2) = 2, v(12) = 2; phi_1 = 2/2 + (2-2)/2 = phi_2
    assert neglected("paper") == pytest.approx([(3 - 1) / 4, (3 - 1) / 3])


def test_the_corrected_neglect_by_hand() -> None:
    # |E| phi of each sample: (1, 1), (1, 1), (-1, 1) and, alone, (1, -); so b = clip(3/4 - 2/4), clip(1 - 1)
    assert neglected("shapley") == pytest.approx([0.25, 0.0])


def test_neglect_is_never_negative_and_zero_for_what_no_sample_has() -> None:
    data = toy(3)
    data.present[:, 2] = False
    batch, right = data.batch(), torch.ones(8, SAMPLES, dtype=torch.bool)
    used, unused = game(3, told(right, batch.target)), game(3, told(~right, batch.target))
    for valuation in ("paper", "shapley"):
        _, method = mce(data, valuation=valuation)
        method.correct.fill_(True)
        assert method.neglect(unused, batch).tolist() == [1, 1, 0]
        method.correct.fill_(False)
        assert method.neglect(unused, batch).tolist() == [0, 0, 0]
    assert method.neglect(used, batch).tolist() == pytest.approx([0, 0, 0])


def test_the_papers_counts_call_a_modality_neglected_when_others_are_missing() -> None:
    data = toy(2)
    data.present[:, 1] = False  # v(12) = 0, so phi_1 = v(1)/2 + (0 - v(1))/2 = 0 however well it is used
    batch, right = data.batch(), torch.ones(4, SAMPLES, dtype=torch.bool)
    found = {}
    for valuation in ("paper", "shapley"):
        _, method = mce(data, valuation=valuation)
        method.correct.fill_(True)
        found[valuation] = method.neglect(game(2, told(right, batch.target)), batch).tolist()
    assert found == {"paper": [1, 0], "shapley": [0, 0]}


def test_what_teachers_get_right_is_kept_where_the_modality_is_present() -> None:
    data = toy(2, missing=0.4)
    _, method = mce(data)
    right = torch.ones(SAMPLES, dtype=torch.bool)
    right[::5] = data.target[::5] == 0  # equal logits say class 0
    assert method.correct.equal(right.unsqueeze(1) & data.present)
    assert "correct" in method.state_dict()


# the losses


@pytest.mark.parametrize("normalisation", ["released", "mean"])
@pytest.mark.parametrize("M", [1, 2, 3])
def test_completion_and_subset_losses_by_a_slow_loop(M: int, normalisation: str) -> None:
    data = toy(M, missing=0.4, class_weight=torch.tensor([1.0, 2.0, 0.5]))
    model, method = mce(data, normalisation=normalisation)
    method.neglect = lambda game, batch: 1 / method.scarcity  # type: ignore[method-assign]
    z, fusion = model.embed(data.inputs, data.present), model.fusion
    gaps: list[list[torch.Tensor]] = [[] for _ in range(M)]
    subset, weights = [], []
    for b, y in enumerate(data.target):
        has = data.present[b].nonzero()[:, 0].tolist()
        whole = fusion.complete(z[b : b + 1], one(M, tuple(has)))[0]
        crosses, own = [], [[] for _ in range(M)]
        for S in proper_subsets(has):
            h = fusion.complete(z[b : b + 1], one(M, S))
            crosses.append(F.cross_entropy(model.decode(z[b : b + 1], one(M, S)), y[None]))
            for m in set(has) - set(S):
                own[m].append((whole[m] - h[0, m]).abs().mean())
        for m in range(M):
            among = 2 ** len(has) - 1 if normalisation == "released" else len(own[m])
            gaps[m] += [torch.stack(own[m]).sum() / among] if own[m] else []
        if crosses:
            among = 2 ** len(has) - 1 if normalisation == "released" else len(crosses)
            subset.append(torch.stack(crosses).sum() / among)
            weights.append(data.class_weight[y])
    expected = torch.stack([torch.stack(g).mean() if g else torch.zeros(()) for g in gaps])
    model.eval(), method.eval()
    losses = method.losses(model, data.batch(), model.embedding(data.inputs, data.present))
    torch.testing.assert_close(losses["completion"], expected.sum())
    cross = sum(w * c for w, c in zip(weights, subset, strict=True)) / sum(weights) if subset else torch.zeros(())
    torch.testing.assert_close(losses["subset"], cross)


@pytest.mark.parametrize(("normalisation", "among"), [("released", 3), ("mean", 1)])
def test_the_objective_is_the_sum_the_paper_writes(normalisation: str, among: int) -> None:
    data = toy(3, missing=0.4)
    model, method = mce(data, rec=2, sep=3, sub=5, normalisation=normalisation)
    b = torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64)
    method.neglect = lambda game, batch: b  # type: ignore[method-assign]
    losses = step(model, method, data.batch())
    z = model.embed(data.inputs, data.present)
    kept, proper = method.select_subsets(model, data.present)
    completed = model.fusion.complete(z, kept)
    A = SAMPLES / data.present.sum(0)
    separate = [
        F.cross_entropy(method.decoders[m](completed[-1, :, m][data.present[:, m]]), data.target[data.present[:, m]])
        for m in range(3)
    ]
    lacking, own = subset_shares(data.present) if normalisation == "released" else (torch.ones(1), torch.ones(1))
    rec = completion_loss(completed, kept, proper, lacking)
    torch.testing.assert_close(losses["fused"], F.cross_entropy(model.decode(z, data.present), data.target))
    torch.testing.assert_close(losses["completion"], 2 * (A * b.float() * rec).sum())
    torch.testing.assert_close(losses["separate"], 3 * (A * b.float() * torch.stack(separate)).sum() / among)
    sub = subset_loss(model.fusion.decode(completed), data.target, proper, own, None)
    torch.testing.assert_close(losses["subset"], 5 * sub)


def test_the_target_of_completion_is_not_detached() -> None:
    kept = torch.tensor([[[True, False]], [[True, True]]])
    completed = torch.zeros(2, 1, 2, 1).index_fill(0, torch.tensor(1), 3.0).requires_grad_()
    loss = completion_loss(completed, kept, torch.tensor([[True], [False]]), torch.ones(1))
    assert loss.tolist() == [0, 3]
    loss.sum().backward()
    assert completed.grad is not None
    assert completed.grad.flatten().tolist() == [0, -1, 0, 1]


def test_shares_of_subsets_by_hand() -> None:
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=torch.bool)
    lacking, own = subset_shares(present)  # of 7, 3, 1 and no subsets
    assert lacking.tolist() == pytest.approx([3 / 7, 1 / 3, 0, 0])
    assert own.tolist() == pytest.approx([6 / 7, 2 / 3, 0, 0])


def test_a_nested_mean_by_hand() -> None:
    x = torch.tensor([[1.0, 5.0, 9.0], [3.0, 7.0, 9.0]])
    chosen = torch.tensor([[True, False, False], [True, True, False]])
    assert float(nested_mean(x, chosen)) == pytest.approx((2 + 7) / 2)
    assert float(nested_mean(x, chosen, torch.tensor([3.0, 1.0, 9.0]))) == pytest.approx((3 * 2 + 7) / 4)
    assert float(nested_mean(x, torch.zeros_like(chosen))) == 0


def test_exact_subsets_are_each_samples_own_once() -> None:
    data = toy(3, missing=0.5)
    model, method = mce(data)
    kept, proper = method.select_subsets(model, data.present)
    assert kept.shape == (8, SAMPLES, 3)
    assert kept[-1].equal(data.present)
    for b in range(SAMPLES):
        has = data.present[b].nonzero()[:, 0].tolist()
        rows = [tuple(row.nonzero()[:, 0].tolist()) for row in kept[:, b][proper[:, b]]]
        assert sorted(rows) == sorted(proper_subsets(has))


def test_many_modalities_draw_subsets_with_singletons_half_of_the_time() -> None:
    data = toy(7, missing=0.3)
    model, method = mce(data, drawn=5)
    kept, proper = method.select_subsets(model, data.present)
    assert kept.shape == (6, SAMPLES, 7)
    assert kept[-1].equal(data.present)
    assert not proper[-1].any()
    torch.manual_seed(0)
    present = torch.ones(50, 7, dtype=torch.bool)
    present[25:, :4] = False
    drawn = draw_subsets(present, 400)
    assert not (drawn & ~present).any()
    assert drawn.any(-1).all()
    single = (drawn.sum(-1) == 1).float().mean((0,))
    # 1/2 + 1/2 P(a uniform subset has one, or none and is replaced)
    assert float(single[:25].mean()) == pytest.approx(0.5 + 0.5 * (7 + 1) / 2**7, abs=0.01)
    assert float(single[25:].mean()) == pytest.approx(0.5 + 0.5 * (3 + 1) / 2**3, abs=0.01)
    torch.testing.assert_close(
        drawn[:, :25].float().mean((0, 1)), torch.full((7,), 0.5 / 7 + 0.25), rtol=0.1, atol=0.01
    )
    empty = torch.zeros(3, 7, dtype=torch.bool)
    assert not draw_subsets(empty, 4).any()


def test_with_everything_missing_nothing_is_lost() -> None:
    data = toy(3)
    data.present[:5] = False
    for options in ({}, {"valuation": "shapley"}):
        model, method = mce(data, **options)
        losses = step(model, method, data.batch(slice(0, 5)))
        assert losses["completion"] == losses["separate"] == losses["subset"] == 0
        assert losses["fused"].isfinite()


# the interaction


def test_completion_is_a_pre_norm_transformer_over_tokens() -> None:
    torch.manual_seed(0)
    fusion = Completion(3, 16, CLASSES, hidden=32, dropout=0.1).eval()
    fusion.positions.data.normal_()
    layer = torch.nn.TransformerEncoderLayer(16, 8, 32, norm_first=True, batch_first=True).eval()
    pairs = [
        (layer.self_attn.in_proj_weight, fusion.qkv.weight),
        (layer.self_attn.in_proj_bias, fusion.qkv.bias),
        (layer.self_attn.out_proj.weight, fusion.out.weight),
        (layer.self_attn.out_proj.bias, fusion.out.bias),
        (layer.linear1.weight, fusion.ffn[0].weight),
        (layer.linear1.bias, fusion.ffn[0].bias),
        (layer.linear2.weight, fusion.ffn[2].weight),
        (layer.linear2.bias, fusion.ffn[2].bias),
    ]
    for theirs, ours in pairs:
        theirs.data.copy_(ours)
    z, present = torch.randn(4, 3, 16), torch.rand(4, 3) < 0.5
    tokens = torch.where(present.unsqueeze(-1), z, 0.0) + fusion.positions
    torch.testing.assert_close(fusion.complete(z, present), layer(tokens), rtol=1e-4, atol=1e-5)
    z[~present] = torch.nan
    torch.testing.assert_close(fusion(z, present), fusion.decoder(layer(tokens).flatten(1)), rtol=1e-4, atol=1e-5)


def test_positions_begin_at_zero_and_heads_divide_the_width() -> None:
    assert Completion(2, 64, 3).positions.abs().sum() == 0
    assert [Completion(2, width, 3).heads for width in (64, 12, 10, 7, 11)] == [8, 6, 5, 7, 1]
    assert [Completion(2, 12, 3, hidden=hidden).ffn[0].out_features for hidden in (None, 20)] == [48, 20]


def test_subsets_are_what_decode_says_of_each() -> None:
    data = toy(3)
    model, _ = mce(data)
    model.eval()
    z, masks = model.embed(data.inputs), torch.rand(5, SAMPLES, 3) < 0.5
    said = model.decode_subsets(z, masks)
    for k in range(5):
        torch.testing.assert_close(said[k], model.decode(z, masks[k]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mce", "cal+mce", "mce+cal"])
def test_one_pass_over_all_subsets_serves_every_term(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    passes, complete = [], Completion.complete

    def counted(self: Completion, z: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        passes.append(present.shape)
        return complete(self, z, present)

    monkeypatch.setattr(Completion, "complete", counted)
    model, method = ready(name, toy(3, missing=0.2))
    step(model, method, toy(3, missing=0.2).batch())
    assert passes == [(8, SAMPLES, 3)]


def test_the_recipes_fusion_gives_way_and_train_only_decoders_die_with_the_run() -> None:
    data = toy(2)
    model, method = mce(data)
    assert not any("decoders" in name for name in model.state_dict())
    assert {p.shape for p in method.decoders.parameters()} == {(CLASSES, WIDTH), (CLASSES,)}
