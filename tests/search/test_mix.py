"""The worst mix: against brute force on a model whose answer under every mix is a line of arithmetic.

`linear:fade` at level l multiplies a signal by 1 - 2 l, and with it that modality's part of every logit.
"""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linear import LinearSession, drawn, manifest, scores
from numpy.typing import NDArray
from worlds import MeanSession, everything

from robustmm.conditions.condition import build_corruption, corrupt_signal
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError, UsageError
from robustmm.metrics.statistics import wilson
from robustmm.runtime.session import Session
from robustmm.search import mix as module
from robustmm.search import mixes
from robustmm.search.choices import Choice, EmbeddingBank, build_choices, embed_choices, select_corruptions
from robustmm.search.mix import find_worst_mix, search_half
from robustmm.search.mixes import MixScorer
from robustmm.search.outcome import MixOutcome

FADE = {"linear:fade": 2.0, "linear:weak": 0.5, "linear:idle": 0.0}
"""What a level of 1 takes away."""


def task(folder: Path, samples: int = 80, **lengths: int) -> tuple[Any, Manifest, dict[str, Any], NDArray[np.int64]]:
    lengths = lengths or {"a": 4, "b": 3, "c": 2}
    rng = np.random.default_rng(7)
    session = LinearSession({name: rng.normal(size=(n, 3)) for name, n in lengths.items()})
    inputs, _ = drawn(1, samples, 3, **lengths)
    target = scores(session.weights, inputs).argmax(1)
    return session, manifest(folder, inputs, target), inputs, target


