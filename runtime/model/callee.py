"""What workflows call by itself in the place of its name."""

from __future__ import annotations

__all__ = ["Callee"]


class Callee:
    """A tool. Workflows of scripts call tools that only the script has."""

    __slots__ = ()

    name: str
