"""Actors on a pool: one message at a time, in the order of arrival, and no waiting without an end."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from greenroom.actors.scheduling.dispatcher import NOBODY, Dispatcher, PooledActor
from greenroom.actors.scheduling.futures import DeferredReply, OperationEnvelope, PooledFuture
from greenroom.storage.errors import OperationTimeout, ResourceLimitExceeded

BOUND = 20.0  # seconds that nothing here may take; a failure shows as an assertion, not as a hang


class Recorder(PooledActor):
    """Notes what it handles, and notices when it handles two things at once."""

    def __init__(self, dispatcher: Dispatcher, capacity: int = 10_000) -> None:
        super().__init__(dispatcher, "recorder", mailbox_capacity=capacity)
        self.handled: list[Any] = []
        self.threads: list[str] = []
        self.overlaps = 0
        self._inside = 0

    def on_receive(self, message: Any) -> Any:
        self._inside += 1
        self.overlaps += self._inside != 1
        try:
            self.threads.append(threading.current_thread().name)
            if isinstance(message, Gate):
                message.entered.set()
                assert message.opened.wait(BOUND)
            if isinstance(message, Exception):
                raise message
            self.handled.append(message)
            return ("reply to", message)
        finally:
            self._inside -= 1


class Gate:
    """A message that keeps the actor busy until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    pool = Dispatcher(2, "test")
    yield pool
    pool.close(BOUND)


@pytest.fixture
def actor(dispatcher: Dispatcher) -> Recorder:
    return Recorder(dispatcher)


@pytest.fixture
def gate(actor: Recorder) -> Iterator[Gate]:
    """The actor is inside this message until the gate is opened."""
    message = Gate()
    actor.tell(message)
    assert message.entered.wait(BOUND)
    yield message
    message.opened.set()


