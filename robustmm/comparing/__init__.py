"""Finished audits of the same samples held against each other, sample by sample."""
