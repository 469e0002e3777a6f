"""The global `Artifact`: stores, finds and reads artifacts of sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from greenroom.runtime import Artifact, ArtifactId, Page
from greenroom.runtime.scripts import reply_as
from greenroom.scripting.export import export
from greenroom.scripting.files import Files
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import UNDEFINED, artifact_row, content_row, defined, identity_row, options, stored_row

from .references import artifact_reference, store_options
from .sharing import ArtifactSharing

__all__ = ["ArtifactGlobal"]

_QUERY: Final = frozenset(
    (
        "session_id",
        "type",
        "artifact_type",
        "name_pattern",
        "case_sensitive",
        "tags",
        "without_tags",
        "content_hash",
        "parent_artifact",
        "latest_only",
        "custom",
        "text",
        "fuzzy",
        "created_after",
        "created_before",
        "min_size",
        "max_size",
        "created_by",
        "sort",
        "order_by",
        "descending",
        "offset",
        "limit",
    )
)


def _page(found: Any) -> dict[str, Any]:
    """Return the rows of a page, and how many there are in all."""
    page = reply_as(Page, found, "a page of artifacts")
    return {"rows": [artifact_row(each) for each in page], "total": page.total, "has_more": page.has_more}


def _criteria(given: dict[str, Any]) -> dict[str, Any]:
    """Return the criteria of a filter under the names of the Python API."""
    if "type" in given:
        given["artifact_type"] = given.pop("type")
    if given.get("parent_artifact") is not None:
        given["parent_artifact"] = artifact_reference(given["parent_artifact"])
    for name in ("sort", "order_by"):
        order = given.get(name)
        if isinstance(order, str) and order.endswith(("_asc", "_desc")):
            given[name], _, direction = order.rpartition("_")
            given.setdefault("descending", direction == "desc")
    return given


class ArtifactGlobal(ArtifactSharing):
    """Provides functions on artifacts. They take a session's id first ("" or nil: the current one), then an artifact's
    id or name."""

    def __init__(self, principal: ScriptContext, files: Files) -> None:
        super().__init__(principal)
        self._files = files

    @export("store", binary=(3,))
    def store(self, session: Any, kind: Any, name: Any, content: Any, metadata: Any = UNDEFINED) -> dict[str, Any]:
        more = store_options(metadata)
        info = self._principal.session(session).store_artifact(kind, name, content, **more)
        return stored_row(info)

    @export("get", counted=True)
    def get(self, session: Any, reference: Any, version: Any = UNDEFINED) -> dict[str, Any]:
        which = artifact_reference(reference)
        return content_row(self._principal.session(session).get_artifact(which, defined(version)))

    @export("getContent", counted=True)
    def get_content(self, session: Any, reference: Any, version: Any = UNDEFINED) -> bytes:
        which = artifact_reference(reference)
        artifact = self._principal.session(session).get_artifact(which, defined(version))
        return reply_as(Artifact, artifact, "an artifact").content

    @export("getInfo")
    def get_info(self, session: Any, reference: Any, version: Any = UNDEFINED) -> dict[str, Any]:
        which = artifact_reference(reference)
        return artifact_row(self._principal.session(session).get_artifact_info(which, defined(version)))

    @export("list", counted=True)
    def list(self, session: Any = UNDEFINED) -> Any:
        return _page(self._principal.session(session).list_artifacts())

    @export("query", counted=True)
    def query(self, first: Any = UNDEFINED, second: Any = UNDEFINED) -> Any:
        """Return the artifacts that match: query(filter) or query(session, filter). The default is the current session,
        or all sessions for a script of the host."""
        given, session = (first, UNDEFINED) if second is UNDEFINED and not isinstance(first, str) else (second, first)
        wanted = options(given, "Artifact.query", _QUERY)
        return self._find(session, _criteria(wanted))

    @export("count")
    def count(self, first: Any = UNDEFINED, second: Any = UNDEFINED) -> int:
        """Return the number of artifacts that match: count(filter) or count(session, filter), of the same artifacts as
        `query` without a limit."""
        given, session = (first, UNDEFINED) if second is UNDEFINED and not isinstance(first, str) else (second, first)
        place, criteria = self._place(session, _criteria(options(given, "Artifact.count", _QUERY)))
        return int(place.count_artifacts(**criteria))

    @export("findByType", counted=True)
    def find_by_type(self, first: Any, second: Any = UNDEFINED) -> Any:
        """Return the artifacts of a type: findByType(session, type) or findByType(type)."""
        session, kind = (UNDEFINED, first) if second is UNDEFINED else (first, second)
        return self._find(session, {"artifact_type": kind, "limit": None})

    @export("findByTag", counted=True)
    def find_by_tag(self, first: Any, second: Any = UNDEFINED) -> Any:
        """Return the artifacts with a tag, or with all tags of a list: findByTag(session, tag) or findByTag(tag)."""
        session, tag = (UNDEFINED, first) if second is UNDEFINED else (first, second)
        return self._find(session, {"tags": [tag] if isinstance(tag, str) else tag, "limit": None})

    @export("search", counted=True)
    def search(self, first: Any, second: Any = UNDEFINED) -> Any:
        """Return the artifacts that contain the text: search(session, text) or search(text)."""
        session, text = (UNDEFINED, first) if second is UNDEFINED else (first, second)
        return self._find(session, {"text": text, "limit": None})

    def _find(self, session: Any, criteria: dict[str, Any]) -> Any:
        place, criteria = self._place(session, criteria)
        return _page(place.query_artifacts(**criteria))

    def _place(self, session: Any, criteria: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return where to look, and for what: in the named session, else in the current one, else (in an unbound
        script) in all."""
        principal = self._principal
        named = criteria.pop("session_id", None)
        if session is UNDEFINED or session is None or session == "":
            session = named
        for name in ("tags", "without_tags"):
            if criteria.get(name) == {}:
                criteria[name] = []
        nobody = session is None or session == ""
        return principal.runtime if nobody and principal.current_id is None else principal.session(session), criteria

    @export("versions", counted=True)
    def versions(self, session: Any, name: Any) -> Any:
        return [artifact_row(each) for each in self._principal.session(session).artifact_versions(name)]

    @export("delete")
    def delete(self, session: Any, reference: Any, version: Any = UNDEFINED) -> bool:
        which = artifact_reference(reference)
        self._principal.session(session).delete_artifact(which, defined(version))
        return True

    @export("deleteMany")
    def delete_many(self, session: Any, references: Any) -> dict[str, Any]:
        """Delete artifacts in one atomic write, and return a table of the ids that were `deleted` and of the references
        that were `missing`."""
        which = [artifact_reference(each) for each in references] if isinstance(references, Sequence) else references
        report = self._principal.session(session).delete_many(which)
        missing = [identity_row(each) if isinstance(each, ArtifactId) else each for each in report.missing]
        return {"deleted": [identity_row(each) for each in report.deleted], "missing": missing}

    @export("storeFile")
    def store_file(
        self, session: Any, path: Any, kind: Any = "user_input", metadata: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Store a file. The key `name` of the metadata replaces the file's own name."""
        source = self._files.path(path)
        given = dict(metadata) if isinstance(metadata, Mapping) else metadata
        name = given.pop("name", None) if isinstance(given, dict) else None
        more = store_options(given)
        handle = self._principal.session(session)
        with self._files.open_for_reading(source) as file:
            kind = defined(kind, "user_input")
            progress = self._principal.check_time
            info = handle.store_artifact(kind, name or source.name, file, **more, on_progress=progress)
            return stored_row(info)

    @export("saveToFile")
    def save_to_file(self, session: Any, reference: Any, path: Any, version: Any = UNDEFINED) -> int:
        """Write the content to a file and return its size in bytes."""
        target = self._files.path(path)
        which = artifact_reference(reference)
        progress = self._principal.check_time
        return self._principal.session(session).save_artifact(which, target, defined(version), on_progress=progress)
