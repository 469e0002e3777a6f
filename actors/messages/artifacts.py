"""Messages about the artifacts of a session."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, Unpack, cast

from greenroom.storage.artifacts.mime import given_mime_type
from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo, artifact_label, is_artifact_name
from greenroom.storage.artifacts.records import new_artifact_type
from greenroom.storage.common.arguments import as_items, as_mapping, as_text, kind_of
from greenroom.storage.common.page import Page
from greenroom.storage.errors import GreenroomError, ValidationError, shown

from .checks import (
    MAX_BATCH,
    MAX_NAME,
    MAX_TEXT,
    artifact_ref,
    metadata_bytes,
    named_ref,
    optional_text,
    tag_list,
    version_of_name,
    whole_number,
)
from .core import Command, How, Points, Query, Reply, attribute, unpacked
from .permissions import ADMIN, READ, WRITE

if TYPE_CHECKING:
    from greenroom.storage.artifacts.model import ArtifactRecord
    from greenroom.storage.artifacts.query import ArtifactKeywords, ArtifactQuery
    from greenroom.storage.content.chunks import Encoded, Readable

__all__ = [
    "UNSHARED",
    "AboutArtifact",
    "DeleteArtifact",
    "DeleteMany",
    "DeletedArtifact",
    "GetArtifact",
    "GetArtifactInfo",
    "GetArtifacts",
    "ListArtifactNames",
    "ListArtifactVersions",
    "ListArtifacts",
    "QueryArtifacts",
    "StoreArtifact",
    "StoreMany",
]


class StoreArtifact(Command[ArtifactInfo]):
    """Store content under a name; storing the same name again makes the next version. Replies ArtifactInfo.

    Content is text (stored as UTF-8), bytes, a memoryview, or a binary file object, which is read to its end. It is
    hashed and compressed on the sender's thread. `label` is a name for this version, unique among the versions of the
    name. `parent_artifact` is an artifact that the session may read. `version_of` is the id of an artifact of that
    name: the content is stored in the same session as that one, which may be another session that shares it with write
    permission.
    """

    __slots__ = (
        "artifact_type",
        "collected",
        "content",
        "created_by",
        "custom",
        "description",
        "encoded",
        "label",
        "mime_type",
        "name",
        "parent_artifact",
        "record",
        "tags",
        "version_of",
    )
    whole = WRITE
    rate = "artifact_store"
    access = "write"
    about_artifacts = True
    permission = WRITE
    names = "version_of"
    may_cross = True
    preparation = "content"
    points = Points("BeforeArtifactStore", "ArtifactStored")
    shown = {"type": attribute("artifact_type"), "metadata": unpacked("custom")}

    def __init__(
        self,
        type: str,
        name: str,
        content: str | bytes | bytearray | memoryview | BinaryIO,
        *,
        description: str | None = None,
        mime_type: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, object] | None = None,
        created_by: str | None = None,
        parent_artifact: ArtifactId | str | None = None,
        version_of: ArtifactId | str | None = None,
        label: str | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
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
        self.description = optional_text("description", description, MAX_TEXT)
        self.mime_type = given_mime_type(mime_type) if mime_type is not None else None
        self.tags = tag_list(tags)
        self.custom = metadata_bytes(metadata)
        self.created_by = optional_text("created_by", created_by, MAX_NAME)
        self.parent_artifact = artifact_ref(parent_artifact, "parent_artifact") if parent_artifact is not None else None
        self.label = artifact_label(label) if label is not None else None
        self.encoded: Encoded | None = None
        self.record: ArtifactRecord | None = None
        self.collected = False
        """Whether this is an output that the runtime collects. Collected outputs have limits of their own."""

    @property
    def content_bytes(self) -> int:
        content = self.content
        return sys.maxsize if callable(getattr(content, "read", None)) else len(cast("bytes", content))

    def carried(self) -> list[tuple[Any, Any]]:
        return [(self.encoded, self.content)]

    def crosses(self, session_id: str) -> bool:
        """Return whether the version or the parent belongs to an artifact of another session."""
        return (self.version_of is not None and self.version_of.session_id != session_id) or (
            self.parent_artifact is not None and self.parents(session_id) != []
        )

    def parents(self, session_id: str) -> list[ArtifactId]:
        """Return the parent if it is an artifact of another session than this one."""
        found = ArtifactId.named_by(self.parent_artifact)
        return [found] if found is not None and found.session_id != session_id else []


UNSHARED: Final[Any] = object()

"""Takes the place of the encoded content in a message that only the delivery path holds, so that it is not copied."""


def _stored(content: Any) -> bytes | memoryview | Readable:
    """Return content as bytes, or a file object to read it from."""
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


class StoreMany(Command[list[ArtifactInfo]]):
    """Store a batch of artifacts in one atomic write: all of them or none. Replies a list of ArtifactInfo.

    Each is a `StoreArtifact` or a mapping of its arguments. The same name twice makes two versions.
    """

    __slots__ = ("items",)
    whole = WRITE
    rate = "artifact_store"
    access = "write"
    about_artifacts = True
    may_cross = True
    preparation = "content"
    points = Points("BeforeArtifactStore", "ArtifactStored")

    def __init__(self, items: Iterable[StoreArtifact | Mapping[str, object]], **how: Unpack[How]) -> None:
        super().__init__(**how)
        given = as_items("items", items, MAX_BATCH, "a list of artifacts")
        self.items: list[StoreArtifact] = [_batched(index, item) for index, item in enumerate(given)]

    @property
    def operations(self) -> int:
        return len(self.items)

    @property
    def content_bytes(self) -> int:
        return sum(item.content_bytes for item in self.items)

    def carried(self) -> list[tuple[Any, Any]]:
        return [pair for item in self.items for pair in item.carried()]

    def crosses(self, session_id: str) -> bool:
        """Return whether any parent belongs to another session."""
        return any(item.parent_artifact is not None and item.parents(session_id) for item in self.items)

    def parents(self, session_id: str) -> list[ArtifactId]:
        """Return the parents that are artifacts of other sessions than this one."""
        return list(dict.fromkeys(parent for item in self.items for parent in item.parents(session_id)))


def _batched(index: int, item: StoreArtifact | Mapping[str, object]) -> StoreArtifact:
    if type(item) is StoreArtifact:
        if item.version_of is not None:
            raise ValidationError(f"items[{index}]: a version of another's artifact is stored alone", field="items")
        return item
    given = as_mapping(f"items[{index}]", item, "a mapping with type, name and content")
    unknown = next((name for name in given if name not in _ARTIFACT_ARGUMENTS), None)
    if unknown is not None:
        from greenroom.storage.common.validation import nearest

        advice = f"the nearest known one is {nearest(unknown, _ARTIFACT_ARGUMENTS)}"
        raise ValidationError(f"items[{index}]: unknown {shown(unknown)}; {advice}", field="items")
    try:
        return _batched(index, StoreArtifact(**given))
    except ValidationError as error:
        raise ValidationError(f"items[{index}]: {error}", field=error.fields.get("field", "items")) from None
    except TypeError as error:
        text = str(error).partition(") ")[2] or str(error)
        raise ValidationError(f"items[{index}]: {text}", field="items") from None


_ARTIFACT_ARGUMENTS: Final = frozenset(signature(StoreArtifact).parameters)


class DeleteArtifact(Command[None]):
    """Delete the artifact with this id, or one version (default: the latest) of a name. Replies None."""

    __slots__ = ("ref", "version")
    rate = "artifact_delete"
    access = "delete"
    about_artifacts = True
    permission = ADMIN
    names = "ref"
    may_cross = True
    points = Points("BeforeArtifactDelete", "ArtifactDeleted")

    def __init__(
        self,
        ref: ArtifactId | str,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)


class DeletedArtifact(NamedTuple):
    """One artifact that `DeleteMany` has deleted."""

    sequence: int
    content_hash: str
    name: str
    version: int


class DeleteMany(Command[list[DeletedArtifact]]):
    """Delete the artifacts of the session with these ids, and the latest versions of these names, in one atomic write.

    Replies those that were deleted, each once. References to artifacts that the session does not have are skipped.
    """

    __slots__ = ("refs",)
    rate = "artifact_delete"
    access = "delete"
    about_artifacts = True
    points = Points("BeforeArtifactDelete", "ArtifactDeleted")
    shown = {"refs": lambda message: [str(ref) for ref in message.refs]}

    def __init__(self, refs: Iterable[ArtifactId | str], **how: Unpack[How]) -> None:
        super().__init__(**how)
        given = as_items("refs", refs, MAX_BATCH, "a list of ids and names")
        self.refs = [artifact_ref(ref, "refs") for ref in given]

    @property
    def operations(self) -> int:
        return len(self.refs)


class AboutArtifact(Query[Reply]):
    """Base of the queries about one artifact: by its id, or by one version (default: the latest) of a name."""

    __slots__ = ("ref", "version")
    about_artifacts = True
    permission = READ
    names = "ref"
    may_cross = True

    def __init__(self, ref: ArtifactId | str, version: int | str | None = None) -> None:
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)


class GetArtifactInfo(AboutArtifact[ArtifactInfo]):
    """Replies the ArtifactInfo of an id, or of one version (default: the latest) of a name."""

    __slots__ = ()


class GetArtifact(AboutArtifact[Artifact]):
    """Replies an Artifact: the info and the verified content."""

    __slots__ = ()
    points = Points(None, "ArtifactRetrieved")


class GetArtifacts(Query[tuple[dict[ArtifactId | str, Artifact], dict[ArtifactId | str, GreenroomError]]]):
    """Replies (results, errors) for many ids and names: the artifact for each, or the error with which reading it
    failed."""

    __slots__ = ("refs",)
    about_artifacts = True
    permission = READ
    may_cross = True
    points = Points(None, "ArtifactRetrieved")
    shown = {"refs": lambda message: [str(ref) for ref in message.refs]}

    def __init__(self, refs: Iterable[ArtifactId | str]) -> None:
        given = as_items("refs", refs, MAX_BATCH, "a list of ids and names")
        self.refs = [named_ref(ref, "refs") for ref in given]

    def owner(self) -> str | None:
        owners = {found.session_id if (found := ArtifactId.named_by(ref)) is not None else None for ref in self.refs}
        return owners.pop() if len(owners) == 1 else None

    def crosses(self, session_id: str) -> bool:
        return any(
            (found := ArtifactId.named_by(ref)) is not None and found.session_id != session_id for ref in self.refs
        )


class QueryArtifacts(Query[Page[ArtifactInfo]]):
    """Replies a page of the ArtifactInfo that match an `ArtifactQuery`, or criteria given by keyword."""

    __slots__ = ("query",)
    access = "list"
    about_artifacts = True

    def __init__(self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]) -> None:
        from greenroom.storage.artifacts.query import artifact_query

        self.query = artifact_query(query, criteria)


class ListArtifacts(Query[Page[ArtifactInfo]]):
    """Replies a page of ArtifactInfo in the order in which they were stored."""

    __slots__ = ("limit", "offset")
    access = "list"
    about_artifacts = True

    def __init__(self, limit: int | None = None, offset: int = 0) -> None:
        self.limit = whole_number("limit", limit)
        self.offset = whole_number("offset", offset) or 0


class ListArtifactNames(Query[list[str]]):
    """Replies the distinct names of the session's artifacts that begin with `prefix`, in order."""

    __slots__ = ("prefix",)
    access = "list"
    about_artifacts = True

    def __init__(self, prefix: str = "") -> None:
        self.prefix = as_text("prefix", prefix, 4096, empty=True)


class ListArtifactVersions(Query[list[ArtifactInfo]]):
    """Replies a list of ArtifactInfo of every version of a name, oldest first.

    The id of a version may stand in place of the name. For an artifact that another session shares, the list has the
    versions that are shared.
    """

    __slots__ = ("name",)
    access = "list"
    about_artifacts = True
    permission = READ
    names = "name"
    may_cross = True

    def __init__(self, name: ArtifactId | str) -> None:
        self.name = str(artifact_ref(name, "name"))
