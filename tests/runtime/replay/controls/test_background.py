"""Replays of real sessions in the background."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    CallFailed,
    InvalidOperation,
    ReplayError,
    Runtime,
    RuntimeClosed,
    Session,
    SessionNotFound,
    ValidationError,
)
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.concurrency.waiting import Flag
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import IntegrityError

WAIT = 60.0


@pytest.fixture
def recorded(rt: Runtime) -> Session:
    """A session with a bit of everything."""

    def weather(city: str) -> str:
        if city == "Nowhere":
            raise ValueError("no such city")
        return f"sunny in {city}"

    rt.tools.register("weather", weather)
    session = rt.create_session("recorded", tags=["t"])
    for number in range(30):
        session.set("k", number)
        session.add_message("user", f"question {number}")
    session.call_tool("weather", {"city": "Oslo"})
    with pytest.raises(CallFailed):
        session.call_tool("weather", {"city": "Nowhere"})
    session.store_artifact("note", "a.txt", b"one")
    with session.batch() as batch:
        batch.set("k", "batch")
        batch.add_message("assistant", "both")
        batch.set("other", 1)
    for number in range(30):
        session.set("k", -number)
    return session


def test_a_replay_in_the_background_says_what_a_replay_says(rt: Runtime, recorded: Session) -> None:
    told: list[float] = []
    replay = rt.replays.start(recorded, on_progress=lambda progress: told.append(progress.percentage))
    result = replay.wait(WAIT)
    same = rt.replay(recorded.id)
    assert result.identical
    assert (result.digest, result.events, result.operations) == (same.digest, same.events, same.operations)
    assert told[-1] == 100
    assert replay.position == replay.last == recorded.info().sequence


def test_the_state_at_every_position_is_the_one_of_then(rt: Runtime, recorded: Session) -> None:
    choice = random.Random(5)
    with rt.replays.start(recorded.id, paused=True) as replay:
        replay.step(40)
        for _ in range(60):
            move = choice.choice([replay.step, replay.step_back])
            move(choice.randrange(1, 20))
            if replay.status.ended:
                break
            if replay.position:
                then = recorded.at(sequence=replay.position)
                assert replay.state.to_dict() == then.to_dict()
                assert replay.time == then.time


def test_a_step_is_what_one_command_did(rt: Runtime) -> None:
    session = rt.create_session()
    session.set("k", 1)
    session.add_messages([{"role": "user", "content": str(number)} for number in range(5)])
    session.set("k", 2)
    with rt.replays.start(session, paused=True) as replay:
        assert [replay.step() for _ in range(4)] == [1, 2, 7, 8]
        assert replay.step_back(2) == 2
        assert replay.run_to(4) == 7, "the step that the event is in"
        assert len(replay.state.messages) == 5


@pytest.mark.parametrize(
    ("breakpoint", "says"),
    [
        ({"event": "tool.*"}, lambda state: state.info.operation_count),
        ({"error": True}, None),
        ({"error": "CallFailed"}, None),
        ({"when": 'messages[-1].content == "question 7"'}, lambda state: state.variables["k"] == 7),
        ({"when": "artifacts[0].name exists"}, lambda state: state.artifacts[0].name == "a.txt"),
        ({"when": lambda state: len(state.messages) == 12}, lambda state: len(state.messages) == 12),
        ({"when": 'status == "active"'}, lambda state: state.sequence == 1),
        ({"when": 'tags contains "t"'}, lambda state: state.sequence == 1),
        ({"sequence": 17}, lambda state: state.sequence == 17),
    ],
)
def test_breakpoints_on_real_events_and_states(
    rt: Runtime, recorded: Session, breakpoint: dict[str, Any], says: Callable[[Any], Any] | None
) -> None:
    with rt.replays.start(recorded, breakpoints=[breakpoint]) as replay:
        pause = replay.wait_paused(WAIT)
        assert pause is not None
        assert (pause.reason, pause.error) == ("breakpoint", None)
        assert says is None or says(replay.state)
        if "error" in breakpoint:
            assert next(iter(recorded.events(after=replay.position - 1))).data["error"]["code"] == "CallFailed"


def test_a_breakpoint_on_a_hook(rt: Runtime) -> None:
    rt.hooks.register("AfterStateWrite", lambda context: None, name="audit", replayable=True)
    session = rt.create_session()
    session.set("k", 1)
    session.add_message("user", "hi")
    session.set("k", 2)
    for pattern in ("audit", "*StateWrite"):
        with rt.replays.start(session, breakpoints=[{"hook": pattern}]) as replay:
            assert replay.wait_paused(WAIT) is not None
            assert replay.state.sequence < session.info().sequence


def test_a_changed_replay_shows_its_own_states(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(300):
        session.set("k", number)
        if number % 100 == 50:
            session.add_message("user", f"question {number}")
    turn = session.messages()[1].sequence
    config = {"mode": "modified", "modifications": {"variables.k": "changed", f"messages.{turn}.content": "instead"}}
    with rt.replays.start(session, config, breakpoints=[{"when": 'messages[-1].content == "instead"'}]) as replay:
        assert replay.wait_paused(WAIT) is not None
        assert replay.position == turn
        assert replay.state.variables == {"k": "changed"}
        assert replay.step_back(20) == turn - 20
        assert [each.content for each in replay.state.messages] == ["question 50"]
        assert replay.step(30) == turn, "it is hit again on the way"
        replay.resume()
        result = replay.wait(WAIT)
        assert not result.identical
        assert [each.content for each in replay.state.messages] == ["question 50", "instead", "question 250"]
        replay.run_to(2)
        assert replay.state.variables == {"k": "changed"}
    assert session.get("k") == 299


def test_what_a_changed_replay_keeps_is_bounded(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(100):
        session.set("k", number)
    config = {"mode": "modified", "modifications": {"variables.k": "x" * 100}, "max_captured_bytes": 5000}
    replay = rt.replays.start(session, config)
    replay.wait(WAIT)
    replay.run_to(5)
    assert replay.state.variables == {"k": "x" * 100}
    replay.run_to(90)
    with pytest.raises(ReplayError, match="max_captured_bytes"):
        _ = replay.state


def test_the_live_session_is_not_disturbed(store_path: Path) -> None:
    with Runtime.open(store_path, config={"max_concurrent_replays": 20, "workers": 1, "ask_timeout": 5}) as rt:
        session = rt.create_session()
        for number in range(200):
            session.set("k", number)
        last = session.info().sequence
        paused = rt.replays.start(session, breakpoints=[{"sequence": 50}])
        assert paused.wait_paused(WAIT) is not None
        for number in range(200):
            session.set("k", number)
            assert session.get("k") == number
        assert (paused.status, paused.position, paused.last) == ("paused", 50, last)
        assert paused.state.variables == {"k": 48}
        entered = threading.Semaphore(0)
        leave = Flag()

        def hold(state: Any) -> bool:
            if state.sequence == 50:
                entered.release()
                leave.wait(WAIT)
            return False

        replays = [rt.replays.start(session, breakpoints=[{"when": hold}]) for _ in range(19)]
        for _ in replays:
            assert entered.acquire(timeout=WAIT)
        assert {each.status for each in replays} == {"running"}
        for number in range(200):
            session.set("k", number)
            assert session.get("k") == number, "20 replays are under way, and hold no worker and no turn"
        leave.set()
        assert all(each.wait(WAIT).identical for each in replays)
        paused.resume()
        assert paused.wait(WAIT).identical
        assert session.info().sequence == last + 400, "nothing was written"


def test_a_session_that_is_deleted_meanwhile_ends_its_replay(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(1500):
        session.set("k", number)
    replay = rt.replays.start(session, paused=True)
    replay.step(5)
    session.delete()
    with pytest.raises((SessionNotFound, IntegrityError)):
        replay.run_to(replay.last)
    assert replay.status == "failed"
    with pytest.raises((SessionNotFound, IntegrityError, ReplayError)):
        _ = replay.state.messages


def test_what_cannot_be_replayed_is_refused_at_once(rt: Runtime, recorded: Session) -> None:
    with pytest.raises(SessionNotFound):
        rt.replays.start("00000000-0000-4000-8000-000000000000")
    with pytest.raises(ReplayError, match="history"):
        rt.replays.start(recorded, {"target_sequence": 10_000})
    with pytest.raises(ValidationError, match="mode"):
        rt.replays.start(recorded, {"mode": "wrong"})
    with pytest.raises(ValidationError, match="evnt"):
        rt.replays.start(recorded, breakpoints=[{"evnt": "x"}])
    recorded.update_config(enable_replay=False)
    for call in (lambda: rt.replays.start(recorded), lambda: rt.replays.schedule(recorded, interval=60)):
        with pytest.raises(ReplayError, match="enable_replay"):
            call()
    assert rt.replays.list() == []


def test_a_part_of_a_session_is_replayed(rt: Runtime, recorded: Session) -> None:
    replay = rt.replays.start(recorded, {"target_sequence": 20})
    result = replay.wait(WAIT)
    assert (result.identical, replay.last, replay.position) == (True, 20, 20)
    assert replay.progress.percentage == 100


def test_a_journal_that_was_cut_is_replayed_from_there(rt: Runtime, recorded: Session) -> None:
    rt.retention(max_journal_events=20, dry_run=False)
    first = rt.replay_metadata(recorded).first
    with rt.replays.start(recorded, paused=True) as replay:
        assert replay.position == first
        assert replay.state.sequence == first, "the base has a state"
        replay.step(2)
        assert replay.state.to_dict() == recorded.at(sequence=replay.position).to_dict()
        assert replay.step_back(5) == first
        with pytest.raises(ReplayError):
            replay.run_to(first - 1)
        replay.resume()
        assert replay.wait(WAIT).identical


def test_a_session_reaches_its_own_replays_only(rt: Runtime, recorded: Session) -> None:
    other = rt.create_session("other")
    outcome: list[Any] = []

    def tool() -> str:
        replay = rt.replays.start(other)
        outcome.append(replay.wait(WAIT).identical)
        outcome.append(rt.replays.list(other) == [replay] and rt.replays.get(replay.id) is replay)
        outcome.append(rt.replays.schedules(other) == [])
        for call in (
            lambda: rt.replays.start(recorded),
            lambda: rt.replays.schedule(recorded, once=0),
            lambda: rt.replays.list(recorded),
            lambda: rt.replays.schedules(recorded),
            lambda: rt.replays.get(foreign.id),
            lambda: foreign.state,
            lambda: changed.state,
            rt.replays.list,
            rt.replays.schedules,
        ):
            try:
                call()
            except AccessDenied as error:
                outcome.append(error.code)
        return "done"

    foreign = rt.replays.start(recorded)
    foreign.wait(WAIT)
    changed = rt.replays.start(recorded, {"mode": "modified", "modifications": {"events.1.data.name": "changed"}})
    changed.wait(WAIT)
    assert changed.state.info.name == "changed"
    rt.tools.register("inside", tool)
    other.call_tool("inside")
    assert outcome == [True, True, True, *["AccessDenied"] * 9]


def test_closing_the_runtime_ends_replays(store_path: Path) -> None:
    rt = Runtime.open(store_path)
    session = rt.create_session()
    for number in range(50):
        session.set("k", number)
    paused = rt.replays.start(session, paused=True)
    waited: list[BaseException] = []

    def wait() -> None:
        try:
            paused.wait()
        except RuntimeClosed as error:
            waited.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    rt.close()
    thread.join(WAIT)
    assert len(waited) == 1
    assert paused.status == "stopped"
    with pytest.raises(RuntimeClosed):
        rt.replays.start(session)


def test_damage_ends_a_replay_there(store_path: Path, on_disk: Callable[[], Any]) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        for number in range(50):
            session.set("k", number)
        session_id = session.id
    with on_disk() as engine:
        key = sequence_key(session_bytes(session_id), 30)
        engine.write([(CF.JOURNAL, key, b"\x01damaged")])
    with Runtime.open(store_path) as rt:
        replay = rt.replays.start(session_id)
        result = replay.wait(WAIT)
        assert (replay.status, replay.position) == ("failed", 29)
        assert (result.identical, result.stopped, result.stopped_at) == (False, "damage", 30)
        assert replay.state.variables == {"k": 27}
        replay.step_back(9)
        assert replay.state.variables == {"k": 18}


def test_a_replay_on_a_schedule(store_path: Path, clock: Any) -> None:
    with Runtime.open(store_path, clock=clock) as rt:
        session = rt.create_session()
        session.set("k", 1)
        schedule = rt.replays.schedule(session, {"mode": "debug"}, interval=3600, limit=2)
        assert rt.replays.schedules() == [schedule]
        session.set("k", 2)
        clock.advance(3600)
        rt.replays._schedules.tick()
        current = schedule.current
        if current is not None:
            current.wait(WAIT)
        (run,) = schedule.runs
        assert run.result is not None
        assert (run.result.identical, run.result.last) == (True, 3), "as the session is when it runs"
        assert (run.result.comparisons, run.result.comparisons_left_out, len(run.result.captured)) == ((), 3, 0)
        schedule.cancel()
        assert rt.replays.schedules() == []


def test_a_simulation_is_controlled_like_any_replay(rt: Runtime) -> None:
    ran: list[int] = []

    def double(number: int) -> int:
        ran.append(number)
        return 2 * number

    rt.tools.register("double", double, side_effects=False)
    session = rt.create_session()
    for number in range(3):
        session.call_tool("double", {"number": number})
    last = session.info().sequence
    with rt.replays.start(session, {"mode": "simulate"}, breakpoints=[{"event": "tool.returned"}]) as replay:
        assert replay.wait_paused(WAIT) is not None
        assert ran == [0, 1, 2, 0]
        replay.breakpoints.clear()
        replay.resume()
        assert replay.wait(WAIT).identical
    assert ran == [0, 1, 2, 0, 1, 2]
    assert session.info().sequence == last


def test_stopping_keeps_what_was_found(rt: Runtime, recorded: Session) -> None:
    replay = rt.replays.start(recorded, paused=True)
    replay.step(10)
    replay.stop()
    result = replay.wait(WAIT)
    assert (result.identical, result.stopped, result.operations) == (False, "stopped", 10)
    unbegun = rt.replays.start(recorded, paused=True)
    unbegun.stop()
    with pytest.raises(ReplayError, match="stopped"):
        unbegun.wait(WAIT)
    with pytest.raises(InvalidOperation):
        unbegun.resume()
