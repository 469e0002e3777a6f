"""`compare_and_set`: a change that is made only if nobody has changed the value meanwhile."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greenroom.runtime import AccessDenied, Conflict, HookContext, HookResult, Runtime, Scope, Session, messages
from greenroom.storage.codec.keys import canonical_value

ABSENT = messages.ABSENT


@pytest.mark.parametrize(
    ("now", "expected", "holds"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ({"a": 1, "b": [1.0]}, {"b": [1], "a": 1}, True),
        ([], {}, False),
        (b"x", "x", False),
        (None, None, True),
        (None, ABSENT, False),
        (ABSENT, ABSENT, True),
        (ABSENT, None, True),
        (ABSENT, 0, False),
        (0, None, False),
    ],
)
def test_values_are_equal_as_json(runtime: Runtime, session: Session, now: Any, expected: Any, holds: bool) -> None:
    for place in (session, runtime.state_scope("user:7")):
        if now is not ABSENT:
            place.set("k", now)
        before = place.get("k", ABSENT)
        assert place.compare_and_set("k", expected, "new") is holds
        assert place.get("k", ABSENT) == ("new" if holds else before)


def test_it_is_an_event_like_any_other_change_or_none(session: Session) -> None:
    session.set("k", 1)
    assert session.compare_and_set("k", 1, 2)
    assert not session.compare_and_set("k", 1, 3)
    assert session.compare_and_set("k", 2, ABSENT)
    assert "k" not in session
    assert session.compare_and_set("k", ABSENT, ABSENT)
    assert [event.type for event in session.events()][1:] == ["variable.set", "variable.set", "variable.deleted"]


def test_the_same_key_answers_the_same_and_changes_once(session: Session) -> None:
    session.set("k", 1)
    assert session.compare_and_set("k", 1, 2, idempotency_key="once")
    assert session.compare_and_set("k", 1, 2, idempotency_key="once")
    assert not session.compare_and_set("k", 1, 3, idempotency_key="other")
    session.set("k", 1)
    assert session.compare_and_set("k", 1, 3, idempotency_key="other")  # what changed nothing is no answer to remember


def test_another_sequence_is_an_error_and_no_answer(session: Session) -> None:
    session.set("k", 1)
    with pytest.raises(Conflict):
        session.compare_and_set("k", 1, 2, expected_sequence=1)
    assert session.compare_and_set("k", 1, 2, expected_sequence=session.info().sequence)


def test_a_batch_is_refused_as_a_whole(runtime: Runtime, session: Session) -> None:
    scope = runtime.state_scope("user:7")
    scope.set("n", 1)
    with session.batch() as b:
        assert b.compare_and_set("state", None, "begun")
        b.scope("user:7").compare_and_set("n", 1, 2)
    assert (session.get("state"), scope.get("n")) == ("begun", 2)
    with pytest.raises(Conflict) as conflict, session.batch() as b:
        b.scope("user:7").update({"other": b.compare_and_set("state", "ended", "begun")})
    assert conflict.value.fields == {"conflict": True, "key": "state", "index": 0}
    assert "other" not in scope


def test_hooks_see_the_conflict_and_can_perform_it_again(runtime: Runtime, session: Session) -> None:
    session.set("n", 1)
    seen: list[Any] = []

    def watch(context: HookContext) -> None:
        data = context.data
        seen.append((context.point, data["key"], data["value"], data["expected"], data["error"]["code"]))

    handle = runtime.hooks.register("StateConflict", watch)
    assert not session.compare_and_set("n", 2, 3)
    assert session.compare_and_set("n", 1, 2)
    assert seen == [("StateConflict", "n", 3, 2, "Conflict")]
    handle.unregister()

    def again(context: HookContext) -> HookResult:
        context.data["expected"] = session.get("n")
        return HookResult.retry(max_attempts=1)

    runtime.hooks.register("StateConflict", again)
    assert session.compare_and_set("n", 9, 3)
    assert session.get("n") == 3


def test_a_session_reaches_what_it_may_write(runtime: Runtime, session: Session) -> None:
    other, scope = runtime.create_session(), runtime.state_scope("user:7")
    runtime.tools.register("change", lambda context: scope.compare_and_set("k", None, 1))
    runtime.tools.register("other", lambda context: runtime.session(other.id).compare_and_set("k", None, 1))
    for tool in ("change", "other"):
        with pytest.raises(AccessDenied):
            session.call_tool(tool)
    session.grant_scope("user:7", "write")
    assert session.call_tool("change") is True
    assert scope.get("k") == 1


def test_of_many_at_once_each_adds_one(runtime: Runtime, session: Session) -> None:
    def add() -> None:
        for _ in range(25):
            while not session.compare_and_set("n", n := session.get("n"), (n or 0) + 1):
                pass

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.get("n") == 100
    assert runtime.replay(session).identical


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0, -0.0, 0.5]),
    st.sampled_from(["", "1", b"1"]),
)
NESTED = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner))


class Compared(RuleBasedStateMachine):
    """A session and a scope beside dicts, with reopenings between."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp())
        self.rt = Runtime.open(self.path, config={"handle_signals": False})
        self.id = self.rt.create_session().id
        self.model: dict[bool, dict[str, Any]] = {True: {}, False: {}}

    def place(self, of_session: bool) -> Session | Scope:
        return self.rt.session(self.id) if of_session else self.rt.state_scope("custom:x")

    @rule(of_session=st.booleans(), key=st.sampled_from("kl"), value=NESTED)
    def set(self, of_session: bool, key: str, value: Any) -> None:
        self.place(of_session).set(key, value)
        self.model[of_session][key] = value

    @rule(of_session=st.booleans(), key=st.sampled_from("kl"), expected=NESTED | st.just(ABSENT), value=NESTED)
    def compare(self, of_session: bool, key: str, expected: Any, value: Any) -> None:
        now = self.model[of_session].get(key, ABSENT)
        if expected is ABSENT or now is ABSENT:
            holds = now is ABSENT and expected in (ABSENT, None)
        else:
            holds = canonical_value(now) == canonical_value(expected)
        assert self.place(of_session).compare_and_set(key, expected, value) is holds
        if holds:
            self.model[of_session][key] = value

    @rule(of_session=st.booleans(), key=st.sampled_from("kl"), value=NESTED | st.just(ABSENT))
    def compare_with_what_is_there(self, of_session: bool, key: str, value: Any) -> None:
        place = self.place(of_session)
        assert place.compare_and_set(key, place.get(key, ABSENT), value)
        if value is ABSENT:
            self.model[of_session].pop(key, None)
        else:
            self.model[of_session][key] = value

    @rule()
    def reopen(self) -> None:
        self.rt.close()
        self.rt = Runtime.open(self.path, config={"handle_signals": False})

    @invariant()
    def both_agree(self) -> None:
        for of_session, model in self.model.items():
            place = self.place(of_session)
            assert (place.variables() if isinstance(place, Session) else place.list()) == model

    def teardown(self) -> None:
        assert self.rt.replay(self.id).identical
        self.rt.close()
        shutil.rmtree(self.path)


Compared.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
TestCompared = Compared.TestCase
