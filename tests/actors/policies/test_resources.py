"""Resources: at the limit, over it, and when there is room again; alerts on the way; tokens and money."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import ResourceLimitExceeded, Runtime, ScriptMemoryExceeded, Session

Opened = Callable[..., Runtime]
EXACT = {"alert_thresholds": []}


def exceeded(operation: Callable[[], Any]) -> tuple[str, float, float]:
    with pytest.raises(ResourceLimitExceeded) as caught:
        operation()
    error = caught.value
    return error.resource, error.limit, error.value


def resources(**given: Any) -> dict[str, Any]:
    return {"resources": {**EXACT, **given}}


def told(session: Session, type_: str) -> list[dict[str, Any]]:
    return [event.data for event in session.events() if event.type == type_]


@pytest.fixture
def talking(opened: Opened) -> Callable[..., Runtime]:
    """Opens a runtime with an agent that uses as many tokens as it is told, at a dollar for a thousand."""

    def open_talking(*arguments: Any, **settings: Any) -> Runtime:
        rt = opened(*arguments, **settings)

        def talker(input: int) -> dict[str, Any]:
            usage = {"input_tokens": 0, "output_tokens": input, "total_tokens": input}
            return {"text": "yes", "usage": usage, "cost_usd": input / 1000}

        rt.agents.register("talker", talker)
        return rt

    return open_talking


def ask(session: Session, tokens: int) -> Any:
    return session.call_agent("talker", tokens)


# -- one limit each


def test_operations(opened: Opened) -> None:
    rt = opened(policies=resources(max_operations=3))
    session = rt.create_session()
    session.set("k", 1)
    session.set("k", 2)
    before = session.info()
    assert exceeded(lambda: session.set("k", 3)) == ("operations", 3, 3)
    assert session.info() == before
    rt.policies.update(resources={"max_operations": 4})
    session.set("k", 3)
    assert exceeded(lambda: session.set("k", 4)) == ("operations", 4, 4)


def test_artifacts(opened: Opened) -> None:
    rt = opened(policies=resources(max_artifacts=2))
    session = rt.create_session()
    session.store_artifact("tool_result", "a", b"1")
    session.store_artifact("tool_result", "b", b"2")
    assert exceeded(lambda: session.store_artifact("tool_result", "c", b"3"))[:2] == ("artifacts", 2)
    item = {"type": "tool_result", "name": "c", "content": b"3"}
    assert exceeded(lambda: session.store_many([item]))[:2] == ("artifacts", 2)
    session.delete_artifact("a")
    session.store_artifact("tool_result", "c", b"3")


def test_stored_bytes(opened: Opened) -> None:
    rt = opened(policies=resources(max_storage_bytes=10))
    session = rt.create_session()
    session.store_artifact("tool_result", "a", b"1" * 6)
    session.store_artifact("tool_result", "b", b"2" * 4)
    assert exceeded(lambda: session.store_artifact("tool_result", "c", b"3")) == ("storage_bytes", 10, 11)
    session.delete_artifact("b")
    session.store_artifact("tool_result", "c", b"3" * 4)


def test_tokens_in_all(talking: Opened, store_path: Path) -> None:
    with talking(store_path, policies=resources(max_tokens=100)) as rt:
        session = rt.create_session()
        ask(session, 60)
        ask(session, 39)
        ask(session, 1)
        before = session.info()
        assert exceeded(lambda: ask(session, 1)) == ("tokens", 100, 100)
        assert session.info() == before, "it is refused before anything is journaled"
        session.set("k", 1)
    rt = talking(store_path, policies=resources(max_tokens=100))
    session = rt.session(session.id)
    assert exceeded(lambda: ask(session, 1)) == ("tokens", 100, 100)
    rt.policies.update(resources={"max_tokens": 150})
    ask(session, 60)
    assert exceeded(lambda: ask(session, 1)) == ("tokens", 150, 160)
    assert told(session, "policy.violated")[-1]["value"] == 160
    ask(rt.create_session(), 1)


def test_cost(talking: Opened) -> None:
    rt = talking(policies=resources(max_cost_usd=0.1))
    session = rt.create_session()
    ask(session, 70)
    ask(session, 30)
    assert exceeded(lambda: ask(session, 1)) == ("cost_usd", 0.1, 0.1)
    rt.policies.update(resources={"max_cost_usd": 0.101})
    ask(session, 1)
    assert exceeded(lambda: ask(session, 1)) == ("cost_usd", 0.101, 0.101)


def test_tokens_of_one_call(talking: Opened) -> None:
    rt = talking(policies=resources(max_tokens_per_operation=50))
    session = rt.create_session()
    ask(session, 50)
    assert exceeded(lambda: ask(session, 51)) == ("tokens_per_operation", 50, 51)
    assert rt.policies.usage(session)["tokens"].value == 101, "they were used all the same"
    ask(session, 50)


def test_memory_of_scripts(opened: Opened) -> None:
    rt = opened()
    usual = rt.create_session()
    small = rt.create_session(config={"policies": {"resources": {"max_script_memory_bytes": 2 << 20}}})
    source = "local t = {}; for i = 1, 100 do t[i] = ('x'):rep(65536) .. i end; return #t"
    assert rt.run_script(source, session=usual).value == 100
    with pytest.raises(ScriptMemoryExceeded):
        rt.run_script(source, session=small)
    assert rt.run_script("return 1", session=small).value == 1


# -- alerts


def test_each_threshold_is_told_once_with_what_crossed_it(opened: Opened) -> None:
    rt = opened(policies={"resources": {"max_operations": 20}})
    session = rt.create_session()
    for number in range(19):
        session.set("k", number)
    events = list(session.events())
    at = [event.sequence for event in events if event.type == "policy.warning"]
    assert [events[sequence - 2].type for sequence in at] == ["variable.set"] * 3
    warnings = told(session, "policy.warning")
    assert [(each["resource"], each["threshold"], each["value"]) for each in warnings] == [
        ("operations", 50, 10),
        ("operations", 75, 15),
        ("operations", 90, 18),
    ]
    assert session.info().operation_count == 20
    with pytest.raises(ResourceLimitExceeded):
        session.set("k", 19)


def test_crossing_several_at_once_tells_of_the_highest(opened: Opened) -> None:
    rt = opened(policies={"resources": {"max_storage_bytes": 100, "max_artifacts": 1000}})
    session = rt.create_session()
    session.store_artifact("tool_result", "a", b"x" * 80)
    [warning] = told(session, "policy.warning")
    assert (warning["resource"], warning["threshold"], warning["value"]) == ("storage_bytes", 75, 80)
    session.delete_artifact("a")
    session.store_artifact("tool_result", "a", b"x" * 80)
    assert len(told(session, "policy.warning")) == 1
    session.store_artifact("tool_result", "b", b"x" * 10)
    assert [each["threshold"] for each in told(session, "policy.warning")] == [75, 90]


def test_alerts_stay_told_when_the_session_leaves_memory(opened: Opened) -> None:
    rt = opened(policies={"resources": {"max_artifacts": 4}})
    session = rt.create_session()
    session.store_artifact("tool_result", "a", b"1")
    session.store_artifact("tool_result", "b", b"2")
    session.save()
    rt._supervisor.forget()
    session.set("k", 1)
    assert [each["threshold"] for each in told(session, "policy.warning")] == [50]
    assert rt.verify().ok


def test_another_limit_has_alerts_of_its_own(opened: Opened) -> None:
    rt = opened(policies={"resources": {"max_artifacts": 2}})
    session = rt.create_session()
    session.store_artifact("tool_result", "a", b"1")
    rt.policies.update(resources={"max_artifacts": 4, "alert_thresholds": [20]})
    session.set("k", 1)
    session.store_artifact("tool_result", "b", b"2")
    assert [(each["threshold"], each["limit"]) for each in told(session, "policy.warning")] == [(50, 2), (20, 4)]


def test_tokens_and_cost_have_alerts(talking: Opened) -> None:
    rt = talking(policies={"resources": {"max_tokens": 100, "max_cost_usd": 1.0}})
    session = rt.create_session()
    ask(session, 49)
    ask(session, 30)
    ask(session, 31)
    found = [(each["resource"], each["threshold"], each["value"]) for each in told(session, "policy.warning")]
    assert found == [("tokens", 75, 79), ("tokens", 90, 110)]
    [violated] = told(session, "policy.violated")
    assert (violated["resource"], violated["value"], violated["limit"]) == ("tokens", 110, 100)


def test_replies_are_of_the_operation_and_not_of_its_alert(opened: Opened) -> None:
    rt = opened(policies={"resources": {"max_operations": 4}})
    session = rt.create_session()
    turn = session.add_message("user", "hello")
    assert told(session, "policy.warning")
    assert [each.sequence for each in session.messages()] == [turn.sequence]
    event = rt.events.publish("custom.x", {}, session=session.id)
    assert event.type == "custom.x"
    artifacts = session.store_many([{"type": "tool_result", "name": "a", "content": b"1"}])
    assert [info.name for info in artifacts] == ["a"]


def test_what_a_session_has_used_can_be_asked(talking: Opened) -> None:
    rt = talking(policies={"resources": {"max_artifacts": 4, "max_tokens": 1000}})
    session = rt.create_session()
    session.store_artifact("tool_result", "a", b"12345")
    ask(session, 250)
    usage = rt.policies.usage(session)
    found = {name: (each.value, each.limit, each.percent) for name, each in usage.items()}
    assert found["artifacts"] == (1, 4, 25)
    assert found["collected_artifacts"] == (0, 10_000, 0)
    assert found["state_bytes"] == (0, 64 << 20, 0)
    assert found["tokens"] == (250, 1000, 25)
    assert found["cost_usd"] == (0.25, None, None)


def test_a_refusal_of_a_resource_is_told_by_the_next_change(opened: Opened) -> None:
    rt = opened(policies=resources(max_artifacts=1))
    session = rt.create_session()
    session.store_artifact("tool_result", "a", b"1")
    for _ in range(3):
        exceeded(lambda: session.store_artifact("tool_result", "b", b"2"))
    session.set("k", 1)
    assert told(session, "policy.violated") == [
        {"policy": "resources", "resource": "artifacts", "limit": 1, "refused": 3}
    ]


# -- the variables together


def test_variables_have_a_limit_in_sum_and_may_always_shrink(opened: Opened, store_path: Path) -> None:
    with opened(store_path, policies=resources(max_state_bytes=100_000)) as rt:
        session = rt.create_session()
        session.set("large", "x" * 60_000)
        resource, limit, value = exceeded(lambda: session.set("more", "x" * 60_000))
        assert (resource, limit) == ("state_bytes", 100_000)
        assert 120_000 < value < 121_000
        assert list(session.variables()) == ["large"]
        with pytest.raises(ResourceLimitExceeded, match="update_config"):
            session.set("more", "x" * 60_000)
        session.set("large", "y" * 60_000)
        session.set("more", "x" * 30_000)
    with opened(store_path, policies=resources(max_state_bytes=50_000)) as rt:
        session = rt.session(session.id)
        exceeded(lambda: session.set("k", 1))
        session.set("more", "x" * 29_000)  # less than before, so it is no fault of this command
        session.delete_variable("large")
        session.set("k", 1)
        used = rt.policies.usage(session)["state_bytes"]
        assert 29_000 < used.value < 30_000
        assert used.limit == 50_000


def fill(state: Any, count: int) -> None:
    for number in range(count):
        state.set(f"key {number}", 1)


def test_very_many_small_variables_count_with_what_they_take(opened: Opened) -> None:
    rt = opened(policies=resources(max_state_bytes=20_000))
    session, scope = rt.create_session(), rt.state_scope("user:ann")
    for state in (session, scope):
        fill(state, 110)  # of some 168 bytes each
        with pytest.raises(ResourceLimitExceeded) as caught:
            fill(state, 130)
        assert caught.value.resource == "state_bytes"
    rt.policies.update(resources={"max_state_bytes": None})
    scope.set("more", 1)
    session.set("more", 1)


def test_the_sum_is_known_again_after_every_way_of_coming_back(opened: Opened, store_path: Path) -> None:
    def used(rt: Runtime, session_id: str) -> float:
        return rt.policies.usage(session_id)["state_bytes"].value

    with opened(store_path) as rt:
        session = rt.create_session()
        for number in range(50):
            session.set(f"ключ {number % 20}", "ж" * number)
        for number in range(5):
            session.delete_variable(f"ключ {number}")
        before = used(rt, session.id)
        assert before > 0
        rt.export_session(session.id, store_path.parent / "s.bundle")
        assert used(rt, session.fork().id) == before
    rt = opened(store_path)
    assert used(rt, session.id) == before
    assert used(rt, rt.import_session(store_path.parent / "s.bundle", keep_ids=False).id) == before
