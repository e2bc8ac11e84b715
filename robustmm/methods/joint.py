"""joint: the plain baseline, one cross-entropy on the fused logits."""

from robustmm.methods.base import METHODS, Method


@METHODS.register("joint")
class Joint(Method):
    """L = CE(decode(z, present), y)."""
