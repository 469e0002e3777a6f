"""A session is a fold over its journal: the same events give the same bytes, from wherever one starts."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors import messages as m
from greenroom.actors.session.decisions.decide import Limits, creation, decide
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.runtime import GreenroomError, Runtime
from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.codec.records import pack_value
from greenroom.storage.errors import ArtifactNotFound, IntegrityError
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.records.model import StoredRecord

SESSION = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"


class NoArtifacts:
    def latest_version(self, name: str) -> tuple[int, bytes | None]:
        return 0, None

    def artifact(self, ref: ArtifactId | str, version: int | str | None) -> ArtifactInfo:
        raise ArtifactNotFound("there is none")

    def record(self, key: bytes) -> StoredRecord | None:
        return None

    def record_keys(self, prefix: bytes, limit: int) -> list[bytes]:
        return []


KEYS = st.sampled_from(["a", "b", "c", "schlüssel", "\ud800"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
COMMANDS = st.one_of(
    st.builds(m.SetVariable, KEYS, JSON),
    st.builds(m.DeleteVariable, KEYS),
    st.builds(m.AddTag, KEYS),
    st.builds(m.RemoveTag, KEYS),
    st.builds(m.SetTags, st.lists(KEYS, max_size=4)),
    st.builds(m.UpdateMetadata, st.dictionaries(KEYS, JSON, max_size=3)),
    st.builds(m.AddMessage, st.sampled_from(["user", "assistant"]), st.text(max_size=10)),
    st.builds(m.PutRecords, st.dictionaries(KEYS, JSON, max_size=3)),
    st.builds(m.SuspendSession),
    st.builds(m.ResumeSession),
    st.builds(m.SaveSession),
    st.sampled_from([m.CompleteSession(), m.FailSession("why"), m.ArchiveSession()]),
)


def journal_of(commands: list[m.Command]) -> list[StoredEvent]:
    """The events that these commands cause; what is refused causes none."""
    state = SessionState(SESSION)
    first = creation("a name", None, "ann", ["t"], m.metadata_bytes({"k": 1}), None, None, "corr")
    events = [StoredEvent(first.type, 10**18, first.data, 1, 0, 0)]
    evolve(state, 1, events[0])
    for number, command in enumerate(commands):
        try:
            drafts = decide(state, command, Limits(), NoArtifacts())
        except GreenroomError:
            continue
        for type_, data, _, _ in drafts:
            stored = StoredEvent(type_, 10**18 + number, data, state.operation_count + 1, 0, 0)
            events.append(stored)
            evolve(state, len(events), stored)
    return events


def fold(events: list[StoredEvent], state: SessionState | None = None) -> SessionState:
    state = state or SessionState(SESSION)
    for stored in events[state.sequence :]:
        evolve(state, state.sequence + 1, stored)
    return state


@given(st.lists(COMMANDS, max_size=30), st.data())
def test_a_snapshot_and_the_tail_give_what_the_whole_journal_gives(
    commands: list[m.Command], data: st.DataObject
) -> None:
    events = journal_of(commands)
    whole = fold(events)
    assert fold(events).encode() == whole.encode()
    half = fold(events[: data.draw(st.integers(1, len(events)))])
    resumed = fold(events, SessionState.decode(SESSION, half.encode()))
    assert resumed.encode() == whole.encode()
    assert resumed.variable_bytes == whole.variable_bytes
    assert whole.variable_bytes == sum(len(key) + len(value) for key, value in whole.variables.items())
    assert resumed.weight == whole.weight
    assert resumed.info() == whole.info()


@given(st.lists(COMMANDS, max_size=15))
def test_events_survive_being_stored(commands: list[m.Command]) -> None:
    events = journal_of(commands)
    session = session_bytes(SESSION)
    restored = []
    for number, stored in enumerate(events, 1):
        _, key, record = Journal.append(session, number, stored)
        assert record is not None
        restored.append(Journal.unsealed(key, record))
    assert fold(restored).encode() == fold(events).encode()


def test_equal_states_have_equal_bytes_whatever_the_order_of_their_making() -> None:
    one = journal_of([m.SetVariable("a", 1), m.SetVariable("b", 2), m.DeleteVariable("x")])
    other = journal_of([m.SetVariable("b", 2), m.SetVariable("a", 1), m.DeleteVariable("x")])
    assert fold(one).encode() == fold(other).encode()
    different = journal_of([m.SetVariable("b", 2), m.SetVariable("a", 2)])
    assert fold(one).encode() != fold(different).encode()


def test_an_event_of_an_unknown_type_moves_only_the_totals() -> None:
    events = journal_of([m.SetVariable("a", 1)])
    state = fold(events)
    later = fold([*events, ["agent.called", 2 * 10**18, {"anything": 1}, 7, 2, 99]])
    assert later.variables == state.variables
    assert later.row() == state.row()
    assert (later.sequence, later.updated_at, later.totals) == (3, 2 * 10**18, (7, 2, 99))


def test_the_end_of_a_session_is_recorded_once() -> None:
    state = fold(journal_of([m.SuspendSession(), m.FailSession("out of luck"), m.ArchiveSession()]))
    info = state.info()
    assert info.status == "archived"
    assert info.failure_reason == "out of luck"
    assert info.ended_at is not None
    assert info.started_at is not None
    assert info.ended_at >= info.started_at


@given(st.binary(max_size=80))
def test_bytes_that_are_no_state_are_called_damaged(data: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        assert SessionState.decode(SESSION, data).id == SESSION


def test_a_state_of_the_wrong_shape_is_called_damaged() -> None:
    for value in (None, [], [1, 2], [[], 1, 2, 3, 4, 5, 6, 7, []], {"a": 1}):
        with pytest.raises(IntegrityError):
            SessionState.decode(SESSION, pack_value(value))


# -- the live session against its journal


@given(st.lists(COMMANDS, max_size=25))
@settings(max_examples=40)
def test_the_live_state_is_the_fold_of_the_journal(rt: Runtime, commands: list[m.Command]) -> None:
    session = rt.create_session(name="live", metadata={"k": 1})
    for number, command in enumerate(commands):
        try:
            rt.ask(session.id, command)
        except GreenroomError:
            continue
        if number == 10:
            session.store_artifact("x", "a.txt", b"content") if session.info().status == "active" else None
    actor = rt._supervisor.table.actors[session.id]
    folded = SessionState(session.id)
    for sequence, stored in rt._store.journal.read(session_bytes(session.id)):
        evolve(folded, sequence, stored)
    assert folded.encode() == actor.state.encode()
    assert folded.info() == session.info()
    assert rt._store.catalog.info(session.id) == session.info()
