"""Whatever a session does and whatever happens to it, each of its moments can be had again, to the byte."""

from __future__ import annotations

import contextlib
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.replay.history import History
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.transfer.truncation import cut_journal
from greenroom.runtime import GreenroomError, ReplayError, Runtime, Session
from greenroom.storage.codec.keys import after_prefix, sequence_key, session_bytes
from greenroom.storage.engine.engine import CF
from greenroom.storage.events import snapshots

from ...runtime.handles.test_past import seen, told

Step = tuple[Any, ...]
_KEYS = st.sampled_from(["k", "n", "ü"])
_NAMES = st.sampled_from(["a.txt", "b.txt"])
_BACK = st.integers(0, 3)
_STEP = st.one_of(
    st.tuples(st.just("set"), _KEYS, st.one_of(st.integers(), st.text(max_size=60))),
    st.tuples(st.just("delete variable"), _KEYS),
    st.tuples(st.just("say"), st.sampled_from(["short", "long " * 2000])),
    st.tuples(st.just("edit"), _BACK, st.text(max_size=9)),
    st.tuples(st.just("retract"), _BACK),
    st.tuples(st.just("truncate messages"), _BACK),
    st.tuples(st.just("stream"), st.booleans()),
    st.tuples(st.just("store"), _NAMES, st.integers(0, 99)),
    st.tuples(st.just("delete"), _NAMES),
    st.tuples(st.just("put"), st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3), st.integers(0, 9)),
    st.tuples(st.just("drop"), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("ask")),
    st.tuples(st.just("answer"), _BACK),
    st.tuples(st.just("tags"), st.sampled_from(["x", "y"])),
    st.tuples(st.just("pause")),
    st.tuples(st.just("batch"), _KEYS),
    st.tuples(st.just("again"), st.integers(0, 3)),
    st.tuples(st.just("save")),
    st.tuples(st.just("passivate")),
    st.tuples(st.just("cut"), _BACK),
    st.tuples(st.just("fork"), _BACK),
    st.tuples(st.just("import")),
)


class Witness:
    """One session, and what was seen of it after each event."""

    def __init__(self, rt: Runtime, folder: Path) -> None:
        self.rt = rt
        self.folder = folder
        self.s = rt.create_session("name", tags=["t"], metadata={"m": 1})
        self.before: list[Session] = []
        self.state = SessionState(self.s.id)
        self.states: dict[int, bytes] = {}
        self.seen: dict[int, dict[str, Any]] = {}
        self.look()

    def look(self) -> None:
        for sequence, stored in self.rt._store.journal.read(session_bytes(self.s.id), self.state.sequence):
            evolve(self.state, sequence, stored)
            self.states[sequence] = self.state.encode()
        actor = self.rt._supervisor.table.activate(self.s.id)
        assert actor.state.encode() == self.states[actor.state.sequence]
        self.seen[actor.state.sequence] = seen(self.s)

    def goes_on_as(self, session: Session, at: int) -> None:
        """Watch another session that has the past of this one up to an event, under other ids."""
        self.before.append(self.s)
        self.s = session
        self.seen = {}
        self.state = SessionState.decode(session.id, self.states[at]) if at else SessionState(session.id)
        self.states = {sequence: data for sequence, data in self.states.items() if sequence <= at}

    def take(self, step: Step) -> None:
        s, rt = self.s, self.rt
        match step:
            case "set", key, value:
                s.set(key, value)
            case "delete variable", key:
                s.delete_variable(key)
            case "say", text:
                s.add_message("user", text, metadata={"n": len(text)})
            case "edit", back, text:
                s.edit_message(s.messages()[-1 - back].sequence, content=text)
            case "retract", back:
                s.retract_message(s.messages()[-1 - back].sequence)
            case "truncate messages", back:
                s.truncate_messages(s.messages()[-1 - back].sequence)
            case "stream", whole:
                with contextlib.suppress(RuntimeError), s.stream_message("assistant") as stream:
                    stream.write("he")
                    self.look()
                    stream.write("llo")
                    if not whole:
                        raise RuntimeError
            case "store", name, number:
                s.store_artifact("note", name, f"content {number}", tags=["t"])
            case "delete", name:
                s.delete_artifact(name)
            case "put", keys, number:
                s.records.put_many(dict.fromkeys(keys, f"{number} " * number * 900))
            case "drop", key:
                s.records.delete(key)
            case ("ask",):
                s.ask_human("Which?")
            case "answer", back:
                rt.approvals.answer(s.approvals("pending")[-1 - back].id, "this")
            case "tags", tag:
                s.set_tags([tag])
            case ("pause",):
                s.suspend()
                s.resume()
            case "batch", key:
                with s.batch() as b:
                    b.set(key, "in a batch")
                    b.add_message("user", "in a batch")
                    b.records.put("a", 1)
            case "again", number:
                s.set("again", number, idempotency_key=f"key {number}")
            case ("save",):
                s.save()
            case ("passivate",):
                rt._supervisor.forget()
            case "cut", back:
                cut_journal(rt._store, session_bytes(s.id), s.info().sequence - 1 - back, dry_run=False)
            case "fork", back:
                at = max(1, self.state.sequence - back)
                self.goes_on_as(s.fork(at), at)
            case ("import",):
                cut = rt._store.journal.base(session_bytes(s.id)) is not None  # what is left is counted anew
                s.export(self.folder / "b")
                self.goes_on_as(rt.import_session(self.folder / "b", keep_ids=False), 0 if cut else self.state.sequence)
            case _:
                raise AssertionError(step)

    def check(self) -> None:
        session = session_bytes(self.s.id)
        store = self.rt._store
        history = History(store, self.s.id)
        last = self.state.sequence
        assert history.last == last
        for sequence in range(1, last + 1):
            if sequence >= history.first:
                assert history.state(sequence).encode() == self.states[sequence], sequence
            else:
                with pytest.raises(ReplayError) as caught:
                    self.s.at(sequence=sequence)
                assert (caught.value.first, caught.value.last) == (history.first, last)
        for sequence, then in self.seen.items():
            if sequence >= history.first:
                assert told(self.s.at(sequence=sequence)) == then, sequence
        for sequence, digest in history.digests():
            assert digest.hex() == self.s.at(sequence=sequence).digest
        # The base, which is among the snapshots, is on the journal's side.
        kept = [*store.engine.scan(CF.SNAPSHOTS, sequence_key(session, 1), after_prefix(session))]
        events = [*store.engine.scan(CF.JOURNAL, session, after_prefix(session))]
        base = store.engine.get(CF.SNAPSHOTS, sequence_key(session, 0)) or b""
        assert sum(map(len, dict(kept).values())) <= sum(map(len, dict(events).values())) + len(base)


