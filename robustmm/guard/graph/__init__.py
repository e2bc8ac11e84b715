"""What the guard adds to a graph: operators, the answers from every subset, the decision."""
