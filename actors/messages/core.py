"""Define the base classes of all messages, and the facts that each class of messages carries.

Whatever the delivery path has to know of a message is an attribute of its class: the rate that counts it, its kind of
access, the hooks it meets, whether it may concern another session, and what is prepared before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from operator import attrgetter
from typing import Any, ClassVar, Final, Generic, Literal, NamedTuple, Self, TypedDict, TypeVar

from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.arguments import as_text
from greenroom.storage.engine.engine import Durability

from .checks import MAX_IDEMPOTENCY_KEY, checked_durability, whole_number
from .permissions import READ

__all__ = [
    "CREATION",
    "READ_RATE",
    "Command",
    "Condition",
    "How",
    "Message",
    "PendingEvent",
    "Points",
    "Query",
    "attribute",
    "condition_of",
    "idempotency_key",
    "pending",
    "unpacked",
]


class PendingEvent(NamedTuple):
    """An event that was decided and is not journaled yet: `artifacts` and `bytes` tell by how much it changes the
    session's totals of artifacts."""

    type: str
    data: dict[str, Any]
    artifacts: int = 0
    bytes: int = 0


pending: Final[Callable[[tuple[str, dict[str, Any], int, int]], PendingEvent]] = partial(tuple.__new__, PendingEvent)
"""Make a pending event from its four fields, for the commands that are sent most: at half the usual cost."""


Reply = TypeVar("Reply")

READ_RATE: Final = "read"
"""The rate that counts reads, if there is one. Reads never count against the rates of the runtime and the session: a
session over its rate can still be inspected."""
CREATION: Final = "session_create"


class Points(NamedTuple):
    """The hook points that a class of messages meets; with `conflict` it may meet StateConflict too."""

    before: str | None = None
    after: str | None = None
    conflict: bool = False


@cache
def _slots(kind: type) -> tuple[tuple[str, ...], Callable[[Message[Any]], tuple[Any, ...]]]:
    """Return the names of all slots of a message class, and a function that reads them all at once."""
    names = tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda message: tuple(getattr(message, name) for name in names)


class Message(Generic[Reply]):
    """Base of everything that can be sent to a session. `Reply` is the type of its answer."""

    __slots__ = ()

    rate: ClassVar[str | None]
    """The kind of operation that rates count; None if no rate limits it. That is so for the life of a session, which is
    never held up, and for records of an operation that was already counted."""
    access: ClassVar[str]
    """The kind of access that this is an attempt at: read, list, write, delete, share or change_permissions."""
    about_artifacts: ClassVar[bool] = False
    """Whether it accesses artifacts. If so, the audit log records it when an ancestor of the session asks."""
    permission: ClassVar[int] = 0
    """The permission (READ, WRITE, ADMIN) needed on an artifact of another session."""
    names: ClassVar[str | None] = None
    """The attribute that names an artifact, by an id that may belong to another session."""
    whole: ClassVar[int] = 0
    """The permission (READ, WRITE) on a whole session with which another session may send it. 0: none suffices."""
    host_only: ClassVar[bool] = False
    """Whether only the host may send it, to whichever session."""
    may_cross: ClassVar[bool] = False
    """Whether it may concern other sessions than the one it is sent to. If so, `crosses` is asked."""
    preparation: ClassVar[Literal["content", "call", "batch"] | None] = None
    """What the sender's thread does first: hash and compress "content", make a "call", or bring a "batch" together."""
    points: ClassVar[Points] = Points()
    note: ClassVar[bool] = False
    """Whether it only records what has already happened. It is never too late for that."""
    hookable: ClassVar[bool] = True
    """False for messages that the runtime itself sends past all hooks."""
    apart: ClassVar[frozenset[str]] = frozenset()
    """Parameters that hooks of this message do not see, because they meet hooks of their own."""
    shown: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    """Functions that read a parameter for hooks, where the message keeps it encoded or under another name."""

    @property
    def content_bytes(self) -> int:
        """How much content it carries that is hashed and compressed on its way."""
        return 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def operations(self) -> int:
        """The number of operations that it counts as."""
        return 1

    def carried(self) -> Sequence[tuple[Any, Any]]:
        """Return the contents that were prepared for it, each with the bytes or the stream it was prepared from, in the
        order of its events."""
        return ()

    def artifact(self) -> ArtifactId | None:
        """Return the one artifact that it names by its id."""
        return ArtifactId.named_by(getattr(self, self.names)) if self.names is not None else None

    def owner(self) -> str | None:
        """Return the one session whose artifacts it names by their ids."""
        artifact = self.artifact()
        return artifact.session_id if artifact is not None else None

    def crosses(self, session_id: str) -> bool:
        """Return whether it concerns other sessions than this one, to which it is sent."""
        artifact = self.artifact()
        return artifact is not None and artifact.session_id != session_id

    def copy(self) -> Self:
        """Return a copy of the message for the delivery path to complete: the sender's own message is never changed."""
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
    whole = READ


class How(TypedDict, total=False):
    """How a command is performed. Every command and every method that sends one takes these.

    `durability` overrides the runtime's for this one change. `expected_sequence` is the sequence that the session must
    have (`SessionInfo.sequence`); otherwise Conflict is raised, and nothing changes. A command that is sent again with
    the same `idempotency_key` changes nothing, and answers what it answered the first time.
    """

    durability: Durability | str | None
    expected_sequence: int | None
    idempotency_key: str | None


class Condition(NamedTuple):
    """What is asked of a session before a command is performed."""

    expected_sequence: int | None
    idempotency_key: str | None


class Command(Message[Reply]):
    """Asks a session to change. `How` says what all commands take."""

    __slots__ = ("condition", "durability", "records")
    rate: ClassVar[str | None] = "operation"
    access = "write"
    batched: ClassVar[bool] = True
    """Whether it can be part of a batch: it is decided by the session alone, and is over once its events are
    written."""
    batch: ClassVar[bool] = False
    """Whether it is a batch of commands."""

    def __init__(
        self,
        *,
        durability: Durability | str | None = None,
        expected_sequence: int | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        self.durability = checked_durability(durability) if durability is not None else None
        if expected_sequence is None and idempotency_key is None:
            self.condition = None
        else:
            self.condition = condition_of(expected_sequence, idempotency_key)
        self.records: list[Any] | None = None
        """Drafts of events about hooks. They are journaled together with the command's own change."""


def condition_of(expected_sequence: int | None, idempotency_key: str | None) -> Condition | None:
    """Return the condition of a command; None, as for most commands, if nothing is asked. Raises ValidationError."""
    if expected_sequence is None and idempotency_key is None:
        return None
    key = as_text("idempotency_key", idempotency_key, MAX_IDEMPOTENCY_KEY) if idempotency_key is not None else None
    return Condition(whole_number("expected_sequence", expected_sequence), key)


def idempotency_key(message: Any) -> str | None:
    """Return the key of a command; None if it has none, or is no command."""
    condition = message.condition if isinstance(message, Command) else None
    return condition.idempotency_key if condition is not None else None


def unpacked(name: str) -> Callable[[Any], Any]:
    """Return a function that reads and decodes an encoded attribute of a message."""

    def read(message: Any) -> Any:
        packed = getattr(message, name)
        return unpack_value(packed) if packed is not None else None

    return read


def attribute(name: str) -> Callable[[Any], Any]:
    """Return a function that reads an attribute of a message. It gives artifact ids as text, lists and dicts as
    copies."""

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