def truth(
    session: LinearSession, inputs: Mapping[str, Any], target: NDArray[np.int64], taken: Mapping[str, float]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Correctness and log p(true) with these shares of each modality taken away."""
    logits = scores(session.weights, {name: (1 - taken.get(name, 0.0)) * x for name, x in inputs.items()})
    logarithm = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return logits.argmax(1) == target, logarithm[np.arange(len(target)), target]


def bought(found: MixOutcome, number: int) -> dict[str, float]:
    return {s.modality: s.level for s in found.curve[number].spends}


def test_it_finds_what_brute_force_finds_and_reports_it_on_the_other_half(tmp_path: Path) -> None:
    session, rows, inputs, target = task(tmp_path)
    found = find_worst_mix(
        session, rows, ["linear:fade"], budgets=[0.5, 1.0, 2.0], levels=[0, 0.25, 0.5, 0.75, 1], seed=3
    )
    first = search_half(rows.ids, 3)
    assert found.searched_samples == first.sum() == 40
    assert found.reported_samples == 40
    clean = truth(session, inputs, target, {})[0][~first]
    assert found.clean.value == clean.mean() == 1.0
    for point in found.curve:
        even = point.budget / 3
        grid = sorted({0, 0.25, 0.5, 0.75, 1, *(b / 3 for b in (0.5, 1.0, 2.0))})
        keys = []
        for levels in product(grid, repeat=3):
            if sum(levels) <= point.budget + 1e-9:
                taken = {n: 2 * level for n, level in zip("abc", levels, strict=True)}
                right, surprise = truth(session, inputs, target, taken)
                keys.append((right[first].mean(), round(surprise[first].mean(), 9), sum(levels), levels))
        best = min(keys)
        got = bought(found, found.curve.index(point))
        assert [got.get(n, 0.0) for n in "abc"] == pytest.approx(best[3])
        assert point.spent == pytest.approx(best[2])
        assert point.search == "exhaustive"
        assert point.searched == best[0]
        right, _ = truth(session, inputs, target, {n: 2 * level for n, level in got.items()})
        assert point.accuracy.value == right[~first].mean()
        low, high = wilson(int(right[~first].sum()), 40)
        assert (point.accuracy.low, point.accuracy.high) == (low, high)
        control, _ = truth(session, inputs, target, dict.fromkeys("abc", 2 * even))
        assert point.uniform_accuracy.value == control[~first].mean()
        assert [s.level for s in point.uniform] == pytest.approx([even] * 3)
        assert point.change.value == pytest.approx(right[~first].mean() - control[~first].mean())
        assert point.change.low <= point.change.value <= point.change.high
        assert 0 < point.change.p <= 1
    assert found.curve[2].accuracy.value < found.curve[0].accuracy.value
    assert len({point.searched == point.accuracy.value for point in found.curve}) == 2  # the halves do differ


def test_all_is_spent_on_the_one_modality_that_the_answer_rests_on(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, null=4, all=4)
    session.weights["null"][:] = 0
    rows.columns["label"] = [f"c{k}" for k in drawn_target(session, tmp_path)]
    found = find_worst_mix(session, rows, ["linear:fade"])
    assert [p.budget for p in found.curve] == [0.25, 0.5, 1.0, 2.0]
    assert bought(found, 0) == {"all": 0.25}  # a level of the control's at budget 0.5
    assert bought(found, 1) == {"all": 0.5}
    assert bought(found, 2) == {"all": 1.0}
    assert bought(found, 3) == {"all": 1.0}  # nothing for the other, though there is budget left
    assert [p.spent for p in found.curve] == [0.25, 0.5, 1.0, 1.0]
    assert found.curve[2].accuracy.value < 0.2 < 0.8 < found.curve[0].accuracy.value
    assert found.curve[2].spends[0].model_dump() == {
        "modality": "all", "noise": "fade", "level": 1.0, "strength": 2.0, "unit": "share taken away",
    }  # fmt: skip
    assert found.curve[1].spends[0].strength == pytest.approx(1.0)


def drawn_target(session: LinearSession, folder: Path) -> NDArray[np.int64]:
    """The model's own answers on the arrays of a manifest."""
    return scores(session.weights, {name: np.load(folder / f"{name}.npy") for name in session.names}).argmax(1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [0, 2**21])
def test_a_null_modality_is_never_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, limit: int
) -> None:
    monkeypatch.setattr(mixes, "EXHAUSTIVE_LIMIT", limit)
    session, rows, *_ = task(tmp_path, samples=30)
    session.weights["b"][:] = 0
    found = find_worst_mix(session, rows, ["linear:fade", "linear:weak"], seed=seed, levels=[0.2, 0.5, 1])
    for point in found.curve:
        assert "b" not in {s.modality for s in point.spends}
        assert "b" in {s.modality for s in point.uniform}
    idle = find_worst_mix(session, rows, {"b": ["linear:fade"], "c": ["linear:idle"]}, seed=seed, levels=[0.5, 1])
    assert [p.spends for p in idle.curve] == [[]] * 4
    assert [p.change.value for p in idle.curve] == [0] * 4


def test_of_two_corruptions_the_worse_is_taken_by_both_sides(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, samples=40)
    found = find_worst_mix(session, rows, ["linear:weak", "linear:fade", "linear:idle"], budgets=[1.5], levels=[0.5, 1])
    assert {s.noise for s in found.curve[0].spends} == {"fade"}
    assert {s.noise for s in found.curve[0].uniform} == {"fade"}
    assert [s.level for s in found.curve[0].uniform] == [0.5] * 3
    assert found.noises == {name: ["weak", "fade", "idle"] for name in "abc"}
    assert found.levels == [0.5, 1.0]


def test_coordinate_ascent_is_said_and_comes_to_what_all_mixes_come_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, rows, *_ = task(tmp_path, samples=60)
    noises = ["linear:fade", "linear:weak"]
    whole = find_worst_mix(session, rows, noises, levels=[0, 0.25, 0.5, 0.75, 1.0])
    monkeypatch.setattr(mixes, "EXHAUSTIVE_LIMIT", 0)
    some = find_worst_mix(session, rows, noises, levels=[0, 0.25, 0.5, 0.75, 1.0])
    assert {p.search for p in whole.curve} == {"exhaustive"}
    assert {p.search for p in some.curve} == {"coordinate ascent"}
    assert some.evaluated < whole.evaluated / 2
    for exact, near in zip(whole.curve, some.curve, strict=True):
        assert near.spent <= near.budget + 1e-9
        assert exact.searched <= near.searched <= exact.searched + 0.04
    falling = [p.searched for p in some.curve]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("limit", [0, 2**21])
