"""The climb: what it keeps, what it asks, and that every sample climbs on its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linear import LinearSession, drawn, manifest, robust, scores
from numpy.typing import NDArray
from worlds import SIX, MeanSession, everything

from robustmm.data import loading
from robustmm.data.manifest import Manifest
from robustmm.modalities import Audio, Image
from robustmm.runtime.session import Session, softmax
from robustmm.search import climb as module
from robustmm.search import windows
from robustmm.search.climb import NEVER, HillClimb, margin
from robustmm.search.samples import SampleBatch


def rows_of(session: Any, table: Manifest) -> SampleBatch:
    samples = loading.read_samples(table, session.modalities)
    return SampleBatch.from_samples(session, samples, loading.targets(table, session.classes))


def linear(folder: Path, samples: int = 60, classes: int = 3, **lengths: int) -> tuple[LinearSession, Manifest]:
    lengths = lengths or {"a": 6, "b": 4}
    rng = np.random.default_rng(5)
    session = LinearSession({name: rng.normal(size=(n, classes)) for name, n in lengths.items()})
    inputs, target = drawn(3, samples, classes, **lengths)
    target = np.where(rng.random(samples) < 0.8, scores(session.weights, inputs).argmax(1), target)
    return session, manifest(folder, inputs, target)


def test_margin_is_that_of_the_logits_however_sure_the_model_is() -> None:
    logits = np.array([[400.0, 1.0, 3.0], [0.0, 0.5, 0.25], [2.0, 2.0, 1.0]])
    found = margin(softmax(logits), np.array([0, 0, 1]))
    np.testing.assert_allclose(found, [397.0, -0.5, 0.0], rtol=1e-12, atol=1e-12)
    certain = margin(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    assert np.isfinite(certain).all()
    assert certain[0] == -certain[1] > 600


def test_what_it_found_is_broken_and_what_held_has_the_margin_it_tells(tmp_path: Path) -> None:
    session, table = linear(tmp_path)
    rows = rows_of(session, table)
    state = HillClimb(session, rows, {"a": 0.3, "b": 0.3}, 0)  # type: ignore[arg-type]
    broken = state.run(40)
    logits = scores(session.weights, state.worst_inputs())
    assert ((logits.argmax(1) == rows.target) == (broken == NEVER)).all()
    assert set(np.unique(broken)) > {0, 1, NEVER}
    true = logits[np.arange(60), rows.target]
    others = np.where(np.eye(3)[rows.target] == 1, -np.inf, logits).max(1)
    climbed = broken > 0
    np.testing.assert_allclose(state.margin[climbed], (true - others)[climbed], rtol=1e-9, atol=1e-9)
    wrong = broken == 0
    for name in ("a", "b"):
        assert np.array_equal(state.x[name][wrong], rows.inputs[name][wrong])
        assert (state.x[name][~wrong] != rows.inputs[name][~wrong]).all()  # every entry at a bound


def test_norms_are_the_signals_and_the_model_is_asked_what_is_fed(tmp_path: Path) -> None:
    """A model that takes BGR and normalised clips is attacked on RGB and full scale, as corruptions see them."""
    rng = np.random.default_rng(2)
    modalities = [
        Image(name="a", size=(2, 2, 3), colours="bgr"),
        Audio(name="b", rate=1000, seconds=0.05, normalise="clip"),
    ]
    session = LinearSession({"a": rng.normal(size=(12, 2)) / 50, "b": rng.normal(size=(50, 2))}, modalities)
    signals = {
        "a": rng.integers(0, 256, (40, 2, 2, 3), dtype=np.uint8),
        "b": (0.05 * rng.normal(size=(40, 50))).astype(np.float32),
    }
    table = manifest(tmp_path, signals, rng.integers(0, 2, 40))
    rows = rows_of(session, table)
    assert (rows.inputs["a"] == signals["a"][..., ::-1]).all()
    np.testing.assert_allclose(rows.inputs["b"].std(1), 1, rtol=1e-3)
    state = HillClimb(session, rows, {"a": 0.1, "b": 0.01}, 0)  # type: ignore[arg-type]
    broken = state.run(30)
    climbed = broken > 0
    for name, size in (("a", 25), ("b", 0.01)):
        change = np.abs(state.x[name].astype(np.float64) - signals[name])[climbed]
        assert change.max() <= size
        assert change.max() > 0.9 * size
    fed = state.worst_inputs()
    assert (fed["a"] == state.x["a"][..., ::-1]).all()
    np.testing.assert_allclose(fed["b"].std(1), 1, rtol=1e-3)
    flat = {name: x.reshape(40, -1) for name, x in fed.items()}
    assert ((scores(session.weights, flat).argmax(1) == rows.target) == (broken == NEVER)).all()


def test_a_margin_never_rises_after_the_start(tmp_path: Path) -> None:
    session, table = linear(tmp_path)
    rows = rows_of(session, table)
    margins = []
    for queries in (1, 2, 5, 10, 20):
        state = HillClimb(session, rows, {"a": 0.05, "b": 0.05}, 0)  # type: ignore[arg-type]
        for query in range(1, queries + 1):
            active = np.flatnonzero(state.broken == NEVER)
            state._run_query(active, query, 20)
        margins.append(state.margin)
    falling = np.diff([each[state.broken == NEVER] for each in margins], axis=0)
    assert (falling <= 0).all()
    assert (falling < 0).any(0).mean() > 0.9


def test_a_sample_is_broken_at_the_query_that_turned_it(tmp_path: Path) -> None:
    """With one feature either sign decides: the start is a coin, the second query is the other side."""
    session = LinearSession({"a": np.array([[1.0, -1.0]])})
    x = np.full((400, 1), 0.5, np.float32)
    table = manifest(tmp_path, {"a": x}, np.zeros(400, int))
    broken = HillClimb(session, rows_of(session, table), {"a": 1.0}, 0).run(10)  # type: ignore[arg-type]
    assert set(broken.tolist()) == {1, 2}
    assert 150 < (broken == 1).sum() < 250
    held = HillClimb(session, rows_of(session, table), {"a": 0.4}, 0).run(10)  # type: ignore[arg-type]
    assert (held == NEVER).all()


def test_only_the_struck_modality_of_those_that_hold_is_encoded_once_a_query(tmp_path: Path) -> None:
    session, table = linear(tmp_path)
    rows = rows_of(session, table)
    state = HillClimb(session, rows, {"a": 0.2, "b": 0.2}, 0)  # type: ignore[arg-type]
    session.embedded.clear()
    session.decoded.clear()
    broken = state.run(7)
    asked = [int((broken >= query).sum()) for query in range(1, 8)]
    assert session.decoded == asked
    starts, others = session.embedded[:2], session.embedded[2:]
    assert starts == [("a", asked[0]), ("b", asked[0])]
    assert others == [("ab"[query % 2], n) for query, n in enumerate(asked[1:], start=2)]


def test_other_modalities_are_left_alone(tmp_path: Path) -> None:
    session, table = linear(tmp_path)
    rows = rows_of(session, table)
    state = HillClimb(session, rows, {"b": 0.5}, 0)  # type: ignore[arg-type]
    session.embedded.clear()
    state.run(5)
    assert {name for name, _ in session.embedded} == {"b"}
    assert state.worst_inputs()["a"] is rows.inputs["a"]


def test_inputs_are_not_written_to(tmp_path: Path) -> None:
    session, table = linear(tmp_path)
    rows = rows_of(session, table)
    before = {name: x.copy() for name, x in rows.inputs.items()}
    z = {name: x.copy() for name, x in rows.z.items()}
    HillClimb(session, rows, {"a": 0.5, "b": 0.5}, 0).run(5)  # type: ignore[arg-type]
    for name in before:
        assert np.array_equal(rows.inputs[name], before[name])
        assert np.array_equal(rows.z[name], z[name])


def test_a_sample_without_the_attacked_modality_holds_and_the_others_take_turns(tmp_path: Path) -> None:
    session = LinearSession({"a": np.array([[1.0, -1.0]]), "b": np.array([[1.0, -1.0]])})
    x = np.ones((4, 1), np.float32)
    gone = [(0, "a"), (1, "b"), (2, "a"), (2, "b")]
    table = manifest(tmp_path, {"a": x, "b": x}, np.zeros(4, int), gone)
    rows = rows_of(session, table)
    assert rows.attackable_modalities(session, {"a": 1.0, "b": 1.0}) == [["b"], ["a"], [], ["a", "b"]]  # type: ignore[arg-type]
    broken = HillClimb(session, rows, {"a": 2.0, "b": 2.0}, 0).run(20)  # type: ignore[arg-type]
    assert broken[2] == NEVER
    assert (broken[[0, 1, 3]] < 20).all()
    of_a = HillClimb(session, rows, {"a": 2.0}, 0).run(20)  # type: ignore[arg-type]
    assert (of_a == NEVER).tolist() == [True, False, True, True]  # row 3 keeps b, which a can only balance: a tie


class Biased(LinearSession):
    """A blank input is embedded as a vote for class 0: a climb that takes an absent modality for present fails here."""

    def embed(self, name: str, x: NDArray[Any]) -> NDArray[np.float64]:
        return super().embed(name, x) + np.array([50.0, 0.0])


def test_what_is_absent_does_not_vote(tmp_path: Path) -> None:
    session: Any = Biased({"a": np.array([[1.0, -1.0]]), "b": np.array([[-1.0, 60.0]])})
    x = np.ones((3, 1), np.float32)
    rows = rows_of(session, manifest(tmp_path, {"a": x, "b": x}, np.ones(3, int), [(i, "a") for i in range(3)]))
    assert rows.correct_mask(session, rows.z).all()
    state = HillClimb(session, rows, {"b": 0.05}, 0)
    assert (state.run(3) == NEVER).all()  # 3 is taken off a margin of 11
    np.testing.assert_allclose(state.margin, 11 - 0.05 * 61, rtol=1e-6)
    assert rows.correct_under_noise(session, {"b": 0.05}, 0).all()


def test_without_the_attacked_modalities_the_others_answer_or_the_prior(tmp_path: Path) -> None:
    session: Any = Biased({"a": np.array([[1.0, -1.0]]), "b": np.array([[-1.0, 60.0]])})
    session.prior = np.array([0.1, 0.9])
    x = np.ones((4, 1), np.float32)
    gone = [(2, "a"), (3, "b")]
    rows = rows_of(session, manifest(tmp_path, {"a": x, "b": x}, np.array([0, 1, 1, 1]), gone))
    assert rows.correct_without(session, {"a": 1.0, "b": 1.0}).tolist() == [False, True, True, True]
    assert rows.correct_without(session, {"b": 1.0}).tolist() == [
        True,
        False,
        True,
        False,
    ]  # row 2 has b only, row 3 a
    assert rows.correct_without(session, {"a": 1.0}).tolist() == [False, True, True, True]


def test_windows_follow_the_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session, table = linear(tmp_path, samples=5)
    shares: list[float] = []
    monkeypatch.setattr(module, "perturb_window", lambda kind, x, low, high, share, rng: shares.append(share) or x)
    state = HillClimb(session, rows_of(session, table), {"a": 1e-9}, 0)  # type: ignore[arg-type]
    state.run(1000)
    held = int((state.broken == NEVER).sum())
    assert shares == [windows.window_share(query, 1000) for query in range(2, 1001) for _ in range(held)]


def test_batches_order_and_company_change_nothing(tmp_path: Path) -> None:
    session, table = linear(tmp_path)
    eps = {"a": 0.2, "b": 0.2}
    whole = HillClimb(session, rows_of(session, table), eps, 4)  # type: ignore[arg-type]
    broken = whole.run(25)
    order = np.random.default_rng(0).permutation(60)
    for part in (order[:1], order[1:20], order[20:]):
        state = HillClimb(session, rows_of(session, table.take(part.tolist())), eps, 4)  # type: ignore[arg-type]
        assert np.array_equal(state.run(25), broken[part])
        for name in eps:
            assert np.array_equal(state.x[name], whole.x[name][part])
    other = HillClimb(session, rows_of(session, table), eps, 5).run(25)  # type: ignore[arg-type]
    assert not np.array_equal(other, broken)


def test_batches_change_nothing_on_an_exported_model(session: Session, rows: Manifest) -> None:
    eps = {"vector": 0.5, "series": 0.3}
    whole = HillClimb(session, rows_of(session, rows), eps, 0)
    broken = whole.run(30)
    assert len(np.unique(broken)) > 4
    for start in (0, 1, 8):
        part = list(range(start, min(start * 3 + 1, len(rows))))
        state = HillClimb(session, rows_of(session, rows.take(part)), eps, 0)
        assert np.array_equal(state.run(30), broken[part])
        for name in eps:
            assert np.array_equal(state.x[name], whole.x[name][part])


def test_every_kind_that_is_not_text_is_attacked_within_its_norm(tmp_path: Path) -> None:
    session: Any = MeanSession()
    rows = rows_of(session, everything(tmp_path))
    eps = {m.name: 0.25 for m in SIX if m.kind != "text"}
    state = HillClimb(session, rows, eps, 0)
    state.broken[:] = NEVER  # whatever the answers are
    state.run(12)
    for name in eps:
        change = np.abs(state.x[name].astype(np.float64) - rows.inputs[name])
        unit = 255 if name in ("image", "video") else max(getattr(session.modality(name), "std", [1]))
        assert 0 < change.max() <= 0.25 * unit
    assert state.worst_inputs()["text"] is rows.inputs["text"]


def test_many_queries_come_close_to_the_exact_worst_case_and_never_below_it(tmp_path: Path) -> None:
    session, table = linear(tmp_path, samples=100, a=6, b=4)
    rows = rows_of(session, table)
    for eps in ({"a": 0.1, "b": 0.05}, {"a": 0.3}, {"a": 0.2, "b": 0.4}):
        exact = robust(session.weights, rows.inputs, rows.target, eps, 1.0)
        held = HillClimb(session, rows, eps, 0).run(200) == NEVER  # type: ignore[arg-type]
        assert (held >= exact).all()
        assert held.mean() <= exact.mean() + 0.03
        assert 0.05 < exact.mean() < 0.85


def test_noise_is_random_signs_at_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session, table = linear(tmp_path)
    rows = rows_of(session, table)
    given: dict[str, NDArray[Any]] = {}
    embed = session.embed
    monkeypatch.setattr(session, "embed", lambda name, x: embed(name, given.setdefault(name, x)))
    right = rows.correct_under_noise(session, {"a": 0.25, "b": 0.5}, 0)  # type: ignore[arg-type]
    for name, eps in (("a", 0.25), ("b", 0.5)):
        change = given[name].astype(np.float64) - rows.inputs[name]
        np.testing.assert_allclose(np.abs(change), eps, rtol=1e-6)
        assert 0.4 < (change > 0).mean() < 0.6
    assert np.array_equal(right, scores(session.weights, given).argmax(1) == rows.target)
    given.clear()
    part = rows_of(session, table.take([7, 3]))
    given.clear()
    assert np.array_equal(part.correct_under_noise(session, {"a": 0.25, "b": 0.5}, 0), right[[7, 3]])  # type: ignore[arg-type]
    given.clear()
    rows.correct_under_noise(session, {"b": 0.5}, 0)  # type: ignore[arg-type]
    assert list(given) == ["b"]


def test_a_query_asks_once_for_all_that_still_hold(
    session: Session, rows: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rows_of(session, rows.take(list(range(64))))
    state = HillClimb(session, given, {"vector": 1e-6, "series": 1e-6}, 0)
    asked: list[tuple[str, int]] = []
    embed, decode = session.embed, session.decode
    monkeypatch.setattr(session, "embed", lambda name, x: (asked.append((name, len(x))), embed(name, x))[1])
    monkeypatch.setattr(session, "decode", lambda z, has: (asked.append(("decode", len(has))), decode(z, has))[1])
    for query in range(1, 5):
        asked.clear()
        state._run_query(np.arange(64), query, 100)
        batches = dict(asked)
        assert len(batches) == len(asked), "one batch of each modality, one of all the samples"
        assert batches.pop("decode") == 64
        assert sum(batches.values()) == (64 if query > 1 else sum(map(len, state.able)))


def test_no_search_asks_so_many_queries() -> None:
    assert NEVER > 10**9
