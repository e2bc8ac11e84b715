"""The whole hardened file: what it may use, what it answers, and that a row is a row of its own."""

from itertools import product

import numpy as np
import pytest
from guarded import Pair, fitted_temperature
from numpy.typing import NDArray
from onnx.numpy_helper import to_array

from robustmm.guard.graph.answers import list_decoded
from robustmm.guard.graph.decision import MEMORY_LENGTH
from robustmm.guard.judge import choose_subset
from robustmm.guard.reliability import expect_probabilities, list_subsets
from robustmm.runtime.session import Session, read_graph

Outputs = dict[str, NDArray[np.generic]]
NEVER = np.float32(1e6)


@pytest.fixture(params=["pair", "three"])
def each(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def spoil(pair: Pair, name: str, seed: int = 0) -> NDArray[np.float32]:
    """A modality's inputs, every second row noise."""
    x = pair.inputs[name].copy()
    x[::2] = 6 * np.random.default_rng(seed).normal(size=x[::2].shape)
    return x


def patterns(pair: Pair) -> list[NDArray[np.bool_]]:
    return [np.array(mask) for mask in product([True, False], repeat=len(pair.names))]


def gather(parts: list[Outputs]) -> Outputs:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


EASY = np.full(3, 0.001, np.float32)
"""Thresholds that make every guard drop something, also one that few valid samples have made shy."""


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_every_pattern_and_batch_size_keeps_the_promises(each: Pair, batch: int) -> None:
    silent = dropped = 0
    for name in each.names:
        inputs = {**each.inputs, name: spoil(each, name)}
        for mask in patterns(each):
            for start in range(0, 14, batch):
                part = {n: x[start : start + batch] for n, x in inputs.items()}
                present = np.tile(mask, (batch, 1))
                plain = each.ask("plain", **part, present=present)
                found = each.ask("hardened", **part, present=present, thresholds=EASY[: len(each.names)])
                used = found["used"]
                assert used.dtype == bool
                assert not (used & ~present).any()
                same = (used == present).all(1)
                for what in ("logits", "probabilities"):
                    np.testing.assert_array_equal(found[what][same], plain[what][same])
                left = each.ask("plain", **part, present=used)
                np.testing.assert_allclose(found["logits"][~same], left["logits"][~same], rtol=1e-4, atol=1e-4)
                np.testing.assert_allclose(found["probabilities"], left["probabilities"], atol=1e-5)
                if mask.any():
                    assert used.any(1).all(), "with all finite, something is left to answer from"
                silent, dropped = silent + same.sum(), dropped + (~same).sum()
    assert silent > 20
    assert dropped > 5, "the test says nothing where nothing is dropped"


@pytest.mark.parametrize("kind", ["pair", "two", "three"])
def test_numpy_chooses_what_the_graph_chooses(kind: str, request: pytest.FixtureRequest) -> None:
    """Of the same log odds and answers; those of the file are read at its outputs and from the plain file."""
    each: Pair = request.getfixturevalue(kind)
    M, subsets = len(each.names), list_subsets(len(each.names))
    changed = {name: spoil(each, name, k) for k, name in enumerate(each.names)}
    present = np.random.default_rng(0).random((len(changed[each.names[0]]), M)) < 0.8
    found = each.ask("hardened", **changed, present=present)
    odds = np.where(present, found["memory.next"], -30.0).astype(np.float64)
    temperature = fitted_temperature(each)
    answers = []
    for mask in subsets:
        logits = each.ask("plain", **changed, present=present & mask)["logits"].astype(np.float64)
        scaled = logits / temperature.scale(present & mask)
        p = np.exp(scaled - scaled.max(1, keepdims=True))
        answers.append(p / p.sum(1, keepdims=True))
    expected = expect_probabilities(odds, np.stack(answers, 1))
    for m, name in enumerate(each.names):
        np.testing.assert_allclose(found[f"gain.{name}"], expected[:, 1 + m] - expected[:, 0], atol=2e-4)
    chosen = choose_subset(expected, present, np.array(each.result.thresholds))
    np.testing.assert_array_equal(found["used"], subsets[chosen] & present)
    free = np.linspace(0.001, 0.002, M)
    used = each.ask("hardened", **changed, present=present, thresholds=free.astype(np.float32))["used"]
    chosen = choose_subset(expected, present, free)
    np.testing.assert_array_equal(used, subsets[chosen] & present)
    assert len(np.unique(used, axis=0)) >= 3


def test_the_cut_session_answers_as_the_whole_file(each: Pair) -> None:
    session = Session(each.hardened)
    assert session.is_hardened
    changed = {name: spoil(each, name, k) for k, name in enumerate(each.names)}
    present = np.random.default_rng(1).random((len(changed[each.names[0]]), len(each.names))) < 0.8
    found = each.ask("hardened", **changed, present=present)
    z = session.embeddings(changed, len(present))
    np.testing.assert_allclose(session.decode(z, present), found["probabilities"], atol=1e-5)
    np.testing.assert_array_equal(session.choose_used(z, present), found["used"])
    np.testing.assert_array_equal(Session(each.plain).choose_used(z, present), present)


def test_thresholds_are_an_input(each: Pair) -> None:
    M = len(each.names)
    changed = {name: spoil(each, name, k) for k, name in enumerate(each.names)}
    ask = lambda thresholds, **more: each.ask(  # noqa: E731
        "hardened", **{**changed, **more}, thresholds=np.float32(thresholds)
    )
    default = each.ask("hardened", **changed)
    for name, told in ask(each.result.thresholds).items():
        np.testing.assert_array_equal(told, default[name])
    never = ask([NEVER] * M)
    assert never["used"].all()
    np.testing.assert_array_equal(never["logits"], each.ask("plain", **changed)["logits"])
    nan = changed[each.names[0]].copy()
    nan[1] = np.nan
    spoilt = ask([NEVER] * M, **{each.names[0]: nan})["used"]
    assert not spoilt[1, 0], "what is no number is dropped at any threshold"
    assert spoilt[np.arange(len(spoilt)) != 1].all()
    for m in range(M):
        only = np.full(M, NEVER)
        only[m] = 0
        used = ask(only)["used"]
        assert not used[:, m].all(), "one that costs nothing to drop is dropped"
        assert np.delete(used, m, 1).all()
    assert ask([1.0] * M)["used"].all(), "no gain is 1"
    order = [int(ask([t] * M)["used"].sum()) for t in (0, 0.05, 0.2, 0.6, 1)]
    assert order == sorted(order)
    assert order[0] < order[-1]


def steady(pair: Pair, name: str, bad: slice, length: int = 40) -> dict[str, list[NDArray[np.generic]]]:
    """Outputs of one sample after the other, each with the memory of the one before; `name` is noise for a while."""
    rng = np.random.default_rng(5)
    memory = np.zeros((1, len(pair.names)), np.float32)
    found: dict[str, list[NDArray[np.generic]]] = {"memory": [], "used": []}
    for k in range(length):
        row = {n: x[k % 8 : k % 8 + 1].copy() for n, x in pair.inputs.items()}
        if k in range(*bad.indices(length)):
            row[name][:] = 6 * rng.normal(size=row[name].shape)
        told = pair.ask("hardened", **row, memory=memory)
        memory = np.asarray(told["memory.next"], np.float32)
        found["memory"].append(memory[0])
        found["used"].append(told["used"][0])
    return found


def test_a_fault_that_lasts_raises_the_memory_and_its_end_lowers_it(each: Pair) -> None:
    name = each.names[-1]
    m = each.names.index(name)
    told = np.array(steady(each, name, slice(10, 25))["memory"])[:, m]
    before, during = told[5:10].mean(), told[23]
    assert during > before + 1
    rise = next(k for k in range(10, 25) if told[k] > (before + during) / 2) - 10
    fall = next(k for k in range(25, 40) if told[k] < (before + during) / 2) - 25
    assert rise <= MEMORY_LENGTH
    assert fall <= MEMORY_LENGTH
    assert told[-1] < during - 0.7 * (during - before)


def test_the_memory_is_a_running_mean_of_what_a_sample_says_alone(each: Pair) -> None:
    first = {name: spoil(each, name)[:6] for name in each.names}
    present = np.ones((6, len(each.names)), bool)
    present[4, 0] = False
    alone = each.ask("hardened", **first, present=present)
    zeros = each.ask("hardened", **first, present=present, memory=np.zeros((6, len(each.names)), np.float32))
    for name, x in alone.items():
        np.testing.assert_array_equal(x, zeros[name])
    odds = alone["memory.next"]
    assert odds[4, 0] == 0, "nothing is known of a modality that was never there"
    memory = np.float32(np.random.default_rng(0).normal(size=odds.shape))
    told = each.ask("hardened", **first, present=present, memory=memory)["memory.next"]
    expected = np.where(present, memory + (odds - memory) / MEMORY_LENGTH, memory)
    np.testing.assert_allclose(told, expected, atol=1e-4)
    one = each.ask("hardened", **first, present=present, memory=memory[:1])
    each_its_own = each.ask("hardened", **first, present=present, memory=np.repeat(memory[:1], 6, 0))
    for name, x in one.items():
        np.testing.assert_array_equal(x, each_its_own[name])


def test_a_memory_of_trouble_makes_dropping_worth_more(three: Pair) -> None:
    M, m = len(three.names), len(three.names) - 1
    gain = f"gain.{three.names[m]}"
    alone, after = three.ask("hardened")[gain], []
    for past in (-8.0, 8.0):
        memory = np.zeros((1, M), np.float32)
        memory[0, m] = past
        after.append(three.ask("hardened", memory=memory)[gain])
    np.testing.assert_array_equal(after[0], alone)
    assert after[1].mean() > alone.mean() + 0.01, "a memory of trouble makes more suspicious"
    assert (after[1] > alone).mean() > 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_never_reaches_an_answer(each: Pair, value: float) -> None:
    M = len(each.names)
    for k in range(1, 2**M):
        wrong = [m for m in range(M) if k >> m & 1]
        changed = {each.names[m]: each.inputs[each.names[m]].copy() for m in wrong}
        for x in changed.values():
            x[2] = value
            x[4].flat[0] = value
        found, clean = each.ask("hardened", **changed), each.ask("hardened")
        spoilt = np.isin(np.arange(len(clean["used"])), (2, 4))
        for name, x in found.items():
            if not name.startswith("z."):
                assert np.isfinite(x).all(), name
            np.testing.assert_array_equal(x[~spoilt], clean[name][~spoilt])
        assert not found["used"][spoilt][:, wrong].any()
        left = each.ask("plain", **each.inputs, present=found["used"])
        np.testing.assert_allclose(found["probabilities"][spoilt], left["probabilities"][spoilt], atol=1e-5)
        if len(wrong) == M:
            assert not found["used"][spoilt].any()


@pytest.mark.parametrize("value", [1e19, 1e25, 1e38, -1e38, 3e38])
def test_numbers_that_overflow_leave_no_nan_behind(each: Pair, value: float) -> None:
    """Neither in one modality nor in all, whose sum may overflow where none does."""
    for names, mixed in product((*([name] for name in each.names), each.names), (False, True)):
        changed = {name: each.inputs[name].copy() for name in names}
        for x in changed.values():
            x[2] = value
            x[2].flat[::2] *= -1 if mixed else 1
        found = each.ask("hardened", **changed)
        for what, told in found.items():
            if what.startswith(("gain", "strangeness", "memory")):
                assert np.isfinite(told).all(), (what, names)


def test_an_answer_that_overflows_is_not_expected_to_be_right(three: Pair) -> None:
    """Embeddings that are numbers, whose sum is none: the logits are infinite, and their softmax is NaN."""
    stored = {tensor.name: to_array(tensor) for tensor in read_graph(three.plain).graph.initializer}
    changed = {}
    for name in "ab":
        changed[name] = three.inputs[name].copy()
        first = stored[f"{name}/w"][:, 0].astype(np.float64)
        changed[name][2] = 2.5e38 * first / (first @ first)
    assert np.isfinite(three.ask("plain", **changed)["z.a"]).all()
    assert np.isnan(three.ask("plain", **changed)["probabilities"][2]).all()
    found = three.ask("hardened", **changed)
    for what, told in found.items():
        if not what.startswith("z."):
            assert np.isfinite(told).all(), what
    assert not found["used"][2, :2].all()


def test_what_is_not_there_does_not_matter(each: Pair) -> None:
    for m, name in enumerate(each.names):
        present = np.ones((10, len(each.names)), bool)
        present[:, m] = False
        told = []
        for value in (0.0, 1e6, np.nan):
            x = each.inputs[name][:10].copy()
            x[:] = value
            told.append(each.ask("hardened", **{name: x}, present=present))
        for other in told[1:]:
            for what in ("used", "logits", "probabilities", "memory.next"):
                np.testing.assert_array_equal(other[what], told[0][what])


def test_a_row_is_answered_whatever_stands_beside_it(each: Pair) -> None:
    changed = {name: spoil(each, name, k) for k, name in enumerate(each.names)}
    rows = len(changed[each.names[0]])
    whole = each.ask("hardened", **changed)
    order = np.random.default_rng(0).permutation(rows)
    shuffled = each.ask("hardened", **{name: x[order] for name, x in changed.items()})
    pairs = gather([each.ask("hardened", **{n: x[k : k + 2] for n, x in changed.items()}) for k in range(0, rows, 2)])
    for name, x in whole.items():
        if name == "used":
            np.testing.assert_array_equal(shuffled[name], x[order])
            np.testing.assert_array_equal(pairs[name], x)
        else:
            np.testing.assert_allclose(shuffled[name], x[order], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(pairs[name], x, rtol=1e-4, atol=1e-4)


def test_inputs_and_outputs_are_those_that_are_promised(each: Pair) -> None:
    graph = read_graph(each.hardened).graph
    stored = {tensor.name for tensor in graph.initializer}
    assert [i.name for i in graph.input if i.name not in stored] == ["present", *each.names]
    assert [i.name for i in graph.input if i.name in stored] == ["thresholds", "memory"]
    plain = [output.name for output in read_graph(each.plain).graph.output]
    own = [f"{what}.{name}" for what in ("strangeness", "gain") for name in each.names]
    assert [output.name for output in graph.output] == [*plain, "used", *own, "memory.next"]


@pytest.mark.parametrize(("M", "count"), [(2, 3), (3, 7 - 0), (4, 11 + 4), (6, 22 + 6)])
def test_every_subset_and_each_modality_alone_is_decoded_once(M: int, count: int) -> None:
    found = list_decoded(M)
    assert len(np.unique(found, axis=0)) == len(found) == count
    assert found.any(1).all()
    subsets = [mask for mask in list_subsets(M) if mask.any()]
    assert (found[: len(subsets)] == subsets).all(), "their rows are those of the subsets"
