"""The command line in this process, for what it does on a cluster."""

from cli.conftest import robustmm  # noqa: F401
