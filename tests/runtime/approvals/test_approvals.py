"""A question to people stays until one answer, and only one, is given.

The file is long because the whole life of a question is tested with the same few tools.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    Approval,
    CallContext,
    GreenroomError,
    HookCancelled,
    HookResult,
    InvalidOperation,
    InvalidSessionState,
    OperationTimeout,
    ResourceLimitExceeded,
    Runtime,
    RuntimeClosed,
    Session,
    SessionNotFound,
    ValidationError,
)

from ...conftest import DrivenClock
from ...warm import run_warm

SCHEMA = {"type": "object", "properties": {"send": {"type": "boolean"}}, "required": ["send"]}


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()


@pytest.fixture
def ticking(tmp_path: Path, clock: DrivenClock) -> Iterator[tuple[Runtime, DrivenClock]]:
    with Runtime.open(tmp_path / "ticking", clock=clock) as rt:
        yield rt, clock


# -- one life of a question


def test_a_question_is_pending_until_it_is_answered(rt: Runtime, session: Session) -> None:
    asked = session.ask_human("Send it?", schema=SCHEMA, metadata={"to": "ada"})
    pending = rt.approvals.get(asked)
    assert (pending.id, pending.session_id, pending.status) == (asked, session.id, "pending")
    assert (pending.question, pending.schema, pending.metadata) == ("Send it?", SCHEMA, {"to": "ada"})
    assert (pending.value, pending.answered_by, pending.closed_at, pending.expires_at) == (None, None, None, None)
    assert rt.approvals.list() == session.approvals("pending") == [pending]
    answered = rt.approvals.answer(asked, {"send": True}, by="ada")
    assert (answered.status, answered.value, answered.answered_by) == ("answered", {"send": True}, "ada")
    assert rt.approvals.get(asked) == rt.approvals.wait(asked, 0) == answered
    assert rt.approvals.list() == []
    assert rt.approvals.list("answered") == rt.approvals.list(None) == session.approvals() == [answered]
    assert [event.type for event in session.events()][-2:] == ["approval.requested", "approval.answered"]
    assert rt.verify().ok


@pytest.mark.parametrize("answer", [None, True, {"send": 1}, {}, "yes", [True]])
def test_an_answer_must_fit_the_schema(rt: Runtime, session: Session, answer: Any) -> None:
    asked = session.ask_human("Send it?", schema=SCHEMA)
    before = session.info()
    with pytest.raises(ValidationError) as caught:
        rt.approvals.answer(asked, answer)
    assert str(caught.value).startswith("value")
    assert session.info() == before
    assert rt.approvals.get(asked).status == "pending"


def test_the_first_answer_counts_and_the_second_one_learns_of_it(rt: Runtime, session: Session) -> None:
    asked = session.ask_human("Which?")
    rt.approvals.answer(asked, 1, by="ada")
    for again in (lambda: rt.approvals.answer(asked, 2), lambda: rt.approvals.cancel(asked)):
        with pytest.raises(InvalidOperation, match=r"answered at .* by ada") as caught:
            again()
        assert caught.value.fields["status"] == "answered"
    assert rt.approvals.get(asked).value == 1


def test_of_many_answers_at_once_exactly_one_wins(rt: Runtime, session: Session) -> None:
    for _ in range(5):
        asked = session.ask_human("Which?")
        begin = threading.Barrier(8)
        won: list[int] = []
        lost: list[GreenroomError] = []

        def answer(number: int, asked: str = asked, begin: Any = begin, won: Any = won, lost: Any = lost) -> None:
            begin.wait()
            try:
                won.append(rt.approvals.answer(asked, number).value)  # type: ignore[arg-type]
            except InvalidOperation as error:
                lost.append(error)

        threads = [threading.Thread(target=answer, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert len(lost) == 7
        assert rt.approvals.get(asked).value == won[0]


def test_a_question_may_be_cancelled(rt: Runtime, session: Session) -> None:
    asked = session.ask_human("Which?")
    cancelled = rt.approvals.cancel(asked, "not needed any more")
    assert (cancelled.status, cancelled.reason, cancelled.value) == ("cancelled", "not needed any more", None)
    with pytest.raises(InvalidOperation, match="it was cancelled"):
        rt.approvals.answer(asked, 1)
    assert rt.approvals.wait(asked, 0).status == "cancelled"


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_the_end_of_a_session_cancels_its_questions(rt: Runtime, session: Session, end: str) -> None:
    done = session.ask_human("Done?")
    rt.approvals.answer(done, 1)
    asked = [session.ask_human("Which?") for _ in range(3)]
    session.suspend()
    rt.approvals.answer(asked[0], 1)  # a suspended session may be waiting for it
    session.complete() if end == "complete" else session.fail("because")
    assert [each.status for each in session.approvals()] == ["answered", "answered", "cancelled", "cancelled"]
    assert rt.approvals.get(asked[1]).reason == "the session has ended"
    assert rt.approvals.list() == []
    with pytest.raises(InvalidSessionState):
        session.ask_human("More?")
    assert rt.verify().ok


def test_over_long_sessions_leave_no_question(ticking: tuple[Runtime, DrivenClock]) -> None:
    rt, clock = ticking
    s = rt.create_session(config={"max_duration": 10})
    asked = s.ask_human("Which?")
    clock.advance(10_000)
    from greenroom.actors.messages.internal import KeepTime

    for _ in range(5):
        rt._supervisor.ask(s.id, KeepTime(clock.now_ns, lambda *told: None), 10)
        clock.advance(10_000)
    assert s.info().status == "failed"
    assert rt.approvals.get(asked).status == "cancelled"
    assert rt.verify().ok


# -- time


def test_a_question_expires(ticking: tuple[Runtime, DrivenClock]) -> None:
    rt, clock = ticking
    s = rt.create_session()
    soon = s.ask_human("Soon?", expires=60)
    at = datetime.fromtimestamp(clock.now_ns / 1e9, UTC) + timedelta(seconds=90)
    later, text = s.ask_human("Later?", expires=at), s.ask_human("Text?", expires=at.isoformat())
    never = s.ask_human("Never?")
    assert rt.approvals.get(later).expires_at == rt.approvals.get(text).expires_at == at
    clock.advance(59)
    assert [each.id for each in rt.approvals.list()] == [soon, later, text, never]
    clock.advance(1)
    assert [each.id for each in rt.approvals.list("expired")] == [soon]
    assert [each.id for each in s.approvals("pending")] == [later, text, never]
    assert rt.approvals.wait(soon, 0).status == "expired"
    for late in (lambda: rt.approvals.answer(soon, 1), lambda: rt.approvals.cancel(soon)):
        with pytest.raises(InvalidOperation, match="it expired at"):
            late()
    rt.approvals.cancel(never)  # which notices the one
    assert [event.type for event in s.events()][-2:] == ["approval.expired", "approval.cancelled"]
    clock.advance(60)
    s.ask_human("One more")  # which notices the others
    assert [event.type for event in s.events()][-3:] == ["approval.expired"] * 2 + ["approval.requested"]
    assert [each.id for each in rt.approvals.list("expired")] == [soon, later, text]
    assert rt.verify().ok


@pytest.mark.parametrize(
    "expires", [0, -1, float("nan"), True, datetime(2030, 1, 1), "soon", "2030-01-01T00:00:00", []]
)
def test_an_expiry_without_sense_is_refused(session: Session, expires: Any) -> None:
    with pytest.raises(ValidationError, match="expires"):
        session.ask_human("Which?", expires=expires)


@pytest.mark.parametrize(
    "given",
    [
        {"question": ""},
        {"question": 1},
        {"schema": 1},
        {"schema": {"type": "nothing"}},
        {"schema": {"items": {"pattern": "^(?=a)(a+)+$"}}},
        {"metadata": [1]},
    ],
    ids=str,
)
def test_a_question_without_sense_is_refused(session: Session, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        session.ask_human(**{"question": "Which?", **given})
    assert session.approvals() == []


def test_pending_questions_are_limited(ticking: tuple[Runtime, DrivenClock]) -> None:
    rt, clock = ticking
    s = rt.create_session()
    asked = [s.ask_human(f"{n}?", expires=60) for n in range(256)]
    with pytest.raises(ResourceLimitExceeded) as caught:
        s.ask_human("Too many?")
    assert caught.value.fields["limit"] == 256
    rt.approvals.cancel(asked[0])
    s.ask_human("Room?")
    clock.advance(61)
    for n in range(255):
        s.ask_human(f"{n}, again?")
    assert len(rt.approvals.list(limit=1000)) == 256
    assert len(s.approvals(limit=10)) == 10


# -- waiting


def test_who_waits_gets_the_answer(rt: Runtime, session: Session) -> None:
    asked = session.ask_human("Which?")
    found: list[Approval] = []
    threads = [threading.Thread(target=lambda: found.append(session.wait_for(asked, 60))) for _ in range(4)]
    for thread in threads:
        thread.start()
    session.set("k", 1)  # the session works on
    rt.approvals.answer(asked, 7)
    for thread in threads:
        thread.join(60)
    assert [each.value for each in found] == [7] * 4


def test_waiting_ends_with_its_time_and_can_begin_again(rt: Runtime, session: Session) -> None:
    asked = session.ask_human("Which?")
    with pytest.raises(OperationTimeout):
        session.wait_for(asked, 0.01)
    assert rt.approvals.get(asked).status == "pending"
    rt.approvals.answer(asked, 1)
    assert session.wait_for(asked).value == 1


def test_waiting_ends_when_the_question_expires(rt: Runtime, session: Session) -> None:
    asked = session.ask_human("Which?", expires=0.05)
    assert session.wait_for(asked, 60).status == "expired"


def test_waiting_ends_with_the_session_and_with_the_runtime(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        one, other = rt.create_session(), rt.create_session()
        ends: dict[str, object] = {}

        def wait(name: str, asked: str) -> None:
            try:
                ends[name] = rt.approvals.wait(asked, 60)
            except GreenroomError as error:
                ends[name] = type(error)

        questions = {"deleted": one.ask_human("Which?"), "closed": other.ask_human("Which?")}
        threads = [threading.Thread(target=wait, args=each) for each in questions.items()]
        for thread in threads:
            thread.start()
        one.delete()
        threads[0].join(60)
    threads[1].join(60)
    assert ends == {"deleted": SessionNotFound, "closed": RuntimeClosed}


def test_a_tool_that_waits_holds_nobody_up(rt: Runtime, session: Session) -> None:
    """More tools wait than there are threads for sessions."""

    def send(context: CallContext) -> Any:
        asked = context.session.ask_human("Send it?", schema={"type": "boolean"})
        return context.session.wait_for(asked, 60).value

    rt.tools.register("send", send)
    results: list[Any] = []
    sessions = [rt.create_session() for _ in range(12)]
    threads = [threading.Thread(target=lambda each=each: results.append(each.call_tool("send"))) for each in sessions]
    for thread in threads:
        thread.start()
    answered = 0
    while answered < 12:
        for each in rt.approvals.list():
            rt.approvals.answer(each.id, True)
            answered += 1
        session.set("k", answered)
    for thread in threads:
        thread.join(60)
    assert results == [True] * 12


# -- restarts, copies, other processes


def test_questions_and_answers_survive_restarts(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session()
        first, second = s.ask_human("One?", schema=SCHEMA), s.ask_human("Two?")
        s.save()
        third = s.ask_human("Three?")
        rt.approvals.cancel(third)
    with Runtime.open(store_path) as rt:
        assert [each.id for each in rt.approvals.list()] == [first, second]
        with pytest.raises(ValidationError):
            rt.approvals.answer(first, 1)
        rt.approvals.answer(first, {"send": False})
    with Runtime.open(store_path, read_only=True) as rt:
        assert rt.approvals.wait(first, 0).value == {"send": False}
        assert [each.id for each in rt.approvals.list()] == [second]
        assert [each.status for each in rt.session(s.id).approvals()] == ["answered", "pending", "cancelled"]
        with pytest.raises(InvalidOperation, match="read"):
            rt.approvals.answer(second, 1)
    with Runtime.open(store_path) as rt:
        assert rt.verify().ok


def test_a_follower_waits_for_what_the_writer_answers(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session()
        asked = s.ask_human("Which?")
        with Runtime.open(store_path, read_only=True, config={"refresh_interval": 0.05}) as follower:
            found: list[Approval] = []
            thread = threading.Thread(target=lambda: found.append(follower.approvals.wait(asked, 60)))
            thread.start()
            rt.approvals.answer(asked, 5)
            thread.join(60)
            assert [each.value for each in found] == [5]


WORKER = """
import os, signal, sys
from greenroom.runtime import Runtime
rt = Runtime.open(sys.argv[1])
s = rt.create_session(name="asking")
first, second = s.ask_human("One?"), s.ask_human("Two?")
rt.approvals.answer(first, 1, by="ada")
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_asked_and_answered_is_there_after_a_kill(store_path: Path) -> None:
    done = run_warm([sys.executable, "-c", WORKER, str(store_path)])
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "ready\n"
    with Runtime.open(store_path) as rt:
        (info,) = rt.list_sessions()
        first, second = rt.session(info.id).approvals()
        assert (first.status, first.value, second.status) == ("answered", 1, "pending")
        rt.approvals.answer(second.id, 2)
        assert rt.verify().ok
    assert os.path.exists(store_path)


