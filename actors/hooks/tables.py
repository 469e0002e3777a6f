"""Which hooks messages of a class meet on their way: the points of the class, and the middleware around them."""

from __future__ import annotations

from typing import Any, Final

from greenroom.actors import messages as m

__all__ = [
    "AFTER",
    "CONFLICT",
    "CREATE",
    "CREATION",
    "DELETE",
    "LIMIT",
    "OPERATION",
    "READ",
    "UPDATE",
    "chain_of",
    "kinds_of",
    "way_of",
]

CONFLICT: Final = "StateConflict"
LIMIT: Final = "ResourceLimitExceeded"

OPERATION: Final = "middleware:operation"
CREATE: Final = "middleware:create"
READ: Final = "middleware:read"
UPDATE: Final = "middleware:update"
DELETE: Final = "middleware:delete"
AFTER: Final = ":after"
"""Points of the middleware: each with a twin after the operation, whose name ends in `:after`."""

CREATION: Final = (
    "BeforeSessionCreated",
    "SessionCreated",
    OPERATION,
    CREATE,
    CREATE + AFTER,
    OPERATION + AFTER,
    LIMIT,
)


def chain_of(kind: type[m.Message[Any]]) -> str:
    """The chain of the middleware that a class of messages belongs to."""
    if issubclass(kind, m.DeleteSession):
        return DELETE
    return READ if issubclass(kind, m.Query) else UPDATE


def way_of(kind: type[Any]) -> frozenset[str]:
    """All points on the way of a class of messages. The runtime's own have none."""
    if not kind.hookable:
        return frozenset()
    points, outer = kind.points, chain_of(kind)
    way = {OPERATION, OPERATION + AFTER, outer, outer + AFTER, LIMIT, points.before or "", points.after or ""}
    if points.conflict:
        way.add(CONFLICT)
    return frozenset(way)


def kinds_of(base: type[m.Message[Any]]) -> list[type[Any]]:
    """A class of messages and all below it."""
    found = [base]
    for kind in found:
        found += kind.__subclasses__()
    return found
