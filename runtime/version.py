"""The version of greenroom. The package's metadata take it from here."""

__all__ = ["__version__"]

__version__ = "0.1.0"
