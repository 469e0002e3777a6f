"""The names of the hook points: which there are, and which are other names of them."""

from __future__ import annotations

import difflib
from typing import Final

from greenroom.storage.errors import ValidationError

__all__ = ["CUSTOM", "POINTS", "resolve"]

CUSTOM: Final = "custom:"
"""What the names of a host's own points begin with."""
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


def resolve(point: str) -> tuple[str, ...]:
    """The points that a name means: one, or two for "SessionEnd". Raises ValidationError."""
    if not isinstance(point, str):
        raise ValidationError("point: the name of a hook point is needed", field="point")
    if point in POINTS:
        return (point,)
    if point in _ALIASES:
        return _ALIASES[point]
    if point.startswith(CUSTOM) and len(CUSTOM) < len(point) <= _MAX_NAME:
        return (point,)
    near = difflib.get_close_matches(point[:_MAX_NAME], [*POINTS, *_ALIASES], 1)
    advice = f"did you mean {near[0]!r}? " if near else ""
    raise ValidationError(
        f"point: there is no hook point {point[:_MAX_NAME]!r}; {advice}Points of your own are named 'custom:<name>'",
        field="point",
    )
