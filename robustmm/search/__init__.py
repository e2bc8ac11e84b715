"""Attacks that search with queries only: `mix.find_worst_mix`, the worst mix of corruptions within a budget, and
`square.run_square_attack`, random search within a norm."""
