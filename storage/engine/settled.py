"""Tells damage from what others have just written: for readings that take several looks at the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from greenroom.storage.errors import IntegrityError

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["settled"]

Found = TypeVar("Found")

_LOOKS: Final = 5


def settled(engine: Engine, read: Callable[[], Found]) -> Found:
    """Return what a reading finds that takes several looks, each of a moment of its own while others write.

    That two looks do not agree is damage only where nothing was written between them: else the reading is done again,
    a few times. Raises what the reading raises.
    """
    before = None  # asked for only after a failure, so that all is as fast as ever where nothing is amiss
    for _ in range(_LOOKS):
        try:
            return read()
        except IntegrityError:
            if before is not None and engine.moment() == before:
                raise
            before = engine.moment()
    return read()
