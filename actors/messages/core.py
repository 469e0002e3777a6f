"""What all messages have in common: their base classes, and the facts that a class of messages carries.

Everything that the way of a message has to know of it stands at its class: which rate counts it, what kind of access it
is, which hooks it meets, whether it may concern another session, and what is prepared before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Final, Generic, Literal, NamedTuple, Self, TypeVar

from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.engine.engine import Durability

from .checks import checked_durability

__all__ = ["CREATION", "READ_RATE", "Command", "Message", "PendingEvent", "Points", "Query", "attribute", "unpacked"]


class PendingEvent(NamedTuple):
    """An event that was decided and is not journaled yet: `artifacts` and `bytes` tell by how much it changes the
    session's totals of artifacts."""

    type: str
    data: dict[str, Any]
    artifacts: int = 0
    bytes: int = 0


Reply = TypeVar("Reply")

READ_RATE: Final = "read"
"""Reads count against a rate of their own, where there is one, and never against those of the runtime and the session:
a session over its rate can still be looked at."""
CREATION: Final = "session_create"


@dataclass(frozen=True, slots=True)
class Points:
    """The hook points on the way of a class of messages; `conflict`: it may meet StateConflict too."""

    before: str | None = None
    after: str | None = None
    conflict: bool = False


@cache
def _slots(kind: type) -> tuple[tuple[str, ...], Callable[[Message[Any]], tuple[Any, ...]]]:
    """Return the names of all slots of messages of a class, and what reads them at once."""
    names = tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda message: tuple(getattr(message, name) for name in names)


class Message(Generic[Reply]):
    """Base of everything that can be sent to a session; `Reply` is the type of its answer."""

    __slots__ = ()

    rate: ClassVar[str | None]
    """The kind of operation that rates count; None for what no rate limits: the life of a session, which is never held
    up, and what is only written down of an operation that was counted."""
    access: ClassVar[str]
    """The kind of access that it is an attempt at: read, list, write, delete, share or change_permissions."""
    about_artifacts: ClassVar[bool] = False
    """Whether the access is to artifacts: then it is in the audit log when an ancestor of the session asks."""
    permission: ClassVar[int] = 0
    """The permission (READ, WRITE, ADMIN) that it needs on an artifact of another session."""
    names: ClassVar[str | None] = None
    """The attribute that names an artifact, by an id that may be one of another session."""
    may_cross: ClassVar[bool] = False
    """Whether it may concern other sessions than the one it is sent to: then `crosses` is asked."""
    preparation: ClassVar[Literal["content", "call"] | None] = None
    """What is done on the sender's thread: "content" is hashed and compressed, a "call" is made."""
    points: ClassVar[Points] = Points()
    note: ClassVar[bool] = False
    """Whether it only writes down what has happened: it is never too late for that."""
    hookable: ClassVar[bool] = True
    """False for what the runtime itself sends past all hooks."""
    shown: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    """What reads a parameter for hooks, where the message keeps it under another name, or encoded."""

    @property
    def operations(self) -> int:
        """How many operations it counts as."""
        return 1

    def artifact(self) -> ArtifactId | None:
        """Return the one artifact that it names by its id."""
        return ArtifactId.named_by(getattr(self, self.names)) if self.names is not None else None

    def owner(self) -> str | None:
        """Return the one session whose artifacts it names by their ids."""
        artifact = self.artifact()
        return artifact.session_id if artifact is not None else None

    def crosses(self, session_id: str) -> bool:
        """Return whether it concerns other sessions than this one, which it is sent to."""
        artifact = self.artifact()
        return artifact is not None and artifact.session_id != session_id

    def copy(self) -> Self:
        """Return the same message once more, for the path to complete: what a sender holds is never changed."""
        twin = object.__new__(type(self))
        kind: type = type(self)
        names, values = _slots(kind)
        for name, value in zip(names, values(self), strict=True):
            setattr(twin, name, value)
        return twin


class Query(Message[Reply]):
    """Asks a session to answer; works in every status and changes nothing."""

    __slots__ = ()
    rate: ClassVar[str | None] = READ_RATE
    access = "read"


class Command(Message[Reply]):
    """Asks a session to change. `durability` overrides the runtime's for this one change."""

    __slots__ = ("durability", "records")
    rate: ClassVar[str | None] = "operation"
    access = "write"

    def __init__(self, *, durability: Durability | str | None = None) -> None:
        self.durability = checked_durability(durability) if durability is not None else None
        self.records: list[Any] | None = None
        """Drafts of events about hooks, journaled with what the command does."""


def unpacked(name: str) -> Callable[[Any], Any]:
    """Return what reads an encoded attribute of a message."""

    def read(message: Any) -> Any:
        packed = getattr(message, name)
        return unpack_value(packed) if packed is not None else None

    return read


def attribute(name: str) -> Callable[[Any], Any]:
    """Return what reads an attribute of a message: artifacts by the text of their ids, lists and dicts as copies."""

    def read(message: Any) -> Any:
        value = getattr(message, name)
        return str(value) if isinstance(value, ArtifactId) else _copied(value)

    return read


def _copied(value: Any) -> Any:
    kind = value.__class__
    if kind is dict:
        return {key: _copied(each) for key, each in value.items()}
    if kind is list:
        return [_copied(each) for each in value]
    return value
