"""Classifiers that other tools exported, under a session's interface."""
