"""The global `Artifact`: stores, finds and reads artifacts of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import Artifact, ArtifactId
from greenroom.runtime import Page as Found
from greenroom.runtime.scripts import ArtifactCriteria, reply_as
from greenroom.scripting.definition.examples import File, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import COUNT, TEXT, TRUE, Object, Page, Rows, Value
from greenroom.scripting.definition.types import (
    ANYTHING,
    TABLE,
    ArtifactRef,
    Content,
    Items,
    Json,
    Path,
    SessionRef,
    Table,
    Text,
    as_list,
    as_texts,
)
from greenroom.scripting.definition.types import CONTENT as IS_CONTENT
from greenroom.scripting.definition.types import TEXT as IS_TEXT
from greenroom.scripting.definition.types import WHOLE as IS_WHOLE
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.objects import ARTIFACT, ARTIFACT_ID, CONTENT
from greenroom.scripting.globals.references import artifact_reference, store_options
from greenroom.scripting.globals.rows import artifact_row, content_row, identity_row, stored_row
from greenroom.scripting.globals.samples import ARTIFACT as AN_ARTIFACT
from greenroom.scripting.globals.samples import SESSION as A_SESSION

from .sharing import ArtifactSharing

__all__ = ["ArtifactGlobal"]

_QUERY: Final = Options.of(
    ArtifactCriteria,
    {"type": "artifact_type", "order_by": "sort", "sort_by": "sort"},
    session_id=ANYTHING,
    parent_artifact=ANYTHING,
)
_ITEM: Final = Options(
    {"type": IS_TEXT, "name": IS_TEXT, "content": IS_CONTENT, "metadata": TABLE}, {"artifact_type": "type"}
)
BYTES: Final = Value("content")
FOUND: Final = Object("found artifacts", parts={"found": Rows(CONTENT)}, itself=None)
DELETED: Final = Object("deleted artifacts", parts={"deleted": Rows(ARTIFACT_ID)}, itself=None)
_SECOND: Final = call("Artifact.update", A_SESSION, AN_ARTIFACT, "# Report\n\nNew.")
_FILE: Final = File("notes.txt", "Some notes.")


def _page(found: Any) -> dict[str, Any]:
    """Return the rows of a page, and how many there are in all."""
    page = reply_as(Found, found, "a page of artifacts")
    return {"rows": [artifact_row(each) for each in page], "total": page.total, "has_more": page.has_more}


def _criteria(given: Any, caller: str) -> dict[str, Any]:
    """Return the criteria of a filter under the names of the Python API."""
    wanted = _QUERY.read(given, caller)
    if "parent_artifact" in wanted:
        wanted["parent_artifact"] = artifact_reference(wanted["parent_artifact"])
    order = wanted.get("sort")
    if isinstance(order, str) and order.endswith(("_asc", "_desc")):
        wanted["sort"], _, direction = order.rpartition("_")
        wanted.setdefault("descending", direction == "desc")
    return wanted


def _item(given: Any) -> dict[str, Any]:
    """Return the arguments of `store_artifact` for a table of type, name, content and metadata."""
    item = _ITEM.read(given, "Artifact.storeMany")
    return {**store_options(item.pop("metadata", None)), **item}


def _references(given: Any) -> list[ArtifactId | str]:
    return [artifact_reference(each) for each in as_list(given)]


def _reference_row(reference: ArtifactId | str) -> Any:
    return identity_row(reference) if isinstance(reference, ArtifactId) else reference


def _version(given: Any) -> Any:
    """Return a version: its number, its label, or "latest"; None without one."""
    return IS_WHOLE.convert(defined(given))


class ArtifactGlobal(ArtifactSharing):
    """Stores, finds and reads artifacts. Functions take a session's id first ("" or nil: the current one), then an
    artifact's id or name."""

    NAME = "Artifact"

    @export(
        "store",
        returns=ARTIFACT_ID,
        options={"options": HOW},
        example=example(A_SESSION, "tool_result", "report.md", "# Report", {"tags": ["draft"], "step": 3}),
    )
    def store(
        self,
        session: SessionRef,
        type: Text,
        name: Text,
        content: Content,
        metadata: Table = UNDEFINED,
        options: Any = UNDEFINED,
    ) -> dict[str, Any]:
        """Store an artifact and return its id. In the metadata mime_type, description, tags, label, created_by and
        parent_artifact are fields of the artifact; everything else becomes `custom`."""
        more = store_options(metadata)
        info = self._context.session(session).store_artifact(type, name, content, **more, **options)
        return stored_row(info)

    @export("get", returns=CONTENT, counted=True, example=example(A_SESSION, AN_ARTIFACT))
    def get(self, session: SessionRef, artifact: ArtifactRef, version: Json = UNDEFINED) -> dict[str, Any]:
        """Return an artifact: its id, content and metadata."""
        which = artifact_reference(artifact)
        return content_row(self._context.session(session).get_artifact(which, _version(version)))

    @export("getContent", returns=BYTES, counted=True, example=example(A_SESSION, "report.md", before=[AN_ARTIFACT]))
    def get_content(self, session: SessionRef, artifact: ArtifactRef, version: Json = UNDEFINED) -> bytes:
        """Return the content of an artifact."""
        which = artifact_reference(artifact)
        found = self._context.session(session).get_artifact(which, _version(version))
        return reply_as(Artifact, found, "an artifact").content

    @export("getInfo", returns=ARTIFACT, example=example(A_SESSION, "report.md", 1, before=[AN_ARTIFACT]))
    def get_info(self, session: SessionRef, artifact: ArtifactRef, version: Json = UNDEFINED) -> dict[str, Any]:
        """Return the row of an artifact, without its content."""
        which = artifact_reference(artifact)
        return artifact_row(self._context.session(session).get_artifact_info(which, _version(version)))

    @export("list", returns=Page(ARTIFACT), counted=True, example=example(A_SESSION, before=[AN_ARTIFACT]))
    def list(self, session: SessionRef = UNDEFINED) -> Any:
        """Return the artifacts of a session."""
        return _page(self._context.session(session).list_artifacts())

    @export(
        "query",
        returns=Page(ARTIFACT),
        counted=True,
        forms=("query(filter)", "query(session, filter)"),
        options={"filter": _QUERY},
        example=example(A_SESSION, {"tags": ["draft"], "order_by": "size_desc", "limit": 10}, before=[AN_ARTIFACT]),
        read=False,
    )
    def query(self, session: Json = UNDEFINED, filter: Json = UNDEFINED) -> Any:
        """Return the artifacts that match. The default is the current session, or all sessions for a script of the
        host. Newest first, at most 100, where the filter does not say otherwise."""
        session, filter = _session_first(session, filter)
        return self._find(session, _criteria(filter, "Artifact.query"))

    @export(
        "count",
        returns=COUNT,
        forms=("count(filter)", "count(session, filter)"),
        options={"filter": _QUERY},
        example=example(A_SESSION, {"type": "tool_result"}, before=[AN_ARTIFACT]),
        read=False,
    )
    def count(self, session: Json = UNDEFINED, filter: Json = UNDEFINED) -> int:
        """Return the number of artifacts that match, of the same artifacts as `query` without a limit."""
        session, filter = _session_first(session, filter)
        place, criteria = self._place(session, _criteria(filter, "Artifact.count"))
        return int(place.count_artifacts(**criteria))

    @export(
        "findByType",
        returns=Page(ARTIFACT),
        counted=True,
        forms=("findByType(type)", "findByType(session, type)"),
        example=example(A_SESSION, "tool_result", before=[AN_ARTIFACT]),
    )
    def find_by_type(self, session: Json, type: Json = UNDEFINED) -> Any:
        """Return the artifacts of a type."""
        session, type = (UNDEFINED, session) if type is UNDEFINED else (session, type)
        kind = IS_TEXT.read(type, "Artifact.findByType", "type")
        return self._find(session, {"artifact_type": kind, "limit": None})

    @export(
        "findByTag",
        returns=Page(ARTIFACT),
        counted=True,
        forms=("findByTag(tag)", "findByTag(session, tag)"),
        example=example(A_SESSION, "draft", before=[AN_ARTIFACT]),
    )
    def find_by_tag(self, session: Json, tag: Json = UNDEFINED) -> Any:
        """Return the artifacts with a tag, or with all tags of a list."""
        session, tag = (UNDEFINED, session) if tag is UNDEFINED else (session, tag)
        tags = as_texts(tag) if isinstance(tag, list | dict) else [IS_TEXT.read(tag, "Artifact.findByTag", "tag")]
        return self._find(session, {"tags": tags, "limit": None})

    @export(
        "search",
        returns=Page(ARTIFACT),
        counted=True,
        forms=("search(text)", "search(session, text)"),
        example=example(A_SESSION, "report", before=[AN_ARTIFACT]),
    )
    def search(self, session: Json, text: Json = UNDEFINED) -> Any:
        """Return the artifacts that contain the text."""
        session, text = (UNDEFINED, session) if text is UNDEFINED else (session, text)
        wanted = IS_TEXT.read(text, "Artifact.search", "text")
        return self._find(session, {"text": wanted, "limit": None})

    def _find(self, session: Any, criteria: dict[str, Any]) -> Any:
        place, criteria = self._place(session, criteria)
        return _page(place.query_artifacts(**criteria))

    def _place(self, session: Any, criteria: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return where to look, and for what: in the named session, else in the current one, else (in an unbound
        script) in all."""
        context = self._context
        named = criteria.pop("session_id", None)
        if session is UNDEFINED or session is None or session == "":
            session = named
        nobody = session is None or session == ""
        return context.runtime if nobody and context.current_id is None else context.session(session), criteria

    @export("versions", returns=Page(ARTIFACT), counted=True, example=example(A_SESSION, "report.md", before=[_SECOND]))
    def versions(self, session: SessionRef, name: Text) -> Any:
        """Return the versions of an artifact, given by its name."""
        return [artifact_row(each) for each in self._context.session(session).artifact_versions(name)]

    @export("diff", returns=TEXT, counted=True, example=example(A_SESSION, "report.md", 1, 2, before=[_SECOND]))
    def diff(self, session: SessionRef, name: Text, old: Json, new: Json = UNDEFINED) -> str:
        """Return a unified diff of two versions of a text; empty if they are equal."""
        newer = IS_WHOLE.convert(defined(new, "latest"))
        return self._context.session(session).diff_artifact(name, IS_WHOLE.convert(old), newer)

    @export("delete", returns=TRUE, options={"options": HOW}, example=example(A_SESSION, AN_ARTIFACT))
    def delete(
        self, session: SessionRef, artifact: ArtifactRef, version: Json = UNDEFINED, options: Any = UNDEFINED
    ) -> bool:
        """Delete one version of an artifact."""
        which = artifact_reference(artifact)
        self._context.session(session).delete_artifact(which, _version(version), **options)
        return True

    @export(
        "storeMany",
        returns=Rows(ARTIFACT_ID),
        options={"options": HOW},
        example=example(A_SESSION, [{"type": "log", "name": "a.txt", "content": "one"}]),
    )
    def store_many(self, session: SessionRef, items: Items, options: Any = UNDEFINED) -> Any:
        """Store artifacts in one atomic write: tables of type, name, content and metadata. Return their ids."""
        stored = self._context.session(session).store_many([_item(each) for each in items], **options)
        return [stored_row(each) for each in stored]

    @export("getMany", returns=FOUND, counted=True, example=example(A_SESSION, [AN_ARTIFACT, "none.md"]))
    def get_many(self, session: SessionRef, artifacts: Items) -> dict[str, Any]:
        """Return a table of the artifacts that were `found`, each as `get` returns it, and of `failures`, each with the
        `artifact` as it was given, a `code` and a `message`."""
        report = self._context.session(session).get_many(_references(artifacts))
        failures = [
            {"artifact": _reference_row(reference), "code": error.code, "message": str(error)}
            for reference, error in report.errors.items()
        ]
        return {"found": [content_row(each) for each in report.results.values()], "failures": failures}

    @export(
        "deleteMany", returns=DELETED, options={"options": HOW}, example=example(A_SESSION, [AN_ARTIFACT, "none.md"])
    )
    def delete_many(self, session: SessionRef, artifacts: Items, options: Any = UNDEFINED) -> dict[str, Any]:
        """Delete artifacts in one atomic write, and return a table of the ids that were `deleted` and of the references
        that were `missing`."""
        report = self._context.session(session).delete_many(_references(artifacts), **options)
        missing = [_reference_row(each) for each in report.missing]
        return {"deleted": [identity_row(each) for each in report.deleted], "missing": missing}

    @export("storeFile", returns=ARTIFACT_ID, example=example(A_SESSION, _FILE, "user_input", {"tags": ["notes"]}))
    def store_file(
        self, session: SessionRef, path: Path, type: Text = "user_input", metadata: Table = UNDEFINED
    ) -> dict[str, Any]:
        """Store a file and return the artifact's id. The key `name` of the metadata replaces the file's own name. Needs
        a profile with files."""
        files = self._context.files
        source = files.path(path)
        given = dict(metadata) if isinstance(metadata, Mapping) else metadata
        name = given.pop("name", None) if isinstance(given, dict) else None
        more = store_options(given)
        handle = self._context.session(session)
        with files.open_for_reading(source) as file:
            progress = self._context.check_time
            info = handle.store_artifact(type, name or source.name, file, **more, on_progress=progress)
            return stored_row(info)

    @export("saveToFile", returns=COUNT, example=example(A_SESSION, AN_ARTIFACT, File("report.md")))
    def save_to_file(self, session: SessionRef, artifact: ArtifactRef, path: Path, version: Json = UNDEFINED) -> int:
        """Write the content of an artifact to a file and return its size in bytes. Needs a profile with files."""
        target = self._context.files.path(path)
        which = artifact_reference(artifact)
        progress = self._context.check_time
        handle = self._context.session(session)
        return handle.save_artifact(which, target, _version(version), on_progress=progress)


def _session_first(first: Any, second: Any) -> tuple[Any, Any]:
    """Return the session and the filter of (filter) or (session, filter)."""
    return (UNDEFINED, first) if second is UNDEFINED and not isinstance(first, str) else (first, second)
