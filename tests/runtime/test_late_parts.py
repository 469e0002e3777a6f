"""Parts of a runtime that are first asked for when it is closed, while it closes, and in a forked child."""

from __future__ import annotations

import inspect
import logging
import pydoc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import GreenroomError, Runtime, RuntimeClosed

_USES: dict[str, Callable[[Runtime], Any]] = {
    "agents": lambda rt: rt.agents.call("a", "hi"),
    "analytics": lambda rt: rt.analytics.aggregate(),
    "approvals": lambda rt: rt.approvals.list(),
    "quotas": lambda rt: rt.quotas.list(),
    "replays": lambda rt: rt.replays.list(),
    "schemas": lambda rt: rt.schemas.register("a", 1),
    "scripts": lambda rt: rt.scripts.list(),
    "search": lambda rt: rt.search("hello"),
    "state_backups": lambda rt: rt.state_backups.list(),
    "templates": lambda rt: rt.templates.list(),
    "tools": lambda rt: rt.tools.call("a"),
}


@pytest.mark.parametrize("part", _USES)
def test_a_part_that_is_first_used_when_all_is_closed_says_so(store_path: Path, part: str) -> None:
    rt = Runtime.open(store_path)
    rt.close()
    with pytest.raises(RuntimeClosed):
        _USES[part](rt)


def test_a_closed_runtime_can_be_looked_at(store_path: Path) -> None:
    rt = Runtime.open(store_path)
    rt.close()
    assert {*_USES} <= {name for name, _ in inspect.getmembers(rt)}


_FORKED = """
import os, signal, sys, threading
from greenroom.runtime import Runtime, RuntimeClosed

at_it, done = threading.Event(), threading.Event()


def make():
    with rt._making:  # as while a part is made
        at_it.set()
        done.wait()


rt = Runtime.open(sys.argv[1])
making = threading.Thread(target=make, daemon=True)
making.start()
at_it.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    for use in (lambda: rt.approvals.list(), lambda: rt.tools.call("a"), lambda: rt.quotas.list(),
                lambda: rt.analytics.aggregate(), lambda: rt.replays.list(), lambda: rt.templates.list()):
        try:
            use()
        except RuntimeClosed as error:
            assert "forked" in str(error)
        else:
            os._exit(4)
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done.set()
making.join()
rt.close()
"""


def test_a_child_that_is_forked_while_a_thread_makes_a_part_is_refused_like_any_other(store_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _FORKED, store_path], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n", done.stderr


class AtClosing:
    """Does something when the runtime waits for what goes on in the background."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def begin_to_close(self) -> None:
        pass

    def close(self, timeout: float) -> None:
        self._call()


def test_a_part_that_is_made_while_the_runtime_closes_begins_nothing(store_path: Path) -> None:
    rt = Runtime.open(store_path)
    session = rt.create_session()
    session.set("k", 1)
    refused: list[type[object]] = []

    def late() -> None:
        for use in (
            lambda: rt.replays.start(session),
            lambda: rt.search("hello"),
            lambda: rt.tools.register("a", lambda: 1) and rt.tools.call("a"),
        ):
            try:
                use()
            except GreenroomError as error:
                refused.append(type(error))
            else:
                refused.append(object)

    rt.core.background.append(AtClosing(late))
    rt.close()
    assert rt.closed
    assert refused == [RuntimeClosed] * 3


def test_a_look_at_the_index_while_the_runtime_closes_is_no_trouble(
    store_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Runtime.open(store_path) as rt:
        rt.create_session().add_message("user", "hello")
        assert rt.search("hello").total == 1
    rt = Runtime.open(store_path)
    looked = []

    def look() -> None:
        rt._parts._index()  # as the timer may, just then
        looked.append(True)

    rt.core.background.append(AtClosing(look))
    with caplog.at_level(logging.WARNING):
        rt.close()
    assert looked == [True]
    assert caplog.records == []


def test_help_says_what_the_parts_are() -> None:
    text = pydoc.plain(pydoc.render_doc(Runtime))
    assert "tools = Registers and calls tools: see `Tools`." in text
    assert "quotas = What the sessions of one `created_by` may have together" in text
