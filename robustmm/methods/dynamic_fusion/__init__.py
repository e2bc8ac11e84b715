"""Methods that weigh each modality of each sample by how sure it is."""

from robustmm.methods.dynamic_fusion import guarded, pdf, qmf  # noqa: F401  (they fill the registry)
