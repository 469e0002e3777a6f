"""Sessions leave memory and come back, and nobody can tell from their answers."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.actors.session.decisions import decide as deciding
from greenroom.runtime import Runtime, RuntimeConfig, Session, SessionNotFound, messages

BOUND = 20.0


@pytest.fixture
def open_with(clock: Any) -> Iterator[Callable[..., Runtime]]:
    """Opens temporary runtimes with these settings, on the driven clock, whose timers do nothing by themselves."""
    opened: list[Runtime] = []

    def open_one(**settings: Any) -> Runtime:
        opened.append(Runtime.open(config=RuntimeConfig(**settings), clock=clock))
        opened[-1].core.timers.close(BOUND)  # tests say when it is time, see pass_time
        return opened[-1]

    yield open_one
    for runtime in opened:
        runtime.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """(entered, opened): setting the variable "hold" keeps its session busy until `opened` is set."""
    entered, opened = threading.Event(), threading.Event()
    decider = deciding.DECIDERS[messages.SetVariable]

    def hold(state: Any, command: Any, limits: Any, lookup: Any) -> Any:
        if command.key == "hold":
            entered.set()
            assert opened.wait(BOUND)
        return decider(state, command, limits, lookup)

    monkeypatch.setitem(deciding.DECIDERS, messages.SetVariable, hold)
    yield entered, opened
    opened.set()


def resident(rt: Runtime) -> int:
    found: int = rt.stats()["resident"]
    return found


# -- by count


def test_no_more_sessions_stay_in_memory_than_allowed(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(max_resident_sessions=4)
    sessions = []
    for number in range(40):
        session = rt.create_session(name=f"n{number}")
        session.set("number", number)
        sessions.append(session)
        assert resident(rt) <= 4
    for number, session in reversed(list(enumerate(sessions))):
        assert session.get("number") == number
        assert session.info().name == f"n{number}"
        assert resident(rt) <= 4
    assert rt.stats()["activations"] >= 36


def test_the_limit_holds_when_all_in_memory_are_in_use(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(max_resident_sessions=4)
    recent: list[Session] = []
    for _ in range(40):
        recent = [*recent[-3:], rt.create_session()]
        for session in recent:
            session.get("k")
        assert resident(rt) <= 4


def test_what_is_used_stays_and_what_is_not_goes(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(max_resident_sessions=5)
    favourite = rt.create_session()
    favourite.set("k", "v")
    for _ in range(50):
        rt.create_session()
        assert favourite.get("k") == "v"
    assert rt.stats()["activations"] == 0


def test_one_place_in_memory_is_enough_for_everybody(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(max_resident_sessions=1)
    sessions = [rt.create_session() for _ in range(3)]
    for turn in range(5):
        for number, session in enumerate(sessions):
            session.set(f"turn {turn}", number)
            session.add_message("user", f"{turn}/{number}")
            session.store_artifact("x", "a", f"{turn}/{number}")
            assert resident(rt) == 1
    for number, session in enumerate(sessions):
        assert session.variables() == {f"turn {turn}": number for turn in range(5)}
        assert [message.content for message in session.messages()] == [f"{turn}/{number}" for turn in range(5)]
        assert session.get_artifact("a", version=3).content == f"2/{number}".encode()
    assert rt.verify().ok


# -- by bytes


def test_memory_is_limited_by_what_the_states_take(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(max_resident_bytes=1 << 20)
    sessions = [rt.create_session() for _ in range(30)]
    for number, session in enumerate(sessions):
        session.set("big", bytes([number]) * (100 << 10))
        assert rt.stats()["resident_bytes"] <= 1 << 20
    assert resident(rt) <= 10
    assert rt.stats()["resident_bytes"] <= 1 << 20
    for number, session in enumerate(sessions):
        assert session.get("big") == bytes([number]) * (100 << 10)
        assert resident(rt) <= 10


def test_a_session_larger_than_the_limit_still_works(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(max_resident_bytes=50_000)
    session = rt.create_session()
    for number in range(5):
        session.set(f"k{number}", "x" * 40_000)
    assert len(session.variables()) == 5
    other = rt.create_session()
    assert other.get("k") is None
    assert session.get("k4") == "x" * 40_000


def test_the_bytes_are_given_back_when_sessions_leave(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(passivate_after=100)
    for number in range(10):
        session = rt.create_session(metadata={"k": "v" * 400 * number}, tags=["t"])
        session.set("k", "v" * 1000 * number)
        session.set("k", "shorter")
        if number % 3 == 0:
            session.delete()
    assert rt.stats()["resident_bytes"] > 0
    pass_time(rt, 200)
    assert rt.stats()["resident"] == 0
    assert rt.stats()["resident_bytes"] == 0


# -- by time


def pass_time(rt: Runtime, seconds: float) -> None:
    """Let time pass as the runtime's timer would have it: a sweep every half `passivate_after`."""
    step = rt.config.passivate_after / 2
    for _ in range(int(seconds / step)):
        rt.core.clock.advance(step)  # type: ignore[attr-defined]
        rt._supervisor.save_due()
        rt._parts._sweep()


