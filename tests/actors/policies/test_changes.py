"""Policies are set for a runtime and for sessions, changed while it runs, and composed with the host's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.policies.composition import Request, parallel, sequential, voting
from greenroom.actors.scheduling.operation import acting
from greenroom.actors.scheduling.token_bucket import TokenBucket
from greenroom.runtime import (
    AccessDenied,
    ConfigurationError,
    GreenroomError,
    HookCancelled,
    HookResult,
    InvalidOperation,
    PolicyConfig,
    RateLimited,
    ResourceLimitExceeded,
    Runtime,
    RuntimeConfig,
    SessionConfig,
    ValidationError,
)
from greenroom.runtime.config.settings import load_settings

Opened = Callable[..., Runtime]


# -- at run time


def test_a_change_holds_for_the_next_command_of_every_session(opened: Opened) -> None:
    rt = opened()
    resident, passive, own = rt.create_session(), rt.create_session(), rt.create_session(config={"max_operations": 3})
    passive.set("k", 1)
    rt._supervisor.table.while_absent(passive.id, lambda: None)
    own.set("k", 1)
    rt.policies.update(resources={"max_operations": 1})
    for session in (resident, passive):
        with pytest.raises(ResourceLimitExceeded):
            session.set("k", 2)
    own.set("k", 2)
    with pytest.raises(ResourceLimitExceeded):
        own.set("k", 3)
    rt.policies.update(resources={"max_operations": None})
    for session in (resident, passive):
        session.set("k", 2)
    with pytest.raises(ResourceLimitExceeded):
        own.set("k", 3)
    assert rt.policies.effective(passive).resources.max_operations is None
    assert rt.policies.effective(own).resources.max_operations == 3


def test_other_rates_hold_at_once_and_forget_nothing(opened: Opened, clock: Any) -> None:
    rt = opened()
    session = rt.create_session()
    session.set("k", 0)
    rt.policies.update(rate={"session": 4, "burst": 1})
    for number in range(3):
        session.set("k", number)
    rt.policies.update(rate={"session": 10})
    assert rt.policies.get().rate.burst == 1, "what is not named stays"
    for number in range(7):
        session.set("k", number)
    with pytest.raises(RateLimited):
        session.set("k", 7)
    rt.policies.update(rate={"session": None})
    session.set("k", 8)
    assert rt._supervisor.delivery.rates is None


def test_a_whole_configuration_takes_the_place_of_the_old_one(opened: Opened) -> None:
    rt = opened(policies={"resources": {"max_tokens": 5}})
    assert rt.policies.update(PolicyConfig.strict()) == PolicyConfig.strict() == rt.policies.get()
    with pytest.raises(ValidationError):
        rt.policies.update(rate={"session": -1})
    with pytest.raises(ValidationError):
        rt.policies.update(rates={"session": 1})
    assert rt.policies.get() == PolicyConfig.strict()


def test_hooks_see_a_change_and_may_veto_or_mend_it(opened: Opened) -> None:
    rt = opened()
    seen: list[dict[str, Any]] = []
    handle = rt.hooks.register("ConfigurationChange", lambda context: seen.append(context.data))
    rt.policies.update(rate={"session": 4})
    assert seen[0]["policies"]["rate"]["session"] == 4
    assert seen[0]["before"]["rate"]["session"] is None
    handle.unregister()
    handle = rt.hooks.register("ConfigurationChange", lambda context: HookResult.cancel("not now"))
    with pytest.raises(HookCancelled):
        rt.policies.update(rate={"session": 5})
    assert rt.policies.get().rate.session == 4
    handle.unregister()


# -- set for a session


@pytest.mark.parametrize(
    "config",
    [
        {"policies": {"timeout": {"max_duration": 0}}},
        {"policies": {"resources": {"max_tokens": -1}}},
        {"policies": {"resources": {"alert_thresholds": [100]}}},
        {"policies": {"nothing": 1}},
        {"policies": {"timeout": {"idle_timeout": float("inf")}}},
        {"policies": {"timeout": {"grace_period": 1e300}}},
        {"policies": {"timeout": {"warnings": [1e300]}}},
        {"policies": {"resources": {"max_cost_usd": 1e308}}},
        {"policies": {"rate": {"session": 5e-324}}},
        {"policies": {"rate": {"session": 1e308}}},
        {"policies": {"rate": {"burst": 1e300}}},
        {"policies": 7},
        {"max_duration": 1e300},
        {"idle_timeout": float("nan")},
    ],
)
def test_what_a_session_cannot_set_is_refused(rt: Runtime, config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rt.create_session(config=config)
    assert rt.count_sessions() == 0


def test_what_a_session_sets_lasts(opened: Opened, store_path: Path) -> None:
    config = SessionConfig(max_artifacts=1, policies=PolicyConfig.model_validate({"resources": {"max_tokens": 7}}))
    with opened(store_path) as rt:
        session = rt.create_session(config=config)
        rt.templates.save("small", {"config": {"policies": {"resources": {"max_operations": 2}}}})
        own = {"policies": {"resources": {"max_tokens": 9}, "rate": {"session": 50}}}
        templated = rt.create_session(template="small", config=own)
        fork = session.fork()
    rt = opened(store_path, policies={"resources": {"max_tokens": 100, "max_artifacts": 50}})
    for each in (session, fork):
        resources = rt.policies.effective(each.id).resources
        assert (resources.max_tokens, resources.max_artifacts, resources.max_operations) == (7, 1, None)
    resources = rt.policies.effective(templated.id).resources
    assert (resources.max_operations, resources.max_tokens) == (2, 9)
    assert rt.verify().ok


def test_a_preset_may_be_of_one_session(opened: Opened) -> None:
    rt = opened(policies={"rate": {"session": 5}})
    session = rt.create_session(config=SessionConfig(policies=PolicyConfig.strict()))
    rate = rt.policies.effective(session).rate
    assert (rate.session, rate.runtime) == (100, None), "what all may do together is not one session's to set"
    for number in range(150):
        session.set("k", number)
    with pytest.raises(RateLimited):
        session.set("k", 150)


def test_scripts_set_policies_of_the_sessions_they_create(opened: Opened) -> None:
    rt = opened()
    source = "return Session.create{config = {max_artifacts = 3, policies = {rate = {session = 5}}}}"
    effective = rt.policies.effective(rt.run_script(source).value)
    assert (effective.resources.max_artifacts, effective.rate.session) == (3, 5)


def test_who_acts_for_a_session_gives_its_children_nothing_looser(opened: Opened) -> None:
    rt = opened(policies={"resources": {"max_artifacts": 100}, "timeout": {"max_duration": 1000}})
    policies = {"rate": {"session": 10, "kinds": {"llm_call": 2}}, "resources": {"max_tokens": 50, "max_cost_usd": 0.5}}
    parent = rt.create_session(config={"max_operations": 20, "policies": policies})
    wanted = {
        "max_operations": 1000,
        "max_artifacts": 1000,
        "max_duration": 5000,
        "policies": {
            "rate": {"session": 99, "kinds": {"llm_call": None, "message": 3}, "burst": 5},
            "resources": {"max_tokens": None, "max_cost_usd": 0.1, "max_storage_bytes": None},
        },
    }
    with acting(principal=parent.id):
        plain = rt.create_session()
        greedy = rt.create_session(config=wanted)
        below = rt.session(greedy.id)
        with acting(principal=below.id):
            grandchild = rt.create_session(config=wanted)
    scripted = rt.run_script("return Session.create{config = {max_operations = 1000}}", session=parent).value
    for child in (plain.id, greedy.id, grandchild.id, scripted):
        effective = rt.policies.effective(child)
        assert effective.resources.max_operations == 20
        assert effective.resources.max_artifacts == 100
        assert effective.resources.max_tokens == 50
        assert effective.resources.max_storage_bytes == 10 << 30
        assert effective.timeout.max_duration == 1000
        assert effective.rate.session == 10
        assert effective.rate.kinds["llm_call"] == 2
        assert effective.rate.burst == 1.5
    assert rt.policies.effective(greedy).resources.max_cost_usd == 0.1
    assert rt.policies.effective(plain).resources.max_cost_usd == 0.5
    host_made = rt.create_session(parent=parent, config=wanted)
    assert rt.policies.effective(host_made).resources.max_operations == 1000


def test_no_limit_of_a_child_is_none_that_the_host_sets_later(opened: Opened) -> None:
    rt = opened()
    with acting(principal=rt.create_session().id):
        none = {"rate": {"session": None, "kinds": {"llm_call": None}}}
        child = rt.create_session(config={"policies": none})
    rt.policies.update(rate={"session": 7, "kinds": {"llm_call": 3}})
    rate = rt.policies.effective(child).rate
    assert (rate.session, rate.kinds) == (7, {"llm_call": 3})


def test_only_the_host_changes_policies(opened: Opened) -> None:
    rt = opened()
    session = rt.create_session()
    with acting(principal=session.id):
        for change in (
            lambda: rt.policies.update(rate={"session": 1}),
            lambda: rt.policies.add("mine", lambda request: True),
            lambda: rt.policies.remove("mine"),
        ):
            with pytest.raises(AccessDenied):
                change()
        other = "0" * 8 + "-0000-4000-8000-" + "0" * 12
        with pytest.raises(AccessDenied):
            rt.policies.effective(other)
        with pytest.raises(AccessDenied):
            rt.policies.usage(other)
        assert rt.policies.usage(session)["operations"].value == 1


# -- settings


def test_policies_come_from_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "greenroom.toml"
    file.write_text("[policies.rate]\nsession = 100\n[policies.rate.kinds]\nllm_call = 5\n")
    assert load_settings(file=file, environ={}).config.policies.rate.kinds == {"llm_call": 5}
    strict = load_settings(file=file, environ={"GREENROOM_POLICIES": "strict"})
    assert strict.config.policies == PolicyConfig.strict()
    text = json.dumps({"timeout": {"idle_timeout": 60}})
    assert load_settings(file=file, environ={"GREENROOM_POLICIES": text}).config.policies.timeout.idle_timeout == 60
    with pytest.raises(GreenroomError, match="policies"):
        load_settings(file=file, environ={"GREENROOM_POLICIES": "lax"})
    for text, message in [
        ('{"rate": {"sesion": 1}}', "'rate.sesion'; the nearest known one is 'session'"),
        ('{"rates": {}}', "'rates'; the nearest known one is 'rate'"),
        ('{"rate": {"session": 0}}', "rate.session: "),
    ]:
        with pytest.raises(ConfigurationError, match=re.escape(message)):
            load_settings(file=file, environ={"GREENROOM_POLICIES": text})
    assert RuntimeConfig().policies.timeout.max_duration is None


# -- the host's own


def allow(request: Request) -> bool:
    return True


def deny(request: Request) -> bool:
    return False


def late(seconds: float) -> Callable[[Request], None]:
    def policy(request: Request) -> None:
        raise RateLimited("later", retry_after=seconds)

    return policy


def verdict(policy: Callable[[Request], Any]) -> str:
    try:
        policy(Request("read", None, "GetInfo", None))
    except GreenroomError as error:
        return str(error.fields.get("retry_after", error.code))
    return "passes"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (sequential([]), "passes"),
        (sequential([allow, late(3), late(9), deny]), "3"),
        (parallel([allow, late(3), late(9)]), "9"),
        (parallel([late(3), deny, late(9)]), "AccessDenied"),
        (parallel([allow, allow]), "passes"),
        (voting([allow, deny]), "passes"),
        (voting([allow, deny, late(1)]), "AccessDenied"),
        (voting([allow, deny, allow], threshold=0), "AccessDenied"),
        (voting([deny, deny, allow], threshold=0.9), "passes"),
        (voting([sequential([deny]), parallel([deny]), allow]), "AccessDenied"),
    ],
)
def test_policies_compose(policy: Any, expected: str) -> None:
    assert verdict(policy) == expected


def test_sequential_asks_no_further_and_the_others_ask_all() -> None:
    asked: list[str] = []

    def noting(request: Request) -> bool:
        asked.append("noting")
        return True

    verdict(sequential([deny, noting]))
    assert asked == []
    verdict(parallel([deny, noting]))
    verdict(voting([deny, noting]))
    assert asked == ["noting"] * 2


def test_a_policy_of_the_host_is_asked_about_every_operation(opened: Opened) -> None:
    rt = opened()
    session = rt.create_session()
    requests: list[Request] = []

    def no_messages(request: Request) -> bool:
        requests.append(request)
        return request.kind != "message"

    rt.policies.add("no messages", no_messages)
    session.set("k", 1)
    with acting(principal=session.id):
        session.get("k")
    before = session.info()
    with pytest.raises(AccessDenied):
        session.add_message("user", "hello")
    assert session.info() == before
    rt.create_session()
    kinds = [(each.kind, each.session_id, each.principal) for each in requests]
    assert kinds[:2] == [("state_update", session.id, None), ("read", session.id, session.id)]
    assert kinds[-1] == ("session_create", None, None)
    with pytest.raises(ValidationError):
        rt.policies.add("no messages", allow)
    assert rt.policies.names() == ["no messages"]
    assert rt.policies.remove("no messages")
    assert not rt.policies.remove("no messages")
    session.add_message("user", "hello")


def test_a_policy_that_fails_lets_nothing_pass(opened: Opened) -> None:
    rt = opened()
    session = rt.create_session()
    rt.policies.add("most", rt.policies.voting([deny, allow, allow]))
    session.set("k", 0)
    rt.policies.add("broken", lambda request: 1 // 0)
    with pytest.raises(InvalidOperation, match="ZeroDivisionError"):
        session.set("k", 1)
    session.complete()


class _EqualToAll:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


async def _coroutine(request: Any) -> bool:
    return True


@pytest.mark.parametrize("answer", [1, 0, "yes", [], {}, object, _EqualToAll(), _coroutine])
def test_a_policy_that_answers_with_anything_else_lets_nothing_pass(opened: Opened, answer: Any) -> None:
    rt = opened()
    session = rt.create_session()
    rt.policies.add("junk", lambda request: answer(request) if answer is _coroutine else answer)
    with pytest.raises(AccessDenied, match="answer"):
        session.set("k", 1)
    assert rt.policies.remove("junk")
    session.set("k", 1)


@pytest.mark.parametrize(
    ("composition", "added", "expected"),
    [
        ("sequential", [late(3)], "3.0"),
        ("parallel", [late(3)], "60.0"),
        ("parallel", [late(90)], "90.0"),
        ("parallel", [allow], "60.0"),
        ("voting", [allow], "passes"),
        ("voting", [late(3)], "60.0"),
        ("voting", [allow, late(3)], "60.0"),
        ("voting", [allow, allow, late(3)], "passes"),
    ],
)
def test_rates_and_the_host_decide_together(opened: Opened, composition: str, added: Any, expected: str) -> None:
    rt = opened(policies={"composition": composition, "rate": {"session": 1, "burst": 1}})
    session = rt.create_session()
    session.set("k", 1)
    for number, policy in enumerate(added):
        rt.policies.add(f"policy {number}", policy)
    if expected == "passes":
        session.set("k", 2)
        return
    with pytest.raises(RateLimited) as caught:
        session.set("k", 2)
    assert str(float(caught.value.retry_after)) == expected


# -- the bucket


@given(
    st.floats(0.5, 600),
    st.floats(1, 4),
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate_and_burst(
    per_minute: float, burst: float, asked: list[tuple[float, int]]
) -> None:
    now = 0.0
    bucket = TokenBucket(per_minute / 60, max(1.0, per_minute * burst), now)
    capacity, given_away = bucket.capacity, 0.0
    for pause, count in asked:
        now += pause
        wait = bucket.wait(count, now)
        wanted = min(count, capacity)
        if wait == 0:
            bucket.take(count)
            given_away += wanted
        else:
            later = TokenBucket(per_minute / 60, max(1.0, per_minute * burst), now)
            later.level = bucket.level
            assert later.wait(count, now + wait * 1.0001) == 0, "after what it says, it gives"
            assert later.level >= wanted - 1e-6
        assert given_away <= capacity + now * per_minute / 60 + 1e-6
