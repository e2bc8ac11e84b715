"""Evaluates a session on a manifest under conditions: records, and the results of attack and predict."""
