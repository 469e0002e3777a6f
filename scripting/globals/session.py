"""The global `Session`: creates, finds and changes sessions, given by id."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, Final

from greenroom.runtime import ArtifactId, Runtime, SessionNotFound, SessionQuery, SessionTree, ValidationError
from greenroom.scripting.conversions import Text, Whole, as_list, as_texts
from greenroom.scripting.export import export
from greenroom.scripting.files import Files
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import (
    HOW,
    UNDEFINED,
    approval_row,
    artifact_row,
    content_row,
    defined,
    event_row,
    filled,
    how,
    message_row,
    options,
    session_row,
    stored_row,
    timeline_row,
)

from .references import artifact_reference, other_session, store_options

__all__ = ["SessionGlobal"]

_CREATE: Final = frozenset(signature(Runtime.create_session).parameters) - {"self"}
_PARENT: Final = {"parent_session_id": "parent"}
_QUERY: Final = SessionQuery.model_fields
_SAME: Final = {**_PARENT, "search_text": "search", "sort_desc": "descending"}
"""Other names of criteria."""
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
    """Provides functions on sessions. They take a session's id (or a row with an id) first. Changes return true, reads
    return plain data."""

    def __init__(self, principal: ScriptContext, files: Files) -> None:
        self._principal = principal
        self._files = files

    # -- creating and finding

    @export("create")
    def create(self, given: Any = UNDEFINED) -> str:
        return self._principal.runtime.create_session(**self._creation(given, "Session.create")).id

    @export("getOrCreate")
    def get_or_create(self, key: Text, given: Any = UNDEFINED) -> str:
        """Return the id of the session with this key. Create the session if there is none."""
        wanted = self._creation(given, "Session.getOrCreate")
        if wanted.setdefault("key", key) != key:
            raise ValidationError("Session.getOrCreate takes one key, and was given two", field="key")
        return self._principal.runtime.get_or_create(**wanted).id

    def _creation(self, given: Any, caller: str) -> dict[str, Any]:
        wanted = options(given, caller, _CREATE, _PARENT)
        if "parent" in wanted:
            wanted["parent"] = self._principal.session(wanted["parent"]).id
        return wanted

    @export("get", on_session=True)
    def get(self, session: Any) -> dict[str, Any]:
        if session is UNDEFINED or session is None:
            raise ValidationError("Session.get needs the id of a session", field="session_id")
        return session_row(self._principal.session(session).info())

    @export("list", counted=True)
    def list(self, query: Any = UNDEFINED) -> dict[str, Any]:
        """Return a page: its rows, whether there are more, and the cursor of the next page."""
        page = self._principal.runtime.list_sessions(**self._criteria(query, "Session.list"))
        more = {"next_cursor": page.next_cursor} if page.next_cursor is not None else {}
        return {"rows": [session_row(each) for each in page], "has_more": page.has_more, **more}

    @export("count")
    def count(self, query: Any = UNDEFINED) -> int:
        return self._principal.runtime.count_sessions(**self._criteria(query, "Session.count"))

    def _criteria(self, query: Any, caller: str) -> dict[str, Any]:
        wanted = options(query, caller, _QUERY, _SAME)
        if isinstance(wanted.get("parent"), Mapping):
            wanted["parent"] = self._principal.session(wanted["parent"]).id
        return wanted

    @export("saveAll")
    def save_all(self) -> int:
        return self._principal.runtime.save_all()

    @export("cleanup")
    def cleanup(self, days: Any = UNDEFINED) -> int:
        """Delete the ended sessions that are older than their retention, or than so many days; return how many."""
        return self._principal.runtime.cleanup(defined(days))

    @export("restoreRecent")
    def restore_recent(self, count: Whole = 10) -> Any:
        if count is UNDEFINED:
            count = 10
        if not isinstance(count, int) or count < 0:
            raise ValidationError("Session.restoreRecent takes a number of sessions", field="count")
        return [each.id for each in self._principal.runtime.restore_recent(count)]

    # -- the current session

    @export("getCurrent", "current")
    def get_current(self) -> Any:
        current = self._principal.current_id
        return current if current is not None else UNDEFINED

    @export("setCurrent")
    def set_current(self, session: Any = UNDEFINED) -> bool:
        self._principal.set_current(session)
        return True

    # -- life

    @export("suspend", on_session=True)
    def suspend(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).suspend(**how(given, "Session.suspend"))
        return True

    @export("resume", on_session=True)
    def resume(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).resume(**how(given, "Session.resume"))
        return True

    @export("complete", on_session=True)
    def complete(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).complete(**how(given, "Session.complete"))
        return True

    @export("fail", on_session=True)
    def fail(self, session: Any, reason: Text = "failed by a script", given: Any = UNDEFINED) -> bool:
        self._principal.session(session).fail(defined(reason, "failed by a script"), **how(given, "Session.fail"))
        return True

    @export("archive", on_session=True)
    def archive(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).archive(**how(given, "Session.archive"))
        return True

    @export("save", on_session=True)
    def save(self, session: Any, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).save(**how(given, "Session.save"))
        return True

    @export("load", "restore", on_session=True)
    def load(self, session: Any, given: Any = UNDEFINED) -> str:
        """Load a session into memory and return its id."""
        handle = self._principal.session(session)
        handle.load(**how(given, "Session.load"))
        return handle.id

    @export("delete", on_session=True)
    def delete(self, session: Any, given: Any = UNDEFINED) -> bool:
        if session is UNDEFINED or session is None or session == "":
            raise ValidationError("Session.delete needs the id of a session", field="session_id")
        more = how(given, "Session.delete")
        try:
            handle = self._principal.session(session)
        except SessionNotFound:
            if "idempotency_key" not in more:
                raise
            return True  # it was deleted before
        handle.delete(**more)
        self._principal.forget(handle.id)
        return True

    @export("rename", on_session=True)
    def rename(self, session: Any, name: Text, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).rename(defined(name), **how(given, "Session.rename"))
        return True

    @export("describe", on_session=True)
    def describe(self, session: Any, text: Text, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).describe(defined(text), **how(given, "Session.describe"))
        return True

    # -- bundles

    @export("export", on_session=True)
    def export_session(self, session: Any, path: Any, given: Any = UNDEFINED) -> dict[str, Any]:
        """Export a session to a bundle and return what the bundle holds."""
        wanted = options(given, "Session.export", _EXPORT)
        target = self._files.path(path)
        report = self._principal.session(session).export(target, **wanted, on_progress=self._principal.check_time)
        return report.to_dict()

    @export("import")
    def import_session(self, path: Any, given: Any = UNDEFINED) -> str:
        """Import the sessions of a bundle and return the id of the topmost one."""
        wanted = options(given, "Session.import", _IMPORT)
        source = self._files.path(path)
        return self._principal.runtime.import_session(source, **wanted, on_progress=self._principal.check_time).id

    # -- tags, metadata, family

    @export("getMetadata", on_session=True)
    def get_metadata(self, session: Any) -> dict[str, Any]:
        return self._principal.session(session).info().custom_metadata

    @export("updateMetadata", on_session=True)
    def update_metadata(self, session: Any, changes: Any, given: Any = UNDEFINED) -> bool:
        """Merge changes into the metadata. A value of null deletes its key."""
        self._principal.session(session).update_metadata(changes, **how(given, "Session.updateMetadata"))
        return True

    @export("getTags", on_session=True)
    def get_tags(self, session: Any) -> Any:
        return [*self._principal.session(session).info().tags]

    @export("setTags", on_session=True)
    def set_tags(self, session: Any, tags: Any, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).set_tags(as_texts(tags), **how(given, "Session.setTags"))
        return True

    @export("addTag", on_session=True)
    def add_tag(self, session: Any, tag: Text, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).add_tag(tag, **how(given, "Session.addTag"))
        return True

    @export("removeTag", on_session=True)
    def remove_tag(self, session: Any, tag: Text, given: Any = UNDEFINED) -> bool:
        self._principal.session(session).remove_tag(tag, **how(given, "Session.removeTag"))
        return True

    @export("hasTag", on_session=True)
    def has_tag(self, session: Any, tag: Text) -> bool:
        return tag in self._principal.session(session).info().tags

    @export("parent", on_session=True)
    def parent(self, session: Any) -> Any:
        """Return the id of the parent; nil if there is none."""
        found = self._principal.session(session).parent()
        return found.id if found is not None else UNDEFINED

    @export("tree", on_session=True, counted=True)
    def tree(self, session: Any) -> dict[str, Any]:
        """Return the session's row with its `children`, which are trees too."""
        return _tree(self._principal.session(session).tree())

    @export("children", on_session=True, counted=True)
    def children(self, session: Any) -> Any:
        return [session_row(each) for each in self._principal.session(session).children()]

    @export("fork", on_session=True)
    def fork(self, session: Any, sequence: Whole = UNDEFINED, changes: Any = UNDEFINED, given: Any = UNDEFINED) -> str:
        """Create a child with the session's history up to an event, begun with changes, and return the child's id."""
        wanted = options(changes, "Session.fork", _FORK)
        return self._principal.session(session).fork(defined(sequence), wanted, **how(given, "Session.fork")).id

    @export("timeline", "getTimeline", on_session=True, counted=True)
    def timeline(self, session: Any) -> Any:
        """Return the session's events in causal order."""
        return [timeline_row(row) for row in self._principal.session(session).timeline()]

    # -- variables

    @export("getVariable", on_session=True)
    def get_variable(self, session: Any, key: Text, default: Any = UNDEFINED) -> Any:
        return self._principal.session(session).get(key, default)

    @export("setVariable", on_session=True)
    def set_variable(self, session: Any, key: Text, value: Any = UNDEFINED, given: Any = UNDEFINED) -> bool:
        """Set a variable, or delete it if no value is given."""
        more = how(given, "Session.setVariable")
        if value is UNDEFINED:
            self._principal.session(session).delete_variable(key, **more)
        else:
            self._principal.session(session).set(key, value, **more)
        return True

    @export("deleteVariable", on_session=True)
    def delete_variable(self, session: Any, key: Text, given: Any = UNDEFINED) -> bool:
        """Delete a variable and return whether it existed."""
        return self._principal.session(session).delete_variable(key, **how(given, "Session.deleteVariable"))

    @export("listVariables", on_session=True, counted=True)
    def list_variables(self, session: Any, prefix: Text = "") -> dict[str, Any]:
        return self._principal.session(session).variables(defined(prefix, ""))

    # -- records

    @export("getRecord", on_session=True, counted=True)
    def get_record(self, session: Any, key: Text, default: Any = UNDEFINED) -> Any:
        return self._principal.session(session).records.get(key, default)

    @export("putRecord", on_session=True)
    def put_record(self, session: Any, key: Text, value: Any = UNDEFINED, given: Any = UNDEFINED) -> bool:
        """Put a record, or delete it if no value is given."""
        records, more = self._principal.session(session).records, how(given, "Session.putRecord")
        if value is UNDEFINED:
            records.delete(key, **more)
        else:
            records.put(key, value, **more)
        return True

    @export("scanRecords", on_session=True, counted=True)
    def scan_records(self, session: Any, query: Any = UNDEFINED) -> Any:
        """Return rows of key and value in the order of the keys."""
        wanted = options(query, "Session.scanRecords", _RECORDS)
        rows = self._principal.session(session).records.scan(**wanted)
        return [{"key": key, "value": value} for key, value in rows]

    # -- conversation

    @export("addMessage", on_session=True)
    def add_message(self, session: Any, role: Any, content: Text = None, given: Any = UNDEFINED) -> dict[str, Any]:
        more = options(given, "Session.addMessage", _MESSAGE)
        handle = self._principal.session(session)
        return message_row(handle.add_message(role, defined(content), **more))

    @export("addMessages", on_session=True, counted=True)
    def add_messages(self, session: Any, messages: Any, given: Any = UNDEFINED) -> Any:
        return [
            message_row(each)
            for each in self._principal.session(session).add_messages(
                as_list(messages), **how(given, "Session.addMessages")
            )
        ]

    @export("editMessage", on_session=True, counted=True)
    def edit_message(self, session: Any, sequence: Whole, changes: Any) -> dict[str, Any]:
        """Replace the content or the metadata of a turn, or both."""
        given = options(changes, "Session.editMessage", _CHANGES)
        return message_row(self._principal.session(session).edit_message(sequence, **given))

    @export("retractMessage", on_session=True, counted=True)
    def retract_message(self, session: Any, sequence: Whole, given: Any = UNDEFINED) -> dict[str, Any]:
        return message_row(
            self._principal.session(session).retract_message(sequence, **how(given, "Session.retractMessage"))
        )

    @export("popMessage", on_session=True, counted=True)
    def pop_message(self, session: Any, given: Any = UNDEFINED) -> dict[str, Any]:
        return message_row(self._principal.session(session).pop_message(**how(given, "Session.popMessage")))

    @export("truncateMessages", on_session=True)
    def truncate_messages(self, session: Any, after: Whole, given: Any = UNDEFINED) -> int:
        return self._principal.session(session).truncate_messages(after, **how(given, "Session.truncateMessages"))

    @export("clearMessages", on_session=True)
    def clear_messages(self, session: Any, given: Any = UNDEFINED) -> int:
        return self._principal.session(session).clear_messages(**how(given, "Session.clearMessages"))

    @export("messages", on_session=True, counted=True)
    def messages(self, session: Any, query: Any = UNDEFINED) -> Any:
        wanted = options(query, "Session.messages", _MESSAGES)
        return [message_row(each) for each in self._principal.session(session).messages(**wanted)]

    @export("events", on_session=True, counted=True)
    def events(self, session: Any = UNDEFINED, query: Any = UNDEFINED) -> Any:
        """Return the session's events in order: those after a sequence, and at most `limit`."""
        wanted = options(query, "Session.events", _EVENTS)
        return [event_row(each) for each in self._principal.session(session).events(**wanted)]

    # -- questions to people

    @export("askHuman", on_session=True)
    def ask_human(self, session: Any, question: Text, given: Any = UNDEFINED) -> str:
        """Ask people a question and return its id: askHuman(session, question [, {schema, expires, metadata}])."""
        more = options(given, "Session.askHuman", _QUESTION)
        return self._principal.session(session).ask_human(question, **more)

    @export("approvals", on_session=True, counted=True)
    def approvals(self, session: Any = UNDEFINED, status: Any = UNDEFINED) -> Any:
        """Return the session's questions, oldest first, or those with a status."""
        return [approval_row(each) for each in self._principal.session(session).approvals(defined(status))]

    @export("getApproval", counted=True)
    def get_approval(self, approval: Any) -> dict[str, Any]:
        return approval_row(self._principal.runtime.approvals.get(approval))

    @export("answerApproval", counted=True)
    def answer_approval(
        self, approval: Any, value: Any = None, by: Any = UNDEFINED, given: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Answer a question. For scripts of the host."""
        more = how(given, "Session.answerApproval")
        return approval_row(self._principal.runtime.approvals.answer(approval, defined(value), defined(by), **more))

    @export("cancelApproval", counted=True)
    def cancel_approval(self, approval: Any, reason: Any = UNDEFINED, given: Any = UNDEFINED) -> dict[str, Any]:
        more = how(given, "Session.cancelApproval")
        return approval_row(self._principal.runtime.approvals.cancel(approval, defined(reason), **more))

    # -- shortcuts for artifacts

    @export("saveArtifact", binary=(2,), on_session=True)
    def save_artifact(
        self, session: Any, name: Text, content: Text, metadata: Any = UNDEFINED, given: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Store an artifact under a name. The key `type` (or `artifact_type`) of the metadata is its type."""
        facts = dict(metadata) if isinstance(metadata, dict) else metadata
        kind = "user_input"
        if isinstance(facts, dict):
            kind = facts.pop("type", None) or facts.pop("artifact_type", None) or kind
        more: Any = {**store_options(facts), **how(given, "Session.saveArtifact")}
        info = self._principal.session(session).store_artifact(kind, name, content, **more)
        return stored_row(info)

    @export("loadArtifact", on_session=True, counted=True)
    def load_artifact(self, session: Any, reference: Text, version: Whole = UNDEFINED) -> dict[str, Any]:
        handle = self._principal.session(session)
        which: ArtifactId | str = artifact_reference(reference)
        return content_row(handle.get_artifact(which, defined(version)))

    @export("listArtifacts", on_session=True, counted=True)
    def list_artifacts(self, session: Any = UNDEFINED) -> Any:
        return [artifact_row(each) for each in self._principal.session(session).list_artifacts()]

    # -- sharing

    @export("share", on_session=True)
    def share(self, session: Any, other: Any, permission: Any = "read", given: Any = UNDEFINED) -> dict[str, Any]:
        """Let another session read all of this one, or change it too ("write"): share(session, other [, permission] [,
        {expires_at}])."""
        if isinstance(permission, dict):
            permission, given = "read", permission
        wanted = options(given, "Session.share", _SHARE)
        kind = "read" if permission is UNDEFINED or permission is None else permission
        return filled(self._principal.session(session).share(other_session(other), kind, **wanted).to_dict())

    @export("revoke", on_session=True)
    def revoke(self, session: Any, other: Any, given: Any = UNDEFINED) -> bool:
        """End the share of a session with another one. Return whether there was one."""
        return self._principal.session(session).revoke(other_session(other), **how(given, "Session.revoke"))

    @export("shares", on_session=True, counted=True)
    def shares(self, session: Any = UNDEFINED) -> Any:
        return [filled(each.to_dict()) for each in self._principal.session(session).shares()]

    @export("sharedSessions", on_session=True, counted=True)
    def shared_sessions(self, session: Any = UNDEFINED) -> Any:
        return [filled(each.to_dict()) for each in self._principal.session(session).shared_sessions()]

    @export("grantScope", on_session=True)
    def grant_scope(self, session: Any, scope: Any, permission: Any = "read", given: Any = UNDEFINED) -> dict[str, Any]:
        """Let a session use the state of a scope. For scripts of the host."""
        kind: Any = "read" if permission is UNDEFINED or permission is None else permission
        return filled(
            self._principal.session(session).grant_scope(scope, kind, **how(given, "Session.grantScope")).to_dict()
        )

    @export("revokeScope", on_session=True)
    def revoke_scope(self, session: Any, scope: Any, given: Any = UNDEFINED) -> bool:
        return self._principal.session(session).revoke_scope(scope, **how(given, "Session.revokeScope"))

    @export("scopes", on_session=True, counted=True)
    def scopes(self, session: Any = UNDEFINED) -> Any:
        return [each.to_dict() for each in self._principal.session(session).scopes()]


def _tree(tree: SessionTree) -> dict[str, Any]:
    root = {**session_row(tree.info), "children": []}
    found = [(root, tree)]
    for row, each in found:
        for child in each.children:
            below = {**session_row(child.info), "children": []}
            row["children"].append(below)
            found.append((below, child))
    return root
