"""Training methods: one file a paper. Importing this package fills the registry."""

from robustmm.methods import alternating, balance, dropout, dynamic_fusion, joint, linear, missing, unimodal  # noqa: F401
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, Turn
from robustmm.methods.chain import Chain, build_method, hyperparameters

__all__ = ["METHODS", "Batch", "Chain", "Method", "TrainingData", "Turn", "build_method", "hyperparameters"]
