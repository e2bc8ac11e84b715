"""Training methods: one file a paper. Importing this package fills the registry."""

from robustmm.methods import (  # noqa: F401
    agm,
    arl,
    arm,
    balm,
    cal,
    dgl,
    dmrnet,
    dropout,
    joint,
    mce,
    mmanet,
    ogm_ge,
    one_stage,
    pdf,
    qmf,
    redcore,
    unimodal,
)
from robustmm.methods.base import METHODS, Batch, Method, TrainingData
from robustmm.methods.chain import Chain, hyperparameters, method

__all__ = ["METHODS", "Batch", "Chain", "Method", "TrainingData", "hyperparameters", "method"]
