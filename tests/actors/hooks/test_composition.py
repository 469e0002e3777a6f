"""Hooks made of hooks, and the middleware that is made of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from greenroom.runtime import HookCancelled, HookContext, HookResult, Runtime, Session, ValidationError, hooks


def always(result: Any) -> Any:
    return lambda context: result


def boom(context: HookContext) -> None:
    raise RuntimeError


def add(field: str) -> Any:
    return lambda context: HookResult.modified({"value": [*context.data["value"], field]})


def write(rt: Runtime, session: Session, hook: Any, **options: Any) -> Any:
    """What arrives of a list that is set while the hook is there; "refused" if it was cancelled."""
    with_hook = rt.hooks.register("BeforeStateWrite", hook, **options)
    try:
        session.set("k", [])
    except HookCancelled:
        return "refused"
    finally:
        with_hook.unregister()
    return session.get("k")


def test_sequential_passes_the_data_on_and_ends_with_a_decision(rt: Runtime, session: Session) -> None:
    assert write(rt, session, hooks.sequential([add("a"), always(None), add("b")])) == ["a", "b"]
    assert write(rt, session, hooks.sequential([add("a"), always("cancel"), boom])) == "refused"
    assert write(rt, session, hooks.sequential([boom, always("cancel")])) == [], "it has failed as a whole"
    assert write(rt, session, hooks.sequential([boom]), required=True) == "refused"


def test_parallel_asks_at_once_and_makes_all_modifications(rt: Runtime, session: Session) -> None:
    together = threading.Barrier(2, timeout=10)

    def meet(context: HookContext) -> HookResult:
        together.wait()
        return HookResult.modified({"value": ["met"]})

    def in_place(context: HookContext) -> None:
        together.wait()
        context.data["value"].append("mine")

    assert write(rt, session, hooks.parallel([meet, in_place])) == ["mine"], "in the order given"
    assert write(rt, session, hooks.parallel([always(None), always("cancel")])) == "refused"
    assert write(rt, session, hooks.parallel([boom, always("cancel")])) == "refused", "whatever becomes of the others"
    assert write(rt, session, hooks.parallel([boom, add("a")])) == [], "it has failed as a whole"
    assert write(rt, session, hooks.parallel([add("a"), always(HookResult.replace(None))])) == []


@pytest.mark.parametrize(
    ("votes", "threshold", "passes"),
    [
        (["for", "for", "against"], 2, True),
        (["for", "against", "against"], 2, False),
        (["for", "for", "against"], 0.5, True),
        (["for", "against", "against"], 0.5, False),
        (["for", "abstain", "fails"], 1.0, True),
        (["for", "abstain", "abstain"], 2, False),
        (["abstain", "fails"], 0.5, False),
        (["for", "against"], 0.5, True),
        (["for", "against"], 1.0, False),
    ],
)
def test_voting_counts_the_votes_that_were_cast(
    rt: Runtime, session: Session, votes: list[str], threshold: float, passes: bool
) -> None:
    ballots = {
        "for": add("for"),
        "against": always(HookResult.cancel("no")),
        "abstain": always(HookResult.skipped()),
        "fails": boom,
    }
    outcome = write(rt, session, hooks.voting([ballots[vote] for vote in votes], threshold))
    assert outcome == (["for"] if passes else "refused")


def test_compositions_are_checked_when_they_are_made() -> None:
    for make in (
        lambda: hooks.sequential([]),
        lambda: hooks.parallel([5]),  # type: ignore[list-item]
        lambda: hooks.voting([boom], 2),
        lambda: hooks.voting([boom], 0),
        lambda: hooks.voting([boom], 1.5),
        lambda: hooks.voting([boom], True),
    ):
        with pytest.raises(ValidationError):
            make()


def test_a_composition_can_be_tried_out_without_a_runtime() -> None:
    context = HookContext.builder("custom:x").data(value=[]).build()
    assert hooks.voting([add("a"), always("cancel")], 1)(context).data == {"value": ["a"]}


def test_a_member_that_hangs_frees_the_caller(rt: Runtime, session: Session) -> None:
    never = threading.Event()
    hook = hooks.parallel([lambda context: never.wait(), add("a")])
    handle = rt.hooks.register("BeforeStateWrite", hook, timeout=0.05)
    session.set("k", [])
    assert session.get("k") == []
    assert handle.info().failures == 1
    never.set()


# -- middleware


@pytest.mark.parametrize(
    ("chain", "operations"),
    [
        ("create", ["CreateSession"]),
        ("read", ["GetVariable", "GetInfo", "GetEvents"]),
        ("update", ["SetVariable", "AddTag", "AddMessage", "SuspendSession"]),
        ("delete", ["DeleteSession"]),
        (
            "operation",
            [
                *("CreateSession", "SetVariable", "AddTag", "AddMessage", "GetVariable", "GetInfo", "GetEvents"),
                *("SuspendSession", "DeleteSession"),
            ],
        ),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_chain_is_around_its_kind_of_operations(rt: Runtime, chain: str, operations: list[str], when: str) -> None:
    seen: list[str] = []
    rt.middleware.use(chain, lambda context: seen.append(context.operation), when=when)
    session = rt.create_session()
    session.set("k", 1)
    session.add_tag("t")
    session.add_message("user", "hello")
    session.get("k")
    session.info()
    list(session.events(limit=1))
    session.suspend()
    session.delete()
    assert seen == operations


def test_middleware_lies_around_the_hooks_of_points(rt: Runtime, session: Session) -> None:
    order: list[str] = []
    for point in ("BeforeStateWrite", "AfterStateWrite"):
        rt.hooks.register(point, lambda context: order.append(context.point), priority="highest")
    for chain in ("operation", "update"):
        for when in ("before", "after"):
            rt.middleware.use(chain, lambda context, at=f"{when} {chain}": order.append(at), when=when)
    session.set("k", 1)
    assert order == [
        "before operation",
        "before update",
        "BeforeStateWrite",
        "AfterStateWrite",
        "after update",
        "after operation",
    ]


def test_middleware_votes(rt: Runtime, session: Session) -> None:
    handle = rt.middleware.use(
        "delete", always(None), always("cancel"), always("cancel"), pattern="voting", threshold=2, name="council"
    )
    with pytest.raises(HookCancelled, match="council"):
        session.delete()
    assert rt.exists(session.id)
    handle.unregister()
    rt.middleware.use("delete", always(None), always("cancel"), pattern="parallel")
    with pytest.raises(HookCancelled):
        session.delete()
    assert session.info().status == "active"


def test_middleware_changes_messages_of_every_kind(rt: Runtime, session: Session) -> None:
    def shout(context: HookContext) -> None:
        for field in ("tag", "content", "reason"):
            if isinstance(context.data.get(field), str):
                context.data[field] = context.data[field].upper()

    rt.middleware.use("update", shout)
    session.add_tag("t")
    assert session.add_message("user", "hello", metadata={"a": 1}, tool_calls=[{"id": 1}]).content == "HELLO"
    assert session.info().tags in (("T",), ["T"])
    turn = session.messages()[0]
    assert (turn.metadata, turn.tool_calls) == ({"a": 1}, [{"id": 1}])
    assert session.fail("because").failure_reason == "BECAUSE"


def test_unknown_chains_patterns_and_times_are_refused(rt: Runtime) -> None:
    for wrong in ({"chain": "destroy"}, {"pattern": "random"}, {"when": "during"}):
        with pytest.raises(ValidationError):
            rt.middleware.use(*[wrong.get("chain", "read"), boom], **{k: v for k, v in wrong.items() if k != "chain"})
    with pytest.raises(ValidationError):
        rt.middleware.use("read")
