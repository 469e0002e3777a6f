"""The messages a session understands: one class per command and query.

A command asks a session to change, a query to answer. Send them with `Runtime.ask` and `Runtime.tell`. Values are
checked and encoded when the message is made, so a message never changes on its way and a bad one is never sent.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

from greenroom.storage.artifact_query import ArtifactQuery, artifact_query
from greenroom.storage.artifacts import ArtifactId, artifact_type, is_artifact_name
from greenroom.storage.engine import Durability
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError
from greenroom.storage.records import Value, pack_value, unpack_value

if TYPE_CHECKING:
    from greenroom.storage.content import Encoded, Readable

__all__ = [
    "ABSENT",
    "AcceptLosses",
    "AddMessage",
    "AddTag",
    "ArchiveSession",
    "Command",
    "CompleteSession",
    "DeleteArtifact",
    "DeleteSession",
    "DeleteVariable",
    "FailSession",
    "Finish",
    "ForkSession",
    "GetArtifact",
    "GetArtifactInfo",
    "GetArtifacts",
    "GetEvents",
    "GetInfo",
    "GetMessages",
    "GetVariable",
    "ListArtifactVersions",
    "ListArtifacts",
    "ListVariables",
    "LoadSession",
    "Message",
    "Query",
    "QueryArtifacts",
    "RemoveTag",
    "ResumeSession",
    "SaveSession",
    "SetTags",
    "SetVariable",
    "StoreArtifact",
    "StoreMany",
    "SuspendSession",
    "UpdateMetadata",
]

MAX_KEY: Final = 255
MAX_VARIABLE_BYTES: Final = 1 << 20
MAX_TAGS: Final = 64
MAX_TAG: Final = 64
MAX_METADATA_BYTES: Final = 64 << 10
MAX_NAME: Final = 255
MAX_TEXT: Final = 64 << 10
MAX_ROLE: Final = 64
MAX_MESSAGE_BYTES: Final = 16 << 20
MAX_BATCH: Final = 10_000


@cache
def _slots(kind: type) -> tuple[tuple[str, ...], Callable[[Message], tuple[Any, ...]]]:
    """The names of all slots of messages of a class, and what reads them at once."""
    names = tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda message: tuple(getattr(message, name) for name in names)


class Message:
    """Base of everything that can be sent to a session."""

    __slots__ = ()

    def copy(self) -> Self:
        """The same message once more, for the path to complete: what a sender holds is never changed."""
        twin = object.__new__(type(self))
        kind: type = type(self)
        names, values = _slots(kind)
        for name, value in zip(names, values(self), strict=True):
            setattr(twin, name, value)
        return twin


class Query(Message):
    """Asks a session to answer; works in every status and changes nothing."""

    __slots__ = ()


class Command(Message):
    """Asks a session to change. `durability` overrides the runtime's for this one change."""

    __slots__ = ("durability", "records")

    def __init__(self, *, durability: Durability | str | None = None) -> None:
        self.durability = _durability(durability) if durability is not None else None
        self.records: list[Any] | None = None
        """Drafts of events about hooks, journaled with what the command does."""


# -- variables


class Expectation(enum.Enum):
    """What a change of a variable may expect besides a value."""

    ANY = "any"
    """Whatever is there."""
    ABSENT = "absent"
    """That the variable is not there."""


ANY: Final = Expectation.ANY
ABSENT: Final = Expectation.ABSENT


