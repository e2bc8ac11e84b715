"""What an audit is announced to cost."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audits import forget, silent
from numpy.typing import NDArray
from random_records import drawn

from robustmm.auditing.cost import _will_fail, describe_seconds, estimate_cost
from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import Spec, open_spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.runtime.session import Session
from robustmm.workers.processes import WorkerPool

GRID = [Condition(f"gaussian {x:g} on series", (Noise("gaussian", x, ("series",)),)) for x in (0.2, 1.0)]
CONDITIONS = (*GRID, Condition("both", (Noise("gaussian", 0.2),)), Condition("gone", (), {"series": 0.5}))


@pytest.fixture
def asked(world_model: Path, world_manifest: Path) -> Spec:
    forget()
    return Spec(world_model, world_manifest, seed=1)


def test_encodings_are_counted_once_and_decodings_for_every_subset(asked: Spec) -> None:
    found = estimate_cost(open_spec(asked), CONDITIONS)
    assert (found.conditions, found.samples) == (4, 72)
    assert found.encodings == {"series": 3, "vector": 2}, "clean, 0.2 and 1; clean and 0.2"
    assert found.decodings == 5 * 4
    assert found.seconds > 0
    assert estimate_cost(open_spec(asked), ()).decodings == 4


def test_what_is_announced_is_what_it_takes(asked: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that takes its time by the row: subsets, the additive projection, the noise floor and bisection are
    most of the audit, and all are announced."""
    plain = Session.decode

    def slow(self: Session, z: Any, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        time.sleep(0.0005 * len(present))
        return plain(self, z, present)

    monkeypatch.setattr(Session, "decode", slow)
    announced = estimate_cost(open_spec(asked), CONDITIONS).seconds
    began = time.perf_counter()
    result = Audit(asked, AuditPlan("small", CONDITIONS), tmp_path, WorkerPool(1), silent).run()
    true = time.perf_counter() - began
    assert result.breaking_levels[0].outcome == "fails", "so levels were bisected"
    assert 1 / 1.6 < announced / true < 1.6


@pytest.mark.parametrize(("right", "samples", "fails"), [(4, 8, False), (4, 800, True), (8, 800, False)])
def test_a_corruption_fails_where_it_would_if_all_samples_were_as_the_timed_ones(
    right: int, samples: int, fails: bool
) -> None:
    clean, struck = drawn(8), drawn(8)
    clean.target = struck.target = np.zeros(8, np.int64)
    clean.probabilities = np.eye(3)[[0] * 8]
    struck.probabilities = np.eye(3)[[0] * right + [1] * (8 - right)]
    assert _will_fail(struck, clean, 0.9, samples) == fails


def test_durations_in_words() -> None:
    told = [describe_seconds(seconds) for seconds in (0.4, 89, 91, 5399, 5401, 430_000)]
    assert told == ["0 s", "89 s", "2 min", "90 min", "2 h", "119 h"]
