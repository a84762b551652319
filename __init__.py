"""Convert label formats to and from Scale Nucleus payloads."""

__version__ = "0.1.0"
