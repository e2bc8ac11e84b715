"""What exact contributions cost over a plain evaluation of a model: python benchmarks/attack.py MODEL

Both are measured in one run, the median of several: the plain loop runs the whole graph once over clean samples already
in memory; ours runs the cut graph and decodes all subsets. Budget: 1.1 on encoders of ResNet-18's size.
"""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime

from robustmm.data.loading import collate_signals, read_batches, targets
from robustmm.data.manifest import read_manifest
from robustmm.evaluation import source
from robustmm.evaluation.subsets import evaluate_subsets
from robustmm.runtime.session import Session

REPEATS = 5


def main(path: Path) -> None:
    session, whole = Session(path), onnxruntime.InferenceSession(str(path))
    manifest = read_manifest(source.find_model_manifest(session, None)).split("test")
    target = targets(manifest, session.classes)
    batches = [
        (rows, samples, {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities})
        for rows, samples in read_batches(manifest, session.modalities, 64)
    ]

    def plain() -> None:
        for _, samples, inputs in batches:
            whole.run(["probabilities"], {**inputs, "present": samples.present()})

    def ours() -> None:
        for rows, samples, inputs in batches:
            z = session.embeddings(inputs, len(samples.ids))
            evaluate_subsets(session, samples.ids, z, samples.present(), target[rows])

    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(REPEATS):
        for name, run in (("plain", plain), ("ours", ours)):
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    plain_s, ours_s = (float(np.round(median(times[name]), 4)) for name in ("plain", "ours"))
    print(
        f"{len(manifest)} samples: plain {plain_s} s, with exact contributions {ours_s} s, ratio {ours_s / plain_s:.2f}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
