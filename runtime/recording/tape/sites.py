"""Sites: which code is the program's own, and how a place in it is written.

A program's own code is what neither Python nor an installed package brings along. Only its reads of clocks and the
like are recorded, and crossings are placed where it made them.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Final

__all__ = ["function_of", "is_own", "is_own_file", "place", "place_is_own", "place_of"]

_MOST: Final = 50_000
"""Code objects that are remembered. A program that makes code without end makes them be looked at again."""
_INSTALLED: Final = ("/site-packages/", "/dist-packages/")
_GREENROOM: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_INTERACTIVE: Final = ("<stdin>", "<ipython-input", "<python-input")
_STANDARD: Final = tuple(
    {
        os.path.join(path, "")
        for name in ("stdlib", "platstdlib")
        for path in (sysconfig.get_path(name), os.path.realpath(sysconfig.get_path(name)))
    }
)


class _Code:
    """What is known of a code object. It holds the code, so that its address serves no other while it is known."""

    __slots__ = ("at", "code", "file", "own", "places")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.own = is_own_file(code.co_filename)
        self.file = _shown(code.co_filename)
        self.places: dict[int, str] = {}
        """By line."""
        self.at: dict[int, str] = {}
        """By instruction: to count the lines up to it takes longer."""


_known: dict[int, _Code] = {}
_start: Final = os.getcwd() if os.path.isdir(".") else "/"


def is_own(code: CodeType) -> bool:
    """Return whether code is the program's own."""
    known = _known.get(id(code))
    return (known if known is not None else _learn(code)).own


def place_of(code: CodeType, line: int) -> str:
    """Return a place in words: "agent.py:14 in step"."""
    known = _known.get(id(code))
    if known is None:
        known = _learn(code)
    found = known.places.get(line)
    if found is None:
        found = known.places[line] = f"{known.file}:{line} in {code.co_name}"
    return found


def place() -> str:
    """Return the place of the nearest frame of the program's own code. Code that a library runs in a thread or task of
    its own has none: its outermost function stands for it, without a line."""
    frame: FrameType | None = sys._getframe(1)
    get = _known.get
    outermost = None
    while frame is not None:
        code = frame.f_code
        known = get(id(code))
        if known is None:
            known = _learn(code)
        if known.own:
            found = known.at.get(frame.f_lasti)
            if found is None:
                found = known.at[frame.f_lasti] = place_of(code, frame.f_lineno)
            return found
        outermost = known
        frame = frame.f_back
    return f"{outermost.file} in {outermost.code.co_name}" if outermost is not None else ""


def place_is_own(frame: FrameType | None) -> bool:
    """Return whether the program's own code stands anywhere from a frame outwards."""
    while frame is not None:
        if is_own(frame.f_code):
            return True
        frame = frame.f_back
    return False


def function_of(place: str) -> str:
    """Return a place without its line: "agent.py in step"."""
    file, colon, rest = place.partition(":")
    return f"{file} {rest.partition(' ')[2]}" if colon else place


def _learn(code: CodeType) -> _Code:
    if len(_known) >= _MOST:
        _known.clear()
    known = _known[id(code)] = _Code(code)
    return known


def is_own_file(path: str) -> bool:
    """Return whether the code in a file is the program's own."""
    if path.startswith("<"):
        return path.startswith(_INTERACTIVE) or (path == "<string>" and sys.argv[:1] == ["-c"])
    whole = os.path.abspath(path)
    if whole.startswith(_STANDARD) or any(folder in whole for folder in _INSTALLED):
        return False
    rooms = ("runtime", "storage", "actors", "scripting")
    return not any(whole.startswith(os.path.join(_GREENROOM, room, "")) for room in rooms)


def _shown(path: str) -> str:
    """Return a path as it is on every machine: below the folder the program was started in or imported from."""
    if path.startswith("<"):
        return path
    whole = os.path.abspath(path)
    for folder in _INSTALLED:
        if folder in whole:
            return whole.rpartition(folder)[2]
    roots = [os.path.join(root, "") for root in (_start, *map(os.path.abspath, sys.path))]
    below = [whole[len(root) :] for root in roots if whole.startswith(root)]
    return below[0] if below else os.path.basename(whole)
