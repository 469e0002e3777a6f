"""Draws the pictures of docs/pictures from the session of docs/tutorials/debugging.md: `python docs/pictures.py`.
A test compares what stands in them with what it draws."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import html
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from greenroom.actors.clock import SystemClock
from greenroom.runtime import Runtime
from greenroom.runtime.calls import calls
from greenroom.runtime.cli.debug.app import DebuggerApp
from greenroom.runtime.cli.debug.recording import Recording
from greenroom.runtime.cli.past.picture import Marks, draw
from greenroom.runtime.cli.past.spans import spans_of
from greenroom.runtime.tools.registry import Tools
from greenroom.storage.common import session_ids

FOLDER = Path(__file__).parent / "pictures"
_TUTORIAL = Path(__file__).parent / "tutorials" / "debugging.md"
_BEGIN = 1_773_136_800_000_000_000  # 2026-03-10T10:00:00Z
_SIZES = {"chat": (80, 24)}
_STORIES = {
    "event": ("home", *["down"] * 5),
    "search": ("home", "slash", "2", "4", "2", "enter"),
    "state": ("home", *["down"] * 7, "2"),
    "diff": ("home", *["down"] * 7, "4"),
    "chat": ("home", "down", "down", "3"),
}


class _Time:
    """Stands still, and goes on by a certain time with each call of a tool."""

    def __init__(self) -> None:
        self.now = _BEGIN

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


@contextlib.contextmanager
def _as_always() -> Iterator[None]:
    """Have ids and times that are the same each time."""
    time, before = _Time(), (SystemClock.time_ns, calls.time, calls._Made.__init__, Tools.register)
    session_ids._random[:] = [bytes([number]) * 16 for number in range(200, 0, -1)]

    def begin(self: Any, *args: Any, **options: Any) -> None:
        before[2](self, *args, **options)
        self.began = (time.now - _BEGIN) / 1e9

    @functools.wraps(Tools.register)
    def register(self: Tools, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        @functools.wraps(function)
        def slowly(*given: Any, **named: Any) -> Any:
            time.wait(0.2 + len(name) / 20)
            return function(*given, **named)

        return before[3](self, name, slowly, *args, **options)

    SystemClock.time_ns = staticmethod(lambda: time.now)  # type: ignore[method-assign, assignment]
    calls.time = SimpleNamespace(monotonic=before[1].monotonic, perf_counter=lambda: (time.now - _BEGIN) / 1e9)  # type: ignore[assignment]
    calls._Made.__init__ = begin  # type: ignore[method-assign]
    Tools.register = register  # type: ignore[method-assign]
    try:
        yield
    finally:
        SystemClock.time_ns, calls.time, calls._Made.__init__, Tools.register = before  # type: ignore[method-assign]
        session_ids._random.clear()


def pictures() -> dict[str, str]:
    """Return the pictures by name, as SVG."""
    found = re.search(r"^```python\n(.*?)^```", _TUTORIAL.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        try:
            with _as_always():
                exec(compile(found[1], str(_TUTORIAL), "exec"), {"__name__": "tutorial"})
            with Runtime.open("refunds", read_only=True) as rt:
                drawn = {
                    name: asyncio.run(_debugger(rt, keys, _SIZES.get(name, (100, 26))))
                    for name, keys in _STORIES.items()
                }
                return {"timeline": _timeline(rt), **drawn}
        finally:
            os.chdir(here)


def _timeline(rt: Runtime) -> str:
    out = Console(record=True, width=92, file=io.StringIO(), force_terminal=True)
    for line in draw(spans_of(rt.session(key="refund/7").timeline()), 92, Marks()):
        out.print(line, no_wrap=True)
    return out.export_svg(title="greenroom timeline key:refund/7", unique_id="timeline")


async def _debugger(rt: Runtime, keys: tuple[str, ...], size: tuple[int, int]) -> str:
    session = rt.session(key="refund/7")
    app = DebuggerApp(Recording(session.debugger(), f"{session.info().name}  {session.info().status}"))
    async with app.run_test(size=size) as pilot:
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
            while any(not each.is_finished for each in app.workers):
                await asyncio.sleep(0.01)
        await pilot.pause()
        return app.export_screenshot(title="greenroom debug key:refund/7")


def words(svg: str) -> list[str]:
    """Return what stands in a picture, line by line."""
    lines: dict[float, list[tuple[float, str]]] = {}
    for attributes, text in re.findall(r"<text([^>]*)>(.*?)</text>", svg, re.DOTALL):
        x, y = (re.search(rf'\b{name}="([\d.]+)"', attributes) for name in "xy")
        if x is not None and y is not None:
            lines.setdefault(float(y[1]), []).append((float(x[1]), html.unescape(text).replace("\xa0", " ")))
    return ["".join(text for _, text in sorted(line)).rstrip() for _, line in sorted(lines.items())]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each, svg in pictures().items():
        (FOLDER / f"{each}.svg").write_text(svg, encoding="utf-8")