def test_an_unused_session_leaves_memory_after_its_time_and_comes_back(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(passivate_after=100)
    idle, busy = rt.create_session(name="idle"), rt.create_session(name="busy")
    idle.set("k", [1, 2])
    for _ in range(4):
        busy.set("k", 1)
        pass_time(rt, 50)
    assert resident(rt) == 1
    assert rt.stats()["activations"] == 0
    assert idle.get("k") == [1, 2]
    assert rt.stats()["activations"] == 1
    assert resident(rt) == 2


def test_a_session_is_not_passivated_before_its_time(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(passivate_after=100)
    rt.create_session()
    pass_time(rt, 50)
    assert resident(rt) == 1


def test_the_runtimes_own_timer_sweeps(clock: Any) -> None:
    with Runtime.open(config={"passivate_after": 100}, clock=clock) as rt:
        rt.create_session()
        for _ in range(2):
            swept = threading.Event()
            rt.core.timers.every(50, swept.set)  # due with the sweep or after it
            clock.advance(50)
            rt.core.timers.every(10**9, lambda: None)  # has the timer look at the clock
            assert swept.wait(BOUND)
        assert resident(rt) == 0


def test_a_busy_session_is_saved_now_and_then(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(passivate_after=100)
    session = rt.create_session()
    for number in range(10):
        session.set("k", number)
        pass_time(rt, 50)
        rt.ask(session.id, messages.Finish())
    saved = [event.type for event in session.events()].count("session.saved")
    assert saved == 1
    assert session.get("k") == 9


def test_automatic_saves_keep_their_interval_to_the_second(clock: Any) -> None:
    with Runtime.open(config={"passivate_after": 1000}, clock=clock) as rt:
        rt.core.timers.close(BOUND)
        usual = rt.create_session()
        often = rt.create_session(config={"auto_save_interval": 10})
        never = rt.create_session(config={"auto_save_interval": None})

        def saves(session: Session) -> int:
            return [event.type for event in session.events()].count("session.saved")

        for second in range(1, 302):
            clock.advance(1)
            for session in (usual, often, never) if second % 7 == 0 else ():
                session.set("k", second)
            rt._supervisor.save_due()
            for session in (usual, often, never):
                rt.ask(session.id, messages.Finish())
            if second in (9, 10, 11, 299, 300, 301):
                assert saves(often) == second // 10
                assert saves(usual) == second // 300
        assert saves(never) == 0


def test_a_save_that_a_hook_refuses_is_not_tried_every_second(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        rt.core.timers.close(BOUND)
        session = rt.create_session(config={"auto_save_interval": 10})
        tried = threading.Semaphore(0)

        def refuse(context: Any) -> str:
            tried.release()
            return "cancel"

        rt.hooks.register("BeforeSessionSaved", refuse)
        session.set("k", 1)
        for _ in range(25):
            clock.advance(1)
            rt._supervisor.save_due()
        for _ in range(2):
            assert tried.acquire(timeout=BOUND)
        assert not tried.acquire(blocking=False)


def test_passivation_does_not_show_in_a_session(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(passivate_after=100)
    session = rt.create_session(name="n", tags=["a"], metadata={"m": 1})
    for number in range(50):
        session.set(f"k{number}", number)
    before, events = session.info(), list(session.events())
    pass_time(rt, 200)
    assert resident(rt) == 0
    assert session.info() == before
    assert list(session.events()) == events


# -- at work


def test_a_session_at_work_is_not_passivated(
    open_with: Callable[..., Runtime], held: tuple[threading.Event, threading.Event]
) -> None:
    rt = open_with(max_resident_sessions=1, passivate_after=100)
    entered, opened = held
    busy = rt.create_session()
    rt.tell(busy.id, messages.SetVariable("hold", 1))
    assert entered.wait(BOUND)
    rt.tell(busy.id, messages.SetVariable("after", 2))
    others = [rt.create_session() for _ in range(5)]
    for other in others:
        other.set("k", 1)
    pass_time(rt, 250)
    opened.set()
    assert busy.get("after") == 2
    assert busy.get("hold") == 1
    assert [event.sequence for event in busy.events()] == [1, 2, 3]


def test_told_messages_keep_their_order_through_passivation(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(max_resident_sessions=1)
    sessions = [rt.create_session() for _ in range(3)]
    for number in range(100):
        for session in sessions:
            rt.tell(session.id, messages.SetVariable("k", number))
    for session in sessions:
        rt.ask(session.id, messages.Finish())
        values = [event.data["value"] for event in session.events(after=1)]
        assert values == list(range(100))


def test_many_threads_on_few_places_get_right_answers(open_with: Callable[..., Runtime]) -> None:
    rt = open_with(max_resident_sessions=3)
    sessions = [rt.create_session() for _ in range(10)]
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        chance = random.Random(worker)
        expected: dict[tuple[str, str], int] = {}
        try:
            for number in range(150):
                session, key = chance.choice(sessions), f"{worker}/{chance.randint(0, 3)}"
                assert session.get(key) == expected.get((session.id, key))
                session.set(key, number)
                expected[session.id, key] = number
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert resident(rt) <= 3
    written = sum(info.sequence - 1 for info in rt.list_sessions())
    assert written == 6 * 150
    assert rt.verify().ok


# -- pykka's ref


def test_a_session_stopped_through_pykka_comes_back_with_the_next_message(open_with: Callable[..., Runtime]) -> None:
    rt = open_with()
    session = rt.create_session()
    session.set("k", 1)
    ref = rt._supervisor.residents()[0].actor_ref
    assert ref.ask(messages.GetVariable("k")) == 1
    assert ref.ask(messages.GetVariable("k"), block=False).get(timeout=BOUND) == 1
    ref.tell(messages.SetVariable("k", 2))
    assert ref.stop(timeout=BOUND) is True
    assert session.get("k") == 2
    session.set("k", 3)
    assert session.get("k") == 3
    assert resident(rt) == 1


# -- ids


def test_messages_to_no_session_are_refused(open_with: Callable[..., Runtime]) -> None:
    rt = open_with()
    gone = rt.create_session()
    gone.delete()
    for bad in (gone.id, "", "x", "6f9619ff-8b86-4011-b42d-00cf4fc964ff", "../etc"):
        with pytest.raises(SessionNotFound):
            rt.ask(bad, messages.GetInfo())
        with pytest.raises(SessionNotFound):
            rt.tell(bad, messages.SetVariable("k", 1))
    assert resident(rt) == 0
