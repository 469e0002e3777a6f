"""The hook points: their names, and the points that messages of each class meet on their way."""

from __future__ import annotations

import re
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.storage.common.checked_call import checked
from greenroom.storage.errors import ValidationError

__all__ = [
    "AFTER",
    "CONFLICT",
    "CREATE",
    "CREATION",
    "CUSTOM",
    "DELETE",
    "LIMIT",
    "OPERATION",
    "POINTS",
    "READ",
    "UPDATE",
    "can_veto",
    "chain_of",
    "kinds_of",
    "resolve",
    "way_of",
]


CUSTOM: Final = "custom:"
"""The prefix of the names of a host's own points."""
_MAX_NAME: Final = 128

_SESSION: Final = ("Created", "Suspended", "Resumed", "Completed", "Failed", "Saved", "Restored", "Deleted")

POINTS: Final[frozenset[str]] = frozenset(
    [f"Session{each}" for each in _SESSION]
    + [f"BeforeSession{each}" for each in _SESSION]
    + ["BeforeArtifactStore", "ArtifactStored", "ArtifactRetrieved", "BeforeArtifactDelete", "ArtifactDeleted"]
    + ["BeforeStateRead", "AfterStateRead", "BeforeStateWrite", "AfterStateWrite", "StateConflict", "StateMigration"]
    + ["BeforeToolDiscovery", "AfterToolDiscovery", "BeforeToolExecution", "AfterToolExecution"]
    + ["ToolValidation", "ToolError"]
    + ["BeforeAgentInit", "AfterAgentInit", "BeforeAgentExecution", "AfterAgentExecution", "AgentError"]
    + ["BeforeAgentShutdown", "AfterAgentShutdown"]
    + ["BeforeWorkflowStart", "WorkflowStageTransition", "BeforeWorkflowStage", "AfterWorkflowStage"]
    + ["WorkflowCheckpoint", "WorkflowRollback", "AfterWorkflowComplete", "WorkflowError"]
    + ["BeforeMessageAdd", "MessageAdded"]
    + ["BeforeApprovalRequest", "ApprovalRequested", "BeforeApprovalAnswer", "ApprovalAnswered"]
    + ["BeforeEventEmit", "AfterEventEmit", "EventHandlerError"]
    + ["SystemStartup", "SystemShutdown", "ConfigurationChange", "ResourceLimitExceeded", "SecurityViolation"]
)

_OTHER_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "SessionStart": ("SessionCreated",),
    "SessionEnd": ("SessionCompleted", "SessionFailed"),
    "SessionCheckpoint": ("SessionSaved",),
    "SessionSave": ("SessionSaved",),
    "SessionRestore": ("SessionRestored",),
}
_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    **_OTHER_NAMES,
    **{f"Before{name}": tuple(f"Before{each}" for each in points) for name, points in _OTHER_NAMES.items()},
}

_SEPARATORS: Final = re.compile(r"[\s:._-]+")


def _folded(name: str) -> str:
    """Return the common form of all spellings of a name: SessionCreated, session:created, session.created, …"""
    return _SEPARATORS.sub("", name).casefold()


_FOLDED: Final[dict[str, tuple[str, ...]]] = {
    **{_folded(name): points for name, points in _ALIASES.items()},
    **{_folded(point): (point,) for point in POINTS},
}
_CUSTOM: Final = re.compile(r"custom(?:[:.](?P<name>.+)|\((?P<inner>[^()]+)\))", re.IGNORECASE | re.DOTALL)
_VETOES: Final = frozenset(
    {"StateMigration", "SystemStartup", "ConfigurationChange", "ToolValidation", "WorkflowStageTransition"}
)


def can_veto(point: str) -> bool:
    """Return whether a hook at a point that stands alone can refuse what follows, because it has not happened yet."""
    return point.startswith(("Before", CUSTOM)) or point in _VETOES


@checked
def resolve(point: str) -> tuple[str, ...]:
    """Return the points that a name means, in any spelling: one, or two for "SessionEnd". Raises ValidationError."""
    if not isinstance(point, str):
        raise ValidationError("point: the name of a hook point is needed", field="point")
    if point in POINTS:
        return (point,)
    if len(point) <= _MAX_NAME:
        found = _FOLDED.get(_folded(point))
        if found is not None:
            return found
        custom = _CUSTOM.fullmatch(point)
        if custom is not None:
            return (CUSTOM + (custom["name"] or custom["inner"]),)
    from difflib import get_close_matches  # no program needs it that knows the name

    near = get_close_matches(point[:_MAX_NAME], [*POINTS, *_ALIASES], 1)
    advice = f"did you mean {near[0]!r}? " if near else ""
    raise ValidationError(
        f"point: there is no hook point {point[:_MAX_NAME]!r}; {advice}Points of your own are named 'custom:<name>'",
        field="point",
    )


CONFLICT: Final = "StateConflict"
LIMIT: Final = "ResourceLimitExceeded"

OPERATION: Final = "middleware:operation"
CREATE: Final = "middleware:create"
READ: Final = "middleware:read"
UPDATE: Final = "middleware:update"
DELETE: Final = "middleware:delete"
AFTER: Final = ":after"
"""The suffix of the points of the middleware after the operation; each has a twin without it before the operation."""

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
    """Return the chain of the middleware that a class of messages belongs to."""
    if issubclass(kind, m.DeleteSession):
        return DELETE
    return READ if issubclass(kind, m.Query) else UPDATE


def way_of(kind: type[Any]) -> frozenset[str]:
    """Return all points on the way of a class of messages. The runtime's own messages have none."""
    if not kind.hookable:
        return frozenset()
    points, outer = kind.points, chain_of(kind)
    way = {OPERATION, OPERATION + AFTER, outer, outer + AFTER, LIMIT, points.before or "", points.after or ""}
    if points.conflict:
        way.add(CONFLICT)
    return frozenset(way)


def kinds_of(base: type[m.Message[Any]]) -> list[type[Any]]:
    """Return a class of messages and all its subclasses."""
    found = [base]
    for kind in found:
        found += kind.__subclasses__()
    return found
