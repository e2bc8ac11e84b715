"""Signed statements on an audit: in-toto in a DSSE envelope, Ed25519, verified offline."""
