from dataclasses import fields
from itertools import permutations
from math import factorial
from threading import current_thread

import numpy as np
import onnxruntime
import pytest

from robustmm.conditions.condition import Condition, Noise, build_condition
from robustmm.conditions.missing import draw_presence_table
from robustmm.corruptions import corrupt, find_corruption
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError, UsageError
from robustmm.evaluation import evaluate
from robustmm.evaluation.records import Records
from robustmm.metrics import contribution
from robustmm.runs import Run
from robustmm.runtime.session import Session

HALF = Condition("half", (Noise("gaussian", 0.5),))
GONE = Condition("gone", (), {"series": 0.5})
BOTH = Condition("both", (Noise("gaussian", 0.4, ("vector",)), Noise("blank", 1.0, ("series",))), {"vector": 0.25})


def run(session: Session, rows: Manifest, *conditions: Condition, **options: object) -> list[Records]:
    return evaluate.evaluate(session, rows, conditions, **options)[0]  # type: ignore[arg-type]


def assert_equal(a: Records, b: Records, atol: float = 0.0) -> None:
    for name in (f.name for f in fields(Records)):
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            np.testing.assert_allclose(x, y, atol=atol, rtol=0, err_msg=name)
        elif name != "residual":
            assert np.array_equal(x, y), name


def test_the_cached_path_equals_the_plain_loop(world: Run, session: Session, rows: Manifest) -> None:
    """Every sample alone through the whole graph, every subset its own run, Shapley by orders: the slow truth."""
    (records,) = run(session, rows, BOTH, seed=3)
    whole = onnxruntime.InferenceSession(str(world.model))
    present = draw_presence_table(rows.ids, session.names, BOTH.missing, 3)
    for i, sample in enumerate(rows.ids[:12]):
        signals = {m.name: m.read(rows.column(m.name)[i], rows.folder) for m in session.modalities}
        for noise in BOTH.noises:
            m = session.modality(noise.on[0])
            chosen = find_corruption(noise.name, m.kind)
            signals[m.name] = corrupt(
                signals[m.name], chosen, noise.level, seed=3, sample_id=sample, modality=m.name, mean=m.mean, std=m.std
            )

        def value(members: frozenset[int], i: int = i, signals: dict[str, np.ndarray] = signals) -> np.ndarray:
            mask = np.array([[m in members and present[i, m] for m in range(2)]])
            if not mask.any():
                p = session.prior
            else:
                feed = {name: signals[name][None] for name in session.names}
                p = whole.run(["probabilities"], {**feed, "present": mask})[0][0]
            likeliest = p == p.max()  # the world's prior is uniform: one of three at random
            return np.array([np.log(p[records.target[i]]), likeliest[records.target[i]] / likeliest.sum()])

        phi = np.zeros((2, 2))
        for order in permutations(range(2)):
            for position, m in enumerate(order):
                before = frozenset(order[:position])
                phi[m] += (value(before | {m}) - value(before)) / factorial(2)
        np.testing.assert_allclose(records.phi_log_probability[i], phi[:, 0], atol=1e-5)
        np.testing.assert_allclose(records.phi_accuracy[i], phi[:, 1], atol=1e-12)
        if present[i].any():
            full = whole.run(
                ["probabilities"], {**{n: signals[n][None] for n in session.names}, "present": present[i][None]}
            )
            np.testing.assert_allclose(records.probabilities[i], full[0][0], atol=1e-6)


def test_results_do_not_depend_on_batch_size_or_row_order(session: Session, rows: Manifest) -> None:
    whole = run(session, rows, BOTH, batch=64)[0]
    assert_equal(whole, run(session, rows, BOTH, batch=7)[0], atol=1e-5)
    order = list(range(len(rows)))[::-1]
    turned = run(session, rows.take(order), BOTH, batch=5)[0]
    np.testing.assert_allclose(turned.probabilities[::-1], whole.probabilities, atol=1e-5)
    assert np.array_equal(turned.present[::-1], whole.present)


def test_conditions_together_equal_conditions_apart(session: Session, rows: Manifest) -> None:
    together = run(session, rows, Condition("clean"), HALF, GONE)
    for condition, records in zip((Condition("clean"), HALF, GONE), together, strict=True):
        assert_equal(records, run(session, rows, condition)[0])


def test_level_zero_is_clean_and_noise_grows(session: Session, rows: Manifest) -> None:
    clean, zero, *rest = run(
        session, rows, Condition("clean"), *(Condition(str(x), (Noise("gaussian", x),)) for x in (0, 0.5, 1))
    )
    assert_equal(clean, zero.__class__(**{**vars(zero), "untouched": 0}))
    assert zero.untouched == len(rows)
    moved = [np.abs(r.probabilities - clean.probabilities).mean() for r in rest]
    assert 0 < moved[0] < moved[1]


