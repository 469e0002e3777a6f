"""A JavaScript sandbox that stays: pieces run one after another in the same heap."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from typing import Final

from greenroom.scripting.definition.binding import CLOCK
from greenroom.scripting.running.host import Host
from greenroom.scripting.running.sandbox import Job, Outcome

from .guest import Refused, Trapped
from .sandbox import JavaScriptSandbox

__all__ = ["JavaScriptConsole", "is_unfinished"]

_SOON: Final = 1.0
"""Seconds to find names, for which proxies of the script may be asked."""
_TOKENS: Final = re.compile(
    r"""//[^\n]*|/\*(?:[^*]|\*(?!/))*(?P<comment>\*/)?|'(?:[^'\\\n]|\\.)*'?|"(?:[^"\\\n]|\\.)*"?|`|[][(){}]|\\.|\$\{""",
    re.DOTALL,
)
_OPENING: Final = {"(": ")", "[": "]", "{": "}", "${": "}"}


class JavaScriptConsole(JavaScriptSandbox):
    """One heap for all pieces. What ends a piece does not end the heap, unless it was a trap."""

    @property
    def dead(self) -> bool:
        return self._context.dead

    def stay(self, job: Job, host: Host) -> None:
        """Get ready for pieces, with the limits of a job."""
        self._attach(job, host)
        self._name = "repl"
        seed = [job.seed & 0xFFFFFFFF, job.seed >> 32 & 0xFFFFFFFF, 1, 2]
        facts = {"source": "undefined", "name": self._name, "values": "[]", "seed": seed}
        self._within(_SOON, lambda: self._nothing("start", json.dumps(facts).encode()))

    def _nothing(self, function: str, text: bytes) -> Outcome:
        self._ask(function, text)
        return Outcome()

    def enter(self, text: str) -> Outcome:
        """Run a piece. The value of the outcome is the text of its value."""
        assert self._host is not None
        self._context.beats = 0
        self._lines = len(text.splitlines())
        self._place = ""
        self._stopped = None
        try:
            return self._within(max(0.0, self._host.call(CLOCK, [])), lambda: self._entered(text))
        finally:
            self._context.rejections.forget()

    def _entered(self, text: str) -> Outcome:
        self._ask("enter", text.encode("utf-8", "replace") or b" ")
        return self._come_to_end("show_piece")

    def unfinished(self, text: str) -> bool:
        """Return whether the text is the beginning of a piece."""
        return is_unfinished(text)

    def names(self, path: Sequence[str]) -> list[str]:
        """Return the names in the value at a path."""
        try:
            with self._context.script(time.monotonic() + _SOON):
                reply = self._ask("names", ".".join(path).encode("utf-8", "replace") or b".")
        except (Refused, Trapped):
            return []
        found: str = json.loads(reply[1:]) if reply[0] == "=" else ""
        return found.split("\n") if found else []


def is_unfinished(text: str) -> bool:
    """Return whether brackets, a comment or a template of a source are open at its end."""
    open_: list[str] = []
    for found in _TOKENS.finditer(text):
        token = found[0]
        if open_ and open_[-1] == "`":  # in a template only its end and its expressions count
            if token == "`":
                open_.pop()
            elif token == "${":
                open_.append("}")
        elif token.startswith("/*"):
            if found["comment"] is None:
                return True
        elif token == "`":
            open_.append("`")
        elif token in _OPENING:
            open_.append(_OPENING[token])
        elif open_ and token == open_[-1]:
            open_.pop()
    return bool(open_)