def in_thread(call: Any) -> tuple[threading.Thread, list[Any]]:
    """Run in a thread; the list gets what it returns or raises."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


# -- asking and telling


def test_an_idle_actor_answers_on_the_askers_own_thread(actor: Recorder) -> None:
    assert actor.ask(1, BOUND) == ("reply to", 1)
    assert actor.threads == [threading.current_thread().name]


def test_a_told_message_is_handled_by_the_pool(actor: Recorder) -> None:
    actor.tell(1)
    assert actor.ask(2, BOUND) == ("reply to", 2)
    assert actor.handled == [1, 2]
    assert actor.threads[0].startswith("test-worker-")


def test_an_actor_has_a_mailbox_of_its_own_once_a_message_has_waited(actor: Recorder, dispatcher: Dispatcher) -> None:
    other = Recorder(dispatcher)
    actor.ask(1, BOUND)
    other.tell(2)
    assert other.ask(3, BOUND) == ("reply to", 3)
    assert actor.waiting is NOBODY
    assert other.waiting is not NOBODY
    assert not NOBODY


def test_the_first_messages_of_several_threads_at_once_all_arrive(dispatcher: Dispatcher) -> None:
    actors = [Recorder(dispatcher) for _ in range(200)]
    ready = threading.Barrier(4)

    def send(sender: int) -> None:
        for actor in actors:
            ready.wait(BOUND)
            actor.tell(sender)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    for actor in actors:
        actor.ask("last", BOUND)
        assert sorted(actor.handled[:-1]) == [0, 1, 2, 3]


def test_an_ask_waits_for_what_came_before_it(actor: Recorder, gate: Gate) -> None:
    actor.tell(1)
    thread, outcome = in_thread(lambda: actor.ask(2, BOUND))
    gate.opened.set()
    thread.join(BOUND)
    assert outcome == [("reply to", 2)]
    assert actor.handled == [gate, 1, 2]


def test_an_ask_that_finds_the_actor_between_two_turns_overtakes_nobody(actor: Recorder) -> None:
    for message in (1, 2):  # the moment after a turn, before the pool has taken up what waits
        actor._append_waiting(OperationEnvelope(message))
    assert actor.ask(3, BOUND) == ("reply to", 3)
    assert actor.handled == [1, 2, 3]


def test_the_asker_gets_the_very_error_and_the_actor_goes_on(actor: Recorder, gate: Gate) -> None:
    class Own(Exception):
        pass

    error = Own("mine")
    queued = actor.actor_ref.ask(error, block=False)
    gate.opened.set()
    with pytest.raises(Own) as caught:
        queued.get(timeout=BOUND)
    assert caught.value is error
    with pytest.raises(Own) as caught:
        actor.ask(error, BOUND)
    assert caught.value is error
    assert actor.ask("next", BOUND) == ("reply to", "next")


def test_a_told_message_that_fails_is_logged_without_its_content(
    actor: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        actor.tell(ValueError("it failed"))
        assert actor.ask("next", BOUND)
    assert "recorder: ValueError failed" in caplog.text


def test_messages_never_overlap_and_each_senders_keep_their_order(actor: Recorder) -> None:
    senders, count = 12, 150
    start = threading.Barrier(senders)

    def send(sender: int) -> None:
        start.wait(BOUND)
        for number in range(count):
            # Asks and tells of one sender are one order too.
            if number % 3:
                actor.tell((sender, number))
            else:
                assert actor.ask((sender, number), BOUND) == ("reply to", (sender, number))

    threads = [in_thread(lambda sender=sender: send(sender)) for sender in range(senders)]
    for thread, _ in threads:
        thread.join(60.0)
    assert [outcome for _, outcome in threads] == [[None]] * senders
    actor.ask("end", BOUND)
    assert actor.overlaps == 0
    handled = actor.handled[:-1]
    assert len(handled) == senders * count
    for sender in range(senders):
        assert [number for owner, number in handled if owner == sender] == list(range(count))


def test_many_actors_share_few_threads(dispatcher: Dispatcher) -> None:
    before = threading.active_count()
    actors = [Recorder(dispatcher) for _ in range(500)]
    for number, each in enumerate(actors):
        each.tell(number)
    assert [each.ask("end", BOUND) for each in actors] == [("reply to", "end")] * 500
    assert [each.handled for each in actors] == [[number, "end"] for number in range(500)]
    assert threading.active_count() == before


def test_a_flooded_actor_does_not_keep_others_from_their_turn() -> None:
    pool = Dispatcher(1, "single")
    flooded, other = Recorder(pool), Recorder(pool)
    seen: list[int] = []
    other.on_receive = lambda message: seen.append(len(flooded.handled))  # type: ignore[method-assign]
    gate = Gate()
    flooded.tell(gate)
    assert gate.entered.wait(BOUND)
    for number in range(1000):
        flooded.tell(number)
    told = other.actor_ref.ask("me too", block=False)
    gate.opened.set()
    told.get(timeout=BOUND)
    assert seen[0] < 1000
    pool.close(BOUND)


# -- giving up


def test_a_message_that_was_given_up_never_runs(actor: Recorder, gate: Gate) -> None:
    with pytest.raises(OperationTimeout) as caught:
        actor.ask("too late", 0.01)
    assert caught.value.fields == {"timeout": 0.01, "started": False}
    assert "nothing was done" in str(caught.value)
    gate.opened.set()
    assert actor.ask("next", BOUND) == ("reply to", "next")
    assert "too late" not in actor.handled


def test_giving_up_on_what_has_begun_says_so_and_it_still_happens(actor: Recorder, gate: Gate) -> None:
    second = Gate()
    future = actor.actor_ref.ask(second, block=False)
    gate.opened.set()
    assert second.entered.wait(BOUND)
    with pytest.raises(OperationTimeout) as caught:
        future.get(timeout=0.01)
    assert caught.value.fields == {"timeout": 0.01, "started": True}
    assert "may still take effect" in str(caught.value)
    second.opened.set()
    assert future.get(timeout=BOUND) == ("reply to", second)
    assert actor.handled == [gate, second]


@pytest.mark.parametrize("timeout", [float("inf"), 1e300])
def test_waiting_for_ever_is_allowed(actor: Recorder, gate: Gate, timeout: float) -> None:
    thread, outcome = in_thread(lambda: actor.ask("patient", timeout))
    gate.opened.set()
    thread.join(BOUND)
    assert outcome == [("reply to", "patient")]


# -- the mailbox


def test_a_full_mailbox_refuses_and_keeps_what_it_has(dispatcher: Dispatcher) -> None:
    actor, gate = Recorder(dispatcher, capacity=3), Gate()
    actor.tell(gate)
    assert gate.entered.wait(BOUND)
    waiting = [actor.actor_ref.ask(number, block=False) for number in range(3)]
    for send in (lambda: actor.tell("more"), lambda: actor.ask("more", BOUND)):
        with pytest.raises(ResourceLimitExceeded) as caught:
            send()
        assert caught.value.fields == {"resource": "mailbox", "limit": 3, "value": 3}
    gate.opened.set()
    assert waiting[-1].get(timeout=BOUND) == ("reply to", 2)
    assert actor.ask("end", BOUND) == ("reply to", "end")
    assert actor.handled == [gate, 0, 1, 2, "end"]


# -- pykka's own ways


def test_pykkas_reference_works(actor: Recorder) -> None:
    ref = actor.actor_ref
    assert ref.is_alive()
    assert ref.ask(1) == ("reply to", 1)
    future = ref.ask(2, block=False)
    assert isinstance(future, pykka.Future)
    assert future.get(timeout=BOUND) == ("reply to", 2)
    assert future.get(timeout=BOUND) == ("reply to", 2)
    assert ref.ask(3, block=False).map(lambda reply: reply[1] * 10).get(timeout=BOUND) == 30
    assert pykka.get_all([ref.ask(number, block=False) for number in (4, 5)], timeout=BOUND) == [
        ("reply to", 4),
        ("reply to", 5),
    ]
    ref.tell(6)
    ref.ask(7)
    assert actor.handled == [1, 2, 3, 4, 5, 6, 7]
    assert ref.actor_urn == actor.actor_ref.actor_urn == "recorder"


def test_a_stopped_actor_is_dead_to_everybody(actor: Recorder, gate: Gate) -> None:
    ref = actor.actor_ref
    waiting = ref.ask("before the end", block=False)
    thread, outcome = in_thread(lambda: ref.stop(timeout=BOUND))
    gate.opened.set()
    thread.join(BOUND)
    assert outcome == [True]
    assert waiting.get(timeout=BOUND) == ("reply to", "before the end")
    assert not ref.is_alive()
    for send in (lambda: ref.tell(1), lambda: ref.ask(1), lambda: ref.ask(1, block=False).get(timeout=BOUND)):
        with pytest.raises(pykka.ActorDeadError):
            send()
    assert ref.stop() is False


def test_what_waits_behind_the_stop_is_told_so(actor: Recorder, gate: Gate) -> None:
    ref = actor.actor_ref
    stopping = ref.stop(block=False)
    behind = ref.ask("too late", block=False)
    gate.opened.set()
    stopping.get(timeout=BOUND)
    with pytest.raises(pykka.ActorDeadError):
        behind.get(timeout=BOUND)
    assert actor.handled == [gate]


def test_an_actor_is_not_in_pykkas_global_registry(actor: Recorder) -> None:
    assert pykka.ActorRegistry.get_by_class(Recorder) == []


# -- replies that are worked out later


def test_a_later_reply_is_finished_on_the_askers_thread_outside_the_turn(actor: Recorder, gate: Gate) -> None:
    names: list[str] = []

    def finish() -> str:
        names.append(threading.current_thread().name)
        assert actor.ask("from inside", BOUND) == ("reply to", "from inside")  # the turn is free
        return "finished"

    receive = actor.on_receive
    actor.on_receive = lambda message: DeferredReply(finish) if message == "later" else receive(message)  # type: ignore[method-assign]
    queued = actor.actor_ref.ask("later", block=False)
    gate.opened.set()
    assert queued.get(timeout=BOUND) == "finished"
    assert actor.ask("later", BOUND) == "finished"
    assert names == [threading.current_thread().name] * 2


def test_an_error_while_finishing_is_the_askers(actor: Recorder) -> None:
    actor.on_receive = lambda message: DeferredReply(lambda: 1 / 0)  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        actor.ask("x", BOUND)
    future = actor.actor_ref.ask("x", block=False)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            future.get(timeout=BOUND)


# -- the pool


def test_closing_finishes_what_was_given_and_ends_the_threads() -> None:
    pool = Dispatcher(3, "closing")
    actor = Recorder(pool)
    for number in range(200):
        actor.tell(number)
    pool.close(BOUND)
    assert actor.handled[:64] == list(range(64))  # at least its first turn
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("closing-")]


def test_a_dropped_actor_is_not_kept_by_the_thread_that_ran_it(dispatcher: Dispatcher) -> None:
    actor = Recorder(dispatcher)
    actor.tell(1)
    actor.ask(2, BOUND)
    gone = weakref.ref(actor)
    other = Recorder(dispatcher)
    del actor
    for _ in range(4):  # each pool thread has moved on to something else
        other.actor_ref.ask("x", block=False).get(timeout=BOUND)
    gc.collect()
    assert gone() is None


def test_a_future_that_is_never_answered_gives_up() -> None:
    with pytest.raises(OperationTimeout):
        PooledFuture().get(timeout=0.01)
