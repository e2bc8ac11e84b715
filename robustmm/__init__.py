"""robustmm: robust multimodal inference and noise-attack evaluation.

    import robustmm as rm

    model = rm.export(rm.train("digits", method="mce"))
    rm.attack(model, noise="gaussian", level=0.5)

docs/python.md has a page on it. Nothing is loaded before it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from robustmm.version import __version__

if TYPE_CHECKING:
    from robustmm.api.checking import check
    from robustmm.api.evaluation import attack, audit, load, predict
    from robustmm.api.signals import corrupt
    from robustmm.api.training import export, resume, train

__all__ = ["__version__", "attack", "audit", "check", "corrupt", "export", "load", "predict", "resume", "train"]

_HOMES = {
    "attack": "evaluation", "audit": "evaluation", "check": "checking", "corrupt": "signals", "export": "training",
    "load": "evaluation", "predict": "evaluation", "resume": "training", "train": "training",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"robustmm.api.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
