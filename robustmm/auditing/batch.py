"""The batch size of the encoders, measured where the user gave none."""

import time

from robustmm.data.loading import collate_signals
from robustmm.runtime.session import Session

BATCH_SIZES = (8, 16, 32, 64, 128, 256)


def tune_batch_size(session: Session, most: int) -> int:
    """The batch size with the lowest encoding time per row, of at most `most` rows, the size of a chunk."""
    times = {}
    for size in [size for size in BATCH_SIZES if size <= most] or [most]:
        blanks = {m.name: collate_signals(m, [None] * size) for m in session.modalities}
        for name, x in blanks.items():
            session.embed(name, x[:2])
        began = time.perf_counter()
        session.batch = size
        for name, x in blanks.items():
            session.embed(name, x)
        times[size] = (time.perf_counter() - began) / size
    session.batch = min(times, key=lambda size: times[size])
    return session.batch