def test_the_mix_is_never_weaker_than_the_uniform_split_where_it_was_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(mixes, "EXHAUSTIVE_LIMIT", limit)
    session, rows, inputs, target = task(tmp_path, samples=50)
    found = find_worst_mix(session, rows, ["linear:fade"], levels=[1.0], budgets=[0.4, 0.75, 1.2])
    first = search_half(rows.ids, 0)
    for point in found.curve:
        control, _ = truth(session, inputs, target, dict.fromkeys("abc", 2 * point.budget / 3))
        assert point.searched <= control[first].mean()
        assert [s.level for s in point.uniform] == pytest.approx([point.budget / 3] * 3)


def test_a_search_starts_from_the_smaller_budget_s_mix_and_from_the_uniform_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, rows, *_ = task(tmp_path, samples=20)
    calls: list[tuple[Any, Any]] = []
    search = mixes.search_mixes

    def recorded(board: Any, spaces: Any, budget: float, starts: Any, seed: int) -> Any:
        found = search(board, spaces, budget, starts, seed)
        calls.append((starts, found[0]))
        return found

    monkeypatch.setattr(module, "search_mixes", recorded)
    find_worst_mix(session, rows, ["linear:fade"], budgets=[0.5, 1.0, 2.0], levels=[0.5, 1.0])
    last = (0, 0, 0)
    for (_, uniform), (starts, found) in zip(calls[::2], calls[1::2], strict=True):
        assert starts == [last, uniform]
        last = found


def test_halves_are_equal_and_do_not_depend_on_order() -> None:
    ids = [f"s{i}" for i in range(101)]
    mask = search_half(ids, 0)
    assert mask.sum() == 50
    chosen = {i for i, one in zip(ids, mask, strict=True) if one}
    turned = search_half(ids[::-1], 0)
    assert {i for i, one in zip(ids[::-1], turned, strict=True) if one} == chosen
    assert not np.array_equal(search_half(ids, 1), mask)
    assert 10 < np.flatnonzero(mask).searchsorted(50) < 40  # spread over the list
    assert search_half(["a", "b"], 0).sum() == 1


def test_each_signal_is_encoded_once_for_each_arm_whatever_the_budgets(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, samples=20)
    steps: list[int] = []
    find_worst_mix(
        session, rows, {"a": ["linear:fade", "linear:weak"], "b": ["linear:fade"]},
        levels=[0, 0.5, 1], budgets=[1.0, 2.0], batch=8, advance=steps.append,
    )  # fmt: skip
    rows_by = {name: sum(n for each, n in session.embedded if each == name) for name in session.names}
    assert rows_by == {"a": 20 * 5, "b": 20 * 3, "c": 20}
    assert sum(steps) == 20 * 9


def test_levels_of_the_control_join_the_grid_once() -> None:
    able = {"a": [1, 2], "b": []}
    choices = build_choices(able, [0, 0.5, 1])  # type: ignore[arg-type]
    assert choices["a"] == [Choice(), *(Choice(c, x) for c in (1, 2) for x in (0.5, 1))]  # type: ignore[arg-type]
    assert choices["b"] == [Choice()]
    assert Choice().noise == ""


def bank_of(session: Any, rows: Manifest, choices: Any, seed: int) -> EmbeddingBank:
    return embed_choices(session, rows, choices, seed=seed, batch=64, on_bad="error", advance=lambda steps: None)


