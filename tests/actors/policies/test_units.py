"""Units of work are admitted once, then not cut in half; the commands of a batch are counted together or not at all."""

# ruff: noqa: PT012 -- a unit of work is a block

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from greenroom.runtime import AccessDenied, RateLimited, Runtime, ValidationError, messages

Opened = Callable[..., Runtime]
m = messages


def rates(**given: Any) -> dict[str, Any]:
    return {"rate": {"burst": 1, **given}}


def test_a_unit_is_counted_once_and_not_cut_in_half(opened: Opened, clock: Any) -> None:
    rt = opened(policies=rates(kinds={"message": 2, "state_update": 100}))
    s = rt.create_session()
    with s.admitted("message"):
        for number in range(10):
            s.add_message("user", f"{number}")
    s.add_message("user", "the second operation")
    with pytest.raises(RateLimited) as caught, s.admitted("state_update", "message"):
        raise AssertionError("nothing of it happens")
    assert caught.value.retry_after == pytest.approx(30)
    for _ in range(100):
        s.set("k", 1)  # what was refused has counted none of its kinds
    clock.advance(30)
    with s.admitted("message"):
        s.add_message("user", "again")
    with pytest.raises(RateLimited):
        s.add_message("user", "the block is over")


def test_a_unit_is_for_its_kinds_its_session_and_its_thread(opened: Opened) -> None:
    rt = opened(policies=rates(kinds={"message": 1, "state_update": 1}))
    s, other = rt.create_session(), rt.create_session()
    outcome: list[BaseException] = []

    def elsewhere() -> None:
        try:
            s.add_message("user", "x")
        except RateLimited as error:
            outcome.append(error)

    with s.admitted("message"):
        s.set("k", 1)
        with pytest.raises(RateLimited):
            s.set("k", 2)
        with pytest.raises(RateLimited):
            other.add_message("user", "x")
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(outcome) == 1
        with s.batch() as b:
            for number in range(5):
                b.add_message("user", f"{number}")
        with Runtime.open(config={"policies": rates(kinds={"message": 1})}) as second:
            there = second.create_session()
            there.add_message("user", "x")
            with pytest.raises(RateLimited):
                there.add_message("user", "x")


def test_units_may_be_nested_and_end_with_an_exception(opened: Opened) -> None:
    rt = opened(policies=rates(kinds={"message": 1, "state_update": 1}))
    s = rt.create_session()
    with pytest.raises(KeyError), s.admitted("message"):
        with s.admitted("state_update", "message"):
            for _ in range(3):
                s.set("k", 1)
                s.add_message("user", "x")
        s.add_message("user", "x")
        raise KeyError
    with pytest.raises(RateLimited):
        s.add_message("user", "x")


def test_policies_of_the_host_are_asked_within_a_unit_too(opened: Opened) -> None:
    rt = opened(policies=rates(kinds={"message": 5}))
    s = rt.create_session()
    rt.policies.add("closed", lambda request: request.kind != "message" or request.message == "admitted")
    with s.admitted("message"), pytest.raises(AccessDenied):
        s.add_message("user", "x")


def test_without_rates_a_unit_costs_nothing(rt: Runtime) -> None:
    s = rt.create_session()
    with s.admitted("message"):
        s.add_message("user", "x")
    assert s.info().operation_count == 2


@pytest.mark.parametrize("wrong", [(), ("",), (1,), ("x" * 65,), (None,)], ids=repr)
def test_kinds_are_texts(rt: Runtime, wrong: Any) -> None:
    with pytest.raises(ValidationError), rt.create_session().admitted(*wrong):
        raise AssertionError


def test_a_refused_batch_is_noted_in_the_session_and_not_in_the_scope_that_it_begins_with(
    opened: Opened, clock: Any
) -> None:
    rt = opened(policies=rates(kinds={"state_update": 2}))
    s = rt.create_session()
    s.update({"a": 1, "b": 2})
    with pytest.raises(RateLimited), s.batch() as batch:
        batch.scope("user:7").set("k", 1)
        batch.set("k", 1)
    clock.advance(61)
    rt.state_scope("user:7").set("k", 1)
    s.add_tag("the next change reports it")
    found = list(rt.events.query(type="policy.violated"))
    assert [(each.session_id, each.data["policy"], each.data["resource"]) for each in found] == [
        (s.id, "rate", "state_update")
    ]


def test_a_batch_is_counted_as_its_commands_or_not_at_all(opened: Opened, clock: Any) -> None:
    rt = opened(policies=rates(kinds={"message": 4, "state_update": 4}))
    s = rt.create_session()
    batch = m.Batch([m.AddMessage("user", "x"), m.SetVariable("k", 1), m.AddMessage("user", "y")])
    rt.ask(s.id, batch)
    rt.ask(s.id, batch)
    before = s.info().sequence
    with pytest.raises(RateLimited) as caught:
        rt.ask(s.id, batch)
    assert caught.value.kind == "message"
    assert s.info().sequence == before
    s.set("k", 2)
    s.set("k", 3)  # two of four are left: the refused batch has counted none
    with pytest.raises(RateLimited):
        s.set("k", 4)
