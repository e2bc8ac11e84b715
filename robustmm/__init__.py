"""robustmm: robust multimodal inference and noise-attack evaluation."""

__version__ = "0.1.0"
