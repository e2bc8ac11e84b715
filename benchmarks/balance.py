"""How even the parts of a large audit are: python benchmarks/balance.py

A simulation of 150 conditions on 50,000 samples of two modalities, without a model: the costs of corruptions, drawn
with a seed, spread over a factor of 50, as those of pictures do (a blur to a frosted glass). The budget: the longest
part takes at most 1.1 times the mean of all parts.
"""

import numpy as np

from robustmm.auditing.parts.costs import Costs
from robustmm.auditing.parts.divide import divide_tasks, list_tasks
from robustmm.auditing.spec import MAX_CHUNK

CONDITIONS, SAMPLES = 150, 50_000


def draw_costs(seed: int = 0) -> tuple[Costs, list[int]]:
    """Costs in seconds: every condition corrupts one of the modalities, or both with what others made already."""
    rng = np.random.default_rng(seed)
    chunks = [min(MAX_CHUNK, SAMPLES - start) for start in range(0, SAMPLES, MAX_CHUNK)]
    encodings = [0.010, 0.002]
    embeddings, wanted = list(encodings), [[0, 1]]
    for _ in range(CONDITIONS):
        parts = [0, 1]
        m = int(rng.integers(2))
        if rng.random() < 0.8:
            parts[m] = len(embeddings)
            embeddings.append(encodings[m] + float(0.0004 * 50 ** rng.random()))
        wanted.append(parts)
    projecting = [60.0 if chunk < 1 else 0.0 for chunk in range(len(chunks))]
    costs = Costs(
        reading=0.003, deciding=0.0005, writing=0.01, projecting=projecting, embeddings=embeddings, wanted=wanted,
        floor=15.0, searches=[], finish=0.0,
    )  # fmt: skip
    return costs, chunks


def main() -> None:
    costs, chunks = draw_costs()
    tasks = list_tasks(costs, chunks)
    print(f"{CONDITIONS} conditions and clean on {SAMPLES:,} samples: {len(tasks) - 1:,} cells")
    print("| parts | mean, s | longest, s | longest / mean | all parts / one |")
    print("|---|---|---|---|---|")
    whole = divide_tasks(costs, chunks, tasks, 1)[0].seconds
    for parts in (1, 4, 10, 40, 100, 400, 1000):
        seconds = [part.seconds for part in divide_tasks(costs, chunks, tasks, parts)]
        mean, longest = sum(seconds) / parts, max(seconds)
        print(f"| {parts:,} | {mean:,.0f} | {longest:,.0f} | {longest / mean:.3f} | {sum(seconds) / whole:.3f} |")


if __name__ == "__main__":
    main()
