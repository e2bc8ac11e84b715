"""The value of every subset, against one sample and one subset at a time."""

from collections.abc import Mapping
from itertools import combinations, permutations
from math import factorial
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from robustmm.auditing.results.summary import cal_weights
from robustmm.evaluation import subsets
from robustmm.evaluation.records import Records
from robustmm.evaluation.subsets import Baseline, baseline_embeddings, emap_correct, evaluate_subsets
from robustmm.metrics import contribution
from robustmm.metrics.interaction import information_confidence
from robustmm.runtime.session import softmax

BASELINES = get_args(Baseline)


class Toy:
    """A decoder that multiplies what modalities say, and knows which are there. It rounds every row alike."""

    classes = ["a", "b", "c"]
    decodes = 16_384
    is_hardened = False

    def __init__(self, M: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.names = [f"m{m}" for m in range(M)]
        self.weights, self.bias = rng.normal(size=(M, 4, 3)), rng.normal(size=(M, 3))
        self.prior = np.array([0.2, 0.5, 0.3])
        self.rows: list[int] = []

    def decode(self, z: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]) -> NDArray[np.float64]:
        self.rows.append(len(present))
        parts = [(z[name][:, :, None] * self.weights[m]).sum(1) + self.bias[m] for m, name in enumerate(self.names)]
        held = [np.where(present[:, [m]], part, 0.0) for m, part in enumerate(parts)]
        together = sum(a * np.roll(b, 1, 1) for a, b in combinations(held, 2))
        return softmax(np.asarray(sum(held) + 2 * together))


def drawn(M: int, n: int = 9, seed: int = 0) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_], NDArray[np.int64]]:
    """Embeddings, what is present (the first row has nothing, the second everything), targets."""
    rng = np.random.default_rng(seed)
    z = {f"m{m}": rng.normal(size=(n, 4)).astype(np.float32) for m in range(M)}
    present = rng.random((n, M)) < 0.7
    present[0], present[1] = False, True
    return z, present, rng.integers(3, size=n)


def answer(
    session: Toy, z: Mapping[str, NDArray[Any]], present: NDArray[np.bool_], i: int, members: set[int], baseline: str
) -> NDArray[np.float64] | None:
    """One sample's probabilities from one subset; None where there is nothing to answer from."""
    row, mask = {}, []
    for m, name in enumerate(session.names):
        inside, here = m in members, bool(present[i, m])
        others = [j for j in range(len(present)) if present[j, m]]
        row[name] = z[name][i]
        if baseline == "mean" and here and not inside:
            row[name] = sum(z[name][j] for j in others) / np.float32(len(others))
        if baseline == "permuted" and here and not inside:
            row[name] = z[name][next((j for j in others if j > i), others[0])]
        mask.append(here and (inside or baseline != "masked"))
    if not any(mask):
        return None
    return session.decode({name: x[None] for name, x in row.items()}, np.array([mask]))[0]


def by_orders(value: Any, M: int) -> NDArray[np.float64]:
    """Shapley values of one game, a function of a set of modalities, over every order."""
    phi = np.zeros((M, *np.shape(value(set()))))
    for order in permutations(range(M)):
        for k, m in enumerate(order):
            phi[m] += (value({*order[: k + 1]}) - value({*order[:k]})) / factorial(M)
    return phi


