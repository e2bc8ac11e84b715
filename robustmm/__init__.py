"""robustmm: robust multimodal inference and noise-attack evaluation.

    import robustmm as rm

    model = rm.export(rm.train("digits", method="mce"))
    rm.attack(model, noise="gaussian", level=0.5)

docs/python.md has a page on it. Nothing is loaded before it is asked for.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from robustmm.version import __version__

if TYPE_CHECKING:
    from robustmm.api.auditing import audit
    from robustmm.api.checking import check
    from robustmm.api.comparing import compare
    from robustmm.api.evaluation import attack, load, predict
    from robustmm.api.hardening import harden
    from robustmm.api.parts import merge_parts, plan_audit, run_part
    from robustmm.api.reporting import write_report
    from robustmm.api.signals import corrupt
    from robustmm.api.training import export, resume, train
    from robustmm.api.verifying import verify

QUIET = {
    "ORT_DISABLE_TELEMETRY": "1",  # else onnxruntime writes an id and a queue of events under the user's cache folder
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "OPENCV_LOG_LEVEL": "SILENT",  # a file that it cannot decode is a sentence of ours
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
"""What libraries read from the environment when they are loaded: none calls home, none prints. The user's own values
stay. This is the one place that everything which loads them has passed, worker processes too."""

for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
_limit = os.environ.setdefault("ROBUSTMM_MAX_MIB", "1024")  # robustmm/modalities/files/limits.py has both numbers
if _limit.isascii() and _limit.isdecimal() and len(_limit) < 12:  # OpenCV holds a picture's header against it
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(int(_limit) * 2**20 // 6)

__all__ = [
    "__version__", "attack", "audit", "check", "compare", "corrupt", "export", "harden", "load", "merge_parts",
    "plan_audit", "predict", "resume", "run_part", "train", "verify", "write_report",
]  # fmt: skip

_HOMES = {
    "attack": "evaluation", "audit": "auditing", "check": "checking", "compare": "comparing", "corrupt": "signals",
    "export": "training", "harden": "hardening", "load": "evaluation", "merge_parts": "parts", "plan_audit": "parts",
    "predict": "evaluation", "resume": "training", "run_part": "parts", "train": "training", "verify": "verifying",
    "write_report": "reporting",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"robustmm.api.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
