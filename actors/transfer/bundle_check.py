"""Check a journal from outside before any of it is trusted.

A bundle's checksum says that nothing broke on the way, not that its author meant well. So every event is checked for
its form, and against the state and the artifacts that the events before it have made.

The file is long because the table of all forms stands in it, beside the checks that read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

from greenroom.actors import messages as m
from greenroom.actors.messages.events import INLINE_EVENT_BYTES, LINK_KINDS
from greenroom.actors.session.state import grants
from greenroom.actors.session.state.answers import ANSWERED
from greenroom.actors.session.state.approvals import MAX_PENDING, pending_of
from greenroom.actors.session.state.budgets import is_alert
from greenroom.actors.session.state.collected import COLLECTED
from greenroom.actors.session.state.evolve import CONFIGURED, DESCRIBED, DROPPED_KEY, EVOLVE, RENAMED, evolve
from greenroom.actors.session.state.model import (
    ACTIVE,
    ARCHIVED,
    COMPLETED,
    FAILED,
    SUSPENDED,
    SessionState,
    grant_count,
)
from greenroom.actors.session.state.records import kept
from greenroom.actors.session.state.schemas import SCHEMA, VERSION
from greenroom.actors.session.state.timeout import is_warning
from greenroom.storage.artifacts.model import LABEL, ArtifactRecord, artifact_label, artifact_type, is_artifact_name
from greenroom.storage.bundle.decoding import plain_record, stored_value
from greenroom.storage.bundle.format import BundledSession
from greenroom.storage.codec.keys import is_session_id
from greenroom.storage.codec.records import pack_value
from greenroom.storage.common.times import SECOND
from greenroom.storage.errors import BundleError, GreenroomError
from greenroom.storage.events.calls import BYTES as CONTENT_BYTES
from greenroom.storage.events.calls import (
    CALL_FIELDS,
    INLINE_RAW_BYTES,
    RAW_FIELDS,
    RECORDING_CROSSING,
    RECORDING_ENDED,
    RECORDING_READS,
    RECORDING_STARTED,
    RESULT_CHANGED,
)
from greenroom.storage.events.calls import JSON as CONTENT_JSON
from greenroom.storage.events.calls import LZ4 as CONTENT_LZ4
from greenroom.storage.events.calls import TEXT as CONTENT_TEXT
from greenroom.storage.events.index import APPROVAL_CLOSED, APPROVAL_REQUESTED, LINKED, event_place
from greenroom.storage.events.model import PUBLISHED, PUBLISHED_HASH, TTL, StoredEvent, event_of, shown_type
from greenroom.storage.events.turns import TURN_EVENTS
from greenroom.storage.records.model import (
    IN_CONTENT,
    IS_VALUE,
    RECORDS_CHANGED,
    RecordChange,
    RecordFold,
    StoredRecord,
    are_changes,
)

from .turn_check import TEXT, VALUE, FieldContents, TurnCheck

__all__ = ["Contents", "JournalCheck"]

MAX_STATE_BYTES: Final = 1 << 30
"""The most memory that the state of one session may take."""
_MAX_TIME: Final = (1 << 32) * SECOND
_MAX_TOTAL: Final = 1 << 62
_MOST_GRANTS: Final = 2 * grants.MAX_GRANTS
_CONTEXT: Final = frozenset(("correlation_id", "causation_id", "root_id", "source", "target", "tags", "language", TTL))


class Contents(FieldContents, Protocol):
    """The contents of a bundle, as far as its journals use them."""

    def use(self, digest: bytes) -> int | None:
        """Mark a content as used and return its size; None if the bundle does not have it."""

    def use_inline(self, digest: bytes) -> int | None:
        """Mark a content as the value of a record and return its size; None if the bundle does not have it."""

    def value(self, digest: bytes) -> bytes:
        """Return a content as a whole."""


# -- the form of event data: one check per field, that raises or is false for what cannot be


def _text(most: int, *, empty: bool = False) -> Callable[[Any], bool]:
    return lambda value: type(value) is str and len(value) <= most and (empty or value != "")


def _maybe(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: value is None or check(value)


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value < high


def _hash(value: Any) -> bool:
    return type(value) is bytes and len(value) == 32


def _tags(value: Any) -> bool:
    return type(value) is list and m.tag_list(value) == value


def _object(most: int) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return type(value) is bytes and len(value) <= most and type(stored_value(value, "metadata")) is dict

    return check


def _any_value(value: Any) -> bool:
    stored_value(value, "value")
    return len(value) <= m.MAX_VARIABLE_BYTES


_METADATA: Final = _object(m.MAX_METADATA_BYTES)
_ARTIFACT_NAME: Final = 4096
_ARTIFACT: Final[dict[str, Callable[[Any], Any]]] = {
    "content_hash": _hash,
    "name": lambda value: _text(_ARTIFACT_NAME)(value) and is_artifact_name(value),
    "version": _whole(1, 1 << 32),
    "previous_hash": _maybe(_hash),
    "type": lambda value: artifact_type(value) == value,
    "mime_type": _text(m.MAX_NAME),
    "size": _whole(0, _MAX_TOTAL),
    "stored_size": _whole(0, _MAX_TOTAL),
    "description": _maybe(_text(m.MAX_TEXT, empty=True)),
    "created_by": _maybe(_text(m.MAX_NAME)),
    "parent_artifact": _maybe(_text(_ARTIFACT_NAME)),
    "tags": _tags,
    "custom": _METADATA,
}


def _base(value: Any) -> bool:
    return type(value) is list and len(value) == 4 and all(map(_whole(0, 1 << 62), value))


def _key(value: Any) -> bool:
    return type(value) is bytes and len(value) <= 64


_RUN: Final = {"run": _whole(1, 1 << 62)}
_RAW: Final = {
    "body": lambda value: type(value) is bytes and len(value) <= INLINE_RAW_BYTES,
    "chunks": lambda value: type(value) is bytes and len(value) <= INLINE_RAW_BYTES,
    "body_form": (CONTENT_BYTES, CONTENT_LZ4).__contains__,
    "chunks_form": (CONTENT_BYTES, CONTENT_LZ4).__contains__,
}
_CALLED: Final = {"name": _text(m.MAX_NAME), "input": _any_value}
_RETURNED: Final = {"name": _text(m.MAX_NAME), "call": _whole(1, 1 << 62), "result": _maybe(_any_value)}

_FORMS: Final[dict[str, dict[str, Callable[[Any], Any]]]] = {
    "session.created": {
        "name": _maybe(_text(m.MAX_NAME)),
        "description": _maybe(_text(m.MAX_TEXT, empty=True)),
        "created_by": _maybe(_text(m.MAX_NAME)),
        "tags": _tags,
        "metadata": _METADATA,
        "parent": _maybe(is_session_id),
        "config": _maybe(_object(m.MAX_METADATA_BYTES)),
        "correlation_id": _maybe(_text(m.MAX_NAME)),
    },
    "session.forked": {
        "from_session": is_session_id,
        "sequence": _whole(1, 1 << 62),
        "parent": _maybe(is_session_id),
        "missing": _whole(0, 1 << 62),
    },
    RENAMED: {"name": _maybe(_text(m.MAX_NAME))},
    DESCRIBED: {"description": _maybe(_text(m.MAX_TEXT, empty=True))},
    CONFIGURED: {"config": _maybe(_object(m.MAX_METADATA_BYTES))},
    "session.suspended": {},
    "session.imported": {},
    "session.resumed": {},
    "session.completed": {},
    "session.failed": {"reason": _text(m.MAX_TEXT)},
    "session.archived": {},
    ANSWERED: {
        "key": _text(m.MAX_IDEMPOTENCY_KEY),
        "message": _text(m.MAX_NAME),
        "reply": _any_value,
    },
    "variable.set": {"key": _text(m.MAX_KEY), "value": _any_value},
    "variable.deleted": {"key": _text(m.MAX_KEY)},
    "metadata.updated": {"metadata": _METADATA},
    "tags.changed": {"tags": _tags},
    **{kind: {} for kind in TURN_EVENTS},  # see `TurnCheck`
    "artifact.stored": {"sequence": _whole(1, 1 << 62), **_ARTIFACT},
    "artifact.deleted": {
        "sequence": _whole(1, 1 << 62),
        **{name: _ARTIFACT[name] for name in ("content_hash", "name", "version")},
    },
    "artifact.shared": {
        "sequence": _whole(1, 1 << 62),
        "session": is_session_id,
        "permission": lambda value: type(value) is str and value in m.PERMISSIONS,
        "expires_at": _maybe(_whole(0, 1 << 64)),
        "inherit": lambda value: type(value) is bool,
        "by": is_session_id,
    },
    "session.shared": {
        "session": is_session_id,
        "permission": ("read", "write").__contains__,
        "expires_at": _maybe(_whole(0, 1 << 64)),
    },
    "session.unshared": {"session": is_session_id},
    "scope.granted": {"scope": _text(m.MAX_KEY), "permission": ("read", "write").__contains__},
    "scope.revoked": {"scope": _text(m.MAX_KEY)},
    APPROVAL_REQUESTED: {
        "question": _text(m.MAX_TEXT),
        "schema": _maybe(_object(m.MAX_METADATA_BYTES)),
        "metadata": _METADATA,
        "expires_at": _maybe(_whole(0, 1 << 64)),
    },
    "approval.answered": {
        "approval": _whole(1, 1 << 62),
        "value": _any_value,
        "by": _maybe(_text(m.MAX_NAME)),
    },
    "approval.expired": {"approval": _whole(1, 1 << 62)},
    "approval.cancelled": {"approval": _whole(1, 1 << 62), "reason": _maybe(_text(m.MAX_TEXT))},
    "policy.warning": {"policy": ("timeout", "resources").__contains__},
    "artifact.revoked": {"sequence": _whole(1, 1 << 62), "session": is_session_id, "by": is_session_id},
    "tool.called": _CALLED,
    "agent.called": _CALLED,
    "tool.returned": _RETURNED,
    "agent.returned": _RETURNED,
    RESULT_CHANGED: {"name": _text(m.MAX_NAME), "call": _whole(1, 1 << 62), "result": _any_value},
    "hook.executed": {
        "hook": _text(m.MAX_NAME),
        "point": _text(m.MAX_NAME),
        "data": _maybe(_any_value),
        "result": _maybe(_any_value),
    },
    RECORDS_CHANGED: {"changes": are_changes},
    RECORDING_STARTED: {"about": _object(m.MAX_INPUT_BYTES)},
    RECORDING_CROSSING: {
        **_RUN,
        "number": _whole(0, 1 << 62),
        "kind": _text(m.MAX_NAME),
        "name": _text(m.MAX_TEXT, empty=True),
        "place": _text(m.MAX_TEXT, empty=True),
        "lane": _text(m.MAX_TEXT, empty=True),
        "input": _object(m.MAX_INPUT_BYTES),
        "outcome": _object(m.MAX_INPUT_BYTES),
        "flow": _any_value,
    },
    RECORDING_READS: {**_RUN, "reads": _any_value},
    RECORDING_ENDED: {**_RUN, "about": _object(m.MAX_INPUT_BYTES)},
    LINKED: {"from": event_place, "to": event_place, "kind": LINK_KINDS.__contains__},
}
_SOMETIMES: Final[dict[str, dict[str, Callable[[Any], Any]]]] = {
    "script.started": {"arguments": _any_value},
    "script.finished": {
        "call": _whole(1, 1 << 62),
        "value": _any_value,
        "output": _text(m.MAX_TEXT, empty=True),
    },
    "session.created": {"key": m.is_session_key},
    "session.imported": {DROPPED_KEY: m.is_session_key},
    "variable.set": {SCHEMA: _text(m.MAX_NAME), VERSION: _whole(1, 1 << 31)},
    "agent.called": {
        "system_prompt": _text(1 << 20, empty=True),
        "tools": lambda value: type(value) is list and all(map(_text(m.MAX_NAME), value)),
        "parameters": _object(m.MAX_INPUT_BYTES),
    },
    RECORDING_CROSSING: {"base": _base, "key": _key, **_RAW},
    "workflow.started": {"definition": _object(m.MAX_INPUT_BYTES), "given": _any_value},
    "workflow.stage": {"result": _maybe(_any_value)},
    "workflow.decided": {"value": _any_value},
}
"""Fields that only some events of a type have."""


def _is_published(value: Any) -> bool:
    """Return whether this is the encoded data of a published event."""
    if type(value) is not bytes or len(value) > INLINE_EVENT_BYTES:
        return False
    stored_value(value, PUBLISHED)
    return True


# The status that an event needs: writes need an active session, changes of status the statuses that lead there.
_OPEN: Final = (ACTIVE, SUSPENDED)
_NEEDS: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(
        (
            "variable.set",
            "variable.deleted",
            "metadata.updated",
            "tags.changed",
            *TURN_EVENTS,
            "artifact.stored",
            "artifact.deleted",
            APPROVAL_REQUESTED,
            RECORDS_CHANGED,
        ),
        (ACTIVE,),
    ),
    **dict.fromkeys(APPROVAL_CLOSED, _OPEN),
    RECORDING_STARTED: (ACTIVE,),
    **dict.fromkeys((RECORDING_CROSSING, RECORDING_READS, RECORDING_ENDED), _OPEN),
    "session.suspended": (ACTIVE,),
    "session.resumed": (SUSPENDED,),
    "session.completed": _OPEN,
    "session.failed": _OPEN,
    "session.archived": (COMPLETED, FAILED),
    "session.saved": _OPEN,
    "session.restored": _OPEN,
}
assert ARCHIVED not in {status for allowed in _NEEDS.values() for status in allowed}


class JournalCheck:
    """Follows the journal of one bundled session, event by event. Every method raises BundleError.

    `live` are the artifact records that the bundle has of this session, by number. At the end they must be exactly the
    artifacts that the journal has left.
    """

    def __init__(
        self,
        session: BundledSession,
        contents: Contents,
        check_config: Callable[[dict[str, Any]], object],
    ) -> None:
        self.state = SessionState(session.id)
        self._session = session
        self._contents = contents
        self._check_config = check_config
        self._turns = TurnCheck(contents, self._bad)
        self.live: dict[int, list[Any]] = {}
        self._stored: dict[int, tuple[bytes, str, int, int, str, int | None, str | None]] = {}
        self._versions: dict[str, int] = {}
        self._records = RecordFold()
        self._json: set[bytes] = set()
        """The contents that are known for JSON."""
        self._labels: set[tuple[str, str | None]] = set()

    def artifact(self, encoded: bytes) -> None:
        """Take in one artifact record. Records come before the journal, in the order of their numbers."""
        record = plain_record(encoded)
        if (
            type(record) is not list
            or len(record) not in (15, 16)
            or not _whole(1, 1 << 62)(record[0])
            or (self.live and record[0] <= next(reversed(self.live)))
            or len(self.live) >= self._session.artifacts
        ):
            raise self._bad("an artifact record that cannot be")
        self.live[record[0]] = record[1:]

    def event(self, encoded: bytes) -> StoredEvent:
        """Take in the next event, and return it as it is stored."""
        record = plain_record(encoded)
        state = self.state
        sequence = state.sequence + 1
        if type(record) is not list or len(record) not in (7, 8) or record[0] != sequence or type(record[0]) is not int:
            raise self._bad(f"something else where event {sequence} belongs")
        stored = event_of(record[1:])
        kind, time, data = stored.type, stored.time, stored.data
        if type(kind) is not str or not 0 < len(kind) <= 255 or type(data) is not dict:
            raise self._bad(f"an event {sequence} of a form that no event has")
        if not _whole(max(1, state.updated_at), _MAX_TIME)(time):
            raise self._bad(f"a time at event {sequence} that cannot be")
        if (kind == "session.created") != (sequence == 1):
            raise self._bad("no creation at its beginning, or a second one")
        self._form(sequence, kind, data)
        if len(record) == 8:
            self._context(sequence, stored.context)
        if kind in _NEEDS and state.status not in _NEEDS[kind]:
            raise self._bad(f"event {sequence}, {kind}, which the session's status did not allow")
        artifacts, size = state.artifact_count, state.artifact_bytes
        if kind == "artifact.stored":
            self._artifact_stored(sequence, data, time)
            artifacts, size = artifacts + 1, size + data["size"]
        elif kind == "artifact.deleted":
            artifacts, size = artifacts - 1, size - self._artifact_deleted(sequence, data)
        elif kind in TURN_EVENTS:
            self._turns.event(sequence, stored)
        elif kind == "artifact.shared":
            if data["sequence"] not in self._stored or grant_count(state) >= _MOST_GRANTS:
                raise self._bad(f"a grant at event {sequence} on an artifact that is not there, or too many")
        elif kind in ("session.shared", "scope.granted"):
            if grant_count(state) >= _MOST_GRANTS:
                raise self._bad(f"too many permissions at event {sequence}")
        elif kind == RECORDS_CHANGED:
            self._records_changed(sequence, data["changes"])
        elif kind == APPROVAL_REQUESTED and len(pending_of(state)) >= MAX_PENDING:
            raise self._bad(f"a question at event {sequence} beyond those that may be pending")
        elif kind in APPROVAL_CLOSED and data["approval"] not in pending_of(state):
            raise self._bad(f"event {sequence}, {kind}, about a question that is not pending")
        elif kind == "variable.set" and state.weight + len(data["value"]) > MAX_STATE_BYTES:
            raise self._bad("variables that take more memory than a session may")
        if (
            not _whole(state.operation_count, _MAX_TOTAL)(stored.operation_count)
            or [type(total) for total in stored.totals] != [int, int, int]
            or stored.totals[1:] != (artifacts, size)
            or size >= _MAX_TOTAL
        ):
            raise self._bad(f"totals at event {sequence} that do not follow from its events")
        evolve(state, sequence, stored)
        if kept(state).bytes >= _MAX_TOTAL:
            raise self._bad(f"records at event {sequence} that are larger than all could be")
        return stored

    def finish(self) -> SessionState:
        """Check that the journal is complete, and return the state at its end."""
        state, session = self.state, self._session
        if state.sequence != session.events or state.artifact_count != session.artifacts:
            raise self._bad("fewer or more events or artifacts than the manifest says")
        if state.parent != session.parent:
            raise self._bad("another parent than the manifest says")
        if self.live.keys() != self._stored.keys():
            raise self._bad("artifact records that are not those of its journal")
        for record in self._records.live.values():
            self._check_record(record)
        return state

    def _form(self, sequence: int, kind: str, data: dict[str, Any]) -> None:
        form = _FORMS.get(kind)
        if form is None and kind in EVOLVE:
            raise self._bad(f"event {sequence}, {kind}, which bundles cannot carry")
        try:
            large = self._large_fields(sequence, kind, data) if kind in CALL_FIELDS else ()
            for name, check in (form or {}).items():
                if name in large:
                    continue
                if name not in data or not check(data[name]):
                    raise self._bad(f"event {sequence}, {kind}, with an impossible {name}")
            for name, check in _SOMETIMES.get(kind, {}).items():
                if name in data and not check(data[name]):
                    raise self._bad(f"event {sequence}, {kind}, with an impossible {name}")
            if kind == LINKED and not self._is_earlier(data["from"]):
                raise self._bad(f"event {sequence}, a link from an event that is not before it")
            if kind == "policy.warning" and not (is_alert if data["policy"] == "resources" else is_warning)(data):
                raise self._bad(f"event {sequence}, {kind}, of something that no policy warns of")
            marked = shown_type(kind) != kind
            if (PUBLISHED in data or PUBLISHED_HASH in data or marked) and (
                form is not None or len(data) != 1 or not self._published(data)
            ):
                raise self._bad(f"event {sequence}, {kind[:64]!r}, with an impossible {PUBLISHED}")
            pack_value(data)  # whatever else it contains must at least be storable
        except BundleError:
            raise
        except (GreenroomError, RecursionError, ValueError):
            raise self._bad(f"event {sequence}, {kind[:64]!r}, with impossible data") from None
        if kind in ("session.created", CONFIGURED) and data["config"] is not None:
            try:
                self._check_config(stored_value(data["config"], "config"))
            except GreenroomError:
                raise self._bad("a configuration that no session can have") from None

    def _large_fields(self, sequence: int, kind: str, data: dict[str, Any]) -> list[str]:
        """Check the fields of an event about a call that are stored as content, and return their names."""
        large = [name for name in CALL_FIELDS[kind] if f"{name}_hash" in data]
        for name in large:
            digest, form, kept = data[f"{name}_hash"], data.get(f"{name}_form"), data.get(name)
            # What stays of a reply without its text.
            rest = kept is None or (form == CONTENT_TEXT and type(stored_value(kept, name)) is dict)
            if (
                type(digest) is not bytes
                or not _hash(digest)
                or not rest
                or not self._is_large_field(digest, form, most=1 << 62 if name in RAW_FIELDS else m.MAX_MESSAGE_BYTES)
            ):
                raise self._bad(f"event {sequence}, {kind}, whose {name} is not in the bundle, or is none")
        return large

    def _is_large_field(self, digest: bytes, form: object, most: int) -> bool:
        if form is None:
            return self._contents.is_field(digest, VALUE)
        if form == CONTENT_TEXT:
            return self._contents.is_field(digest, TEXT)
        size = self._contents.use(digest)
        if size is None or size > most:
            return False
        if form == CONTENT_JSON and digest not in self._json:
            pack_value(json.loads(self._contents.value(digest)))
            self._json.add(digest)
        return form in (CONTENT_BYTES, CONTENT_JSON)

    def _published(self, data: dict[str, Any]) -> bool:
        """Return whether these are the data of a published event: the data themselves, or their hash."""
        digest = data.get(PUBLISHED_HASH)
        if type(digest) is bytes and _hash(digest):
            return self._contents.is_field(digest, VALUE)
        return _is_published(data.get(PUBLISHED))

    def _is_earlier(self, event_id: str) -> bool:
        """Return whether this is an earlier event of the same session."""
        place = event_place(event_id)
        return place is not None and place[0] == self.state.session and 0 < place[1] <= self.state.sequence

    def _context(self, sequence: int, context: Any) -> None:
        good = type(context) is dict and context.keys() <= _CONTEXT
        if good:
            tags = context.get("tags", [])
            texts = [value for name, value in context.items() if name not in ("tags", TTL)]
            ttl = context.get(TTL, 1.0)
            good = type(ttl) in (int, float) and 0 < ttl < _MAX_TIME
        if good:
            good = type(tags) is list and all(type(each) is str and len(each) <= m.MAX_TEXT for each in [*texts, *tags])
        if not good:
            raise self._bad(f"a context of event {sequence} that cannot be")

    def _artifact_stored(self, sequence: int, data: dict[str, Any], time: int) -> None:
        number, name = data["sequence"], data["name"]
        if number <= self.state.last_artifact or data["version"] <= self._versions.get(name, 0):
            raise self._bad(f"an artifact at event {sequence} whose number or version is taken")
        self._versions[name] = data["version"]
        if data.get(COLLECTED, True) is not True:
            raise self._bad(f"an artifact at event {sequence} that is neither collected nor the user's")
        given_back = data["size"] if COLLECTED in data else None
        label = data.get(LABEL)
        if LABEL in data and (artifact_label(label) != label or (name, label) in self._labels):
            raise self._bad(f"an artifact at event {sequence} whose label cannot be, or is taken")
        if label is not None:
            self._labels.add((name, label))
        self._stored[number] = (
            data["content_hash"],
            name,
            data["version"],
            data["size"],
            data["type"],
            given_back,
            label,
        )
        record = self.live.get(number)
        if record is None:
            return  # deleted later on, or `finish` complains
        expected = [*(data[field] for field in ArtifactRecord._fields[:-2]), time]
        if LABEL in data:
            expected.append(data[LABEL])
        if record != expected or [type(each) for each in record] != [type(each) for each in expected]:
            raise self._bad(f"an artifact record {number} that differs from its event")
        if self._contents.use(data["content_hash"]) != data["size"]:
            raise self._bad(f"an artifact {number} whose content is not in the bundle in that size")

    def _artifact_deleted(self, sequence: int, data: dict[str, Any]) -> int:
        found = self._stored.pop(data["sequence"], None)
        if found is None or found[:3] != (data["content_hash"], data["name"], data["version"]):
            raise self._bad(f"a deletion at event {sequence} of an artifact that is not there")
        if data.get("type", found[4]) != found[4]:  # events of format 1 have no type
            raise self._bad(f"a deletion at event {sequence} of an artifact of another type")
        self._labels.discard((found[1], found[6]))
        if data.get(COLLECTED) != found[5] or type(data.get(COLLECTED)) not in (int, type(None)):
            raise self._bad(f"a deletion at event {sequence} that gives back other bytes than were taken")
        return found[3]

    def _records_changed(self, sequence: int, changes: list[list[Any]]) -> None:
        for fields in changes:
            change = RecordChange.of(fields)
            before = self._records.live.get(change.key)
            size = before.size if before is not None else None
            released = before.released if before is not None else None
            if change.replaced != size or change.released != released:
                raise self._bad(f"a change of a record at event {sequence} that does not follow from its events")
        self._records.apply(sequence, changes)

    def _check_record(self, record: StoredRecord) -> None:
        """Check that the bundle has the value of a record that is there in the end."""
        contents = self._contents
        use = contents.use if record.flags & IN_CONTENT else contents.use_inline
        if use(record.hash) != record.size:
            raise self._bad("a record whose value is not in the bundle in that size")
        if record.flags & IS_VALUE:
            try:
                stored_value(contents.value(record.hash), "record")
            except BundleError:
                raise self._bad("a record with a value that cannot be") from None

    def _bad(self, what: str) -> BundleError:
        return BundleError(f"session {self._session.id} in the bundle has {what}", session_id=self._session.id)