def test_a_fork_does_not_inherit_pending_questions(rt: Runtime, session: Session) -> None:
    answered, pending = session.ask_human("One?"), session.ask_human("Two?")
    rt.approvals.answer(answered, 1)
    fork = session.fork()
    assert [each.status for each in fork.approvals()] == ["answered", "cancelled"]
    assert [each.id for each in rt.approvals.list()] == [pending]
    with pytest.raises(InvalidOperation):
        rt.approvals.answer(fork.approvals()[1].id, 1)
    fork.ask_human("Mine?")
    assert len(fork.approvals("pending")) == 1
    assert rt.verify().ok


def test_bundles_carry_questions(rt: Runtime, session: Session, tmp_path: Path) -> None:
    answered, pending = session.ask_human("One?", schema=SCHEMA), session.ask_human("Two?", expires=3600)
    rt.approvals.answer(answered, {"send": True}, by="ada")
    session.export(tmp_path / "whole")
    session.export(tmp_path / "present", history=False)
    with Runtime.open() as other:
        copy = other.import_session(tmp_path / "whole")
        assert [each.to_dict() for each in copy.approvals()] == [each.to_dict() for each in session.approvals()]
        assert other.approvals.answer(pending, 2).value == 2
        renamed = other.import_session(tmp_path / "whole", keep_ids=False)
        assert [each.status for each in renamed.approvals()] == ["answered", "pending"]
        present = other.import_session(tmp_path / "present", keep_ids=False)
        assert present.approvals() == []
        assert other.verify().ok


