"""The errors that greenroom raises. All are derived from `GreenroomError`.

They live on the lowest floor because every floor raises them. A message says what was asked, what is wrong and what to
do about it. It never carries content, values or secrets.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccessDenied",
    "ArtifactNotFound",
    "ArtifactTooLarge",
    "BundleError",
    "CallFailed",
    "ConfigurationError",
    "Conflict",
    "GreenroomError",
    "HookCancelled",
    "IntegrityError",
    "InvalidOperation",
    "InvalidSessionState",
    "InvalidStateTransition",
    "OperationTimeout",
    "RateLimited",
    "ReplayError",
    "ResourceLimitExceeded",
    "RuntimeClosed",
    "SchemaTooNew",
    "ScriptError",
    "ScriptMemoryExceeded",
    "ScriptTimeout",
    "SessionAlreadyExists",
    "SessionNotFound",
    "StorageError",
    "StorageFull",
    "StoreLocked",
    "ValidationError",
    "VariableNotFound",
    "shown",
]


def shown(value: object, most: int = 64) -> str:
    """Return a name from outside in a form fit for a message or a log: quoted, on one line, not too long. A value that
    is no text is named by its type, so that none of its own code runs."""
    kind = type(value)
    if not issubclass(kind, str):
        return f"<{kind.__name__[:most]}>"
    text = str.__str__(value)
    return repr(text if len(text) <= most else text[: most - 1] + "…").encode("utf-8", "backslashreplace").decode()


class GreenroomError(Exception):
    """Base of every error that greenroom raises on purpose.

    `code` is the class name, `fields` are the named facts of the case (also readable as attributes), and `str()` is the
    message for people. Some errors are also Python errors, so that code which does not know greenroom can catch them:
    `SessionNotFound` is a LookupError, `ValidationError` a ValueError.
    """

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.fields: dict[str, Any] = fields

    @property
    def code(self) -> str:
        """The stable name of the error: the name of its class."""
        return type(self).__name__

    def __getattr__(self, name: str) -> Any:
        # Called only when ordinary lookup fails. `fields` itself may be missing while unpickling.
        fields = self.__dict__.get("fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.fields)


def _rebuild(kind: type[GreenroomError], message: str, fields: dict[str, Any]) -> GreenroomError:
    return kind(message, **fields)


class SessionNotFound(GreenroomError, LookupError):
    """There is no session with this id, or with this key. Fields: `session_id`, or `key`."""


class SessionAlreadyExists(GreenroomError):
    """A session with this id, or with this key, exists already. Fields: `session_id`, and `key` if that is taken."""


class InvalidStateTransition(GreenroomError):
    """The session's status does not allow this change of status. Fields: `from_status`, `to_status`."""


class InvalidSessionState(GreenroomError):
    """The session's status does not allow this write. Fields: `status`."""


class InvalidOperation(GreenroomError):
    """The operation makes no sense here, such as an unknown message or a write to a read-only runtime."""


class Conflict(InvalidOperation):
    """Something else has changed what this change was made for: read again and decide anew. Nothing was changed.
    Fields: `expected_sequence` and `sequence` of the session, or `key` of the variable; `conflict` is true."""


class ArtifactNotFound(GreenroomError, LookupError):
    """The session has no such artifact or version. Fields: `artifact` (the id or the name that was asked for)."""


class ArtifactTooLarge(GreenroomError):
    """The content is larger than one call may carry. Fields: `size`, `limit` (bytes)."""


class ValidationError(GreenroomError, ValueError):
    """An argument is of the wrong type, too long, or not storable. Fields: `field`."""


class AccessDenied(GreenroomError, PermissionError):
    """The caller has no access to what it named."""


class RateLimited(GreenroomError):
    """Too many operations. Fields: `retry_after` (seconds)."""


class ResourceLimitExceeded(GreenroomError):
    """A limit is reached. Fields: `resource`, `limit`, `value`."""


class OperationTimeout(GreenroomError, TimeoutError):
    """There was no answer within the given time. Fields: `timeout` (seconds), `started` (whether the operation had
    begun)."""


class CallFailed(GreenroomError):
    """A tool or an agent raised, or returned an unusable result. Fields: `kind` ("tool" or "agent"), `name`, `error`
    (the class name of the exception, which is the cause)."""


class HookCancelled(GreenroomError):
    """A hook refused the operation."""


class ScriptError(GreenroomError):
    """A script failed. Fields: `script`, `line`, `traceback`."""


class ScriptTimeout(ScriptError):
    """A script used up its time or its instructions."""


class ScriptMemoryExceeded(ScriptError):
    """A script used up its memory."""


class VariableNotFound(GreenroomError, KeyError):
    """The session or scope has no variable with this key. Fields: `key`."""

    def __str__(self) -> str:  # a KeyError shows its argument in quotes
        return Exception.__str__(self)


class StorageError(GreenroomError):
    """The store could not read or write."""


class StorageFull(StorageError):
    """The disk (or its quota) is full; writes work again once there is room."""


class StoreLocked(StorageError):
    """Another runtime has the store open for writing."""


class SchemaTooNew(StorageError):
    """The store was written by a newer greenroom. Fields: `found`, `supported`."""


class IntegrityError(StorageError):
    """The data on disk are not the data that were written."""


class ReplayError(GreenroomError):
    """A session cannot be replayed as asked."""


class BundleError(GreenroomError):
    """A bundle is damaged, hostile or of an unknown format; nothing was imported."""


class ConfigurationError(GreenroomError):
    """A setting is unknown or has an impossible value."""


class RuntimeClosed(GreenroomError):
    """The runtime is closed or closing."""
