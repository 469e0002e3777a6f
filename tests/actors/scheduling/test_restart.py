"""A handler that throws costs one answer: the session restarts from its journal and the others never notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.session.decisions import decide as deciding
from greenroom.runtime import GreenroomError, InvalidSessionState, Runtime, RuntimeConfig, Session, messages

BOUND = 20.0


class Broken(Exception):
    """A fault that no part of greenroom raises."""


@pytest.fixture
def open_with(clock: Any) -> Iterator[Callable[..., Runtime]]:
    opened: list[Runtime] = []

    def open_one(**settings: Any) -> Runtime:
        opened.append(Runtime.open(config=RuntimeConfig(**settings), clock=clock))
        return opened[-1]

    yield open_one
    for runtime in opened:
        runtime.close()


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Callable[[], BaseException]:
    """Setting the variable "fault" throws what this returns; the rest works as ever."""
    error = Broken("it broke")
    decider = deciding.DECIDERS[messages.SetVariable]

    def throw(state: Any, command: Any, limits: Any, lookup: Any) -> Any:
        if command.key == "fault":
            state.variables["torn"] = b"\x01"  # a handler may have changed anything before it fails
            raise error
        return decider(state, command, limits, lookup)

    monkeypatch.setitem(deciding.DECIDERS, messages.SetVariable, throw)
    return lambda: error


def break_it(session: Session, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        session.set("fault", 1)
    assert caught.value is error


def test_the_caller_gets_the_error_and_the_session_is_back(
    open_with: Callable[..., Runtime], fault: Callable[[], BaseException]
) -> None:
    rt = open_with()
    session, other = rt.create_session(name="one"), rt.create_session(name="other")
    session.set("k", {"a": 1})
    session.store_artifact("x", "a", b"content")
    other.set("k", 2)
    before, others = session.info(), other.info()
    break_it(session, fault())
    assert session.info() == before
    assert session.variables() == {"k": {"a": 1}}
    assert other.info() == others
    assert other.get("k") == 2
    session.set("k", "goes on")
    assert session.get("k") == "goes on"
    assert session.info().sequence == before.sequence + 1
    assert rt.verify().ok


def test_a_fault_between_two_events_of_one_command_leaves_neither(
    open_with: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = open_with()
    session = rt.create_session()
    session.set("k", 1)

    def half(*_: Any) -> Any:
        return [PendingEvent("variable.set", {"key": "k", "value": b"\x02"}), PendingEvent("tags.changed", {})]

    monkeypatch.setitem(deciding.DECIDERS, messages.SetVariable, half)
    with pytest.raises(KeyError):
        session.set("k", 2)
    assert session.get("k") == 1
    assert [event.type for event in session.events()] == ["session.created", "variable.set"]


def test_whoever_waits_behind_the_fault_is_answered(
    open_with: Callable[..., Runtime], fault: Callable[[], BaseException]
) -> None:
    rt = open_with()
    session = rt.create_session()
    session.set("k", 1)
    ref = rt._supervisor.residents()[0].actor_ref
    futures = [
        ref.ask(message, block=False)
        for message in (
            messages.SetVariable("k", 2),
            messages.SetVariable("fault", 1),
            messages.GetVariable("k"),
            messages.SetVariable("k", 3),
            messages.GetVariable("k"),
        )
    ]
    assert futures[0].get(timeout=BOUND) is None
    with pytest.raises(Broken):
        futures[1].get(timeout=BOUND)
    assert futures[2].get(timeout=BOUND) == 2
    assert futures[4].get(timeout=BOUND) == 3


def test_too_many_faults_within_the_window_fail_the_session(
    open_with: Callable[..., Runtime], fault: Callable[[], BaseException]
) -> None:
    rt = open_with()
    session, other = rt.create_session(), rt.create_session()
    session.set("k", 1)
    for _ in range(3):
        break_it(session, fault())
        assert session.info().status == "active"
    break_it(session, fault())
    info = session.info()
    assert info.status == "failed"
    assert info.failure_reason is not None
    assert "more than 3 times" in info.failure_reason
    assert "Broken" in info.failure_reason
    assert "it broke" not in info.failure_reason  # a message may carry content
    assert info.ended_at is not None
    assert session.get("k") == 1
    with pytest.raises(InvalidSessionState):
        session.set("k", 2)
    assert [event.type for event in session.events()][-1] == "session.failed"
    assert [each.id for each in rt.list_sessions(status="failed")] == [session.id]
    other.set("k", 1)
    assert other.info().status == "active"


def test_faults_far_apart_do_not_add_up(
    open_with: Callable[..., Runtime], fault: Callable[[], BaseException], clock: Any
) -> None:
    rt = open_with(max_restarts=2, restart_window=60)
    session = rt.create_session()
    for _ in range(12):
        break_it(session, fault())
        clock.advance(31)
    assert session.info().status == "active"
    for _ in range(2):
        break_it(session, fault())
    assert session.info().status == "failed"


def test_no_restart_may_be_allowed_at_all(
    open_with: Callable[..., Runtime], fault: Callable[[], BaseException]
) -> None:
    rt = open_with(max_restarts=0)
    session = rt.create_session()
    break_it(session, fault())
    assert session.info().status == "failed"


def test_a_fault_in_a_told_message_counts_too(
    open_with: Callable[..., Runtime], fault: Callable[[], BaseException]
) -> None:
    rt = open_with(max_restarts=1)
    session = rt.create_session()
    for _ in range(2):
        rt.tell(session.id, messages.SetVariable("fault", 1))
    assert session.info().status == "failed"


def test_an_interrupt_of_the_callers_thread_is_not_the_sessions_fault(
    open_with: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = open_with(max_restarts=0)
    session = rt.create_session()
    session.set("k", 1)

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(deciding.DECIDERS, messages.SetVariable, interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.set("k", 2)
    assert session.info().status == "active"
    session.set("k", 3)
    assert session.get("k") == 3


@pytest.mark.parametrize(
    "misuse",
    [
        lambda s: s.get(["unhashable"]),
        lambda s: s.get(None),
        lambda s: s.variables(7),
        lambda s: s.get_artifact(["a"]),
        lambda s: s.get_artifact(None),
        lambda s: s.get_artifact("a", version="newest"),
        lambda s: s.get_artifact("a", version=1 << 70),
        lambda s: s.get_artifact("a", version=[1]),
        lambda s: s.get_artifact_info(("a",)),
        lambda s: s.delete_artifact(7),
        lambda s: s.delete_artifact("a", version={}),
        lambda s: s.artifact_versions(None),
        lambda s: s.list_artifacts(limit="3"),
        lambda s: s.messages(limit="3"),
        lambda s: s.messages(before="x"),
        lambda s: s.events(after="x"),
        lambda s: s.add_message("user", object()),
        lambda s: s.update_metadata(7),
        lambda s: s.set_tags(None),
        lambda s: s.add_tag(None),
        lambda s: s.fail(None),
    ],
)
def test_a_callers_mistake_is_not_a_fault_of_the_session(open_with: Callable[..., Runtime], misuse: Any) -> None:
    rt = open_with(max_restarts=0)
    session = rt.create_session()
    session.store_artifact("x", "a", b"content")
    before = session.info()
    with pytest.raises(GreenroomError):
        misuse(session)
    assert session.info() == before


@pytest.mark.parametrize("sequence", [-1, 0, 1 << 64, 1 << 200, "1", None, 1.5])
@pytest.mark.parametrize("content_hash", ["ab" * 32, "", None, 7])
def test_an_impossible_artifact_id_is_only_not_found(
    open_with: Callable[..., Runtime], sequence: Any, content_hash: Any
) -> None:
    from greenroom.runtime import ArtifactId, ArtifactNotFound, ValidationError

    rt = open_with(max_restarts=0)
    session = rt.create_session()
    session.store_artifact("x", "a", b"content")
    for use in (session.get_artifact, session.get_artifact_info, session.open_artifact, session.delete_artifact):
        with pytest.raises((ArtifactNotFound, ValidationError)):
            use(ArtifactId(content_hash, session.id, sequence))
    assert session.info().status == "active"
