"""Installed scripts: definitions that are kept in the store, and sandboxes that stay while the runtime is open."""

from __future__ import annotations

from typing import Final

__all__ = ["SCOPE"]

SCOPE: Final = "greenroom:scripts"
"""The scope that holds the definitions as variables, so that they are durable and journaled like everything else."""
