"""The benchmarks that `robustmm data prepare` knows: a file each, which says where its facts come from.

Another benchmark is one more file here, imported below, or a user's own as `package.module:Name`.
"""

from robustmm.data.benchmarks import (
    ave,
    casia_surf,
    cremad,
    food101,
    iemocap,
    kinetics_sounds,
    mvsa_single,
    nyud2,
    ucf51,
)
from robustmm.data.preparing.benchmark import BENCHMARKS

__all__ = [
    "BENCHMARKS", "ave", "casia_surf", "cremad", "food101", "iemocap", "kinetics_sounds", "mvsa_single", "nyud2",
    "ucf51",
]  # fmt: skip