def test_retention_keeps_pending_questions(store_path: Path, clock: DrivenClock) -> None:
    with Runtime.open(store_path, clock=clock) as rt:
        s = rt.create_session()
        answered, pending = s.ask_human("One?"), s.ask_human("Two?", schema=SCHEMA)
        rt.approvals.answer(answered, 1)
        for n in range(20):
            s.set("k", n)
        clock.advance(100 * 86400)
        s.set("k", 100)
        rt.retention(keep_journal_days=1, dry_run=False)
        assert rt.approvals.get(answered).value == 1
        assert rt.approvals.answer(pending, {"send": True}).status == "answered"
        assert rt.verify().ok


# -- who may


def test_a_session_asks_and_reads_and_never_answers(rt: Runtime, session: Session) -> None:
    child, other = rt.create_session(parent=session), rt.create_session()
    theirs, childs = other.ask_human("Theirs?"), child.ask_human("Child's?")
    with acting(principal=session.id):
        mine = session.ask_human("Mine?")
        assert rt.approvals.get(mine).status == "pending"
        assert [each.id for each in session.approvals()] == [mine]
        assert rt.approvals.get(childs).status == "pending"
        for asked in (mine, childs, theirs):
            with pytest.raises(AccessDenied):
                rt.approvals.answer(asked, 1)
        for reach in (
            lambda: rt.approvals.get(theirs),
            lambda: rt.approvals.wait(theirs, 0),
            lambda: rt.approvals.cancel(theirs),
            other.approvals,
            rt.approvals.list,
        ):
            with pytest.raises(AccessDenied):
                reach()
        assert rt.approvals.cancel(mine).status == "cancelled"
    assert rt.approvals.get(theirs).status == "pending"


