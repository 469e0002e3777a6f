from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from greenroom.scripting.definition.binding import CLOCK, WRITE
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.layout import Layout, globals_of
from greenroom.scripting.definition.shapes import Object
from greenroom.scripting.process.children import Children
from greenroom.scripting.process.remote import RemoteSandbox, as_sent
from greenroom.scripting.running.host import Host
from greenroom.scripting.running.sandbox import Job, Outcome

FACTORY: Final = "misbehaving:make"


class Echo:
    """Has two functions."""

    NAME = "Echo"

    @export("get")
    def get(self, value: object) -> object:
        """Return a value."""

    @export("again")
    def again(self, value: object) -> object:
        """Return a value."""


LAYOUT: Final = Layout("sandboxed", globals_of([Echo]), Object("row"))


class RecordingHost(Host):
    """Answers each call with its first argument, and keeps what it was asked."""

    def __init__(self, seconds: float, answer: Callable[..., Any] | None = None) -> None:
        self._deadline = time.monotonic() + seconds
        self._answer = answer
        self.output: list[bytes] = []
        self.calls: list[list[Any]] = []

    def call(self, number: int, values: list[Any]) -> Any:
        if number == CLOCK:
            return self._deadline - time.monotonic()
        if number == WRITE:
            self.output.append(values[0])
            return len(self.output) < 100
        self.calls.append(values)
        if self._answer is not None:
            return self._answer(*values)
        return values[0] if values else None


def run(children: Children, deed: str, host: Host, seconds: float, max_memory: int = 16 << 20) -> Outcome:
    """Run a deed of misbehaving.py."""
    job = Job(deed, "script", b"\x90", "sandboxed", max_memory, 1_000_000, seconds, 7)
    return RemoteSandbox(children, LAYOUT).run(job, host)


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    """Processes whose sandboxes misbehave."""
    folder = str(Path(__file__).parent)
    sys.path.append(folder)
    made = Children(FACTORY, 1)
    try:
        made.prepare(as_sent(LAYOUT))
        yield made
    finally:
        sys.path.remove(folder)
        made.close()
