"""Subscriptions: what comes in, in which order, what happens when a queue is full, and that nobody else suffers.

The file is long because every property of a subscription is tested with the same few tools.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    Event,
    InvalidOperation,
    ResourceLimitExceeded,
    Runtime,
    RuntimeClosed,
    Session,
    SessionNotFound,
    Step,
    ValidationError,
    Workflow,
    messages,
)

PATIENCE = 10.0


@pytest.fixture
def session(shared_runtime: Runtime) -> Session:
    return shared_runtime.create_session()


def drained(subscription: Any) -> list[Event]:
    """What is in a queue."""
    found = []
    while (event := subscription.receive(timeout=0)) is not None:
        found.append(event)
    return found


# -- what comes in


def test_events_come_in_the_order_of_the_journal_and_equal_what_is_journaled(
    shared_runtime: Runtime, session: Session
) -> None:
    with shared_runtime.events.subscribe(session=session) as told:
        session.set("k", {"a": [1, None]})
        session.add_tag("t")
        session.update_metadata({"team": "x"})
        session.add_message("user", "hello")
        session.store_artifact("t", "n", "c")
        session.delete_variable("k")
        session.save()
        session.suspend()
        assert drained(told) == list(session.events(after=1))


def test_a_subscription_hears_only_what_fits_and_what_comes_after_it(shared_runtime: Runtime, session: Session) -> None:
    session.set("before", 1)
    with shared_runtime.events.subscribe("variable.*", session=session) as told:
        session.add_tag("t")
        session.set("after", 2)
        (event,) = drained(told)
    assert (event.type, event.data) == ("variable.set", {"key": "after", "value": 2})
    session.set("closed", 3)
    assert told.receive(timeout=0) is None


def test_what_is_no_fact_of_a_journal_is_told(shared_runtime: Runtime) -> None:
    with shared_runtime.events.subscribe("**") as told:
        session = shared_runtime.create_session(name="short")
        info = session.store_artifact("t", "n", "content")
        session.get_artifact("n")
        session.get_many(["n"])
        with session.open_artifact("n") as stream:
            stream.read()
        session.delete()
        events = drained(told)
    assert [each.type for each in events] == [
        "session.created",
        "session.started",
        "artifact.stored",
        "artifact.retrieved",
        "artifact.retrieved",
        "artifact.retrieved",
        "session.deleted",
    ]
    started, retrieved, deleted = events[1], events[3], events[-1]
    assert {each.session_id for each in events} == {session.id}
    assert [each.sequence for each in (started, retrieved, deleted)] == [0, 0, 0]
    assert len({each.id for each in events}) == len(events)
    assert retrieved.data["content_hash"] == info.id.content_hash
    assert deleted.data["name"] == "short"


def test_sessions_that_come_from_a_bundle_are_told(shared_runtime: Runtime, tmp_path: Any) -> None:
    session = shared_runtime.create_session()
    session.export(tmp_path / "s.bundle")
    with shared_runtime.events.subscribe("session.*") as told:
        copy = shared_runtime.import_session(tmp_path / "s.bundle", keep_ids=False)
        (event,) = drained(told)
    assert (event.type, event.session_id) == ("session.imported", copy.id)
    assert event == list(copy.events())[-1]


def test_nobody_can_change_what_others_see_or_what_a_session_is(shared_runtime: Runtime, session: Session) -> None:
    with (
        shared_runtime.events.subscribe(session=session) as one,
        shared_runtime.events.subscribe(session=session) as two,
    ):
        session.set_tags(["a"])
        event = one.receive(timeout=0)
        assert event is not None
        event.data["tags"].append("forged")
        assert list(session.info().tags) == ["a"]
        other = two.receive(timeout=0)
        assert other is not None
        assert other.data == {"tags": ["a"]}


def test_receive_waits_for_an_event_of_another_thread(shared_runtime: Runtime, session: Session) -> None:
    with shared_runtime.events.subscribe("variable.set", session=session) as told:
        shared_runtime.tell(session.id, messages.SetVariable("k", 1))
        event = told.receive(timeout=PATIENCE)
    assert event is not None
    assert event.data["key"] == "k"


def test_iteration_ends_when_the_subscription_is_closed(shared_runtime: Runtime, session: Session) -> None:
    told = shared_runtime.events.subscribe("variable.set", session=session)
    seen: list[str] = []
    first = threading.Event()

    def listen() -> None:
        for event in told:
            seen.append(event.data["key"])
            first.set()

    listener = threading.Thread(target=listen)
    listener.start()
    session.set("k", 1)
    assert first.wait(PATIENCE)
    told.close()
    listener.join(PATIENCE)
    assert not listener.is_alive()
    assert seen == ["k"]


def test_the_order_of_each_session_holds_with_many_writers(shared_runtime: Runtime) -> None:
    sessions = [shared_runtime.create_session() for _ in range(4)]
    with shared_runtime.events.subscribe("variable.set", capacity=10_000) as told:
        writers = [
            threading.Thread(target=lambda s=each: [s.set("k", n) for n in range(50)])  # type: ignore[misc]
            for each in [*sessions, *sessions]
        ]
        for each in writers:
            each.start()
        for each in writers:
            each.join()
        events = drained(told)
    for each in sessions:
        assert [e.sequence for e in events if e.session_id == each.id] == list(range(2, 102))


def test_the_state_of_scopes_is_told_but_is_no_session(shared_runtime: Runtime) -> None:
    with shared_runtime.events.subscribe("**") as told:
        shared_runtime.state_scope("user:bus").set("k", 1)
        assert [each.type for each in drained(told)] == ["variable.set"]


def test_listening_to_a_session_that_is_not_there_is_an_error(shared_runtime: Runtime) -> None:
    with pytest.raises(SessionNotFound):
        shared_runtime.events.subscribe(session="00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"capacity": 0}, "capacity"),
        ({"capacity": True}, "capacity"),
        ({"overflow": "explode"}, "overflow"),
        ({"block_timeout": 0}, "block_timeout"),
        ({"block_timeout": 61}, "block_timeout"),
        ({"callback": "no function"}, "callback"),
    ],
)
def test_impossible_options_are_refused(shared_runtime: Runtime, options: dict[str, Any], field: str) -> None:
    before = shared_runtime.events.subscriptions
    with pytest.raises(ValidationError) as refused:
        shared_runtime.events.subscribe("x", **options)
    assert refused.value.field == field
    assert shared_runtime.events.subscriptions == before


# -- a full queue


def test_drop_oldest_keeps_the_newest(shared_runtime: Runtime, session: Session) -> None:
    with shared_runtime.events.subscribe("variable.set", capacity=3, session=session) as told:
        for n in range(10):
            session.set("k", n)
        assert (told.pending, told.dropped) == (3, 7)
        assert [each.data["value"] for each in drained(told)] == [7, 8, 9]


def test_drop_newest_keeps_the_oldest(shared_runtime: Runtime, session: Session) -> None:
    with shared_runtime.events.subscribe("variable.set", 3, "drop_newest", session=session) as told:
        for n in range(10):
            session.set("k", n)
        assert (told.pending, told.dropped) == (3, 7)
        assert [each.data["value"] for each in drained(told)] == [0, 1, 2]


def test_disconnect_ends_the_subscription_and_leaves_what_it_had(shared_runtime: Runtime, session: Session) -> None:
    told = shared_runtime.events.subscribe("variable.set", 3, "disconnect", session=session)
    for n in range(10):
        session.set("k", n)
    assert told.closed
    assert told not in shared_runtime.events.subscriptions
    assert told.dropped == 1
    assert [each.data["value"] for each in told] == [0, 1, 2]


def test_block_waits_for_room(shared_runtime: Runtime, session: Session) -> None:
    with shared_runtime.events.subscribe("variable.set", 2, "block", session=session, block_timeout=60) as told:
        seen: list[int] = []

        def read() -> None:
            while len(seen) < 20:
                event = told.receive(timeout=PATIENCE)
                assert event is not None
                seen.append(event.data["value"])

        reader = threading.Thread(target=read)
        reader.start()
        for n in range(20):
            session.set("k", n)
        reader.join(PATIENCE)
        assert seen == list(range(20))
        assert told.dropped == 0


def test_block_is_bounded_and_waits_only_once_for_who_never_reads(shared_runtime: Runtime, session: Session) -> None:
    with shared_runtime.events.subscribe("variable.set", 2, "block", session=session, block_timeout=0.01) as told:
        for n in range(300):  # at 10 ms each this would be noticed
            session.set("k", n)
        assert (told.pending, told.dropped) == (2, 298)
        assert session.get("k") == 299
        # who reads again is waited for again
        assert told.receive(timeout=0) is not None
        session.set("k", "room")
        assert (told.pending, told.dropped) == (2, 298)


def test_closing_frees_who_waits_for_room(shared_runtime: Runtime, session: Session) -> None:
    told = shared_runtime.events.subscribe("variable.set", 1, "block", session=session, block_timeout=60)
    session.set("k", 0)
    writer = threading.Thread(target=lambda: session.set("k", 1))
    writer.start()
    told.close()
    writer.join(PATIENCE)
    assert not writer.is_alive()
    assert session.get("k") == 1


def test_a_queue_is_bounded_in_bytes_too(shared_runtime: Runtime, session: Session) -> None:
    with shared_runtime.events.subscribe("variable.set", session=session) as told:
        large = b"x" * 1_000_000
        for _ in range(80):
            session.set("k", large)
        assert told.dropped >= 80 - 67
        assert told.pending + told.dropped == 80


@pytest.mark.parametrize("timeout", [float("nan"), "1", True])
def test_a_time_to_wait_that_is_none_is_refused(shared_runtime: Runtime, timeout: Any) -> None:
    with shared_runtime.events.subscribe("custom.never") as told, pytest.raises(ValidationError):
        told.receive(timeout=timeout)


def test_values_within_lists_and_objects_fill_a_queue_too(shared_runtime: Runtime, session: Session) -> None:
    shared_runtime.tools.register("long", lambda: ["x" * 16_000], replace=True)
    flow = Workflow.sequential(Step("a", tool="long", input={}))
    with shared_runtime.events.subscribe("workflow.stage", session=session) as told:
        told.queue_bytes = 100_000
        for _ in range(10):
            session.run_workflow(flow)
        assert told.pending <= 6
        assert told.pending + told.dropped == 10


def test_who_never_reads_slows_nobody(shared_runtime: Runtime, session: Session) -> None:
    with shared_runtime.events.subscribe("**") as never_read:
        with shared_runtime.events.subscribe("variable.set", capacity=5000, session=session) as told:
            for n in range(2000):
                session.set("k", n)
            assert told.pending == 2000
        assert never_read.dropped >= 1000


def test_who_hears_everything_keeps_to_bounds_of_its_own(rt: Runtime) -> None:
    session = rt.create_session()
    small, roomy, strict, closed = (
        rt.events.subscribe("variable.set", capacity=3),
        rt.events.subscribe("variable.*", capacity=100),
        rt.events.subscribe("**", capacity=4, overflow="drop_newest"),
        rt.events.subscribe("variable.set"),
    )
    light = rt.events.subscribe("variable.set")
    light.queue_bytes = 250
    closed.close()
    for n in range(10):
        session.set("k", f"{n}" * 100)
    kept = {each: [event.data["value"][0] for event in drained(each)] for each in (small, roomy, strict, light)}
    assert kept == {small: list("789"), roomy: list("0123456789"), strict: list("0123"), light: list("89")}
    assert [each.dropped for each in (small, roomy, strict, light, closed)] == [7, 0, 6, 8, 0]
    assert drained(closed) == []
    session.set("k", "x" * 300)  # what is too large for a queue takes it alone
    assert [event.data["value"] for event in drained(light)] == ["x" * 300]


def test_those_who_hear_everything_are_all_woken(rt: Runtime) -> None:
    session = rt.create_session()
    listeners = [rt.events.subscribe("variable.set") for _ in range(8)]
    woken: list[Any] = []
    threads = [
        threading.Thread(target=lambda each=each: woken.append(each.receive(PATIENCE).data["value"]))
        for each in listeners
    ]
    for thread in threads:
        thread.start()
    session.set("k", 1)
    for thread in threads:
        thread.join(PATIENCE)
    assert woken == [1] * 8


# -- callbacks


def test_a_callback_gets_every_event_on_a_thread_of_its_own(shared_runtime: Runtime, session: Session) -> None:
    seen: list[tuple[Any, str]] = []
    enough = threading.Event()

    def call(event: Event) -> None:
        seen.append((event.data["value"], threading.current_thread().name))
        if len(seen) == 5:
            enough.set()

    with shared_runtime.events.subscribe("variable.set", callback=call, session=session) as told:
        with pytest.raises(InvalidOperation):
            told.receive(timeout=0)
        for n in range(5):
            session.set("k", n)
        assert enough.wait(PATIENCE)
    assert [value for value, _ in seen] == list(range(5))
    assert {name for _, name in seen} == {"greenroom-events-variable.set"}


def test_a_callback_that_raises_is_logged_and_called_again(
    shared_runtime: Runtime, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    enough = threading.Event()

    def call(event: Event) -> None:
        seen.append(event.data["value"])
        if len(seen) == 2:
            enough.set()
        raise RuntimeError("as planned")

    with (
        caplog.at_level(logging.ERROR, "greenroom.events"),
        shared_runtime.events.subscribe("variable.set", callback=call, session=session) as told,
    ):
        session.set("k", 1)
        session.set("k", 2)
        assert enough.wait(PATIENCE)
    assert seen == [1, 2]
    assert "RuntimeError" in caplog.text
    assert told.failed >= 1


def test_a_callback_that_hangs_holds_up_nobody_else(shared_runtime: Runtime, session: Session) -> None:
    hung, release = threading.Event(), threading.Event()

    def hang(event: Event) -> None:
        hung.set()
        release.wait(PATIENCE)

    with (
        shared_runtime.events.subscribe("variable.set", 2, callback=hang, session=session) as stuck,
        shared_runtime.events.subscribe("variable.set", session=session) as told,
    ):
        session.set("k", 0)
        assert hung.wait(PATIENCE)
        for n in range(1, 10):
            session.set("k", n)
        assert [each.data["value"] for each in drained(told)] == list(range(10))
        assert stuck.dropped == 7
        release.set()


def test_a_callback_may_write_to_the_session_that_it_hears_of(shared_runtime: Runtime, session: Session) -> None:
    done = threading.Event()

    def call(event: Event) -> None:
        session.set("seen", event.data["value"])
        done.set()

    with shared_runtime.events.subscribe("variable.set", 100, "block", call, session) as told:
        session.set("k", 7)
        assert done.wait(PATIENCE)
        told.close()
    assert session.get("seen") == 7
    answer = next(each for each in session.events() if each.data.get("key") == "seen")
    cause = next(each for each in session.events() if each.data.get("key") == "k")
    assert (answer.causation_id, answer.root_id, answer.correlation_id) == (cause.id, cause.id, session.id)
    assert answer.source == "subscriber:variable.set"


# -- publishing


def test_a_published_event_of_a_session_is_a_fact(shared_runtime: Runtime, session: Session) -> None:
    data = {"n": 1 << 70, "none": None, "list": [1, {"b": b"\xff"}], "content_hash": b"\x00" * 32}
    with shared_runtime.events.subscribe("custom.**", session=session) as told:
        made = shared_runtime.events.publish(
            "custom.step.done", data, session, correlation_id="run 1", source="me", target="you", tags=["t", "u"]
        )
        assert drained(told) == [made]
    assert list(session.events())[-1] == made == shared_runtime.events.get(made.id)
    assert made.data == data
    assert (made.correlation_id, made.source, made.target, made.tags) == ("run 1", "me", "you", ("t", "u"))
    assert made.id == f"{session.id}/{made.sequence}"


def test_a_published_event_without_a_session_is_told_only(shared_runtime: Runtime) -> None:
    with shared_runtime.events.subscribe("deploy.*") as told:
        made = shared_runtime.events.publish("deploy.started", {"version": 3})
        assert drained(told) == [made]
    assert (made.sequence, made.session_id, made.data) == (0, "", {"version": 3})
    assert made.correlation_id == made.root_id == made.id


def test_publishing_by_message_does_the_same(shared_runtime: Runtime, session: Session) -> None:
    made = shared_runtime.ask(session.id, messages.PublishEvent("custom.x", {"a": 1}))
    assert made == list(session.events())[-1]
    shared_runtime.tell(session.id, messages.PublishEvent("custom.y"))
    shared_runtime.ask(session.id, messages.Finish())
    assert list(session.events())[-1].type == "custom.y"


@pytest.mark.parametrize("type", ["", ".", "a.", "a..b", "a b", "custom.*", "a\n", "x" * 256, 7, None])
def test_types_that_cannot_be_are_refused(shared_runtime: Runtime, type: Any) -> None:
    with pytest.raises(ValidationError):
        shared_runtime.events.publish(type)


def test_the_data_of_an_event_is_bounded(shared_runtime: Runtime, session: Session) -> None:
    at_most = (16 << 20) - 8
    shared_runtime.events.publish("custom.large", {"k": "x" * at_most}, session)
    with pytest.raises(ResourceLimitExceeded) as refused:
        shared_runtime.events.publish("custom.large", {"k": "x" * (at_most + 8)}, session)
    assert refused.value.resource == "event_bytes"
    for bad in ({1: 2}, {"k": float("nan")}, {"k": object()}):
        with pytest.raises(ValidationError):
            shared_runtime.events.publish("custom.bad", bad, session)


def test_publishing_into_a_session_needs_it_active(shared_runtime: Runtime, session: Session) -> None:
    session.complete()
    before = session.info().sequence
    with pytest.raises(Exception, match="is completed") as refused:
        shared_runtime.events.publish("custom.x", {}, session)
    assert getattr(refused.value, "code", "") == "InvalidSessionState"
    assert session.info().sequence == before


# -- who may hear what


def test_code_that_acts_for_a_session_hears_that_one_and_those_below_it(shared_runtime: Runtime) -> None:
    mine, other = shared_runtime.create_session(), shared_runtime.create_session()
    with acting(principal=mine.id):
        told = shared_runtime.events.subscribe("**")
        with pytest.raises(AccessDenied):
            shared_runtime.events.subscribe(session=other)
        with pytest.raises(AccessDenied):
            shared_runtime.events.subscribe(session="00000000-0000-4000-8000-000000000000")
        with pytest.raises(AccessDenied):
            _ = shared_runtime.events.subscriptions
        shared_runtime.events.publish("custom.mine")
    child = shared_runtime.create_session(parent=mine)
    grandchild = shared_runtime.create_session(parent=child)
    other.set("k", 1)
    shared_runtime.events.publish("custom.host")
    shared_runtime.state_scope("global").set("k", 1)
    grandchild.set("k", 1)
    grandchild.delete()
    with told:
        seen = drained(told)
    assert {each.session_id for each in seen} == {mine.id, child.id, grandchild.id}
    assert [each.type for each in seen if each.session_id == grandchild.id] == [
        "session.created",
        "session.started",
        "variable.set",
        "session.deleted",
    ]
    assert [each.session_id for each in seen if each.type.startswith("custom.")] == [mine.id]


def test_what_a_session_says_without_journaling_it_is_heard_only_above_it(shared_runtime: Runtime) -> None:
    mine, other = shared_runtime.create_session(), shared_runtime.create_session()
    with acting(principal=other.id):
        foreign = shared_runtime.events.subscribe("custom.**")
    with acting(principal=mine.id), pytest.raises(ValidationError):
        shared_runtime.events.publish("custom.x", source="somebody else")
    with acting(principal=mine.id):
        shared_runtime.events.publish("custom.x")
    with foreign:
        assert foreign.pending == 0


# -- the end


def test_closing_the_runtime_wakes_everybody(session: Session) -> None:
    runtime = Runtime.open()
    told = runtime.events.subscribe("custom.never")
    ended = threading.Event()

    def listen() -> None:
        assert list(told) == []
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    runtime.close()
    assert ended.wait(PATIENCE)
    assert told.receive(timeout=PATIENCE) is None
    with pytest.raises(RuntimeClosed):
        runtime.events.subscribe()
    with pytest.raises(RuntimeClosed):
        runtime.events.publish("custom.x")


def test_closing_ends_although_a_callback_hangs() -> None:
    runtime = Runtime.open()
    hung, release = threading.Event(), threading.Event()

    def hang(event: Event) -> None:
        hung.set()
        release.wait(60)

    runtime.events.subscribe("custom.x", callback=hang)
    runtime.events.publish("custom.x")
    assert hung.wait(PATIENCE)
    closer = threading.Thread(target=lambda: runtime.close(timeout=0.1))
    closer.start()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    assert runtime.closed
    release.set()


def test_closing_waits_for_no_listener_that_sessions_wait_for(caplog: pytest.LogCaptureFixture) -> None:
    runtime = Runtime.open()
    session = runtime.create_session()
    first = runtime.events.subscribe("variable.set")
    runtime.events.subscribe("variable.set", 1, "block", block_timeout=60)
    session.set("k", 0)
    writer = threading.Thread(target=lambda: session.set("k", 1))
    writer.start()
    assert [first.receive(PATIENCE) is not None for _ in range(2)] == [True, True]
    with caplog.at_level(logging.WARNING):
        runtime.close(timeout=2)
    writer.join(PATIENCE)
    assert not writer.is_alive()
    assert "closing" not in caplog.text  # what is in memory has been saved in time


def test_a_callback_may_close_the_runtime() -> None:
    runtime = Runtime.open()
    done = threading.Event()

    def call(event: Event) -> None:
        runtime.close()
        done.set()

    runtime.events.subscribe("custom.x", callback=call)
    runtime.events.publish("custom.x")
    assert done.wait(PATIENCE)
    assert runtime.closed


def test_callbacks_get_what_was_told_before_closing() -> None:
    seen: list[str] = []
    runtime = Runtime.open()
    runtime.events.subscribe("session.*", callback=lambda event: seen.append(event.type))
    session = runtime.create_session()
    session.set("k", 1)
    runtime.close()
    assert seen[:2] == ["session.created", "session.started"]


def test_there_are_at_most_1024_subscriptions() -> None:
    with Runtime.open() as runtime:
        opened = [runtime.events.subscribe("custom.x") for _ in range(1024)]
        with pytest.raises(ResourceLimitExceeded) as refused:
            runtime.events.subscribe("custom.x")
        assert refused.value.resource == "subscriptions"
        opened[0].close()
        runtime.events.subscribe("custom.x")


@pytest.fixture(autouse=True)
def nothing_stays_subscribed(shared_runtime: Runtime) -> Iterator[None]:
    yield
    assert shared_runtime.events.subscriptions == ()


def test_subscriptions_may_come_and_go_while_events_are_told(shared_runtime: Runtime) -> None:
    sessions = [shared_runtime.create_session() for _ in range(2)]
    done = threading.Event()
    errors: list[BaseException] = []

    def come_and_go() -> None:
        try:
            while not done.is_set():
                with shared_runtime.events.subscribe("variable.*", capacity=2) as told:
                    told.receive(timeout=0)
        except BaseException as error:
            errors.append(error)

    with shared_runtime.events.subscribe("variable.set", capacity=10_000) as steady:
        guests = [threading.Thread(target=come_and_go) for _ in range(3)]
        for each in guests:
            each.start()
        for n in range(300):
            for each_session in sessions:
                each_session.set("k", n)
        done.set()
        for each in guests:
            each.join(PATIENCE)
        assert errors == []
        assert (steady.pending, steady.dropped) == (600, 0)
