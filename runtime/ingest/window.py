"""A window on the text of a stream, which only moves forward.

A value is parsed where it begins, and more is read until it is complete. So the longest value bounds the memory, and no
byte is read twice from the stream.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from .parse import Parser
from .records import Note, Readable

__all__ = ["Failed", "Found", "TooLong", "Window"]

_CHUNK: Final = 1 << 17
"""Bytes read at once."""
_FIRST_LOOK: Final = 256
"""The characters that the parser gets first if the length of a value is unknown; four times as many after each failure.
The parser counts the lines of its text at every error, so this keeps the cost of a broken value in proportion to it."""
_GAP: Final = re.compile("[\\s,\ufeff\x1e\x00]*")
_SPACE: Final = re.compile("[\\s\ufeff]*")
_VALUE_LINE: Final = re.compile("[^\r\n]*[\r\n]+[\ufeff\x1e]*[{\\[]")
_LINE_END: Final = re.compile("[\r\n]")
_TAIL: Final = 16
"""If the window ends inside a literal, the parser reports an error at most this far before the end."""
_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]]', re.DOTALL)
_DEPTH: Final = 200
"""The level that counts as too deep in a value that the parser refuses; every parser can handle this level."""
_OVERLAP: Final = 4096
"""The longest match that is found across the border of two windows."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value and its length in characters."""

    value: Any
    size: int
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """An invalid value: the reason, its distance from the beginning, and how much was looked at, both in characters.

    `at_end`: the stream ends inside the value.
    """

    reason: str
    offset: int
    at_end: bool
    looked: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A value, or text that begins like one, that is longer than the limit. `looked`: the characters looked at."""

    looked: int


class Window:
    """The position of a reader in a stream. `text[at:]` has been read and not yet passed."""

    def __init__(self, stream: Readable, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._parser = Parser()
        self._broken_text = False
        self.text = ""
        self.at = 0
        self.line = 1
        self.ended = False
        self.passed = 0
        """Characters passed since the beginning."""
        self.read = 0
        """Characters read."""
        self.parsed = 0
        """Characters given to the parser; repeated ones count each time."""
        self._look = _CHUNK

    def more(self) -> bool:
        """Read more. The window doubles, so that a long value is parsed few times. Return False at the end."""
        if self.ended:
            return False
        before = min(self.at, 1)  # keep the character before: it shows whether a line begins here
        kept = self.text[self.at - before :]
        data = self._stream.read(max(_CHUNK, len(kept)))
        if not data:
            self.ended = True
        text = self._decoder.decode(data, final=self.ended)
        if not text.isascii() and not self._broken_text:
            try:
                text.encode()
            except UnicodeEncodeError:
                self._broken_text = True
        self.read += len(text)
        self.text = kept + text
        self.at = before
        return bool(data)

    def advance(self, count: int) -> None:
        """Pass `count` characters, and count their lines."""
        text, at, end = self.text, self.at, self.at + count
        self.line += text.count("\n", at, end)
        if "\r" in text:
            self.line += text.count("\r", at, end) - text.count("\r\n", at, end)
        self.at = end
        self.passed += count

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Pass the text that the pattern matches. Return the next character, or "" at the end."""
        while True:
            match = pattern.match(self.text, self.at)
            self.advance(match.end() - self.at if match is not None else 0)
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def skip_gap(self) -> str:
        """Pass separators of values: space, commas, record separators (RFC 7464), byte order marks."""
        return self.skip(_GAP)

    def skip_space(self) -> str:
        """Pass space."""
        return self.skip(_SPACE)

    def find(self, pattern: re.Pattern[str]) -> bool:
        """Pass everything up to the end of the pattern's next match. Without a match, pass everything and return
        False."""
        while True:
            match = pattern.search(self.text, self.at)
            if match is not None and (match.end() < len(self.text) or self.ended):
                self.advance(match.end() - self.at)
                return True
            if self.ended:
                self.advance(len(self.text) - self.at)
                return False
            kept = match.start() if match is not None else max(self.at, len(self.text) - _OVERLAP)
            self.advance(kept - self.at)
            self.more()

    def skip_line(self) -> None:
        """Pass the rest of the line with its end."""
        self.find(_LINE_END)
        if self.text[self.at - 1 : self.at + 1] == "\r\n":
            self.advance(1)

    def retreat(self) -> None:
        """Go back by one character, to the end of the last line that was passed."""
        if self.at:
            self.line -= self.text[self.at - 1] in "\r\n"
            self.at -= 1
            self.passed -= 1

    def begins_next_line(self) -> bool:
        """Return whether the next line begins like a value; False if the window has no other line."""
        return _VALUE_LINE.match(self.text, self.at) is not None

    def line_ends_within(self, count: int) -> bool:
        """Return whether a line ends within the next `count` characters."""
        return _LINE_END.search(self.text, self.at, self.at + count) is not None

    def value(self) -> Found | Failed | TooLong:
        """Return the object or list that begins here, without passing it."""
        look = self._look
        self._look = _FIRST_LOOK
        while True:
            text = self.text[self.at : self.at + look]
            self.parsed += len(text)
            try:
                value, size, notes = self._parser.value(text, 0, broken_text=self._broken_text)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(text) - _TAIL or error.msg.startswith("Unterminated string")
                if not cut:
                    return Failed(error.msg, error.pos, False, error.pos + 1)
                if self.at + look >= len(self.text):
                    if self.ended:
                        return Failed(error.msg, error.pos, True, len(text))
                    if len(text) > self._limit:
                        return TooLong(len(text))
                    self.more()
                look *= 4
                continue
            except RecursionError:
                return Failed("it is nested too deeply", self._too_deep(), False, len(text))
            if self.bytes(size) > self._limit:
                return TooLong(size)
            self._look = max(_FIRST_LOOK, 2 * size)
            return Found(value, size, notes)

    def _too_deep(self) -> int:
        """Return the distance to the place where the value here is nested too deeply."""
        depth = 0
        for match in _STRUCTURE.finditer(self.text, self.at):
            if match.group() in "{[":
                depth += 1
            elif match.group() in "}]":
                depth -= 1
            if depth > _DEPTH:
                return match.start() - self.at
        return 1

    def bytes(self, count: int) -> int:
        """Return the bytes of the next `count` characters in the file; just `count` if any encoding is within the
        limit."""
        if count * 4 <= self._limit:
            return count
        return len(self.text[self.at : self.at + count].encode("utf-8", "surrogateescape"))
