"""State that belongs to no session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, RuntimeConfig, SessionNotFound, SessionStatus, ValidationError


def test_a_scope_keeps_its_variables(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        scope = rt.state_scope("user:ann")
        assert scope.get("k") is None
        assert scope.get("k", 7) == 7
        assert scope.list() == {}
        assert scope.delete("k") is False
        scope.set("k", {"a": [1]})
        scope.set("k/2", b"bytes")
        scope.get("k")["a"].append(2)
    with Runtime.open(store_path) as rt:
        scope = rt.state_scope("user:ann")
        assert scope.get("k") == {"a": [1]}
        assert scope.list() == {"k": {"a": [1]}, "k/2": b"bytes"}
        assert scope.list("k/") == {"k/2": b"bytes"}
        assert scope.keys() == ["k", "k/2"]
        assert scope.delete("k") is True
        assert scope.clear() == 1
        assert scope.list() == {}
        assert rt.verify().ok


def test_scopes_are_kept_apart(rt: Runtime) -> None:
    names = ["global", "user:ann", "user:bob", "agent:ann", "GLOBAL", "ünï", "x" * 255]
    for name in names:
        rt.state_scope(name).set("k", name)
    for name in names:
        assert rt.state_scope(name).list() == {"k": name}


def test_a_scope_is_no_session(rt: Runtime) -> None:
    rt.state_scope("global").set("k", 1)
    scope_id = rt._supervisor.table.scope("global")
    assert rt.count_sessions(status=tuple(SessionStatus)) == 0
    assert not rt.exists(scope_id)
    with pytest.raises(SessionNotFound):
        rt.session(scope_id)
    with pytest.raises(SessionNotFound):
        rt.delete_session(scope_id)
    assert rt.state_scope("global").get("k") == 1
    assert rt.stats()["sessions"]["active"] == 0


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_scope_needs_a_name(rt: Runtime, name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rt.state_scope(name)
    assert caught.value.fields["field"] == "scope"


@pytest.mark.parametrize(("key", "value"), [("", 1), ("k" * 256, 1), ("k", object()), (7, 1)])
def test_a_scope_refuses_what_a_session_refuses(rt: Runtime, key: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        rt.state_scope("global").set(key, value)


def test_scopes_leave_memory_and_come_back_like_sessions() -> None:
    with Runtime.open(config=RuntimeConfig(max_resident_sessions=2)) as rt:
        for turn in range(3):
            for number in range(10):
                scope = rt.state_scope(f"user:{number}")
                assert scope.get("turn", -1) == turn - 1
                scope.set("turn", turn)
                assert rt.stats()["resident"] <= 2


def test_a_scope_has_no_limit_of_operations() -> None:
    with Runtime.open(config=RuntimeConfig(max_resident_sessions=1)) as rt:
        scope = rt.state_scope("global")
        other = rt.create_session(config={"max_operations": 1})
        for number in range(3):
            scope.set("k", number)
            other.info()
        assert scope.get("k") == 2


@pytest.mark.parametrize("name", ["templates", "greenroom:quotas", "greenroom:anything"])
def test_the_runtimes_own_state_is_no_scope_of_the_host(name: str) -> None:
    with Runtime.open() as runtime:
        with pytest.raises(ValidationError, match="its own state"):
            runtime.state_scope(name)
        runtime.templates.save("preset", {"tags": ["x"]})
        assert [each.name for each in runtime.templates.list()] == ["preset"]