def game(session: Toy, p: NDArray[np.float64] | None, true: int) -> NDArray[np.float64]:
    """log p(true class), whether the answer is right, and log p where the empty subset is uniform."""
    q = session.prior if p is None else p
    uniform = -np.log(3) if p is None else np.log(p[true])
    return np.array([np.log(q[true]), float(q.argmax() == true), uniform])


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("M", [1, 2, 3])
def test_every_number_against_one_sample_and_one_subset_at_a_time(M: int, baseline: Baseline) -> None:
    session, (z, present, target) = Toy(M), drawn(M)
    ids = [f"s{i}" for i in range(len(target))]
    records = evaluate_subsets(session, ids, z, present, target, baseline=baseline)  # type: ignore[arg-type]
    assert (records.ids, len(records), records.exact) == (ids, len(target), True)
    assert records.residual < 1e-12
    everything, numbers = set(range(M)), [{m for m in range(M) if k >> m & 1} for k in range(2**M)]
    for i, true in enumerate(target):

        def value(members: set[int], i: int = i, true: int = int(true)) -> NDArray[np.float64]:
            return game(session, answer(session, z, present, i, members, baseline), true)

        phi = by_orders(value, M)
        np.testing.assert_allclose(records.phi_log_probability[i], phi[:, 0], atol=1e-6)
        np.testing.assert_allclose(records.phi_accuracy[i], phi[:, 1], atol=1e-12)
        np.testing.assert_allclose(records.information[i], phi[:, 2], atol=1e-6)
        np.testing.assert_allclose(records.empty_value[i], value(set())[:2], atol=1e-6)
        assert records.subset_correct[i].tolist() == [value(members)[1] == 1 for members in numbers]
        for m in range(M):
            if present[i, m]:
                unimodal = answer(session, z, present, i, {m}, baseline)
                assert unimodal is not None
                certainty = 1 + (unimodal * np.log(unimodal)).sum() / np.log(3)
                assert records.unimodal_correct[i, m] == value({m})[1]
                assert records.leave_one_out_correct[i, m] == value(everything - {m})[1]
                assert records.certainty[i, m] == pytest.approx(certainty, abs=1e-6)
            else:
                assert np.isnan(
                    [records.unimodal_correct[i, m], records.leave_one_out_correct[i, m], records.certainty[i, m]]
                ).all()
        for k, (a, b) in enumerate(combinations(range(M), 2)):
            rest = [set(), *({c} for c in everything - {a, b})]
            gains = [value(s | {a, b}) - value(s | {a}) - value(s | {b}) + value(s) for s in rest]
            assert records.interaction[i, k] == pytest.approx(np.mean(gains, 0)[1])
        if (p := answer(session, z, present, i, everything, baseline)) is not None:
            np.testing.assert_allclose(records.probabilities[i], p, atol=1e-6)
    np.testing.assert_array_equal(records.present, present)
    np.testing.assert_array_equal(records.target, target)
    assert np.isnan(records.additive).all(), "not asked for"
    full = contribution.shapley_interaction(records.subset_correct.astype(float))
    pairs = [full[:, a, b] for a, b in combinations(range(M), 2)]
    np.testing.assert_array_equal(records.interaction, np.array(pairs).reshape(len(pairs), len(target)).T)


@pytest.mark.parametrize("baseline", BASELINES)
def test_what_is_missing_gets_exactly_nothing(baseline: Baseline) -> None:
    session, (z, present, target) = Toy(3), drawn(3, 64)
    records = evaluate_subsets(session, [""] * 64, z, present, target, baseline=baseline)  # type: ignore[arg-type]
    for phi in (records.phi_log_probability, records.phi_accuracy, records.information):
        assert (phi[~present] == 0).all()
        assert (phi[present] != 0).any()
    both = np.array([present[:, a] & present[:, b] for a, b in combinations(range(3), 2)]).T
    assert (records.interaction[~both] == 0).all()


def test_a_stand_in_is_the_mean_or_the_next_of_those_that_have_it() -> None:
    z = np.array([[1.0], [2.0], [4.0], [9.0]], dtype=np.float32)
    here = np.array([True, False, True, True])
    assert baseline_embeddings(z, here, "permuted")[:, 0].tolist() == [4, 2, 9, 1]
    assert baseline_embeddings(z, here, "mean")[:, 0].tolist() == pytest.approx([14 / 3, 2, 14 / 3, 14 / 3])
    assert baseline_embeddings(z, ~here & here, "mean")[:, 0].tolist() == [1, 2, 4, 9], "nobody has it"
    assert z[:, 0].tolist() == [1, 2, 4, 9], "what is given stays"


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_decoder_gets_no_more_rows_than_it_takes(baseline: Baseline) -> None:
    few, many, (z, present, target) = Toy(3), Toy(3), drawn(3)
    few.decodes = 5
    a, b = (
        evaluate_subsets(s, [""] * 9, z, present, target, baseline=baseline, emap=True)  # type: ignore[arg-type]
        for s in (few, many)
    )
    assert max(few.rows) == 5
    assert max(many.rows) == 8 * 9
    for name in vars(a):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_sampled_orders_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    session, (z, present, target) = Toy(3), drawn(3, 200)
    exact = evaluate_subsets(session, [""] * 200, z, present, target)  # type: ignore[arg-type]
    monkeypatch.setattr(contribution, "EXACT_LIMIT", 2)
    sampled = evaluate_subsets(session, [""] * 200, z, present, target)  # type: ignore[arg-type]
    assert not sampled.exact
    assert sampled.subset_correct.shape == (200, 0)
    assert sampled.interaction.shape == (200, 3)
    assert np.isnan(sampled.interaction).all()
    assert sampled.information.shape == (200, 3)
    assert np.isnan(sampled.information).all()
    for name in ("probabilities", "unimodal_correct", "leave_one_out_correct", "empty_value", "certainty"):
        np.testing.assert_allclose(getattr(sampled, name), getattr(exact, name), err_msg=name)
    assert (sampled.phi_accuracy[~present] == 0).all()
    np.testing.assert_allclose(sampled.phi_accuracy.sum(1), exact.phi_accuracy.sum(1), atol=1e-12)
    assert not np.allclose(sampled.phi_accuracy, exact.phi_accuracy)
    assert np.abs(sampled.phi_accuracy - exact.phi_accuracy).mean() < 0.02
    monkeypatch.setattr(contribution, "EXACT_LIMIT", 3)
    assert evaluate_subsets(session, [""] * 200, z, present, target).exact, "up to the limit"  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [8, 1])
