"""The global `Session`: creates, finds and changes sessions, given by id."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, Final

from greenroom.runtime import ArtifactId, Runtime, SessionNotFound, SessionQuery, SessionTree, ValidationError
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import COUNT, DICT, FLAG, LIST, TEXT, TRUE, VALUE, Maybe, Page, Rows
from greenroom.scripting.definition.types import Content, Text, Whole, as_list, as_texts
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import (
    APPROVAL,
    ARTIFACT,
    ARTIFACT_ID,
    CONTENT,
    EVENT,
    MESSAGE,
    RECORD,
    SESSION,
    SESSION_ID,
)
from greenroom.scripting.globals.references import artifact_reference, other_session, store_options
from greenroom.scripting.globals.rows import (
    HOW,
    approval_row,
    artifact_row,
    content_row,
    event_row,
    filled,
    how,
    message_row,
    options,
    session_row,
    stored_row,
    timeline_row,
)

__all__ = ["SessionGlobal"]

_CREATE: Final = frozenset(signature(Runtime.create_session).parameters) - {"self"}
_PARENT: Final = {"parent_session_id": "parent"}
_QUERY: Final = SessionQuery.model_fields
_SAME: Final = {**_PARENT, "search_text": "search", "sort_desc": "descending"}
"""Other names of criteria."""
_SIMPLE: Final = (str, int, float, dict)
_MESSAGE: Final = HOW | {"name", "tool_calls", "tool_call_id", "metadata"}
_CHANGES: Final = HOW | {"content", "metadata"}
_MESSAGES: Final = frozenset(("limit", "before"))
_EVENTS: Final = frozenset(("after", "limit"))
_RECORDS: Final = frozenset(("prefix", "reverse", "after", "limit"))
_QUESTION: Final = HOW | {"schema", "expires", "metadata"}
_FORK: Final = frozenset(
    (
        "system_prompt",
        "edit_messages",
        "drop_messages",
        "tool_results",
        "add_messages",
        "variables",
        "delete_variables",
        "tags",
    )
)
_SHARE: Final = HOW | {"expires_at"}
_EXPORT: Final = frozenset(("tree", "history"))
_IMPORT: Final = frozenset(("keep_ids",))


class SessionGlobal:
    """Creates, finds and changes sessions, given by an id or by a row with one. Changes return true."""

    NAME = "Session"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._files = context.files

    # -- creating and finding

    @export("create", returns=SESSION_ID)
    def create(self, given: Any = UNDEFINED) -> str:
        return self._context.runtime.create_session(**self._creation(given, "Session.create")).id

    @export("getOrCreate", returns=SESSION_ID)
    def get_or_create(self, key: Text, given: Any = UNDEFINED) -> str:
        """Return the id of the session with this key. Create the session if there is none."""
        wanted = self._creation(given, "Session.getOrCreate")
        if wanted.setdefault("key", key) != key:
            raise ValidationError("Session.getOrCreate takes one key, and was given two", field="key")
        return self._context.runtime.get_or_create(**wanted).id

    def _creation(self, given: Any, caller: str) -> dict[str, Any]:
        wanted = options(given, caller, _CREATE, _PARENT)
        if "parent" in wanted:
            wanted["parent"] = self._context.session(wanted["parent"]).id
        return wanted

    @export("get", returns=SESSION, on=SESSION)
    def get(self, session: Any) -> dict[str, Any]:
        if session is UNDEFINED or session is None:
            raise ValidationError("Session.get needs the id of a session", field="session_id")
        return session_row(self._context.session(session).info())

    @export("list", returns=Page(SESSION, total="count"), counted=True)
    def list(self, query: Any = UNDEFINED) -> dict[str, Any]:
        """Return a page: its rows, whether there are more, and the cursor of the next page."""
        page = self._context.runtime.list_sessions(**self._criteria(query, "Session.list"))
        more = {"next_cursor": page.next_cursor} if page.next_cursor is not None else {}
        return {"rows": [session_row(each) for each in page], "has_more": page.has_more, **more}

    @export("count", returns=COUNT)
    def count(self, query: Any = UNDEFINED) -> int:
        return self._context.runtime.count_sessions(**self._criteria(query, "Session.count"))

    def _criteria(self, query: Any, caller: str) -> dict[str, Any]:
        wanted = options(query, caller, _QUERY, _SAME)
        if isinstance(wanted.get("parent"), Mapping):
            wanted["parent"] = self._context.session(wanted["parent"]).id
        return wanted

    @export("saveAll", returns=COUNT)
    def save_all(self) -> int:
        return self._context.runtime.save_all()

    @export("cleanup", returns=COUNT)
    def cleanup(self, days: Any = UNDEFINED) -> int:
        """Delete the ended sessions that are older than their retention, or than so many days; return how many."""
        return self._context.runtime.cleanup(defined(days))

    @export("restoreRecent", returns=Rows(SESSION_ID))
    def restore_recent(self, count: Whole = 10) -> Any:
        if count is UNDEFINED:
            count = 10
        if not isinstance(count, int) or count < 0:
            raise ValidationError("Session.restoreRecent takes a number of sessions", field="count")
        return [each.id for each in self._context.runtime.restore_recent(count)]

    @export("field", on=None, hidden=True)
    def field(self, session: Any, name: Any) -> Any:
        """Return a field of a session by its name."""
        info = self._context.session(session).info()
        value = getattr(info, name)
        if value.__class__ not in _SIMPLE:
            value = info.to_dict()[name]
        return UNDEFINED if value is None else value

    # -- the current session

    @export("getCurrent", "current", returns=Maybe(SESSION_ID))
    def get_current(self) -> Any:
        current = self._context.current_id
        return current if current is not None else UNDEFINED

    @export("setCurrent", returns=TRUE)
    def set_current(self, session: Any = UNDEFINED) -> bool:
        self._context.set_current(session)
        return True

    # -- life

    @export("suspend", returns=TRUE, on=SESSION)
    def suspend(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._context.session(session).suspend(**how(given, "Session.suspend"))
        return True

    @export("resume", returns=TRUE, on=SESSION)
    def resume(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._context.session(session).resume(**how(given, "Session.resume"))
        return True

    @export("complete", returns=TRUE, on=SESSION)
    def complete(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._context.session(session).complete(**how(given, "Session.complete"))
        return True

    @export("fail", returns=TRUE, on=SESSION)
    def fail(self, session: Any, reason: Text = "failed by a script", given: Any = UNDEFINED) -> bool:
        self._context.session(session).fail(defined(reason, "failed by a script"), **how(given, "Session.fail"))
        return True

    @export("archive", returns=TRUE, on=SESSION)
    def archive(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._context.session(session).archive(**how(given, "Session.archive"))
        return True

    @export("save", returns=TRUE, on=SESSION)
    def save(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._context.session(session).save(**how(given, "Session.save"))
        return True

    @export("load", "restore", returns=SESSION_ID, on=SESSION)
    def load(self, session: Any, given: Any = UNDEFINED) -> str:
        """Load a session into memory and return its id."""
        handle = self._context.session(session)
        handle.load(**how(given, "Session.load"))
        return handle.id

    @export("delete", returns=TRUE, on=SESSION)
    def delete(self, session: Any, given: Any = UNDEFINED) -> bool:
        if session is UNDEFINED or session is None or session == "":
            raise ValidationError("Session.delete needs the id of a session", field="session_id")
        more = how(given, "Session.delete")
        try:
            handle = self._context.session(session)
        except SessionNotFound:
            if "idempotency_key" not in more:
                raise
            return True  # it was deleted before
        handle.delete(**more)
        self._context.forget(handle.id)
        return True

    @export("rename", returns=TRUE, on=SESSION)
    def rename(self, session: Any, name: Text, given: Any = UNDEFINED) -> bool:
        self._context.session(session).rename(defined(name), **how(given, "Session.rename"))
        return True

    @export("describe", returns=TRUE, on=SESSION)
    def describe(self, session: Any, text: Text, given: Any = UNDEFINED) -> bool:
        self._context.session(session).describe(defined(text), **how(given, "Session.describe"))
        return True

    # -- bundles

    @export("export", returns=DICT, on=SESSION)
    def export_session(self, session: Any, path: Any, given: Any = UNDEFINED) -> dict[str, Any]:
        """Export a session to a bundle and return what the bundle holds."""
        wanted = options(given, "Session.export", _EXPORT)
        target = self._files.path(path)
        report = self._context.session(session).export(target, **wanted, on_progress=self._context.check_time)
        return report.to_dict()

    @export("import", returns=SESSION_ID)
    def import_session(self, path: Any, given: Any = UNDEFINED) -> str:
        """Import the sessions of a bundle and return the id of the topmost one."""
        wanted = options(given, "Session.import", _IMPORT)
        source = self._files.path(path)
        return self._context.runtime.import_session(source, **wanted, on_progress=self._context.check_time).id

    # -- tags, metadata, family

    @export("getMetadata", returns=DICT, on=SESSION)
    def get_metadata(self, session: Any) -> dict[str, Any]:
        return self._context.session(session).info().custom_metadata

    @export("updateMetadata", returns=TRUE, on=SESSION)
    def update_metadata(self, session: Any, changes: Any, given: Any = UNDEFINED) -> bool:
        """Merge changes into the metadata. A value of null deletes its key."""
        self._context.session(session).update_metadata(changes, **how(given, "Session.updateMetadata"))
        return True

    @export("getTags", returns=LIST, on=SESSION)
    def get_tags(self, session: Any) -> Any:
        return [*self._context.session(session).info().tags]

    @export("setTags", returns=TRUE, on=SESSION)
    def set_tags(self, session: Any, tags: Any, given: Any = UNDEFINED) -> bool:
        self._context.session(session).set_tags(as_texts(tags), **how(given, "Session.setTags"))
        return True

    @export("addTag", returns=TRUE, on=SESSION)
    def add_tag(self, session: Any, tag: Text, given: Any = UNDEFINED) -> bool:
        self._context.session(session).add_tag(tag, **how(given, "Session.addTag"))
        return True

    @export("removeTag", returns=TRUE, on=SESSION)
    def remove_tag(self, session: Any, tag: Text, given: Any = UNDEFINED) -> bool:
        self._context.session(session).remove_tag(tag, **how(given, "Session.removeTag"))
        return True

    @export("hasTag", returns=FLAG, on=SESSION)
    def has_tag(self, session: Any, tag: Text) -> bool:
        return tag in self._context.session(session).info().tags

    @export("parent", returns=Maybe(SESSION_ID), on=SESSION)
    def parent(self, session: Any) -> Any:
        """Return the id of the parent; nil if there is none."""
        found = self._context.session(session).parent()
        return found.id if found is not None else UNDEFINED

    @export("tree", returns=SESSION, on=SESSION, counted=True)
    def tree(self, session: Any) -> dict[str, Any]:
        """Return the session's row with its `children`, which are trees too."""
        return _tree(self._context.session(session).tree())

    @export("children", returns=Page(SESSION), on=SESSION, counted=True)
    def children(self, session: Any) -> Any:
        return [session_row(each) for each in self._context.session(session).children()]

    @export("fork", returns=SESSION_ID, on=SESSION)
    def fork(self, session: Any, sequence: Whole = UNDEFINED, changes: Any = UNDEFINED, given: Any = UNDEFINED) -> str:
        """Create a child with the session's history up to an event, begun with changes, and return the child's id."""
        wanted = options(changes, "Session.fork", _FORK)
        return self._context.session(session).fork(defined(sequence), wanted, **how(given, "Session.fork")).id

    @export("timeline", "getTimeline", returns=Page(EVENT), on=SESSION, counted=True)
    def timeline(self, session: Any) -> Any:
        """Return the session's events in causal order."""
        return [timeline_row(row) for row in self._context.session(session).timeline()]

    # -- variables

    @export("getVariable", returns=Maybe(VALUE), on=SESSION)
    def get_variable(self, session: Any, key: Text, default: Any = UNDEFINED) -> Any:
        return self._context.session(session).get(key, default)

    @export("setVariable", returns=TRUE, on=SESSION)
    def set_variable(self, session: Any, key: Text, value: Any = UNDEFINED, given: Any = UNDEFINED) -> bool:
        """Set a variable, or delete it if no value is given."""
        more = how(given, "Session.setVariable")
        if value is UNDEFINED:
            self._context.session(session).delete_variable(key, **more)
        else:
            self._context.session(session).set(key, value, **more)
        return True

    @export("deleteVariable", returns=FLAG, on=SESSION)
    def delete_variable(self, session: Any, key: Text, given: Any = UNDEFINED) -> bool:
        """Delete a variable and return whether it existed."""
        return self._context.session(session).delete_variable(key, **how(given, "Session.deleteVariable"))

    @export("listVariables", returns=DICT, on=SESSION, counted=True)
    def list_variables(self, session: Any, prefix: Text = "") -> dict[str, Any]:
        return self._context.session(session).variables(defined(prefix, ""))

    # -- records

    @export("getRecord", returns=Maybe(VALUE), on=SESSION, counted=True)
    def get_record(self, session: Any, key: Text, default: Any = UNDEFINED) -> Any:
        return self._context.session(session).records.get(key, default)

    @export("putRecord", returns=TRUE, on=SESSION)
    def put_record(self, session: Any, key: Text, value: Any = UNDEFINED, given: Any = UNDEFINED) -> bool:
        """Put a record, or delete it if no value is given."""
        records, more = self._context.session(session).records, how(given, "Session.putRecord")
        if value is UNDEFINED:
            records.delete(key, **more)
        else:
            records.put(key, value, **more)
        return True

    @export("scanRecords", returns=Page(RECORD), on=SESSION, counted=True)
    def scan_records(self, session: Any, query: Any = UNDEFINED) -> Any:
        """Return rows of key and value in the order of the keys."""
        wanted = options(query, "Session.scanRecords", _RECORDS)
        rows = self._context.session(session).records.scan(**wanted)
        return [{"key": key, "value": value} for key, value in rows]

    # -- conversation

    @export("addMessage", returns=MESSAGE, on=SESSION)
    def add_message(self, session: Any, role: Any, content: Text = None, given: Any = UNDEFINED) -> dict[str, Any]:
        more = options(given, "Session.addMessage", _MESSAGE)
        handle = self._context.session(session)
        return message_row(handle.add_message(role, defined(content), **more))

    @export("addMessages", returns=Page(MESSAGE), on=SESSION, counted=True)
    def add_messages(self, session: Any, messages: Any, given: Any = UNDEFINED) -> Any:
        return [
            message_row(each)
            for each in self._context.session(session).add_messages(
                as_list(messages), **how(given, "Session.addMessages")
            )
        ]

    @export("editMessage", returns=MESSAGE, on=SESSION, counted=True)
    def edit_message(self, session: Any, sequence: Whole, changes: Any) -> dict[str, Any]:
        """Replace the content or the metadata of a turn, or both."""
        given = options(changes, "Session.editMessage", _CHANGES)
        return message_row(self._context.session(session).edit_message(sequence, **given))

    @export("retractMessage", returns=MESSAGE, on=SESSION, counted=True)
    def retract_message(self, session: Any, sequence: Whole, given: Any = UNDEFINED) -> dict[str, Any]:
        return message_row(
            self._context.session(session).retract_message(sequence, **how(given, "Session.retractMessage"))
        )

    @export("popMessage", returns=MESSAGE, on=SESSION, counted=True)
    def pop_message(self, session: Any, given: Any = UNDEFINED) -> dict[str, Any]:
        return message_row(self._context.session(session).pop_message(**how(given, "Session.popMessage")))

    @export("truncateMessages", returns=COUNT, on=SESSION)
    def truncate_messages(self, session: Any, after: Whole, given: Any = UNDEFINED) -> int:
        return self._context.session(session).truncate_messages(after, **how(given, "Session.truncateMessages"))

    @export("clearMessages", returns=COUNT, on=SESSION)
    def clear_messages(self, session: Any, given: Any = UNDEFINED) -> int:
        return self._context.session(session).clear_messages(**how(given, "Session.clearMessages"))

    @export("messages", returns=Page(MESSAGE), on=SESSION, counted=True)
    def messages(self, session: Any, query: Any = UNDEFINED) -> Any:
        wanted = options(query, "Session.messages", _MESSAGES)
        return [message_row(each) for each in self._context.session(session).messages(**wanted)]

    @export("events", returns=Page(EVENT), on=SESSION, counted=True)
    def events(self, session: Any = UNDEFINED, query: Any = UNDEFINED) -> Any:
        """Return the session's events in order: those after a sequence, and at most `limit`."""
        wanted = options(query, "Session.events", _EVENTS)
        return [event_row(each) for each in self._context.session(session).events(**wanted)]

    # -- questions to people

    @export("askHuman", returns=TEXT, on=SESSION)
    def ask_human(self, session: Any, question: Text, given: Any = UNDEFINED) -> str:
        """Ask people a question and return its id: askHuman(session, question [, {schema, expires, metadata}])."""
        more = options(given, "Session.askHuman", _QUESTION)
        return self._context.session(session).ask_human(question, **more)

    @export("approvals", returns=Page(APPROVAL), on=SESSION, counted=True)
    def approvals(self, session: Any = UNDEFINED, status: Any = UNDEFINED) -> Any:
        """Return the session's questions, oldest first, or those with a status."""
        return [approval_row(each) for each in self._context.session(session).approvals(defined(status))]

    @export("getApproval", returns=APPROVAL, counted=True)
    def get_approval(self, approval: Any) -> dict[str, Any]:
        return approval_row(self._context.runtime.approvals.get(approval))

    @export("answerApproval", returns=APPROVAL, counted=True)
    def answer_approval(
        self, approval: Any, value: Any = None, by: Any = UNDEFINED, given: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Answer a question. For scripts of the host."""
        more = how(given, "Session.answerApproval")
        return approval_row(self._context.runtime.approvals.answer(approval, defined(value), defined(by), **more))

    @export("cancelApproval", returns=APPROVAL, counted=True)
    def cancel_approval(self, approval: Any, reason: Any = UNDEFINED, given: Any = UNDEFINED) -> dict[str, Any]:
        more = how(given, "Session.cancelApproval")
        return approval_row(self._context.runtime.approvals.cancel(approval, defined(reason), **more))

    # -- shortcuts for artifacts

    @export("saveArtifact", returns=ARTIFACT_ID, on=SESSION)
    def save_artifact(
        self, session: Any, name: Text, content: Content, metadata: Any = UNDEFINED, given: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Store an artifact under a name. The key `type` (or `artifact_type`) of the metadata is its type."""
        facts = dict(metadata) if isinstance(metadata, dict) else metadata
        kind = "user_input"
        if isinstance(facts, dict):
            kind = facts.pop("type", None) or facts.pop("artifact_type", None) or kind
        more: Any = {**store_options(facts), **how(given, "Session.saveArtifact")}
        info = self._context.session(session).store_artifact(kind, name, content, **more)
        return stored_row(info)

    @export("loadArtifact", returns=CONTENT, on=SESSION, counted=True)
    def load_artifact(self, session: Any, reference: Text, version: Whole = UNDEFINED) -> dict[str, Any]:
        handle = self._context.session(session)
        which: ArtifactId | str = artifact_reference(reference)
        return content_row(handle.get_artifact(which, defined(version)))

    @export("listArtifacts", returns=Page(ARTIFACT), on=SESSION, counted=True)
    def list_artifacts(self, session: Any = UNDEFINED) -> Any:
        return [artifact_row(each) for each in self._context.session(session).list_artifacts()]

    # -- sharing

    @export("share", returns=DICT, on=SESSION)
    def share(self, session: Any, other: Any, permission: Any = "read", given: Any = UNDEFINED) -> dict[str, Any]:
        """Let another session read all of this one, or change it too ("write"): share(session, other [, permission] [,
        {expires_at}])."""
        if isinstance(permission, dict):
            permission, given = "read", permission
        wanted = options(given, "Session.share", _SHARE)
        kind = "read" if permission is UNDEFINED or permission is None else permission
        return filled(self._context.session(session).share(other_session(other), kind, **wanted).to_dict())

    @export("revoke", returns=FLAG, on=SESSION)
    def revoke(self, session: Any, other: Any, given: Any = UNDEFINED) -> bool:
        """End the share of a session with another one. Return whether there was one."""
        return self._context.session(session).revoke(other_session(other), **how(given, "Session.revoke"))

    @export("shares", returns=Page(DICT), on=SESSION, counted=True)
    def shares(self, session: Any = UNDEFINED) -> Any:
        return [filled(each.to_dict()) for each in self._context.session(session).shares()]

    @export("sharedSessions", returns=Page(DICT), on=SESSION, counted=True)
    def shared_sessions(self, session: Any = UNDEFINED) -> Any:
        return [filled(each.to_dict()) for each in self._context.session(session).shared_sessions()]

    @export("grantScope", returns=DICT, on=SESSION)
    def grant_scope(self, session: Any, scope: Any, permission: Any = "read", given: Any = UNDEFINED) -> dict[str, Any]:
        """Let a session use the state of a scope. For scripts of the host."""
        kind: Any = "read" if permission is UNDEFINED or permission is None else permission
        return filled(
            self._context.session(session).grant_scope(scope, kind, **how(given, "Session.grantScope")).to_dict()
        )

    @export("revokeScope", returns=FLAG, on=SESSION)
    def revoke_scope(self, session: Any, scope: Any, given: Any = UNDEFINED) -> bool:
        return self._context.session(session).revoke_scope(scope, **how(given, "Session.revokeScope"))

    @export("scopes", returns=Page(DICT), on=SESSION, counted=True)
    def scopes(self, session: Any = UNDEFINED) -> Any:
        return [each.to_dict() for each in self._context.session(session).scopes()]


def _tree(tree: SessionTree) -> dict[str, Any]:
    root = {**session_row(tree.info), "children": []}
    found = [(root, tree)]
    for row, each in found:
        for child in each.children:
            below = {**session_row(child.info), "children": []}
            row["children"].append(below)
            found.append((below, child))
    return root