def test_every_arm_is_the_corruption_with_the_sample_s_own_noise(tmp_path: Path) -> None:
    session, rows, inputs, _ = task(tmp_path, samples=6)
    choices = build_choices(select_corruptions(session.modalities, {"b": ["gaussian"]}), [0.25, 1.0])
    found = bank_of(session, rows, choices, 5).z["b"]
    for number, level in enumerate((0.0, 0.25, 1.0)):
        gaussian = build_corruption("gaussian", session.modality("b"), {})
        signals = [
            corrupt_signal(x, gaussian, level, 5, f"s{i}", session.modality("b")) for i, x in enumerate(inputs["b"])
        ]
        assert np.array_equal(found[number], session.embed("b", np.stack(signals)))
    other = bank_of(session, rows, choices, 6).z["b"]
    assert np.array_equal(other[0], found[0])
    assert not np.isclose(other[1:], found[1:]).any()


def test_of_mixes_that_do_the_same_the_cheapest_is_wanted(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, samples=10)
    able = select_corruptions(session.modalities, {"a": ["linear:weak", "linear:fade"], "b": ["linear:idle"]})
    choices = build_choices(able, [0.25, 1.0])
    board = MixScorer(session, choices, bank_of(session, rows, choices, 0))
    weak, fade = (2, 0, 0), (3, 0, 0)  # half of `a` is taken by weak at 1 and by fade at 0.25
    assert board.worst_mix([weak, fade, (3, 1, 0), (0, 0, 0)]) == fade
    assert board.keys[weak][:2] == board.keys[fade][:2]
    assert [board.total_level(mix) for mix in (weak, fade, (3, 2, 0))] == [1.0, 0.25, 1.25]
    session.decoded.clear()
    assert board.worst_mix([weak, fade, weak]) == fade
    assert session.decoded == []  # each is scored once


def test_the_search_is_exhaustive_where_the_budget_leaves_few_mixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, rows, *_ = task(tmp_path, samples=20)
    monkeypatch.setattr(mixes, "EXHAUSTIVE_LIMIT", 27 * 10)  # three choices each: nothing, 0.1 and 0.2
    found = find_worst_mix(session, rows, ["linear:fade"], budgets=[0.3, 3.0], levels=[0.2, 0.8, 0.9])
    assert [p.search for p in found.curve] == ["exhaustive", "coordinate ascent"]


def test_what_is_absent_does_not_vote(tmp_path: Path) -> None:
    class Biased(LinearSession):
        def embed(self, name: str, x: NDArray[Any]) -> NDArray[np.float64]:
            return super().embed(name, x) + np.array([50.0, 0.0])

    session: Any = Biased({"a": np.array([[1.0, -1.0]]), "b": np.array([[-40.0, 40.0]])})
    x = np.ones((10, 1), np.float32)
    rows = manifest(tmp_path, {"a": x, "b": x}, np.ones(10, int), [(i, "a") for i in range(10)])
    assert find_worst_mix(session, rows, ["linear:idle"], levels=[1.0]).clean.value == 1.0


def test_a_budget_beyond_every_level_buys_no_more(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, samples=30)
    found = find_worst_mix(session, rows, ["linear:fade"], budgets=[9.0, 3.0], levels=[0.5, 1])
    assert [p.budget for p in found.curve] == [3.0, 9.0]
    assert found.curve[0].spends == found.curve[1].spends
    assert [s.level for s in found.curve[1].uniform] == [1.0] * 3


def test_noise_is_each_sample_s_own_and_batches_change_nothing(session: Session, rows: Manifest) -> None:
    few = rows.take(list(range(23)))
    options: dict[str, Any] = {"levels": [0.5, 1.0], "budgets": [0.5, 1.5]}
    whole = find_worst_mix(session, few, ["gaussian"], **options)
    assert {s.modality for p in whole.curve for s in p.uniform} == {"vector", "series"}
    for batch in (1, 9):
        assert find_worst_mix(session, few, ["gaussian"], batch=batch, **options) == whole
    assert (
        find_worst_mix(session, few.take(list(range(23))[::-1]), ["gaussian"], **options).curve[0].spends
        == whole.curve[0].spends
    )
    assert find_worst_mix(session, few, ["gaussian"], seed=1, **options) != whole
    again = MixOutcome.model_validate_json(whole.model_dump_json())
    assert json.loads(again.model_dump_json()) == json.loads(whole.model_dump_json())


