"""How long `import robustmm` and `robustmm --help` take beside a bare `python -c pass`: python benchmarks/startup.py

Budgets: 0.4 s for --help; 0.05 s for the import, on top of bare Python. All are measured in one run, in turns, the
median of several.
"""

import subprocess
import sys
import time
from statistics import median

REPEATS = 9
IMPORT_BUDGET = 0.05
"""Seconds that `import robustmm` may take over bare Python."""
COMMANDS = {
    "bare": ("-c", "pass"),
    "import": ("-c", "import robustmm"),
    "help": ("-m", "robustmm", "--help"),
}


def seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, words in COMMANDS.items():
            times[name].append(seconds(sys.executable, *words))
    bare, import_, help_ = (median(times[name]) for name in ("bare", "import", "help"))
    print(f"python -c pass {bare:.2f} s, robustmm --help {help_:.2f} s, ratio {help_ / bare:.1f}")
    over = import_ - bare
    kept = "within" if over <= IMPORT_BUDGET else "over"
    print(f"import robustmm {over:.3f} s over bare Python, {kept} its budget of {IMPORT_BUDGET} s")
