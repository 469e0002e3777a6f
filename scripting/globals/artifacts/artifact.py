"""The global `Artifact`: stores, finds and reads artifacts of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import Artifact, ArtifactId, ValidationError
from greenroom.runtime import Page as Found
from greenroom.runtime.scripts import ArtifactCriteria, reply_as
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import COUNT, TEXT, TRUE, Object, Page, Rows, Value
from greenroom.scripting.definition.types import Content, Text, Whole, as_list, as_texts
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import ARTIFACT, ARTIFACT_ID, CONTENT
from greenroom.scripting.globals.references import artifact_reference, store_options
from greenroom.scripting.globals.rows import artifact_row, content_row, how, identity_row, options, stored_row

from .sharing import ArtifactSharing

__all__ = ["ArtifactGlobal"]

_QUERY: Final = ArtifactCriteria.model_fields
_SAME: Final = {"type": "artifact_type", "order_by": "sort", "sort_by": "sort"}
"""Other names of criteria."""
_ITEM: Final = frozenset(("type", "name", "content", "metadata"))
_TYPE: Final = {"artifact_type": "type"}
BYTES: Final = Value("content")
FOUND: Final = Object("found artifacts", parts={"found": Rows(CONTENT)}, itself=None)
DELETED: Final = Object("deleted artifacts", parts={"deleted": Rows(ARTIFACT_ID)}, itself=None)


def _page(found: Any) -> dict[str, Any]:
    """Return the rows of a page, and how many there are in all."""
    page = reply_as(Found, found, "a page of artifacts")
    return {"rows": [artifact_row(each) for each in page], "total": page.total, "has_more": page.has_more}


def _criteria(given: Any, caller: str) -> dict[str, Any]:
    """Return the criteria of a filter under the names of the Python API."""
    wanted = options(given, caller, _QUERY, _SAME)
    if "parent_artifact" in wanted:
        wanted["parent_artifact"] = artifact_reference(wanted["parent_artifact"])
    order = wanted.get("sort")
    if isinstance(order, str) and order.endswith(("_asc", "_desc")):
        wanted["sort"], _, direction = order.rpartition("_")
        wanted.setdefault("descending", direction == "desc")
    return wanted


def _item(given: Any) -> dict[str, Any]:
    """Return the arguments of `store_artifact` for a table of type, name, content and metadata."""
    item = options(given, "Artifact.storeMany", _ITEM, _TYPE)
    return {**store_options(item.pop("metadata", None)), **item}


def _references(given: Any) -> list[ArtifactId | str]:
    given = as_list(given)
    if not isinstance(given, list | tuple):
        raise ValidationError("a list of artifacts is needed", field="artifacts")
    return [artifact_reference(each) for each in given]


def _reference_row(reference: ArtifactId | str) -> Any:
    return identity_row(reference) if isinstance(reference, ArtifactId) else reference


class ArtifactGlobal(ArtifactSharing):
    """Stores, finds and reads artifacts. Functions take a session's id first ("" or nil: the current one), then an
    artifact's id or name."""

    NAME = "Artifact"

    def __init__(self, context: ScriptContext) -> None:
        super().__init__(context)
        self._files = context.files

    @export("store", returns=ARTIFACT_ID)
    def store(
        self, session: Any, kind: Any, name: Text, content: Content, metadata: Any = UNDEFINED, given: Any = UNDEFINED
    ) -> dict[str, Any]:
        more = store_options(metadata)
        info = self._context.session(session).store_artifact(
            kind, name, content, **more, **how(given, "Artifact.store")
        )
        return stored_row(info)

    @export("get", returns=CONTENT, counted=True)
    def get(self, session: Any, reference: Text, version: Whole = UNDEFINED) -> dict[str, Any]:
        which = artifact_reference(reference)
        return content_row(self._context.session(session).get_artifact(which, defined(version)))

    @export("getContent", returns=BYTES, counted=True)
    def get_content(self, session: Any, reference: Text, version: Whole = UNDEFINED) -> bytes:
        which = artifact_reference(reference)
        artifact = self._context.session(session).get_artifact(which, defined(version))
        return reply_as(Artifact, artifact, "an artifact").content

    @export("getInfo", returns=ARTIFACT)
    def get_info(self, session: Any, reference: Text, version: Whole = UNDEFINED) -> dict[str, Any]:
        which = artifact_reference(reference)
        return artifact_row(self._context.session(session).get_artifact_info(which, defined(version)))

    @export("list", returns=Page(ARTIFACT), counted=True)
    def list(self, session: Any = UNDEFINED) -> Any:
        return _page(self._context.session(session).list_artifacts())

    @export("query", returns=Page(ARTIFACT), counted=True)
    def query(self, first: Any = UNDEFINED, second: Any = UNDEFINED) -> Any:
        """Return the artifacts that match: query(filter) or query(session, filter). The default is the current session,
        or all sessions for a script of the host."""
        given, session = (first, UNDEFINED) if second is UNDEFINED and not isinstance(first, str) else (second, first)
        return self._find(session, _criteria(given, "Artifact.query"))

    @export("count", returns=COUNT)
    def count(self, first: Any = UNDEFINED, second: Any = UNDEFINED) -> int:
        """Return the number of artifacts that match: count(filter) or count(session, filter), of the same artifacts as
        `query` without a limit."""
        given, session = (first, UNDEFINED) if second is UNDEFINED and not isinstance(first, str) else (second, first)
        place, criteria = self._place(session, _criteria(given, "Artifact.count"))
        return int(place.count_artifacts(**criteria))

    @export("findByType", returns=Page(ARTIFACT), counted=True)
    def find_by_type(self, first: Any, second: Any = UNDEFINED) -> Any:
        """Return the artifacts of a type: findByType(session, type) or findByType(type)."""
        session, kind = (UNDEFINED, first) if second is UNDEFINED else (first, second)
        return self._find(session, {"artifact_type": kind, "limit": None})

    @export("findByTag", returns=Page(ARTIFACT), counted=True)
    def find_by_tag(self, first: Text, second: Text = UNDEFINED) -> Any:
        """Return the artifacts with a tag, or with all tags of a list: findByTag(session, tag) or findByTag(tag)."""
        session, tag = (UNDEFINED, first) if second is UNDEFINED else (first, second)
        return self._find(session, {"tags": [tag] if isinstance(tag, str) else as_texts(tag), "limit": None})

    @export("search", returns=Page(ARTIFACT), counted=True)
    def search(self, first: Text, second: Text = UNDEFINED) -> Any:
        """Return the artifacts that contain the text: search(session, text) or search(text)."""
        session, text = (UNDEFINED, first) if second is UNDEFINED else (first, second)
        return self._find(session, {"text": text, "limit": None})

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

    @export("versions", returns=Page(ARTIFACT), counted=True)
    def versions(self, session: Any, name: Text) -> Any:
        return [artifact_row(each) for each in self._context.session(session).artifact_versions(name)]

    @export("diff", returns=TEXT, counted=True)
    def diff(self, session: Any, name: Text, old: Whole, new: Whole = "latest") -> str:
        """Return a unified diff of two versions of a text; empty if they are equal."""
        return self._context.session(session).diff_artifact(name, old, defined(new, "latest"))

    @export("delete", returns=TRUE)
    def delete(self, session: Any, reference: Text, version: Whole = UNDEFINED, given: Any = UNDEFINED) -> bool:
        which = artifact_reference(reference)
        self._context.session(session).delete_artifact(which, defined(version), **how(given, "Artifact.delete"))
        return True

    @export("storeMany", returns=Rows(ARTIFACT_ID))
    def store_many(self, session: Any, items: Any, given: Any = UNDEFINED) -> Any:
        """Store artifacts in one atomic write: tables of type, name, content and metadata. Return their ids."""
        items = as_list(items)
        if not isinstance(items, list | tuple):
            raise ValidationError("Artifact.storeMany takes a list of tables", field="items")
        more = how(given, "Artifact.storeMany")
        stored = self._context.session(session).store_many([_item(each) for each in items], **more)
        return [stored_row(each) for each in stored]

    @export("getMany", returns=FOUND, counted=True)
    def get_many(self, session: Any, references: Any) -> dict[str, Any]:
        """Return a table of the artifacts that were `found`, each as `get` returns it, and of `failures`, each with the
        `artifact` as it was given, a `code` and a `message`."""
        report = self._context.session(session).get_many(_references(references))
        failures = [
            {"artifact": _reference_row(reference), "code": error.code, "message": str(error)}
            for reference, error in report.errors.items()
        ]
        return {"found": [content_row(each) for each in report.results.values()], "failures": failures}

    @export("deleteMany", returns=DELETED)
    def delete_many(self, session: Any, references: Any, given: Any = UNDEFINED) -> dict[str, Any]:
        """Delete artifacts in one atomic write, and return a table of the ids that were `deleted` and of the references
        that were `missing`."""
        report = self._context.session(session).delete_many(
            _references(references), **how(given, "Artifact.deleteMany")
        )
        missing = [_reference_row(each) for each in report.missing]
        return {"deleted": [identity_row(each) for each in report.deleted], "missing": missing}

    @export("storeFile", returns=ARTIFACT_ID)
    def store_file(
        self, session: Any, path: Any, kind: Any = "user_input", metadata: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Store a file. The key `name` of the metadata replaces the file's own name."""
        source = self._files.path(path)
        given = dict(metadata) if isinstance(metadata, Mapping) else metadata
        name = given.pop("name", None) if isinstance(given, dict) else None
        more = store_options(given)
        handle = self._context.session(session)
        with self._files.open_for_reading(source) as file:
            kind = defined(kind, "user_input")
            progress = self._context.check_time
            info = handle.store_artifact(kind, name or source.name, file, **more, on_progress=progress)
            return stored_row(info)

    @export("saveToFile", returns=COUNT)
    def save_to_file(self, session: Any, reference: Text, path: Any, version: Whole = UNDEFINED) -> int:
        """Write the content to a file and return its size in bytes."""
        target = self._files.path(path)
        which = artifact_reference(reference)
        progress = self._context.check_time
        return self._context.session(session).save_artifact(which, target, defined(version), on_progress=progress)
