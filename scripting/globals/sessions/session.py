"""The global `Session`: creates and finds sessions, and changes what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import SessionNotFound, SessionTree, ValidationError
from greenroom.scripting.definition.examples import File, Variable, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import COUNT, DICT, FLAG, LIST, TRUE, Maybe, Page, Rows
from greenroom.scripting.definition.types import (
    ANYTHING,
    TABLE,
    TEXT,
    TEXTS,
    Number,
    Path,
    SessionRef,
    Table,
    Text,
    Texts,
    Whole,
)
from greenroom.scripting.definition.types import (
    FLAG as IS_FLAG,
)
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW, QUERY
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import SESSION, SESSION_ID
from greenroom.scripting.globals.rows import config_row, session_row
from greenroom.scripting.globals.samples import CURRENT, DONE, MESSAGE
from greenroom.scripting.globals.samples import SESSION as A_SESSION

__all__ = ["SessionGlobal"]

_SIMPLE: Final = (str, int, float, dict)
_CREATE: Final = Options(
    {
        "name": TEXT,
        "description": TEXT,
        "created_by": TEXT,
        "tags": TEXTS,
        "metadata": TABLE,
        "parent": ANYTHING,
        "config": TABLE,
        "correlation_id": TEXT,
        "template": TEXT,
        "key": TEXT,
    },
    {"parent_session_id": "parent"},
)
_FORK: Final = Options(
    {
        "system_prompt": TEXT,
        "edit_messages": ANYTHING,
        "drop_messages": ANYTHING,
        "tool_results": ANYTHING,
        "add_messages": ANYTHING,
        "variables": TABLE,
        "delete_variables": TEXTS,
        "tags": TEXTS,
    }
)
_EXPORT: Final = Options({"tree": IS_FLAG, "history": IS_FLAG})
_IMPORT: Final = Options({"keep_ids": IS_FLAG})
_SUSPENDED: Final = call("Session.suspend", A_SESSION)
_CHILD: Final = Variable("child", call("Session.create", {"name": "Part", "parent": A_SESSION}))
_BUNDLE: Final = call("Session.export", A_SESSION, File("analysis.bundle"))


class SessionGlobal:
    """Creates, finds and changes sessions, given by an id or by a row with one. Changes return true."""

    NAME = "Session"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._files = context.files

    # -- creating and finding

    @export(
        "create",
        returns=SESSION_ID,
        options={"options": _CREATE},
        example=example({"name": "Analysis", "tags": ["nlp"], "metadata": {"team": "x"}}),
    )
    def create(self, options: Any = UNDEFINED) -> str:
        """Create a session and return its id, a text that answers the session's fields and methods."""
        return self._context.runtime.create_session(**self._creation(options)).id

    @export(
        "getOrCreate",
        returns=SESSION_ID,
        options={"options": _CREATE},
        example=example("user-7/chat-3", {"name": "Chat"}),
    )
    def get_or_create(self, key: Text, options: Any = UNDEFINED) -> str:
        """Return the id of the session with this key. Create the session if there is none."""
        wanted = self._creation(options)
        if wanted.setdefault("key", key) != key:
            raise ValidationError("Session.getOrCreate takes one key, and was given two", field="key")
        return self._context.runtime.get_or_create(**wanted).id

    def _creation(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if "parent" in wanted:
            wanted["parent"] = self._context.session(wanted["parent"]).id
        return wanted

    @export("get", returns=SESSION, on=SESSION, example=example(A_SESSION))
    def get(self, session: SessionRef) -> dict[str, Any]:
        """Return the row of a session: every field of SessionInfo, times in RFC 3339, and its `config`."""
        if session is UNDEFINED:
            raise ValidationError("Session.get needs the id of a session", field="session_id")
        handle = self._context.session(session)
        return session_row(handle.info()) | {"config": config_row(handle.config)}

    @export(
        "list",
        returns=Page(SESSION, total="count"),
        options={"query": QUERY},
        counted=True,
        example=example({"tags": ["nlp"], "sort_by": "name", "limit": 10}, before=[A_SESSION]),
    )
    def list(self, query: Any = UNDEFINED) -> dict[str, Any]:
        """Return the sessions that match, as a page."""
        page = self._context.runtime.list_sessions(**self._criteria(query))
        more = {"next_cursor": page.next_cursor} if page.next_cursor is not None else {}
        return {"rows": [session_row(each) for each in page], "has_more": page.has_more, **more}

    @export("count", returns=COUNT, options={"query": QUERY}, example=example({"status": "all"}))
    def count(self, query: Any = UNDEFINED) -> int:
        """Return how many sessions match."""
        return self._context.runtime.count_sessions(**self._criteria(query))

    def _criteria(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if isinstance(wanted.get("parent"), Mapping):
            wanted["parent"] = self._context.session(wanted["parent"]).id
        return wanted

    @export("saveAll", returns=COUNT, example=example())
    def save_all(self) -> int:
        """Save all sessions and return their number. For scripts of the host."""
        return self._context.runtime.save_all()

    @export("cleanup", returns=COUNT, example=example(30))
    def cleanup(self, days: Number = UNDEFINED) -> int:
        """Delete the ended sessions that are older than their retention, or than so many days; return how many. For
        scripts of the host."""
        return self._context.runtime.cleanup(defined(days))

    @export("restoreRecent", returns=Rows(SESSION_ID), example=example(5))
    def restore_recent(self, count: Whole = 10) -> Any:
        """Load the sessions that were used last and return their ids. For scripts of the host."""
        if count < 0:
            raise ValidationError("Session.restoreRecent takes a number of sessions", field="count")
        return [each.id for each in self._context.runtime.restore_recent(count)]

    @export("field", hidden=True)
    def field(self, session: SessionRef, name: Text) -> Any:
        """Return a field of a session by its name."""
        handle = self._context.session(session)
        if name == "config":
            return config_row(handle.config)
        info = handle.info()
        value = getattr(info, name)
        if value.__class__ not in _SIMPLE:
            value = info.to_dict()[name]
        return UNDEFINED if value is None else value

    # -- the current session

    @export("getCurrent", "current", returns=Maybe(SESSION_ID), example=example(before=[CURRENT]))
    def get_current(self) -> Any:
        """Return the id of the current session; nil if none is current."""
        current = self._context.current_id
        return current if current is not None else UNDEFINED

    @export("setCurrent", returns=TRUE, example=example(A_SESSION))
    def set_current(self, session: SessionRef = UNDEFINED) -> bool:
        """Make a session current: functions use it where no session is given. Without one, none is current."""
        self._context.set_current(session)
        return True

    # -- life

    @export("suspend", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION))
    def suspend(self, session: SessionRef, options: Any = UNDEFINED) -> bool:
        """Suspend an active session."""
        self._context.session(session).suspend(**options)
        return True

    @export(
        "resume",
        returns=TRUE,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, before=[_SUSPENDED]),
    )
    def resume(self, session: SessionRef, options: Any = UNDEFINED) -> bool:
        """Resume a suspended session."""
        self._context.session(session).resume(**options)
        return True

    @export("complete", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION))
    def complete(self, session: SessionRef, options: Any = UNDEFINED) -> bool:
        """End a session that has done what it was for."""
        self._context.session(session).complete(**options)
        return True

    @export("fail", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION, "no model answered"))
    def fail(self, session: SessionRef, reason: Text = "failed by a script", options: Any = UNDEFINED) -> bool:
        """End a session that has failed, with the reason."""
        self._context.session(session).fail(reason, **options)
        return True

    @export("archive", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION, before=[DONE]))
    def archive(self, session: SessionRef, options: Any = UNDEFINED) -> bool:
        """Archive an ended session."""
        self._context.session(session).archive(**options)
        return True

    @export("save", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION))
    def save(self, session: SessionRef, options: Any = UNDEFINED) -> bool:
        """Save a snapshot of a session."""
        self._context.session(session).save(**options)
        return True

    @export("load", "restore", returns=SESSION_ID, on=SESSION, options={"options": HOW}, example=example(A_SESSION))
    def load(self, session: SessionRef, options: Any = UNDEFINED) -> str:
        """Load a session into memory and return its id."""
        handle = self._context.session(session)
        handle.load(**options)
        return handle.id

    @export("delete", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION))
    def delete(self, session: SessionRef, options: Any = UNDEFINED) -> bool:
        """Delete a session with all that it has."""
        if session is UNDEFINED:
            raise ValidationError("Session.delete needs the id of a session", field="session_id")
        try:
            handle = self._context.session(session)
        except SessionNotFound:
            if "idempotency_key" not in options:
                raise
            return True  # it was deleted before
        handle.delete(**options)
        self._context.forget(handle.id)
        return True

    @export("rename", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION, "Analysis 2"))
    def rename(self, session: SessionRef, name: Text, options: Any = UNDEFINED) -> bool:
        """Rename a session, in any status."""
        self._context.session(session).rename(name, **options)
        return True

    @export("describe", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION, "Counts words"))
    def describe(self, session: SessionRef, text: Text, options: Any = UNDEFINED) -> bool:
        """Set the description of a session, in any status."""
        self._context.session(session).describe(text, **options)
        return True

    # -- bundles

    @export(
        "export",
        returns=DICT,
        on=SESSION,
        options={"options": _EXPORT},
        example=example(A_SESSION, File("analysis.bundle"), {"tree": True}),
    )
    def export_session(self, session: SessionRef, path: Path, options: Any = UNDEFINED) -> dict[str, Any]:
        """Export a session to a bundle and return what the bundle holds. Needs a profile with files."""
        target = self._files.path(path)
        report = self._context.session(session).export(target, **options, on_progress=self._context.check_time)
        return report.to_dict()

    @export(
        "import",
        returns=SESSION_ID,
        options={"options": _IMPORT},
        example=example(File("analysis.bundle"), {"keep_ids": False}, before=[_BUNDLE]),
    )
    def import_session(self, path: Path, options: Any = UNDEFINED) -> str:
        """Import the sessions of a bundle and return the id of the topmost one. For scripts of the host, with a profile
        with files."""
        source = self._files.path(path)
        return self._context.runtime.import_session(source, **options, on_progress=self._context.check_time).id

    # -- tags, metadata, family

    @export("getMetadata", returns=DICT, on=SESSION, example=example(A_SESSION))
    def get_metadata(self, session: SessionRef) -> dict[str, Any]:
        """Return the metadata of a session."""
        return self._context.session(session).info().custom_metadata

    @export(
        "updateMetadata",
        returns=TRUE,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, {"team": "x", "draft": None}),
    )
    def update_metadata(self, session: SessionRef, changes: Table, options: Any = UNDEFINED) -> bool:
        """Merge changes into the metadata. A value of null deletes its key."""
        self._context.session(session).update_metadata(changes, **options)
        return True

    @export("getTags", returns=LIST, on=SESSION, example=example(A_SESSION))
    def get_tags(self, session: SessionRef) -> Any:
        """Return the tags of a session."""
        return [*self._context.session(session).info().tags]

    @export(
        "setTags", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION, ["nlp", "english"])
    )
    def set_tags(self, session: SessionRef, tags: Texts, options: Any = UNDEFINED) -> bool:
        """Replace the tags of a session."""
        self._context.session(session).set_tags(tags, **options)
        return True

    @export("addTag", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION, "english"))
    def add_tag(self, session: SessionRef, tag: Text, options: Any = UNDEFINED) -> bool:
        """Add a tag to a session."""
        self._context.session(session).add_tag(tag, **options)
        return True

    @export("removeTag", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION, "nlp"))
    def remove_tag(self, session: SessionRef, tag: Text, options: Any = UNDEFINED) -> bool:
        """Remove a tag from a session."""
        self._context.session(session).remove_tag(tag, **options)
        return True

    @export("hasTag", returns=FLAG, on=SESSION, example=example(A_SESSION, "nlp"))
    def has_tag(self, session: SessionRef, tag: Text) -> bool:
        """Return whether a session has a tag."""
        return tag in self._context.session(session).info().tags

    @export("parent", returns=Maybe(SESSION_ID), on=SESSION, example=example(_CHILD))
    def parent(self, session: SessionRef) -> Any:
        """Return the id of the parent; nil if there is none."""
        found = self._context.session(session).parent()
        return found.id if found is not None else UNDEFINED

    @export("tree", returns=SESSION, on=SESSION, counted=True, example=example(A_SESSION, before=[_CHILD]))
    def tree(self, session: SessionRef) -> dict[str, Any]:
        """Return the session's row with its `children`, which are trees too."""
        return _tree(self._context.session(session).tree())

    @export("children", returns=Page(SESSION), on=SESSION, counted=True, example=example(A_SESSION, before=[_CHILD]))
    def children(self, session: SessionRef) -> Any:
        """Return the children of a session."""
        return [session_row(each) for each in self._context.session(session).children()]

    @export(
        "fork",
        returns=SESSION_ID,
        on=SESSION,
        options={"changes": _FORK, "options": HOW},
        example=example(A_SESSION, Variable("message", MESSAGE.made, "sequence"), {"tags": ["try"]}),
    )
    def fork(
        self, session: SessionRef, sequence: Whole = UNDEFINED, changes: Any = UNDEFINED, options: Any = UNDEFINED
    ) -> str:
        """Create a child with the session's history up to an event, begun with changes, and return the child's id."""
        return self._context.session(session).fork(defined(sequence), changes, **options).id


def _tree(tree: SessionTree) -> dict[str, Any]:
    root = {**session_row(tree.info), "children": []}
    found = [(root, tree)]
    for row, each in found:
        for child in each.children:
            below = {**session_row(child.info), "children": []}
            row["children"].append(below)
            found.append((below, child))
    return root
