"""Rates: at the limit, over it, and again once time has passed; by runtime, session and kind."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import PolicyConfig, RateLimited, Runtime, Session, messages

Opened = Callable[..., Runtime]


def rates(**given: Any) -> dict[str, Any]:
    return {"rate": {"burst": 1, **given}}


def limited(operation: Callable[[], Any]) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        operation()
    return caught.value


OPERATIONS: dict[str, tuple[str, Callable[[Session], Any]]] = {
    "set": ("state_update", lambda s: s.set("k", 1)),
    "delete": ("state_update", lambda s: s.delete_variable("k")),
    "tags": ("state_update", lambda s: s.add_tag("t")),
    "metadata": ("state_update", lambda s: s.update_metadata({"a": 1})),
    "message": ("message", lambda s: s.add_message("user", "hello")),
    "store": ("artifact_store", lambda s: s.store_artifact("tool_result", "a", b"x")),
    "delete artifact": ("artifact_delete", lambda s: s.delete_artifact("a")),
    "tool": ("tool_execution", lambda s: s.call_tool("calculator", {"expression": "1+1"})),
    "agent": ("llm_call", lambda s: s.call_agent("talker", "hello")),
    "publish": ("event", lambda s: s._runtime.events.publish("custom.x", {}, session=s.id)),
    "read": ("read", lambda s: s.get("k")),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kind_of_operation_is_limited(opened: Opened, clock: Any, name: str) -> None:
    kind, operation = OPERATIONS[name]
    rt = opened(policies=rates(kinds={kind: 3}))
    rt.agents.register("talker", lambda input: "yes")
    sessions = [rt.create_session() for _ in range(3)]
    for session in sessions:
        session.store_artifact("tool_result", "a", b"x") if kind == "artifact_delete" else None
        operation(session)
    before = [list(session.events()) for session in sessions] if kind != "read" else []
    error = limited(lambda: operation(sessions[0]))
    assert error.retry_after == pytest.approx(20)
    assert (error.kind, error.scope, error.limit) == (kind, "kind", 3)
    if kind != "read":
        assert [list(session.events()) for session in sessions] == before, "a refused operation changes nothing"
    clock.advance(19.99)
    assert limited(lambda: operation(sessions[1])).retry_after == pytest.approx(0.01)
    clock.advance(0.01)
    if kind == "artifact_delete":
        sessions[2].store_artifact("tool_result", "a", b"x")
    operation(sessions[2])
    limited(lambda: operation(sessions[2]))


def test_all_sessions_together_are_limited(opened: Opened, clock: Any) -> None:
    rt = opened(policies=rates(runtime=6))
    one, other = rt.create_session(), rt.create_session()  # creating counts as well
    for session in (one, other, one, other):
        session.set("k", 1)
    error = limited(lambda: one.set("k", 2))
    assert (error.scope, error.retry_after) == ("runtime", pytest.approx(10))
    limited(lambda: other.store_artifact("tool_result", "a", b"x"))
    limited(rt.create_session)
    clock.advance(10)
    other.set("k", 2)
    assert one.get("k") == 1


def test_each_session_is_limited_by_itself(opened: Opened, clock: Any) -> None:
    rt = opened(policies=rates(session=2))
    one, other = rt.create_session(), rt.create_session()
    one.set("k", 1)
    one.add_message("user", "hello")
    error = limited(lambda: one.set("k", 2))
    assert (error.scope, error.retry_after) == ("session", pytest.approx(30))
    other.set("k", 1)
    other.set("k", 2)
    limited(lambda: other.set("k", 3))
    clock.advance(30)
    one.set("k", 2)
    limited(lambda: one.set("k", 3))


def test_what_is_refused_uses_nothing_up(opened: Opened, clock: Any) -> None:
    rt = opened(policies=rates(session=2, kinds={"message": 1}))
    session = rt.create_session()
    session.add_message("user", "one")
    for _ in range(10):
        limited(lambda: session.add_message("user", "two"))
    session.set("k", 1)
    limited(lambda: session.set("k", 2))


def test_a_burst_is_what_may_come_at_once(opened: Opened, clock: Any) -> None:
    rt = opened(policies={"rate": {"session": 4, "burst": 2.5}})
    session = rt.create_session()
    for _ in range(2):
        for _ in range(10):
            session.set("k", 1)
        limited(lambda: session.set("k", 1))
        clock.advance(24 * 3600)  # and no more than that, however long it was quiet


def test_a_session_over_its_rate_can_be_read_and_ended(opened: Opened) -> None:
    rt = opened(policies=rates(session=1, runtime=3))
    session = rt.create_session()
    session.set("k", 1)
    limited(lambda: session.set("k", 2))
    assert session.get("k") == 1
    assert session.variables() == {"k": 1}
    session.save()
    session.suspend()
    session.resume()
    session.complete()
    session.delete()


def test_every_path_is_limited(opened: Opened) -> None:
    rt = opened(policies=rates(session=1))
    session = rt.create_session()
    session.set("k", 1)
    limited(lambda: rt.ask(session.id, messages.SetVariable("k", 2)))
    limited(lambda: rt.tell(session.id, messages.SetVariable("k", 2)))
    result = rt.run_script("local ok, e = pcall(State.set, 'k', 2); return e.code", session=session)
    assert result.value == "RateLimited"
    with acting(principal=session.id):
        limited(lambda: session.set("k", 2))
    assert session.get("k") == 1


def test_a_batch_counts_each_artifact_and_passes_when_the_bucket_is_full(opened: Opened, clock: Any) -> None:
    rt = opened(policies=rates(kinds={"artifact_store": 5}))
    session = rt.create_session()
    items = [{"type": "tool_result", "name": f"{number}", "content": b"x"} for number in range(8)]
    session.store_many(items[:3])
    limited(lambda: session.store_many(items[:3]))
    assert len(session.list_artifacts()) == 3
    clock.advance(60)
    session.store_many(items)  # more than it ever holds takes all there is
    limited(lambda: session.store_artifact("tool_result", "a", b"x"))


def test_leaving_memory_fills_no_bucket(opened: Opened) -> None:
    rt = opened(policies=rates(session=2), max_resident_sessions=1)
    session = rt.create_session()
    session.set("k", 1)
    session.set("k", 2)
    for _ in range(3):
        rt.create_session()
    assert rt._supervisor.table.resident_actor(session.id) is None
    limited(lambda: session.set("k", 3))


def test_a_session_may_set_rates_of_its_own(opened: Opened, clock: Any, store_path: Path) -> None:
    with opened(store_path) as rt:
        assert rt._supervisor.delivery.rates is None, "nothing is asked while nothing is limited"
        tight = rt.create_session(config={"policies": rates(session=2)})
        usual = rt.create_session()
        tight.set("k", 1)
        tight.set("k", 2)
        limited(lambda: tight.set("k", 3))
        for number in range(20):
            usual.set("k", number)
    rt = opened(store_path)
    tight = rt.session(tight.id)
    tight.get("k")
    tight.set("k", 1)
    tight.set("k", 2)
    limited(lambda: tight.set("k", 3))


def test_what_a_session_sets_wins_in_both_directions(opened: Opened) -> None:
    rt = opened(policies=rates(session=2, kinds={"message": 1, "artifact_store": 4}))
    own = {"session": 5, "kinds": {"message": 4, "artifact_store": 1}}
    wide = rt.create_session(config={"policies": rates(**own)})
    free = rt.create_session(config={"policies": rates(session=None)})
    usual = rt.create_session()
    usual.add_message("user", "takes the one that all may make")
    limited(lambda: usual.add_message("user", "again"))
    for _ in range(4):
        wide.add_message("user", "from its own")
    limited(lambda: wide.add_message("user", "again"))
    wide.store_artifact("tool_result", "a", b"x")
    limited(lambda: wide.set("k", 1))
    for number in range(20):
        free.set("k", number)
    effective = rt.policies.effective(wide).rate
    assert (effective.session, effective.kinds, effective.burst) == (5, {"message": 4, "artifact_store": 1}, 1)


def test_the_strict_preset_is_as_it_says(opened: Opened, clock: Any) -> None:
    rt = opened(policies=PolicyConfig.strict())
    session = rt.create_session()
    for number in range(150):
        session.set("k", number)
    assert limited(lambda: session.set("k", 150)).retry_after == pytest.approx(0.6)
    assert session.get("k") == 149
    others = [rt.create_session() for _ in range(3)]
    for session in others[:2]:
        for number in range(150):
            session.set("k", number)
    assert limited(lambda: others[2].set("k", 1)).scope == "kind"
    config = PolicyConfig.strict().rate
    assert (config.runtime, config.session, config.burst) == (1000, 100, 1.5)
    assert config.kinds == {"llm_call": 60, "tool_execution": 120, "state_update": 300}


def test_what_was_refused_is_told_by_the_next_change_and_no_oftener(opened: Opened, clock: Any) -> None:
    rt = opened(policies=rates(kinds={"message": 1}))
    session = rt.create_session()
    session.add_message("user", "one")
    for _ in range(7):
        limited(lambda: session.add_message("user", "two"))
    assert "policy.violated" not in [event.type for event in session.events()]
    session.set("k", 1)
    session.set("k", 2)
    limited(lambda: session.add_message("user", "two"))
    session.set("k", 3)
    violations = [event.data for event in session.events() if event.type == "policy.violated"]
    assert violations == [{"policy": "rate", "resource": "message", "limit": 1, "refused": 7}]
    clock.advance(60)
    session.set("k", 4)
    assert [event.data["refused"] for event in session.events() if event.type == "policy.violated"] == [7, 1]


def test_a_clock_that_stands_still_or_goes_back_gives_nothing(opened: Opened, clock: Any) -> None:
    rt = opened(policies=rates(session=1))
    session = rt.create_session()
    session.set("k", 1)
    clock.now_ns -= 10**15
    clock.seconds -= 100
    wait = limited(lambda: session.set("k", 2)).retry_after
    clock.seconds += 100
    limited(lambda: session.set("k", 2))
    clock.seconds += wait - 100
    session.set("k", 2)


def test_many_threads_get_no_more_than_there_is(opened: Opened) -> None:
    rt = opened(policies={"rate": {"runtime": 100, "burst": 1}})
    sessions = [rt.create_session() for _ in range(4)]

    def attempt(number: int) -> bool:
        try:
            sessions[number % 4].set("k", number)
        except RateLimited:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(400))) == 96


def test_the_state_of_a_scope_counts_for_the_runtime_and_the_kind(opened: Opened) -> None:
    rt = opened(policies=rates(session=1, kinds={"state_update": 3}))
    scope = rt.state_scope("global")
    for number in range(3):
        scope.set("k", number)
    limited(lambda: scope.set("k", 3))
