"""Two runtimes in one process: who code acts for in one means nothing in the other, and is kept on the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.runtime import AccessDenied, Runtime, Session, ValidationError


@pytest.fixture
def pair() -> Iterator[tuple[Runtime, Runtime]]:
    with Runtime.open() as one, Runtime.open() as two:
        yield one, two


def in_tool(rt: Runtime, session: Session, work: Callable[[], Any]) -> Any:
    """Run code as a tool of a session."""
    kept: list[Any] = []
    rt.tools.register("work", lambda: kept.append(work()), replace=True)
    session.call_tool("work")
    return kept[0]


def test_a_tool_is_the_host_in_another_runtime(pair: tuple[Runtime, Runtime]) -> None:
    one, two = pair
    mine, theirs = one.create_session(), two.create_session()

    def work() -> str:
        theirs.set("k", 1)
        two.tell(theirs.id, theirs_message)
        two.state_scope("global").set("k", 1)
        assert two.list_sessions().total == 1
        assert two.audit().total == 0
        two.templates.save("preset", {"tags": ["t"]})
        two.policies.update(resources={"max_tokens": 5})
        theirs.update_config(max_artifacts=7)
        two.events.publish("custom.told", source="me")
        two.run_script("return 1")
        return two.create_session(name="made").id

    from greenroom.runtime import messages

    theirs_message = messages.AddTag("t")
    made = in_tool(one, mine, work)
    assert two.session(made).info().parent_session_id is None
    assert theirs.get("k") == 1
    two.ask(theirs.id, messages.Finish())
    assert theirs.info().tags == ("t",)
    foreign = [event for event in theirs.events() if event.causation_id or event.source]
    assert foreign == [], "events of one store do not name causes in another"
    assert {event.root_id for event in theirs.events()} == {event.id for event in theirs.events()}


def test_on_the_way_back_it_is_again_who_it_was(pair: tuple[Runtime, Runtime]) -> None:
    one, two = pair
    mine, other, theirs = one.create_session(), one.create_session(), two.create_session()
    seen: list[str] = []

    def reach_back() -> None:
        for attempt in (lambda: other.set("k", 1), lambda: one.run_script("return 1"), one.create_session):
            try:
                attempt()
                seen.append("done")
            except AccessDenied:
                seen.append("denied")

    two.tools.register("back", reach_back)
    two.hooks.register("BeforeStateWrite", lambda context: reach_back())
    two.events.subscribe("custom.back", callback=lambda event: reach_back())

    def work() -> None:
        theirs.call_tool("back")
        two.tools.invoke("back", {})
        theirs.set("k", 1)
        two.run_script("State.set('global', 'k', 1)")

    in_tool(one, mine, work)
    assert seen == ["denied", "denied", "done"] * 4
    assert other.info().sequence == 1
    assert one.count_sessions(parent=mine.id) == 4, "what it makes is its child"


def test_the_current_session_is_one_of_each_runtime(pair: tuple[Runtime, Runtime]) -> None:
    one, two = pair
    mine, theirs = one.create_session(), two.create_session()
    current = "local s = Session.getCurrent() return s and s.id"
    with mine.as_current():
        assert one.run_script(current).value == mine.id
        assert two.run_script(current).value is None
        with pytest.raises(Exception, match="current"):
            two.run_script("Session.setVariable(nil, 'k', 1)")
        with theirs.as_current():
            assert Session.current() == theirs
            assert (Session.current(one), Session.current(two)) == (mine, theirs)
            assert one.run_script(current).value == mine.id
            assert two.run_script(current).value == theirs.id
        assert Session.current() == mine
        assert Session.current(two) is None


def test_an_operation_of_the_host_belongs_to_its_runtime(pair: tuple[Runtime, Runtime]) -> None:
    one, two = pair
    mine, theirs = one.create_session(), two.create_session()
    with one.operation("request", source="me"):
        mine.set("k", 1)
        theirs.set("k", 1)
        with two.operation("other"):
            theirs.set("k", 2)
            mine.set("k", 2)
    assert [event.correlation_id for event in mine.events()][1:] == ["request", "request"]
    first, second = [event.correlation_id for event in theirs.events()][1:]
    assert "request" not in first
    assert second == "other"


def test_hooks_of_both_are_called_though_their_ids_are_the_same(pair: tuple[Runtime, Runtime]) -> None:
    one, two = pair
    mine, theirs = one.create_session(), two.create_session()
    called: list[str] = []

    def first(context: Any) -> None:
        called.append("one")
        theirs.set("k", 1)

    a = one.hooks.register("BeforeStateWrite", first)
    b = two.hooks.register("BeforeStateWrite", lambda context: called.append("two"))
    assert a.id == b.id
    mine.set("k", 1)
    assert called == ["one", "two"]


def test_a_session_of_one_does_not_choose_its_source_there(pair: tuple[Runtime, Runtime]) -> None:
    one, _ = pair
    mine = one.create_session()

    def work() -> bool:
        with pytest.raises(ValidationError):
            one.events.publish("custom.x", source="host")
        return True

    assert in_tool(one, mine, work)
