"""A modality that contradicts the others: what its own answer and theirs have in common. It tells swapped, stale and
mismatched inputs, each of which is a good signal by itself."""

from robustmm.guard.graph.operators import Operators

SMALLEST = 1e-4


def measure_disagreement(ops: Operators, own: str, others: str) -> str:
    """-log sum_y p(y | one) p(y | others) of probabilities (..., class): (..., 1), in nats. It is the surprise of
    drawing the same answer from both."""
    same = ops.reduce("ReduceSum", ops("Mul", own, others), [-1])
    return ops("Neg", ops("Log", ops("Add", same, ops.constant(SMALLEST))))
