"""Methods for modalities that are missing when the model is used."""

from robustmm.methods.missing import dmrnet, mce, mmanet, one_stage, redcore, shaspec  # noqa: F401  (they fill the registry)
