"""Kills the process that understands a recording at every step: nothing is told twice, and nothing is left out."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from greenroom.runtime import Runtime, Session
from greenroom.runtime.core import RuntimeCore
from greenroom.runtime.recording.understanding.derived import understand
from greenroom.runtime.recording.understanding.derived.calls import CallEvents

from ....warm import run_warm
from .runs import Run, result, says, user

MOST = 60


def record(session: Session) -> None:
    """Record a run with every kind of step: tools, an error, a question asked once, a conversation that takes over."""
    run = Run(session)
    run.chat([user("Give this talk a title")], says("Weather"))
    messages = [user("The weather in Rome?")]
    run.chat(messages, None)
    messages = run.chat(messages, says(None, ("c1", "weather", {"city": "Rome"}), ("c2", "charge", {"cents": 5})))
    run.tool("charge", {"cents": 5}, value="paid")
    messages = run.chat([*messages, result("c1", "sunny"), result("c2", "paid")], says("It is sunny."))
    messages = run.chat([*messages, user("Thanks!")], says("You are welcome."))
    run.chat([*messages, user("Bye")], says("Bye."))
    run.sink.end({"exit_code": 0})


def told(session: Session) -> list[Any]:
    return [
        (event.sequence, event.type, event.data)
        for event in session.events()
        if event.type.startswith(("message.", "agent.", "tool."))
    ]


def die(path: str, session_id: str, step: int) -> None:
    """Understand a recording, in a process that kills itself after so many writes."""
    writes = {
        each.__code__
        for each in (CallEvents._acting, RuntimeCore.ask, Session.truncate_messages, Session.clear_messages)
    }
    seen = 0

    def look(frame: FrameType, what: str, _: object) -> None:
        nonlocal seen
        if what == "return" and frame.f_code in writes and "recording" in (frame.f_back or frame).f_code.co_filename:
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    with Runtime.open(path) as rt:
        session = rt.session(session_id)
        sys.setprofile(look)
        understand(session)
        sys.setprofile(None)


def test_a_kill_at_any_step_tells_nothing_twice(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "whole") as rt:
        whole = rt.create_session()
        record(whole)
        understand(whole)
        expected = told(whole)
        assert {type_ for _, type_, _ in expected} >= {"message.added", "message.retracted", "tool.returned"}
    path = tmp_path / "killed"
    with Runtime.open(path) as rt:
        session = rt.create_session()
        record(session)
    kills = 0
    for number in range(MOST):
        step = (1, 2, 1, 3)[number % 4]
        code = f"from {__name__} import die; die({str(path)!r}, {session.id!r}, {step})"
        done = run_warm([sys.executable, "-c", code], cwd=Path(__file__).parents[4])
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        kills += 1
    else:
        raise AssertionError("it never came to an end")
    assert kills > 10
    with Runtime.open(path) as rt:
        assert told(rt.session(session.id)) == expected
        assert rt.verify().ok
