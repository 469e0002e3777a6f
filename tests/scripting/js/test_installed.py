"""Installed scripts in JavaScript: their functions work on after the run, each call under limits of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import HookCancelled, Runtime
from greenroom.storage.concurrency.waiting import Bell

GUARD = """
let calls = 0
Hook.register('BeforeStateWrite', async context => {
  calls++
  if (context.data.key === 'locked') return `not this one, after ${calls}`
  if (context.data.key === 'loop') for (;;);
  if (context.data.key === 'bomb') { const kept = []; for (;;) kept.push(new Uint8Array(1 << 20)) }
})
Event.on('custom.*', event => print(event.type, event.data.n))
"""


@pytest.fixture
def rt() -> Iterator[Runtime]:
    with Runtime.open(config={"handle_signals": False, "script_instructions": 20_000_000}) as runtime:
        yield runtime


def until(there: Any) -> None:
    assert Bell().wait_for(there, 20)


def refused(session: Any, key: str) -> str | None:
    try:
        session.set(key, 1)
    except HookCancelled as error:
        return str(error)
    return None


def test_hooks_and_handlers_work_on_after_the_run(rt: Runtime) -> None:
    rt.scripts.install("guard", GUARD, language="js")
    session = rt.create_session()
    assert refused(session, "free") is None
    assert "after 2" in (refused(session, "locked") or "")
    rt.events.publish("custom.step", {"n": 1}, session)
    until(lambda: rt.scripts.status("guard").output == "custom.step 1\n")
    assert rt.scripts.uninstall("guard")
    assert refused(session, "locked") is None


@pytest.mark.parametrize("key", ["loop", "bomb"])
def test_a_call_over_its_limit_ends_the_heap_which_is_made_anew(rt: Runtime, key: str) -> None:
    rt.scripts.install("guard", GUARD, language="js", call_timeout=0.5)
    session = rt.create_session()
    session.set(key, 1)
    until(lambda: rt.scripts.status("guard").restarts and rt.scripts.status("guard").state == "running")
    status = rt.scripts.status("guard")
    assert (status.error, status.restarts) in (("ScriptTimeout", 1), ("ScriptMemoryExceeded", 1))
    until(lambda: refused(session, "locked") is not None)


def test_every_call_has_the_limits_of_a_run(rt: Runtime) -> None:
    rt.scripts.install(
        "work",
        "Hook.register('custom:work', () => { for (let i = 0; i < 1e6; i++); return { type: 'replace', value: 1 } })",
        language="js",
        call_timeout=5,
    )
    assert [rt.hooks.fire("custom:work", {}).value for _ in range(20)] == [1] * 20


def test_the_clock_stands_while_a_script_waits_for_calls(rt: Runtime) -> None:
    from greenroom.scripting.js.quickjs import machine

    rt.scripts.install("guard", GUARD, language="js")
    session = rt.create_session()
    assert refused(session, "locked") is not None
    until(lambda: not machine().ticker._scripts)
