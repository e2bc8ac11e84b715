"""The version, which every result and run names."""

__version__ = "0.1.0"