def test_the_seed_is_the_noise(session: Session, rows: Manifest) -> None:
    a, b = (run(session, rows, HALF, seed=seed)[0] for seed in (0, 1))
    assert not np.allclose(a.probabilities, b.probabilities)


def test_missing_rates_are_exact_and_absent_modalities_are_null_players(session: Session, rows: Manifest) -> None:
    (records,) = run(session, rows, GONE)
    assert records.present[:, 1].sum() == len(rows) - len(rows) // 2
    gone = ~records.present[:, 1]
    assert (records.phi_accuracy[gone, 1] == 0).all()
    assert (records.phi_log_probability[gone, 1] == 0).all()
    assert np.isnan(records.unimodal_correct[gone, 1]).all()


def test_efficiency(session: Session, rows: Manifest) -> None:
    (records,) = run(session, rows, HALF)
    assert records.residual < 1e-9
    right = records.probabilities.argmax(1) == records.target
    np.testing.assert_allclose(records.phi_accuracy.sum(1), right - records.empty_value[:, 1], atol=1e-12)


def test_sampled_contributions_come_close_and_say_so(
    session: Session, rows: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = run(session, rows, HALF)[0]
    monkeypatch.setattr(contribution, "EXACT_LIMIT", 1)
    sampled = run(session, rows, HALF)[0]
    assert exact.exact
    assert not sampled.exact
    assert sampled.residual < 1e-9
    np.testing.assert_allclose(
        sampled.phi_accuracy.mean(0), exact.phi_accuracy.mean(0), atol=1e-9
    )  # pairs: exact at M=2
    assert np.array_equal(sampled.unimodal_correct, exact.unimodal_correct, equal_nan=True)
    assert np.array_equal(sampled.leave_one_out_correct, exact.leave_one_out_correct, equal_nan=True)


def test_a_condition_encodes_only_what_it_touches(
    session: Session, rows: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    embed = session.embed
    monkeypatch.setattr(session, "embed", lambda name, x: calls.append(name) or embed(name, x))
    run(session, rows, Condition("clean"), Condition("v", (Noise("gaussian", 0.5, ("vector",)),)), GONE, batch=1000)
    assert sorted(calls) == ["series", "vector", "vector"]


def test_unreadable_inputs_are_errors_or_counted(session: Session, rows: Manifest) -> None:
    cells = ["series.npy#999", *rows.columns["series"][1:]]
    broken = Manifest(rows.path, {**rows.columns, "series": cells}, rows.lines)
    with pytest.raises(DataError, match=r"line \d+ \(id 's\d+', series\).*found #999"):
        run(session, broken, HALF)
    (records,), bad = evaluate.evaluate(session, broken, [HALF], on_bad="missing")
    assert len(bad) == 1
    assert not records.present[0, 1]


@pytest.mark.parametrize(
    ("noise", "sentence"),
    [
        (Noise("gausian", 0.5), 'did you mean "gaussian"'),
        (Noise("gaussian", 1.5), r"in \[0, 1\], found 1.5"),
        (Noise("gaussian", float("nan")), "found nan"),
        (Noise("gaussian", 0.5, ("serie",)), 'no modality "serie", did you mean "series"'),
        (Noise("fog", 0.5), '"fog" serves image, video; the model has vector'),
        (Noise("fog", 0.5, ("series",)), "does not serve series"),
    ],
)
def test_conditions_that_do_not_fit_are_sentences(session: Session, noise: Noise, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Condition("c", (noise,)).changed_modalities(session.modalities)


def test_levels_pair_with_noises() -> None:
    condition = build_condition("c", ["gaussian", "blank"], [0.5], ["a"], {})
    assert [(n.name, n.level, n.on) for n in condition.noises] == [("gaussian", 0.5, ("a",)), ("blank", 0.5, ("a",))]
    assert [n.level for n in build_condition("c", ["x", "y"], [0.1, 0.2], [], {}).noises] == [0.1, 0.2]
    for noises, levels, on in ((["x"], [], []), (["x", "y", "z"], [0.1, 0.2], []), ([], [0.5], []), ([], [], ["a"])):
        with pytest.raises(UsageError):
            build_condition("c", noises, levels, on, {})


def test_small_signals_are_corrupted_without_threads_to_the_same_answers(
    session: Session, rows: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[str]()
    plain = evaluate.Evaluation._corrupt

    def watched(self: evaluate.Evaluation, *given: object) -> object:
        threads.add(current_thread().name)
        return plain(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate.Evaluation, "_corrupt", watched)
    (alone,) = run(session, rows, BOTH)
    assert threads == {current_thread().name}
    monkeypatch.setattr(evaluate, "OVERLAPPED_BYTES", 0)
    (beside,) = run(session, rows, BOTH)
    assert len(threads) > 1
    assert_equal(alone, beside)
