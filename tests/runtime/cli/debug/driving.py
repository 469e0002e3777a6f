"""Drives the debugger as a person does: keys in, screen out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from textual import _wait
from textual.pilot import Pilot
from textual.widgets import Input
from textual.worker import WorkerFailed

from greenroom.runtime.cli.debug.app import DebuggerApp
from greenroom.runtime.cli.debug.recorded import Recorded

_wait.SLEEP_GRANULARITY, _wait.SLEEP_IDLE = 1 / 200, 1 / 4000
"""How long the pilot looks whether the process is idle, four times for each key: a quarter of what it takes by itself,
as `settle` waits for all that is read."""
SIZES = [(80, 24), (132, 43)]


class Person:
    """Somebody in front of the screen."""

    def __init__(self, pilot: Pilot[None], app: DebuggerApp) -> None:
        self.pilot = pilot
        self.app = app

    async def press(self, *keys: str) -> None:
        """Press keys, each when what the one before began has ended."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def type(self, text: str) -> None:
        """Put a text into the prompt, as a paste does, and press enter."""
        prompt = self.app.query_one("#prompt", Input)
        prompt.clear()
        prompt.insert_text_at_cursor(text)
        await self.press("enter")

    async def settle(self) -> None:
        """Wait until nothing is being read."""
        for _ in range(50):
            await self.pilot.pause()
            waiting = [each for each in self.app.workers if not each.is_finished]
            if not waiting:
                break
            for each in waiting:
                with contextlib.suppress(WorkerFailed):
                    await each.wait()
        await self.pilot.pause()

    @property
    def lines(self) -> list[str]:
        """What the screen shows."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def screen(self) -> str:
        return "\n".join(self.lines)

    @property
    def words(self) -> str:
        """What the screen shows, without regard to how its lines are broken."""
        return " ".join(self.screen.split())


def watch(
    recorded: Recorded,
    look: Callable[[Person], Awaitable[Any]],
    size: tuple[int, int] = (80, 24),
    at: int | None = None,
    stops: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Open the debugger on a recording and let somebody look at it."""

    async def run() -> None:
        app = DebuggerApp(recorded, at, stops=stops)
        async with app.run_test(size=size) as pilot:
            person = Person(pilot, app)
            await person.settle()
            await look(person)

    asyncio.run(run())
