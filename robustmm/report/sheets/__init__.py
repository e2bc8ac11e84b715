"""Samples drawn: panels of signals, and contact sheets of them."""
