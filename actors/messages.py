"""The messages a session understands: one class per command and query.

A command asks a session to change, a query to answer. Send them with `Runtime.ask` and `Runtime.tell`. Values are
checked and encoded when the message is made, so a message never changes on its way and a bad one is never sent.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from inspect import signature
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, cast

from greenroom.storage.arguments import as_flag, as_items, as_mapping, as_number, as_text, kind_of
from greenroom.storage.artifact_query import ArtifactQuery, artifact_query
from greenroom.storage.artifacts import ArtifactId, is_artifact_name, new_artifact_type
from greenroom.storage.engine import Durability
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError, shown
from greenroom.storage.records import Value, pack_value, unpack_value
from greenroom.storage.validation import nearest

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
        self.expected = expected if type(expected) is Expectation else pack_value(expected, "expected")
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
        self.expected = expected if type(expected) is Expectation else pack_value(expected, "expected")


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
        self.prefix = as_text("prefix", prefix, MAX_KEY, empty=True)


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
        self.reason = as_text("reason", reason, MAX_TEXT)


class ArchiveSession(Command):
    """completed or failed → archived: leaves the default listings, keeps journal and artifacts."""

    __slots__ = ()


class SaveSession(Command):
    """Write a snapshot; with `sync`, also put everything on disk. Replies SessionInfo."""

    __slots__ = ("sync",)

    def __init__(self, *, sync: bool = True) -> None:
        super().__init__()
        self.sync = as_flag("sync", sync)


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
        self.tag = as_text("tag", tag, MAX_TAG)


class RemoveTag(Command):
    __slots__ = ("tag",)

    def __init__(self, tag: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tag = as_text("tag", tag, MAX_TAG)


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
        self.role = as_text("role", role, MAX_ROLE)
        if content is not None and type(content) is not list:
            if not issubclass(type(content), str):
                raise ValidationError("content: a message is text, a list of parts, or None", field="content")
            content = str.__str__(content)
        self.text = content if type(content) is str else None
        self.content = pack_value(content, "content")
        self.name = _maybe_text("name", name, MAX_NAME)
        if tool_calls is not None and type(tool_calls) is not list:
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
        self.tool_call_id = _maybe_text("tool_call_id", tool_call_id, MAX_NAME)
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
        self.version_of = ArtifactId.of(version_of) if version_of is not None else None
        self.artifact_type = new_artifact_type(type)
        self.name = as_text("name", name, 4096)
        if not is_artifact_name(self.name):
            wrong = (
                "this text is an artifact's id: an artifact of that name could not be told from the one with the id"
                if ArtifactId.named_by(self.name) is not None
                else "an artifact name has no control characters"
            )
            raise ValidationError(f"name: {wrong}", field="name")
        self.content: bytes | memoryview | Readable = _stored(content)
        self.description = _maybe_text("description", description, MAX_TEXT)
        self.mime_type = _maybe_text("mime_type", mime_type, MAX_NAME)
        self.tags = tag_list(tags)
        self.custom = metadata_bytes(metadata)
        self.created_by = _maybe_text("created_by", created_by, MAX_NAME)
        self.parent_artifact = str(artifact_ref(parent_artifact)) if parent_artifact is not None else None
        self.encoded: Encoded | None = None
        self.record: list[Any] = []
        self.collected = False
        """Whether it is an output that the runtime collects, which has limits of its own."""


UNSHARED: Final[Any] = object()
"""In place of the encoded content of a message that nobody but the path holds, so that it need not be copied."""


def _stored(content: Any) -> bytes | memoryview | Readable:
    """Content as bytes, or a file object to read them from."""
    kind = type(content)
    if kind is bytes:
        return cast(bytes, content)
    if issubclass(kind, str):
        return str.__str__(content).encode("utf-8", "surrogatepass")
    if issubclass(kind, bytes):
        return bytes.__getitem__(content, slice(None))
    if issubclass(kind, bytearray):
        return bytes(memoryview(content))
    try:
        if kind is memoryview:
            view: bytes | memoryview = content.cast("B") if content.contiguous else content.tobytes()
            return view
        if callable(getattr(content, "read", None)):
            return cast("Readable", content)
    except Exception as error:
        raise ValidationError(f"content: it cannot be read: {kind_of(error)}", field="content") from error
    raise ValidationError(
        f"content: text, bytes, a memoryview or a binary file object is needed, not {kind_of(content)}", field="content"
    )


class StoreMany(Command):
    """Store a batch of artifacts in one atomic write: all of them or none. Replies a list of ArtifactInfo.

    Each is a `StoreArtifact` or a mapping of its arguments. The same name twice makes two versions.
    """

    __slots__ = ("items",)

    def __init__(
        self, items: Iterable[StoreArtifact | Mapping[str, Any]], *, durability: Durability | str | None = None
    ) -> None:
        super().__init__(durability=durability)
        given = as_items("items", items, MAX_BATCH, "a list of artifacts")
        self.items: list[StoreArtifact] = [_batched(index, item) for index, item in enumerate(given)]


def _batched(index: int, item: StoreArtifact | Mapping[str, Any]) -> StoreArtifact:
    if type(item) is StoreArtifact:
        if item.version_of is not None:
            raise ValidationError(f"items[{index}]: a version of another's artifact is stored alone", field="items")
        return item
    given = as_mapping(f"items[{index}]", item, "a mapping with type, name and content")
    unknown = next((name for name in given if name not in _ARTIFACT_ARGUMENTS), None)
    if unknown is not None:
        advice = f"did you mean {nearest(unknown, _ARTIFACT_ARGUMENTS)}?"
        raise ValidationError(f"items[{index}]: unknown {shown(unknown)}; {advice}", field="items")
    try:
        return _batched(index, StoreArtifact(**given))
    except ValidationError as error:
        raise ValidationError(f"items[{index}]: {error}", field=error.fields.get("field", "items")) from None
    except TypeError as error:
        text = str(error).partition(") ")[2] or str(error)
        raise ValidationError(f"items[{index}]: {text}", field="items") from None


_ARTIFACT_ARGUMENTS: Final = frozenset(signature(StoreArtifact).parameters)


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
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)


class GetArtifactInfo(Query):
    """Replies ArtifactInfo of an id, or of one version (default: the latest) of a name."""

    __slots__ = ("ref", "version")

    def __init__(self, ref: ArtifactId | str, version: int | str | None = None) -> None:
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)


class GetArtifact(GetArtifactInfo):
    """Replies Artifact: the info and the verified content."""

    __slots__ = ()


class GetArtifacts(Query):
    """Replies (results, errors) of many ids and names: what each named, and why the others could not be read."""

    __slots__ = ("refs",)

    def __init__(self, refs: Iterable[ArtifactId | str]) -> None:
        given = as_items("refs", refs, MAX_BATCH, "a list of ids and names")
        self.refs = [named_ref(ref, "refs") for ref in given]


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
        self.name = str(artifact_ref(name, "name"))


# -- checks


def _maybe_text(field: str, value: object, most: int = MAX_NAME) -> str | None:
    return as_text(field, value, most) if value is not None else None


def artifact_ref(ref: object, field: str = "artifact") -> ArtifactId | str:
    """An artifact id, from any spelling of one, or a name."""
    if issubclass(type(ref), ArtifactId):
        return ArtifactId.of(ref)
    return as_text(field, ref, 4096)


def named_ref(ref: object, field: str) -> ArtifactId | str:
    """What somebody takes for an artifact's id or name, as plain values: whether it is one shows when it is read."""
    if issubclass(type(ref), ArtifactId):
        parts = ArtifactId.parts(ref)
        if parts is not None:
            return ArtifactId(*parts)
    return as_text(field, ref, MAX_TEXT, empty=True)


