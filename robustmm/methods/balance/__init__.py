"""Methods that balance modalities in training: no modality may learn at the cost of the others."""

from robustmm.methods.balance import agm, arl, arm, balm, cal, cggm, dgl, inforeg, mmpareto, ogm_ge  # noqa: F401  (they fill the registry)
