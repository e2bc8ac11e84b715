"""Methods that train one modality at a time, so that none learns through the answers of another."""

from robustmm.methods.alternating import mla, reconboost, remix  # noqa: F401  (they fill the registry)
