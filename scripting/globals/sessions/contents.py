"""The functions of `Session` for what a session holds: variables, records, messages, events, artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import ArtifactId
from greenroom.scripting.definition.examples import Variable, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import COUNT, DICT, FLAG, TRUE, VALUE, Maybe, Page
from greenroom.scripting.definition.types import (
    ANYTHING,
    NUMBER,
    TABLE,
    TEXT,
    WHOLE,
    ArtifactRef,
    Content,
    Items,
    Json,
    SessionRef,
    Table,
    Text,
    Whole,
)
from greenroom.scripting.definition.types import FLAG as IS_FLAG
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW, QUERY
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import (
    ARTIFACT,
    ARTIFACT_ID,
    CONTENT,
    EVENT,
    MESSAGE,
    RECORD,
    SEARCH_HIT,
    SESSION,
)
from greenroom.scripting.globals.references import artifact_reference, store_options
from greenroom.scripting.globals.rows import (
    artifact_row,
    content_row,
    event_row,
    message_row,
    search_row,
    stored_row,
    timeline_row,
)
from greenroom.scripting.globals.samples import ARTIFACT as AN_ARTIFACT
from greenroom.scripting.globals.samples import MESSAGE as A_MESSAGE
from greenroom.scripting.globals.samples import RECORD as A_RECORD
from greenroom.scripting.globals.samples import SESSION as A_SESSION
from greenroom.scripting.globals.samples import VARIABLE

__all__ = ["SessionContents"]

_SEQUENCE: Final = Variable("message", A_MESSAGE.made, "sequence")
_RECORDS: Final = Options({"prefix": ANYTHING, "reverse": IS_FLAG, "after": ANYTHING, "limit": WHOLE})
_MESSAGE: Final = HOW | Options({"name": TEXT, "tool_calls": ANYTHING, "tool_call_id": TEXT, "metadata": TABLE})
_CHANGES: Final = HOW | Options({"content": ANYTHING, "metadata": TABLE})
_SEARCH: Final = Options(
    {
        **QUERY.without("search", "sort_by", "descending", "offset").keys,
        "kinds": ANYTHING,
        "session": ANYTHING,
        "timeout": NUMBER,
    },
    {"parent_session_id": "parent", "session_id": "session"},
)
_MESSAGES: Final = Options({"limit": WHOLE, "before": WHOLE})
_EVENTS: Final = Options({"after": WHOLE, "limit": WHOLE})


class SessionContents:
    """Reads and changes what sessions hold."""

    NAME = "Session"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    # -- variables

    @export(
        "getVariable",
        returns=Maybe(VALUE),
        on=SESSION,
        example=example(A_SESSION, "words", 0, before=[VARIABLE]),
    )
    def get_variable(self, session: SessionRef, key: Text, default: Json = UNDEFINED) -> Any:
        """Return a variable of a session, or the default if there is none."""
        return self._context.session(session).get(key, default)

    @export("setVariable", returns=TRUE, on=SESSION, options={"options": HOW}, example=example(A_SESSION, "words", 7))
    def set_variable(self, session: SessionRef, key: Text, value: Json = UNDEFINED, options: Any = UNDEFINED) -> bool:
        """Set a variable, or delete it if no value is given."""
        if value is UNDEFINED:
            self._context.session(session).delete_variable(key, **options)
        else:
            self._context.session(session).set(key, value, **options)
        return True

    @export(
        "deleteVariable",
        returns=FLAG,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, "words", before=[VARIABLE]),
    )
    def delete_variable(self, session: SessionRef, key: Text, options: Any = UNDEFINED) -> bool:
        """Delete a variable and return whether it existed."""
        return self._context.session(session).delete_variable(key, **options)

    @export("listVariables", returns=DICT, on=SESSION, counted=True, example=example(A_SESSION, "w", before=[VARIABLE]))
    def list_variables(self, session: SessionRef, prefix: Text = "") -> dict[str, Any]:
        """Return the variables of a session by key, or those whose key begins with a prefix."""
        return self._context.session(session).variables(prefix)

    # -- search

    @export(
        "search",
        returns=Page(SEARCH_HIT),
        counted=True,
        options={"options": _SEARCH},
        example=example("words", {"limit": 20}, before=[A_MESSAGE]),
    )
    def search(self, text: Text, options: Any = UNDEFINED) -> Any:
        """Return the messages, artifacts and names with all these words, the best first, of the sessions that the
        script may read. `"in quotes"` is a phrase, `wor*` the beginning of a word. `marked` shows the hits."""
        for name in ("session", "parent"):
            if isinstance(options.get(name), Mapping):
                options[name] = self._context.session(options[name]).id
        page = self._context.runtime.search(text, **options)
        more = {"next_cursor": page.next_cursor} if page.next_cursor is not None else {}
        rows = [search_row(each) for each in page]
        return {"rows": rows, "total": page.total, "has_more": page.has_more, **more}

    # -- records

    @export(
        "getRecord",
        returns=Maybe(VALUE),
        on=SESSION,
        counted=True,
        example=example(A_SESSION, "step/1", before=[A_RECORD]),
    )
    def get_record(self, session: SessionRef, key: Text, default: Json = UNDEFINED) -> Any:
        """Return a record of a session, or the default if there is none."""
        return self._context.session(session).records.get(key, default)

    @export(
        "putRecord",
        returns=TRUE,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, "step/1", {"done": True}),
    )
    def put_record(self, session: SessionRef, key: Text, value: Json = UNDEFINED, options: Any = UNDEFINED) -> bool:
        """Put a record, or delete it if no value is given."""
        records = self._context.session(session).records
        if value is UNDEFINED:
            records.delete(key, **options)
        else:
            records.put(key, value, **options)
        return True

    @export(
        "scanRecords",
        returns=Page(RECORD),
        on=SESSION,
        counted=True,
        options={"query": _RECORDS},
        example=example(A_SESSION, {"prefix": "step/", "limit": 10}, before=[A_RECORD]),
    )
    def scan_records(self, session: SessionRef, query: Any = UNDEFINED) -> Any:
        """Return rows of key and value in the order of the keys."""
        rows = self._context.session(session).records.scan(**query)
        return [{"key": key, "value": value} for key, value in rows]

    # -- conversation

    @export(
        "addMessage",
        returns=MESSAGE,
        on=SESSION,
        options={"options": _MESSAGE},
        example=example(A_SESSION, "user", "How many words are in this?"),
    )
    def add_message(
        self, session: SessionRef, role: Text, content: Json = UNDEFINED, options: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Add a message to the conversation of a session and return its row. The content is a text, or a list of
        parts."""
        handle = self._context.session(session)
        return message_row(handle.add_message(role, TEXT.convert(defined(content)), **options))

    @export(
        "addMessages",
        returns=Page(MESSAGE),
        on=SESSION,
        counted=True,
        options={"options": HOW},
        example=example(A_SESSION, [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]),
    )
    def add_messages(self, session: SessionRef, messages: Items, options: Any = UNDEFINED) -> Any:
        """Add messages in one write and return their rows."""
        added = self._context.session(session).add_messages(messages, **options)
        return [message_row(each) for each in added]

    @export(
        "editMessage",
        returns=MESSAGE,
        on=SESSION,
        counted=True,
        options={"changes": _CHANGES},
        example=example(A_SESSION, _SEQUENCE, {"content": "How many?"}),
    )
    def edit_message(self, session: SessionRef, sequence: Whole, changes: Table) -> dict[str, Any]:
        """Replace the content or the metadata of a message, or both, and return its row."""
        if "content" in changes:
            changes["content"] = TEXT.convert(changes["content"])
        return message_row(self._context.session(session).edit_message(sequence, **changes))

    @export(
        "retractMessage",
        returns=MESSAGE,
        on=SESSION,
        counted=True,
        options={"options": HOW},
        example=example(A_SESSION, _SEQUENCE),
    )
    def retract_message(self, session: SessionRef, sequence: Whole, options: Any = UNDEFINED) -> dict[str, Any]:
        """Take a message back and return its row. It stays in the journal."""
        return message_row(self._context.session(session).retract_message(sequence, **options))

    @export(
        "popMessage",
        returns=MESSAGE,
        on=SESSION,
        counted=True,
        options={"options": HOW},
        example=example(A_SESSION, before=[A_MESSAGE]),
    )
    def pop_message(self, session: SessionRef, options: Any = UNDEFINED) -> dict[str, Any]:
        """Take the newest message back and return its row."""
        return message_row(self._context.session(session).pop_message(**options))

    @export(
        "truncateMessages", returns=COUNT, on=SESSION, options={"options": HOW}, example=example(A_SESSION, _SEQUENCE)
    )
    def truncate_messages(self, session: SessionRef, after: Whole, options: Any = UNDEFINED) -> int:
        """Take back the messages after a sequence and return their number."""
        return self._context.session(session).truncate_messages(after, **options)

    @export(
        "clearMessages",
        returns=COUNT,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, before=[A_MESSAGE]),
    )
    def clear_messages(self, session: SessionRef, options: Any = UNDEFINED) -> int:
        """Take all messages back and return their number."""
        return self._context.session(session).clear_messages(**options)

    @export(
        "messages",
        returns=Page(MESSAGE),
        on=SESSION,
        counted=True,
        options={"query": _MESSAGES},
        example=example(A_SESSION, {"limit": 20}, before=[A_MESSAGE]),
    )
    def messages(self, session: SessionRef, query: Any = UNDEFINED) -> Any:
        """Return the messages of a session, oldest first: the newest `limit` before a sequence."""
        return [message_row(each) for each in self._context.session(session).messages(**query)]

    # -- events

    @export(
        "events",
        returns=Page(EVENT),
        on=SESSION,
        counted=True,
        options={"query": _EVENTS},
        example=example(A_SESSION, {"after": 0, "limit": 10}),
    )
    def events(self, session: SessionRef = UNDEFINED, query: Any = UNDEFINED) -> Any:
        """Return the session's events in order: those after a sequence, and at most `limit`."""
        return [event_row(each) for each in self._context.session(session).events(**query)]

    @export("timeline", "getTimeline", returns=Page(EVENT), on=SESSION, counted=True, example=example(A_SESSION))
    def timeline(self, session: SessionRef) -> Any:
        """Return the session's events in causal order, with `depth` and `cause`."""
        return [timeline_row(row) for row in self._context.session(session).timeline()]

    # -- shortcuts for artifacts

    @export(
        "saveArtifact",
        returns=ARTIFACT_ID,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, "report.md", "# Report", {"type": "tool_result", "tags": ["draft"]}),
    )
    def save_artifact(
        self,
        session: SessionRef,
        name: Text,
        content: Content,
        metadata: Table = UNDEFINED,
        options: Any = UNDEFINED,
    ) -> dict[str, Any]:
        """Store an artifact under a name and return its id. The key `type` (or `artifact_type`) of the metadata is its
        type, else it is "user_input"."""
        facts = dict(metadata) if isinstance(metadata, dict) else metadata
        kind = "user_input"
        if isinstance(facts, dict):
            kind = facts.pop("type", None) or facts.pop("artifact_type", None) or kind
        more: Any = {**store_options(facts), **options}
        info = self._context.session(session).store_artifact(kind, name, content, **more)
        return stored_row(info)

    @export("loadArtifact", returns=CONTENT, on=SESSION, counted=True, example=example(A_SESSION, AN_ARTIFACT))
    def load_artifact(self, session: SessionRef, artifact: ArtifactRef, version: Json = UNDEFINED) -> dict[str, Any]:
        """Return an artifact: its id, content and metadata."""
        handle = self._context.session(session)
        which: ArtifactId | str = artifact_reference(artifact)
        return content_row(handle.get_artifact(which, WHOLE.convert(defined(version))))

    @export(
        "listArtifacts",
        returns=Page(ARTIFACT),
        on=SESSION,
        counted=True,
        example=example(A_SESSION, before=[AN_ARTIFACT]),
    )
    def list_artifacts(self, session: SessionRef = UNDEFINED) -> Any:
        """Return the artifacts of a session."""
        return [artifact_row(each) for each in self._context.session(session).list_artifacts()]