@pytest.mark.parametrize("given", ["", "x", "1", None, 7, "00000000-0000-4000-8000-000000000000", "/1", "\u0661"])
def test_an_id_of_no_question_is_refused(rt: Runtime, session: Session, given: Any) -> None:
    for use in (rt.approvals.get, rt.approvals.wait, rt.approvals.cancel, session.wait_for):
        with pytest.raises(ValidationError, match="approval"):
            use(given)
    for number in (1, 2, 99):
        with pytest.raises(ValidationError, match="asked no question"):
            rt.approvals.get(f"{session.id}/{number}")
    with pytest.raises(SessionNotFound):
        rt.approvals.get("00000000-0000-4000-8000-000000000000/1")


def test_an_unknown_status_is_refused_by_its_name(rt: Runtime, session: Session) -> None:
    for use in (rt.approvals.list, lambda status: rt.approvals.list(status, session=session), session.approvals):
        with pytest.raises(ValidationError, match=r"^status: 'zz' is none of pending, answered, expired, cancelled"):
            use("zz")
    with pytest.raises(ValidationError):
        rt.approvals.list(session=7)  # type: ignore[arg-type]


# -- hooks


def test_hooks_learn_of_questions_and_may_veto_answers(rt: Runtime, session: Session) -> None:
    told: list[tuple[str, Any]] = []
    rt.hooks.register("ApprovalRequested", lambda context: told.append(("asked", context.data["question"])))
    rt.hooks.register("ApprovalAnswered", lambda context: told.append(("answered", context.data["value"])))
    guard = rt.hooks.register(
        "BeforeApprovalAnswer",
        lambda context: HookResult.cancel("not at night") if context.data["by"] == "mallory" else None,
    )
    asked = session.ask_human("Which?")
    with pytest.raises(HookCancelled, match="not at night"):
        rt.approvals.answer(asked, 1, by="mallory")
    assert rt.approvals.get(asked).status == "pending"
    rt.approvals.answer(asked, 2, by="ada")
    guard.unregister()
    rt.hooks.register("BeforeApprovalRequest", lambda context: HookResult.cancel("do not disturb"))
    with pytest.raises(HookCancelled):
        session.ask_human("Again?")
    assert told == [("asked", "Which?"), ("answered", 2)]