def test_corruptions_strike_whom_they_serve(tmp_path: Path) -> None:
    session: Any = MeanSession()
    able = select_corruptions(session.modalities, ["gaussian", "swap-characters"])
    assert {name: [c.name for c in each] for name, each in able.items()} == {
        "image": ["gaussian"], "video": ["gaussian"], "audio": ["gaussian"],
        "text": ["swap-characters"], "series": ["gaussian"], "features": ["gaussian"],
    }  # fmt: skip
    assert all(c.kind == m.kind for m in session.modalities for c in able[m.name])
    found = find_worst_mix(session, everything(tmp_path, 4), ["gaussian", "swap-characters"], budgets=[6], levels=[1.0])
    assert [s.modality for s in found.curve[0].uniform] == session.names
    able = select_corruptions(session.modalities, {"audio": ["gaussian", "gaussian"]})
    assert {name: len(each) for name, each in able.items()} == {**dict.fromkeys(session.names, 0), "audio": 1}


def test_a_missing_modality_stays_missing_and_bad_inputs_are_told(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, samples=8)
    rows.columns["a"] = [""] * 8
    rows.columns["b"][3] = "gone.npy"
    found = find_worst_mix(session, rows, {"a": ["linear:fade"], "b": ["linear:fade"]}, budgets=[1.0], on_bad="missing")
    assert "gone.npy" in found.bad_inputs[0]
    assert len(found.bad_inputs) == 1
    assert {s.modality for s in found.curve[0].spends} <= {"b"}


@pytest.mark.parametrize(
    ("noises", "options", "sentence"),
    [
        (["gaussian"], {"budgets": [1.0, -0.5]}, "the budget of a mix should be a positive sum of levels, found -0.5"),
        (["gaussian"], {"budgets": [0.0]}, "found 0"),
        (["gaussian"], {"budgets": [float("nan")]}, "found nan"),
        (["gaussian"], {"levels": [0.0, 1.5]}, "should rise within [0, 1], found [0.0, 1.5]"),
        (["gaussian"], {"levels": [0.5, 0.5]}, "should rise within [0, 1]"),
        (["gaussian"], {"levels": [1.0, 0.5]}, "should rise within [0, 1]"),
        (["gaussian"], {"levels": [-0.5, 0.5]}, "should rise within [0, 1]"),
        (["gaussian"], {"levels": [float("nan")]}, "should rise within [0, 1]"),
        (["gaussian"], {"levels": [0.0]}, "should rise within [0, 1]"),
        (["gaussian"], {"levels": []}, "should rise within [0, 1]"),
        (["gausian"], {}, 'did you mean "gaussian"?'),
        ({"imag": ["gaussian"]}, {}, 'there is no modality "imag", did you mean "image"?'),
        ({"text": ["gaussian"]}, {}, 'the corruption "gaussian" does not serve text'),
        (["storm"], {}, '"storm" is a fault of whole samples'),
        ([], {}, "at least one corruption, found none"),
        ({"image": []}, {}, "at least one corruption, found none"),
    ],
)
def test_misuse_is_an_error_in_a_sentence(tmp_path: Path, noises: Any, options: dict[str, Any], sentence: str) -> None:
    session: Any = MeanSession()
    with pytest.raises(UsageError) as error:
        find_worst_mix(session, everything(tmp_path, 2), noises, **options)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_corruption_that_serves_nothing_of_the_model_is_refused(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, samples=4)
    with pytest.raises(UsageError, match=r'"swap-characters" serves text; the model has a \(features\)'):
        find_worst_mix(session, rows, ["swap-characters"])


def test_one_sample_has_no_halves(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, samples=1)
    with pytest.raises(DataError, match="one half of the samples"):
        find_worst_mix(session, rows, ["linear:fade"])