def test_the_residual_tells_contributions_that_do_not_add_up(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contribution, "EXACT_LIMIT", limit)

    def off(plain: Any) -> Any:
        """The first sample's contributions, each too large by a quarter."""
        return lambda *given, **options: plain(*given, **options) + 0.25 * np.eye(9)[0].reshape(9, 1, 1)

    for name in ("shapley", "shapley_sampled"):
        monkeypatch.setattr(contribution, name, off(getattr(contribution, name)))
    z, present, target = drawn(2)
    assert evaluate_subsets(Toy(2), [""] * 9, z, present, target).residual == pytest.approx(0.5)  # type: ignore[arg-type]


def test_pairs_are_those_of_itertools() -> None:
    z, present, target = drawn(4, 40)
    records = evaluate_subsets(Toy(4), [""] * 40, z, present, target)  # type: ignore[arg-type]
    full = contribution.shapley_interaction(records.subset_correct.astype(float))
    assert records.interaction.shape == (40, 6)
    for k, (a, b) in enumerate(combinations(range(4), 2)):
        np.testing.assert_array_equal(records.interaction[:, k], full[:, a, b])


@pytest.mark.parametrize("M", [2, 3])
def test_the_additive_projection_against_a_loop_over_pairings(M: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsets, "EMAP_SAMPLES", 12)
    session, (z, present, target) = Toy(M), drawn(M, 60)
    complete = [i for i in range(60) if present[i].all()]
    rows = complete[:12]
    assert len(complete) > 12, "or the limit is not tried"
    whole = np.ones((1, M), bool)

    def output(owner: dict[str, int]) -> NDArray[np.float64]:
        return np.log(session.decode({name: z[name][[i]] for name, i in owner.items()}, whole)[0])

    every = [output(dict.fromkeys(session.names, j) | {name: i}) for name in session.names for i in rows for j in rows]
    found = emap_correct(session, z, present, target, [str(i) for i in range(len(target))])  # type: ignore[arg-type]
    answers = {}
    for i in rows:
        unimodal = [
            np.mean([output(dict.fromkeys(session.names, j) | {name: i}) for j in rows], 0) for name in session.names
        ]
        answers[i] = int((sum(unimodal) - (M - 1) * np.mean(every, 0)).argmax())
        assert found[i] == (answers[i] == target[i])
    assert {*found[rows]} == {0, 1}, "both must be seen"
    assert np.isnan(np.delete(found, rows)).all()
    own = {i: int(output(dict.fromkeys(session.names, i)).argmax()) for i in rows}
    assert own != answers, "an interaction that changes no answer shows nothing"
    both = evaluate_subsets(session, [""] * 60, z, present, target, emap=True)  # type: ignore[arg-type]
    np.testing.assert_array_equal(both.additive, found)


def test_without_a_complete_sample_or_a_second_modality_nothing_is_projected() -> None:
    z, present, target = drawn(2)
    assert np.isnan(emap_correct(Toy(2), z, present & [True, False], target, [])).all()  # type: ignore[arg-type]
    z, present, target = drawn(1)
    assert np.isnan(evaluate_subsets(Toy(1), [""] * 9, z, present, target, emap=True).additive).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("M", [1, 2, 3])
def test_the_weight_is_information_and_confidence(M: int) -> None:
    session, (z, present, target) = Toy(M), drawn(M, 40)
    records = evaluate_subsets(session, [""] * 40, z, present, target)  # type: ignore[arg-type]
    subsets = contribution.subset_masks(M)
    p = np.stack([session.decode(z, present & inside) for inside in subsets], 1)
    np.testing.assert_allclose(cal_weights(records), information_confidence(p, target, present), atol=1e-12)
    assert cal_weights(records).sum() == pytest.approx(1)


def test_the_weight_where_a_modality_or_all_are_nowhere() -> None:
    session, (z, present, target) = Toy(3), drawn(3, 40)

    def found(here: NDArray[np.bool_]) -> Records:
        return evaluate_subsets(session, [""] * 40, z, here, target)  # type: ignore[arg-type]

    lost = present & [True, False, True]
    p = np.stack([session.decode(z, lost & inside) for inside in contribution.subset_masks(3)], 1)
    np.testing.assert_allclose(cal_weights(found(lost)), information_confidence(p, target, lost), atol=1e-12)
    assert cal_weights(found(lost))[1] == 0
    assert np.isnan(cal_weights(found(present & False))).all()
    sampled = found(present)
    sampled.exact = False
    assert np.isnan(cal_weights(sampled)).all()