def test_keys_and_expectations_work_as_for_every_command(rt: Runtime, session: Session) -> None:
    asked = session.ask_human("Which?", expected_sequence=session.info().sequence)
    with pytest.raises(InvalidOperation):
        rt.approvals.answer(asked, 1, expected_sequence=1)
    with session.batch() as batch:
        batch.set("asked", True)
        batch.ask_human("Within?")
    assert rt.approvals.get(batch.replies[1]).question == "Within?"
    assert rt.approvals.answer(asked, 1).value == 1
    again = [session.ask_human("Once?", idempotency_key="ask") for _ in range(2)]
    assert again[0] == again[1]
    answers = [rt.approvals.answer(again[0], 3, idempotency_key="answer") for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0].value == 3


# -- scripts


def test_scripts_of_the_host_answer_and_those_of_a_session_do_not(rt: Runtime, session: Session) -> None:
    asked = rt.run_script(
        """
        local more = { schema = { type = "boolean" }, expires = 3600, metadata = { n = 1 } }
        local id = Session.askHuman(..., "Send?", more)
        assert(Session.approvals(..., "pending")[1].id == id)
        assert(Session.getApproval(id).metadata.n == 1)
        local ok, e = pcall(Session.answerApproval, id, true)
        assert(not ok and e.code == "AccessDenied")
        return id
        """,
        args=[session.id],
        session=session,
    ).value
    row = rt.run_script("return Session.answerApproval(..., true, 'ada')", args=[asked]).value
    assert (row["status"], row["value"], row["answered_by"]) == ("answered", True, "ada")
    second = session.ask_human("Which?")
    assert rt.run_script("return Session.cancelApproval(..., 'no').reason", args=[second]).value == "no"
