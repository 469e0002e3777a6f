"""Answers that are remembered under the idempotency keys of commands.

A command with a key journals `command.answered` in the write of its own events. That event has the reply: what is
large, or is in the journal anyway, as the sequence of the event that has it. The state knows only which event each key
leads to. A key is forgotten after a day, when 256 newer ones have come, or when retention has taken its event.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.artifacts import DeletedArtifact
from greenroom.actors.messages.conversation import Turn
from greenroom.actors.messages.core import idempotency_key
from greenroom.actors.messages.events import LinkEvents, PublishEvent
from greenroom.actors.messages.permissions import Grant, ScopeGrant, SessionShare
from greenroom.actors.scheduling.futures import DeferredReply
from greenroom.actors.session.projection import artifact_record
from greenroom.actors.session.state.answers import ANSWERED, KEPT_FOR, place_of_answer
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.artifacts.records import artifact_info
from greenroom.storage.catalog.model import SessionInfo, SessionRow
from greenroom.storage.codec.keys import session_bytes, session_id_of
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.errors import ValidationError
from greenroom.storage.events.calls import call_value

from .approvals import read_approval
from .turns import read_retracted, read_turn

if TYPE_CHECKING:
    from greenroom.actors.session.live import LiveSession
    from greenroom.actors.store import ArtifactStore

__all__ = ["answered_before", "remembered"]

Remembered = list[Any]
"""A reply as an event stores it: its kind, and what it consists of."""


def remembered(actor: LiveSession, command: m.Command[Any], at: int, reply: Any) -> Remembered:
    """Return the reply to a command that was just staged as its event stores it. `at` is the sequence of the last event
    that was decided."""
    kind = command.__class__
    if kind in (PublishEvent, LinkEvents):
        return ["event", at]
    if kind in (m.RetractMessage, m.PopMessage):
        return ["retracted", at]
    if kind in (m.EditMessage, m.FinishMessage):
        return ["turn", command.sequence, at]  # type: ignore[attr-defined]
    if kind is m.StoreArtifact:
        return ["artifact", at]
    if kind is m.StoreMany:
        return ["list", [["artifact", at - number] for number in reversed(range(len(reply)))]]
    if isinstance(reply, Turn):
        return ["turn", reply.sequence, reply.sequence]
    if kind is m.AddMessages:
        return ["list", [["turn", turn.sequence, turn.sequence] for turn in reply]]
    if kind in (m.AnswerApproval, m.CancelApproval):
        return ["approval", command.approval]  # type: ignore[attr-defined]
    if kind is m.DeleteMany:
        return ["deleted", [list(each) for each in reply]]
    if isinstance(reply, SessionInfo) or kind is m.SaveSession:
        state = actor.state
        info = ["info", state.row().fields(), state.sequence, state.updated_at, list(state.totals)]
        return ["saved", info] if kind is m.SaveSession and command.sync else info  # type: ignore[attr-defined]
    if isinstance(reply, Grant | SessionShare | ScopeGrant):
        return [_GRANTS[reply.__class__], reply.to_dict()]
    assert reply.__class__ is not DeferredReply, f"what is read later is remembered by its place: {kind.__name__}"
    return ["value", reply]


def answered_before(actor: LiveSession, message: Any) -> tuple[Any] | None:
    """Return what a command with the same key was answered, perhaps as a DeferredReply; None if the message is no
    command with a key that is known. What was prepared for it is dropped then.

    Raises ValidationError if it was a command of another class.
    """
    key = idempotency_key(message)
    earlier = _earlier(actor, message, key) if key is not None else None
    if earlier is not None:
        actor.services.discard(message)
    return earlier


def _earlier(actor: LiveSession, command: m.Command[Any], key: str) -> tuple[Any] | None:
    place = place_of_answer(actor.state, key)
    if place is None or actor.services.clock.time_ns() - place[0] > KEPT_FOR:
        return None
    store, session = actor.services.store, actor.state.session
    if not store.journal.holds(session, place[1]):
        return None  # retention has taken it
    stored = store.journal.stored(session, place[1])
    if stored.type != ANSWERED:
        return None  # damage has destroyed it
    before, now = stored.data["message"], type(command).__name__
    reply: Remembered = unpack_value(stored.data["reply"])
    if (before, now) == ("StartMessage", "FinishMessage") and reply[1] == command.sequence:  # type: ignore[attr-defined]
        return None  # the stream that was begun with this key is not complete yet
    if before != now and (before, now) != ("FinishMessage", "StartMessage"):
        raise ValidationError(
            f"idempotency_key: it was given with {before} before and comes with {now} now: use another key",
            field="idempotency_key",
        )
    if reply[0] == "value":
        return (reply[1],)
    return (DeferredReply(partial(store.journal.settled, session, partial(_reply, store, session, reply))),)


def _reply(store: ArtifactStore, session: bytes, reply: Remembered) -> Any:
    return _READERS[reply[0]](store, session, *reply[1:])


def _list(store: ArtifactStore, session: bytes, replies: list[Remembered]) -> list[Any]:
    return [_reply(store, session, each) for each in replies]


def _elsewhere(store: ArtifactStore, session: bytes, session_id: str, reply: Remembered) -> Any:
    return _reply(store, session_bytes(session_id), reply)


def _artifact(store: ArtifactStore, session: bytes, sequence: int) -> Any:
    stored = store.journal.stored(session, sequence)
    return artifact_info(session_id_of(session), stored.data["sequence"], artifact_record(stored))


def _info(
    store: ArtifactStore, session: bytes, row: list[Any], sequence: int, updated: int, totals: list[int]
) -> SessionInfo:
    operations, artifacts, size = totals
    return SessionInfo(session_id_of(session), SessionRow(*row), sequence, updated, (operations, artifacts, size))


def _call(store: ArtifactStore, session: bytes, sequence: int) -> Any:
    return call_value(store.journal.stored(session, sequence).data, "result", store.contents.read)


def _saved(store: ArtifactStore, session: bytes, info: Remembered) -> Any:
    store.engine.sync()  # the process that saved it may have ended before that
    return _reply(store, session, info)


def _grant(store: ArtifactStore, session: bytes, fields: dict[str, Any]) -> Grant:
    return Grant(**{**_with_times(fields), "artifact": ArtifactId.parse(fields["artifact"])})


def _with_times(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a grant or share with its times as datetimes."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") and value is not None else value
        for name, value in fields.items()
    }


_GRANTS: Final = {Grant: "grant", SessionShare: "share", ScopeGrant: "scope"}
_READERS: Final[dict[str, Callable[..., Any]]] = {
    "value": lambda store, session, value: value,
    "list": _list,
    "of": _elsewhere,
    "event": lambda store, session, at: store.journal.event(session, at),
    "turn": read_turn,
    "retracted": read_retracted,
    "artifact": _artifact,
    "deleted": lambda store, session, rows: [DeletedArtifact(*row) for row in rows],
    "info": _info,
    "saved": _saved,
    "call": _call,
    "grant": _grant,
    "share": lambda store, session, fields: SessionShare(**_with_times(fields)),
    "scope": lambda store, session, fields: ScopeGrant(**_with_times(fields)),
    "approval": lambda store, session, sequence: read_approval(store, session, sequence, 0),
}
