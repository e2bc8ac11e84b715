"""Methods that train or show one modality at a time, so that none learns through the answers of another only."""

from robustmm.methods.alternating import mla, reconboost, remix, valuation  # noqa: F401  (they fill the registry)
