"""How long `robustmm --help` takes beside a bare `python -c pass`: python benchmarks/startup.py

Budget: 0.4 s. Both are measured in one run, the median of several.
"""

import subprocess
import sys
import time
from statistics import median

REPEATS = 9


def seconds(*command: str) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    bare = seconds(sys.executable, "-c", "pass")
    help_ = seconds(sys.executable, "-m", "robustmm", "--help")
    print(f"python -c pass {bare:.2f} s, robustmm --help {help_:.2f} s, ratio {help_ / bare:.1f}")
