"""What policies have made of a session goes with it into a bundle, and comes out of none that is hostile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.transfer.bundle_check import JournalCheck
from greenroom.runtime import Runtime
from greenroom.storage.errors import BundleError

Opened = Callable[..., Runtime]


def test_a_session_that_was_warned_is_exported_and_imported(
    opened: Opened, clock: Any, tmp_path: Path, tick: Callable[[Runtime], None]
) -> None:
    rt = opened()
    rt.agents.register("talker", lambda input: {"text": "yes", "usage": {"total_tokens": 60}})
    config = {"max_artifacts": 2, "max_duration": 600, "policies": {"resources": {"max_tokens": 100}}}
    session = rt.create_session(config=config)
    session.store_artifact("tool_result", "a", b"1")
    session.call_agent("talker", "hello")
    clock.advance(400)
    tick(rt)
    warnings = [event.data for event in session.events() if event.type == "policy.warning"]
    assert {each["policy"] for each in warnings} == {"resources", "timeout"}
    session.export(tmp_path / "s.bundle")
    other = opened()
    imported = other.import_session(tmp_path / "s.bundle")
    assert other.policies.usage(imported)["tokens"].value == 60
    assert other.policies.effective(imported).resources.max_tokens == 100
    clock.advance(599)
    tick(other)
    assert str(imported.info().status) == "active", "its time begins when it comes in"
    clock.advance(1)
    tick(other)
    clock.advance(60)
    tick(other)
    assert str(imported.info().status) == "failed"
    assert other.verify().ok


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"policy": "weather"},
        {"policy": "resources"},
        {"policy": "resources", "resource": "x" * 1000, "threshold": 50, "limit": 1},
        {"policy": "resources", "resource": [], "threshold": 50, "limit": 1},
        {"policy": "resources", "resource": "tokens", "threshold": "50", "limit": 1},
        {"policy": "timeout"},
        {"policy": "timeout", "warned": [1, [2], 3, 4]},
        {"policy": "timeout", "warned": [-1, [], None]},
        {"policy": "timeout", "warned": [1 << 64, [], None]},
        {"policy": "timeout", "warned": [1, ["a"], None]},
        {"policy": "timeout", "warned": [1, [1.0] * 2000, None]},
        {"policy": "timeout", "warned": [1, [], "now"]},
    ],
)
def test_a_warning_that_no_policy_gives_is_refused(data: dict[str, Any]) -> None:
    check = JournalCheck.__new__(JournalCheck)
    check._session = type("Bundled", (), {"id": "a session"})()  # type: ignore[assignment]
    with pytest.raises(BundleError):
        check._form(2, "policy.warning", data)


def test_figures_of_agents_that_cannot_be_break_nothing(opened: Opened) -> None:
    rt = opened()
    rt.agents.register("boastful", lambda input: {"text": "yes", "usage": {"total_tokens": (1 << 62) - 1}})
    session = rt.create_session()
    for _ in range(2):
        session.call_agent("boastful", "hello")
    session.save()
    rt._supervisor.forget()
    assert rt.policies.usage(session)["tokens"].value == 1 << 62
    assert rt.verify().ok