def version_of_name(version: object) -> int | str | None:
    """What may stand where a version is asked for: its number or its text."""
    if version is None or type(version) is int:
        return version
    if issubclass(type(version), str):
        return as_text("version", version, MAX_NAME)
    raise ValidationError('version: a whole number from 1 is needed, or "latest"', field="version")


def _variable_key(key: object) -> str:
    if type(key) is str and 0 < len(key) <= MAX_KEY:
        return key
    return as_text("key", key, MAX_KEY)


def _durability(value: Durability | str) -> Durability:
    if type(value) is Durability:
        return value
    found = _DURABILITIES.get(str.__str__(value)) if issubclass(type(value), str) else None
    if found is None:
        raise ValidationError("durability: memory, wal or fsync", field="durability")
    return found


_DURABILITIES: Final = {each.value: each for each in Durability}


def whole_number(field: str, value: object) -> int | None:
    return as_number(field, value) if value is not None else None


def tag_list(tags: Iterable[str]) -> list[str]:
    """Tags in their order, without repetitions."""
    if type(tags) is tuple and not tags:
        return []
    items = as_items("tags", tags, _MAX_GIVEN_TAGS, "a list of texts")
    unique = list(dict.fromkeys(as_text("tags", tag, MAX_TAG) for tag in items))
    if len(unique) > MAX_TAGS:
        raise ValidationError(f"tags: at most {MAX_TAGS}, these are {len(unique)}", field="tags")
    return unique


_MAX_GIVEN_TAGS: Final = 10_000

EMPTY_METADATA: Final = pack_value({})


def metadata_bytes(metadata: Mapping[str, Value] | None) -> bytes:
    """A JSON object of at most 64 KiB, encoded."""
    if metadata is None:
        return EMPTY_METADATA
    packed = pack_value(metadata if type(metadata) is dict else as_mapping("metadata", metadata), "metadata")
    if len(packed) > MAX_METADATA_BYTES:
        raise ValidationError(
            f"metadata: at most {MAX_METADATA_BYTES} bytes, this has {len(packed)}: store an artifact",
            field="metadata",
        )
    return packed
