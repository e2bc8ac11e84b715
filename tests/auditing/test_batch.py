"""The batch that encoders are given: the one whose rows take the least time, on a clock of our own."""

from types import SimpleNamespace
from typing import Any

import pytest

from robustmm.auditing import batch
from robustmm.modalities import Features


class Encoders:
    """A session whose encoder takes one second a call and 0.01 s a row, more beyond 32 rows."""

    def __init__(self) -> None:
        self.modalities = [Features(name="m", length=3)]
        self.batch, self.now, self.rows = 1, 0.0, list[int]()

    def embed(self, name: str, x: Any) -> None:
        self.rows.append(len(x))
        self.now += 1 + 0.01 * len(x) + max(0, len(x) - 32)


@pytest.mark.parametrize(("most", "best"), [(1000, 32), (40, 32), (20, 16), (5, 5), (1, 1)])
def test_the_fastest_batch_that_a_chunk_can_fill(most: int, best: int, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Encoders()
    monkeypatch.setattr(batch, "time", SimpleNamespace(perf_counter=lambda: session.now))
    assert batch.tune_batch_size(session, most) == session.batch == best  # type: ignore[arg-type]
    assert max(session.rows) <= most