class SetVariable(Command):
    """Set a variable to a JSON value or bytes of at most 1 MiB. Replies None.

    With `expected` only if that is its value now (`ABSENT`: if it is not there); else InvalidOperation, whose field
    `conflict` is true, and nothing is changed.
    """

    __slots__ = ("expected", "key", "packed")

    def __init__(
        self,
        key: str,
        value: Value,
        *,
        expected: Value | Expectation = ANY,
        durability: Durability | str | None = None,
    ) -> None:
        self.expected = expected if expected.__class__ is Expectation else pack_value(expected, "expected")
        self.durability = _durability(durability) if durability is not None else None
        self.records = None
        self.key = _variable_key(key)
        self.packed = pack_value(value)
        if len(self.packed) > MAX_VARIABLE_BYTES:
            raise ResourceLimitExceeded(
                f"a variable may have {MAX_VARIABLE_BYTES} bytes, this one has {len(self.packed)}: store an artifact",
                resource="variable_bytes",
                limit=MAX_VARIABLE_BYTES,
                value=len(self.packed),
            )

    @property
    def value(self) -> Value:
        return unpack_value(self.packed)


class DeleteVariable(Command):
    """Remove a variable, with `expected` only if that is its value now. Replies whether it was there."""

    __slots__ = ("expected", "key")

    def __init__(
        self, key: str, *, expected: Value | Expectation = ANY, durability: Durability | str | None = None
    ) -> None:
        super().__init__(durability=durability)
        self.key = _variable_key(key)
        self.expected = expected if expected.__class__ is Expectation else pack_value(expected, "expected")


class GetVariable(Query):
    """Replies the value of a variable, or `default`."""

    __slots__ = ("default", "key")

    def __init__(self, key: str, default: Value = None) -> None:
        self.key = _variable_key(key)
        self.default = default


