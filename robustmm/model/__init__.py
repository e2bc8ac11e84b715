"""A model: encoders by kind, a fusion over what is present, and both as one module."""

from robustmm.model.fusion_model import Embedding, FusionModel

__all__ = ["Embedding", "FusionModel"]
