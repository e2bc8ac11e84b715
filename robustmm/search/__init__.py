"""Attacks that search with queries alone: `mix.mix`, the worst mix of corruptions within a budget, and
`square.square`, random search within a norm."""