@pytest.fixture(scope="module")
def here() -> Any:
    """Snapshots are written all the time, and one in a few hundred bytes of events stays."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(snapshots, "ANCHOR_BYTES", 600)
        with Runtime.open(config={"snapshot_every": 1, "max_resident_sessions": 2}) as runtime:
            yield runtime


@settings(max_examples=30)
@given(steps=st.lists(_STEP, min_size=10, max_size=40))
def test_the_state_at_every_event_is_what_it_was_then(here: Runtime, tmp_path: Path, steps: list[Step]) -> None:
    witness = Witness(here, tmp_path)
    for step in steps:
        with contextlib.suppress(GreenroomError, IndexError):
            witness.take(step)
        witness.look()
    witness.check()
    report = here.verify()
    assert report.ok, report.problems
    for session in (witness.s, *witness.before):
        session.delete()
    assert here._store.engine.scan(CF.SNAPSHOTS, b"", b"\xff" * 25) == []


def test_histories_have_anchors_here(here: Runtime, tmp_path: Path) -> None:
    """Otherwise the test above shows less than it says."""
    witness = Witness(here, tmp_path)
    for number in range(30):
        witness.take(("set", "k", number))
        witness.look()
        here._supervisor.forget()
    assert len(list(here._store.journal.snapshots(session_bytes(witness.s.id)))) >= 3
    witness.check()


def test_the_past_stays_what_it_was_while_the_session_goes_on(here: Runtime) -> None:
    s = here.create_session()
    s.set("k", 2)
    wrong: list[Any] = []

    def write() -> None:
        for number in range(3, 500):
            s.set("k", number)
            if number % 50 == 0:
                here._supervisor.forget()
            if number % 170 == 0:
                cut_journal(here._store, session_bytes(s.id), number - 60, dry_run=False)

    writer = threading.Thread(target=write)
    writer.start()
    dice, first = random.Random(3), 2
    while writer.is_alive():
        sequence = dice.randint(first, s.info().sequence)
        try:
            past = s.at(sequence=sequence)
            wrong += [sequence] if past.variables != {"k": sequence} else []
        except ReplayError as error:
            first = error.first
            wrong += [sequence] if sequence >= first else []
    writer.join()
    assert wrong == []
    assert s.at(sequence=499).variables == {"k": 499}