class ListVariables(Query):
    """Replies a dict of the variables whose key begins with `prefix`."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: str = "") -> None:
        self.prefix = _text("prefix", prefix, MAX_KEY, empty=True)


class AcceptLosses(Command):
    """After a repair that lost an event which may have set any variable: take the variables as they are now.
    Replies None."""

    __slots__ = ()


# -- the life of the session; each replies SessionInfo


class SuspendSession(Command):
    """active → suspended."""

    __slots__ = ()


class ResumeSession(Command):
    """suspended → active."""

    __slots__ = ()


class CompleteSession(Command):
    """active or suspended → completed, for good."""

    __slots__ = ()


class FailSession(Command):
    """active or suspended → failed, for good, with a reason."""

    __slots__ = ("reason",)

    def __init__(self, reason: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.reason = _text("reason", reason, MAX_TEXT)


class ArchiveSession(Command):
    """completed or failed → archived: leaves the default listings, keeps journal and artifacts."""

    __slots__ = ()


class SaveSession(Command):
    """Write a snapshot; with `sync`, also put everything on disk. Replies SessionInfo."""

    __slots__ = ("sync",)

    def __init__(self, *, sync: bool = True) -> None:
        super().__init__()
        self.sync = sync


class LoadSession(Command):
    """Bring the session into memory. Replies SessionInfo."""

    __slots__ = ()


class DeleteSession(Command):
    """Remove the session and everything that belongs to it. Replies None."""

    __slots__ = ()


class ForkSession(Command):
    """Make a session whose history is this one's up to event `at_sequence` (default: all of it), in any status.
    Replies the new session's id."""

    __slots__ = ("at_sequence",)

    def __init__(self, at_sequence: int | None = None, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.at_sequence = whole_number("at_sequence", at_sequence)


class GetInfo(Query):
    """Replies SessionInfo."""

    __slots__ = ()


class Finish(Query):
    """Replies None once every message that was sent before it has been handled."""

    __slots__ = ()


# -- tags and metadata; each replies SessionInfo


class AddTag(Command):
    __slots__ = ("tag",)

    def __init__(self, tag: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tag = _text("tag", tag, MAX_TAG)


class RemoveTag(Command):
    __slots__ = ("tag",)

    def __init__(self, tag: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tag = _text("tag", tag, MAX_TAG)


class SetTags(Command):
    __slots__ = ("tags",)

    def __init__(self, tags: Iterable[str], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tags = tag_list(tags)


class UpdateMetadata(Command):
    """Merge into the metadata; a value of None removes its key."""

    __slots__ = ("changes",)

    def __init__(self, changes: Mapping[str, Value], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.changes: dict[str, Value] = unpack_value(metadata_bytes(changes))


# -- the conversation


class AddMessage(Command):
    """Add a turn of the conversation: content is text, a list of parts, or None. Replies Message."""

    __slots__ = ("content", "encoded", "metadata", "name", "role", "text", "tool_call_id", "tool_calls")

    def __init__(
        self,
        role: str,
        content: str | list[Value] | None,
        *,
        name: str | None = None,
        tool_calls: list[Value] | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, Value] | None = None,
        durability: Durability | str | None = None,
    ) -> None:
        super().__init__(durability=durability)
        self.role = _text("role", role, MAX_ROLE)
        if content is not None and not isinstance(content, (str, list)):
            raise ValidationError("content: a message is text, a list of parts, or None", field="content")
        self.text = content if isinstance(content, str) else None
        self.content = pack_value(content, "content")
        self.name = _text("name", name, MAX_NAME) if name is not None else None
        if tool_calls is not None and not isinstance(tool_calls, list):
            raise ValidationError("tool_calls: a list of objects", field="tool_calls")
        self.tool_calls = pack_value(tool_calls, "tool_calls") if tool_calls is not None else None
        size = len(self.content) + len(self.tool_calls or b"")
        if size > MAX_MESSAGE_BYTES:
            raise ResourceLimitExceeded(
                f"a message may have {MAX_MESSAGE_BYTES} bytes, this one has {size}: store an artifact",
                resource="message_bytes",
                limit=MAX_MESSAGE_BYTES,
                value=size,
            )
        self.tool_call_id = _text("tool_call_id", tool_call_id, MAX_NAME) if tool_call_id is not None else None
        self.metadata = metadata_bytes(metadata) if metadata else None
        self.encoded: Encoded | None = None


class GetMessages(Query):
    """Replies the newest `limit` messages before event sequence `before`, oldest first."""

    __slots__ = ("before", "limit")

    def __init__(self, limit: int | None = None, before: int | None = None) -> None:
        self.limit = whole_number("limit", limit)
        self.before = whole_number("before", before)


class GetEvents(Query):
    """Replies a list of the events with a sequence greater than `after`, at most `limit`."""

    __slots__ = ("after", "limit")

    def __init__(self, after: int = 0, limit: int | None = None) -> None:
        self.after = whole_number("after", after) or 0
        self.limit = whole_number("limit", limit)


# -- artifacts


class StoreArtifact(Command):
    """Store content under a name; the same name again makes the next version. Replies ArtifactInfo.

    Content is text (stored as UTF-8), bytes, a memoryview, or a binary file object, which is read to its end.
    It is hashed and compressed on the sender's thread. With `version_of`, the id of an artifact of that name, it is
    stored where that one is: also in another session, which shares it with write permission.
    """

    __slots__ = (
        "artifact_type",
        "collected",
        "content",
        "created_by",
        "custom",
        "description",
        "encoded",
        "mime_type",
        "name",
        "parent_artifact",
        "record",
        "tags",
        "version_of",
    )

    def __init__(
        self,
        type: str,
        name: str,
        content: str | bytes | bytearray | memoryview | BinaryIO,
        *,
        description: str | None = None,
        mime_type: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Value] | None = None,
        created_by: str | None = None,
        parent_artifact: ArtifactId | str | None = None,
        version_of: ArtifactId | str | None = None,
        durability: Durability | str | None = None,
    ) -> None:
        super().__init__(durability=durability)
        self.version_of = ArtifactId.parse(str(version_of)) if version_of is not None else None
        self.artifact_type = artifact_type(type)
        self.name = _text("name", name, 4096)
        if not is_artifact_name(self.name):
            wrong = (
                "this text is an artifact's id: an artifact of that name could not be told from the one with the id"
                if ArtifactId.named_by(self.name) is not None
                else "an artifact name has no control characters"
            )
            raise ValidationError(f"name: {wrong}", field="name")
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogatepass")
        elif isinstance(content, bytearray):
            content = bytes(content)
        elif isinstance(content, memoryview):
            content = content.cast("B") if content.contiguous else content.tobytes()
        elif not isinstance(content, bytes) and not hasattr(content, "read"):
            raise ValidationError("content: text, bytes, a memoryview or a binary file object", field="content")
        self.content: bytes | memoryview | Readable = content
        self.description = _text("description", description, MAX_TEXT) if description is not None else None
        self.mime_type = _text("mime_type", mime_type, MAX_NAME) if mime_type is not None else None
        self.tags = tag_list(tags)
        self.custom = metadata_bytes(metadata)
        self.created_by = _text("created_by", created_by, MAX_NAME) if created_by is not None else None
        self.parent_artifact = str(_artifact_ref(parent_artifact)) if parent_artifact is not None else None
        self.encoded: Encoded | None = None
        self.record: list[Any] = []
        self.collected = False
        """Whether it is an output that the runtime collects, which has limits of its own."""


UNSHARED: Final[Any] = object()
"""In place of the encoded content of a message that nobody but the path holds, so that it need not be copied."""


class StoreMany(Command):
    """Store a batch of artifacts in one atomic write: all of them or none. Replies a list of ArtifactInfo.

    Each is a `StoreArtifact` or a mapping of its arguments. The same name twice makes two versions.
    """

    __slots__ = ("items",)

    def __init__(
        self, items: Iterable[StoreArtifact | Mapping[str, Any]], *, durability: Durability | str | None = None
    ) -> None:
        super().__init__(durability=durability)
        if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
            raise ValidationError("items: a list of artifacts is needed", field="items")
        self.items: list[StoreArtifact] = [_batched(index, item) for index, item in enumerate(items)]
        if len(self.items) > MAX_BATCH:
            raise ValidationError(f"items: at most {MAX_BATCH} in one batch, not {len(self.items)}", field="items")


def _batched(index: int, item: StoreArtifact | Mapping[str, Any]) -> StoreArtifact:
    if isinstance(item, StoreArtifact):
        if item.version_of is not None:
            raise ValidationError(f"items[{index}]: a version of another's artifact is stored alone", field="items")
        return item
    if not isinstance(item, Mapping):
        raise ValidationError(f"items[{index}]: a mapping with type, name and content is needed", field="items")
    try:
        return _batched(index, StoreArtifact(**item))
    except ValidationError as error:
        raise ValidationError(f"items[{index}]: {error}", field=error.fields.get("field", "items")) from None
    except TypeError as error:
        text = str(error).partition(") ")[2] or str(error)
        raise ValidationError(f"items[{index}]: {text}", field="items") from None


class DeleteArtifact(Command):
    """Delete the artifact with this id, or one version (default: the latest) of a name. Replies None."""

    __slots__ = ("ref", "version")

    def __init__(
        self,
        ref: ArtifactId | str,
        version: int | str | None = None,
        *,
        durability: Durability | str | None = None,
    ) -> None:
        super().__init__(durability=durability)
        self.ref = _artifact_ref(ref)
        self.version = version


class GetArtifactInfo(Query):
    """Replies ArtifactInfo of an id, or of one version (default: the latest) of a name."""

    __slots__ = ("ref", "version")

    def __init__(self, ref: ArtifactId | str, version: int | str | None = None) -> None:
        self.ref = _artifact_ref(ref)
        self.version = version


class GetArtifact(GetArtifactInfo):
    """Replies Artifact: the info and the verified content."""

    __slots__ = ()


class GetArtifacts(Query):
    """Replies (results, errors) of many ids and names: what each named, and why the others could not be read."""

    __slots__ = ("refs",)

    def __init__(self, refs: Iterable[ArtifactId | str]) -> None:
        if isinstance(refs, (str, ArtifactId)) or not isinstance(refs, Iterable):
            raise ValidationError("refs: a list of ids and names is needed", field="refs")
        self.refs: list[ArtifactId | str] = list(refs)
        if not all(isinstance(ref, (str, ArtifactId)) for ref in self.refs):
            raise ValidationError("refs: an artifact is named by its id or its name", field="refs")


class QueryArtifacts(Query):
    """Replies a page of ArtifactInfo that match an `ArtifactQuery`, or its criteria by keyword."""

    __slots__ = ("query",)

    def __init__(self, query: ArtifactQuery | None = None, **criteria: Any) -> None:
        self.query = artifact_query(query, criteria)


class ListArtifacts(Query):
    """Replies a page of ArtifactInfo in the order of storing."""

    __slots__ = ("limit", "offset")

    def __init__(self, limit: int | None = None, offset: int = 0) -> None:
        self.limit = whole_number("limit", limit)
        self.offset = whole_number("offset", offset) or 0


class ListArtifactVersions(Query):
    """Replies a list of ArtifactInfo of every version of a name, oldest first.

    Instead of the name the id of one of them will do; of an artifact that another session shares it finds the
    versions that are shared.
    """

    __slots__ = ("name",)

    def __init__(self, name: ArtifactId | str) -> None:
        self.name = _text("name", str(name) if isinstance(name, ArtifactId) else name, 4096)


# -- checks


def _text(field: str, value: object, most: int, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{field}: text is needed, this is {value.__class__.__name__}", field=field)
    if len(value) > most or (not value and not empty):
        raise ValidationError(f"{field}: {0 if empty else 1} to {most} characters, this has {len(value)}", field=field)
    return value


def _artifact_ref(ref: object) -> ArtifactId | str:
    """An artifact id, from any spelling of one, or a name."""
    if isinstance(ref, ArtifactId):
        return ArtifactId.parse(str(ref))
    return _text("artifact", ref, 4096)


def _variable_key(key: object) -> str:
    if type(key) is str and 0 < len(key) <= MAX_KEY:
        return key
    return _text("key", key, MAX_KEY)


def _durability(value: Durability | str) -> Durability:
    try:
        return Durability(value)
    except ValueError:
        raise ValidationError("durability: memory, wal or fsync", field="durability") from None


def whole_number(field: str, value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValidationError(f"{field}: a whole number from 0 is needed", field=field)
    return value


def tag_list(tags: Iterable[str]) -> list[str]:
    """Tags in their order, without repetitions."""
    if tags == ():
        return []
    if isinstance(tags, str):
        raise ValidationError("tags: a list of texts is needed, not one text", field="tags")
    if not isinstance(tags, Iterable):
        raise ValidationError("tags: a list of texts is needed", field="tags")
    unique = list(dict.fromkeys(_text("tags", tag, MAX_TAG) for tag in tags))
    if len(unique) > MAX_TAGS:
        raise ValidationError(f"tags: at most {MAX_TAGS}, these are {len(unique)}", field="tags")
    return unique


EMPTY_METADATA: Final = pack_value({})


def metadata_bytes(metadata: Mapping[str, Value] | None) -> bytes:
    """A JSON object of at most 64 KiB, encoded."""
    if not metadata:
        if metadata is not None and not isinstance(metadata, Mapping):
            raise ValidationError("metadata: an object with text keys is needed", field="metadata")
        return EMPTY_METADATA
    if not isinstance(metadata, Mapping):
        raise ValidationError("metadata: an object with text keys is needed", field="metadata")
    packed = pack_value(metadata if type(metadata) is dict else dict(metadata), "metadata")
    if len(packed) > MAX_METADATA_BYTES:
        raise ValidationError(
            f"metadata: at most {MAX_METADATA_BYTES} bytes, this has {len(packed)}: store an artifact",
            field="metadata",
        )
    return packed
