"""Finds the JSON records in a stream: documents, lines and items of lists, in any mixture.

The content decides the layout, never the file's name. Values may be separated by line ends, commas or record
separators, or by nothing, and may span one line or many. A list of messages is one record; in any other list each item
is one. After a broken value, reading goes on where the next value can begin: at the next line if the value broke within
its first line, at the next line without indentation if it spans many, and in a list at the next item that is a
conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from .formats import is_conversation, is_message
from .records import MAX_RECORD_BYTES, Fault, Readable, Record, numbered
from .window import Failed, Found, TooLong, Window

__all__ = ["EMPTY_LIST", "read_records", "too_long"]

EMPTY_LIST: Final = "the list is empty"
_NEXT_ON_LINE: Final = re.compile("[\r\n]|\x1e[ \t]*(?=[{\\[])|(?<=[}\\]])[ \t]*(?=[{\\[])")
_NEXT_LINE: Final = re.compile("(?<=[\r\n])[\ufeff\x1e]*(?=[{\\[])")
_NEXT_ITEM: Final = re.compile("[,\\]]\\s*(?=[{\\[])|(?<=[\r\n])[\ufeff\x1e]*(?=[{\\[])")
_SCALAR: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+"|-?\d[\d.eE+-]*+|true|false|null|NaN|-?Infinity', re.DOTALL)
_FOREIGN: Final = (
    ("\x1f\udc8b", "it is compressed (gzip) under a name that does not say so: call it .gz"),
    ("PK\x03\x04", "it is an archive (zip) under a name that does not say so: call it .zip"),
    ("(\udcb5/\udcfd", "it is compressed (zstd): unpack it first"),
    ("\udcff\udcfe", "it is UTF-16 text: convert it to UTF-8 first"),
    ("\udcfe\udcff", "it is UTF-16 text: convert it to UTF-8 first"),
)
_RESCANS: Final = 4
_FREE_RESCANS: Final = 1 << 20
"""Rescans after broken values may cover this much, plus `_RESCANS` times what has been read."""
_MOST_NESTED: Final = 3
_MISSES: Final = 100
"""After this many attempts in a broken line, the rest of the line is skipped."""
_MESSAGE_BEGINS: Final = re.compile(r'\{\s*"(?:role|from)"')


def read_records(stream: Readable, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[Record | Fault]:
    """Yield every record of a binary stream, and a `Fault` for each place without a readable record.

    A record longer than `max_record_bytes` is a fault, and is skipped without being held in memory.
    """
    return _Reader(stream, max_record_bytes).records()


class _Reader:
    def __init__(self, stream: Readable, limit: int) -> None:
        self._window = Window(stream, limit)
        self._limit = limit
        self._first = True  # nothing has been found yet
        self._salvaging = False  # a value was broken: what follows may be part of it
        self._after_list = False
        self._misses = 0  # failed attempts to find a value in the current line
        self._rescanned = 0

    def records(self) -> Iterator[Record | Fault]:
        window = self._window
        char = window.skip_gap()
        if not char:
            yield Fault("document", "the file is empty")
            return
        foreign = _what_it_is(window.text)
        if char not in "{[" and foreign is not None:
            yield Fault("document", foreign)
            return
        while char:
            if char == "{":
                yield from self._object()
            elif char == "[":
                yield from self._list()
            else:
                yield from self._no_json()
            line = window.line
            char = window.skip_gap()
            if window.line > line + 1:
                self._salvaging = False  # after an empty line begins something new

    def _may_rescan(self, found: Failed | TooLong) -> bool:
        """Return whether to rescan the text that a broken value has taken. Bounded, so that the time stays linear."""
        may = self._rescanned + found.looked <= _RESCANS * self._window.read + _FREE_RESCANS
        if may:
            self._rescanned += found.looked
        return may

    # -- values outside of lists

    def _object(self) -> Iterator[Record | Fault]:
        window = self._window
        line, first, salvaged = window.line, self._first, self._salvaging
        self._first = self._after_list = False
        found = window.value()
        if isinstance(found, Found):
            window.advance(found.size)
            if salvaged and is_conversation(found.value):
                self._salvaging = False
            position = "document" if first and window.line > line else f"line {line}"
            yield Record(position, found.value, found.notes, salvaged, found.size, line, window.line)
            return
        within_line = isinstance(found, Failed) and not window.line_ends_within(found.offset)
        if not salvaged:
            whole = first and not within_line and not window.begins_next_line()
            reason = invalid(window, found) if isinstance(found, Failed) else too_long(self._limit)
            yield Fault("document" if whole else f"line {line}", reason)
        if isinstance(found, Failed) and within_line:
            self._go_on_in_line(found.offset)
        else:
            self._go_on_after_lines(found)

    def _go_on_in_line(self, offset: int) -> None:
        """Go on after a value that is broken within its line: at another value in the line, or at the next line."""
        window = self._window
        self._misses = self._misses + 1 if self._salvaging else 1
        if self._misses > _MISSES:
            window.skip_line()
            self._salvaging = False
            return
        window.advance(offset)
        if not offset or window.text[window.at : window.at + 1] not in ("{", "["):
            window.advance(0 if offset else 1)
            window.find(_NEXT_ON_LINE)
        self._salvaging = window.text[window.at - 1 : window.at] not in ("\r", "\n")

    def _go_on_after_lines(self, found: Failed | TooLong) -> None:
        """Go on after a broken value of many lines, at a line without indentation, so that no part of the value becomes
        a record."""
        window = self._window
        self._salvaging = True
        if not self._may_rescan(found):
            window.advance(found.offset if isinstance(found, Failed) else found.looked)
        window.skip_line()
        if window.text[window.at : window.at + 1] in ("\r", "\n"):
            self._salvaging = False  # an empty line follows: what was broken is that one line
        window.retreat()
        window.find(_NEXT_LINE)

    def _no_json(self) -> Iterator[Fault]:
        """Skip lines that do not begin an object or a list. Yield one fault for each group of such lines."""
        window = self._window
        line, lines = window.line, 0
        first, after_list, salvaging = self._first, self._after_list, self._salvaging
        scalar = _SCALAR.match(window.text, window.at) is not None
        char = window.text[window.at]
        while char and char not in "{[":
            lines += 1
            window.skip_line()
            char = window.skip_gap()
            if scalar and not salvaging:
                break  # objects and lists get their own faults
        self._first = self._after_list = False
        if after_list and not salvaging:
            yield Fault("document", "there is more after the end of the list")
        elif not salvaging:
            whole = first and not char
            reason = (
                "it is a single value, not a conversation"
                if scalar
                else "it is not JSON: a conversation begins with { or ["
            )
            more = f" ({lines} lines)" if lines > 1 and not whole else ""
            yield Fault("document" if whole else f"line {line}", reason + more)

    # -- lists

    def _list(self) -> Iterator[Record | Fault]:
        """Yield the records of a list. A list of messages is one record; the first readable item decides."""
        window = self._window
        line, first, salvaged = window.line, self._first, self._salvaging
        prefix = "" if first else f"line {line} "
        items = _Items(window, prefix, self._limit, self._may_rescan)
        messages: list[Record] = []
        faults: list[Fault] = []
        begin = window.passed
        for found in items.each():
            if isinstance(found, Fault):
                faults.append(found)
            elif items.of_messages or (not items.records and is_message(found.value)):
                items.of_messages = True
                messages.append(found)
            else:
                items.records += 1
            if items.of_messages:
                if window.passed - begin > self._limit:
                    faults.append(Fault(prefix.strip() or "document", too_long(self._limit)))
                if faults:
                    messages.clear()
            elif items.records:
                yield from faults
                faults.clear()
                if isinstance(found, Record):
                    yield from _each(found, salvaged)
        self._first, self._salvaging, self._after_list = False, False, not items.cut
        if not items.of_messages:
            yield from faults or ([] if items.records else [Fault(prefix.strip() or "document", EMPTY_LIST)])
        elif faults:
            # A conversation with a missing message would look complete.
            if not salvaged:
                yield Fault(f"line {line}", faults[0].reason) if items.cut else faults[0]
        else:
            position = "document" if first and not window.skip_gap() else f"line {line}"
            notes = tuple(note for at, each in enumerate(messages) for note in numbered(at, each.notes))
            yield Record(position, [each.value for each in messages], notes, salvaged)


class _Items:
    """The items of a list, and a `Fault` for each that is broken."""

    def __init__(self, window: Window, prefix: str, limit: int, may_rescan: Callable[[Failed | TooLong], bool]) -> None:
        self._window = window
        self._prefix = prefix
        self._limit = limit
        self._may_rescan = may_rescan
        self._index = 0
        self.records = 0
        self.of_messages = False
        """Whether the list is one conversation. The reader sets it once it knows the first item."""
        self.cut = False
        """Whether the list ended early, and another value begins on a new line."""

    def each(self) -> Iterator[Record | Fault]:
        window = self._window
        window.advance(1)
        while True:
            char = window.skip_space()
            if not char:
                yield self._ended()
                return
            if char == "]":
                window.advance(1)
                return
            if char == ",":
                yield self._fault("there is nothing between two commas")
                window.advance(1)
                continue
            found = window.value() if char in "{[" else self._scalar()
            if isinstance(found, Found):
                window.advance(found.size)
                yield Record(f"{self._prefix}index {self._index}", found.value, found.notes)
                self._index += 1
                problem = self._separator()
                if problem is None:
                    continue
                if problem.position == "document":
                    yield problem
                    return
            else:
                reason = invalid(window, found) if isinstance(found, Failed) else too_long(self._limit)
                problem = Fault(f"{self._prefix}index {self._index}", reason)
                if char == "{" and _MESSAGE_BEGINS.match(window.text, window.at) and not self.records:
                    self.of_messages = True
            at_end = isinstance(found, Failed) and found.at_end
            there_are_more = self._next_item(here=isinstance(found, Found))
            yield self._ended() if at_end and not there_are_more and not self.cut else problem
            self._index += 1
            if not there_are_more:
                return

    def _separator(self) -> Fault | None:
        """Skip the separator after an item. Return a fault if it is neither a comma nor the end of the list."""
        window = self._window
        char = window.skip_space()
        if char == ",":
            window.advance(1)
        elif not char:
            return self._ended()
        elif char != "]":
            return Fault(f"{self._prefix}index {self._index}", "there is no comma before it")
        return None

    def _next_item(self, *, here: bool) -> bool:
        """Go to the next item that is a conversation, from a broken item or, with `here`, from the text after a whole
        one. Return False at the end of the list."""
        window = self._window
        if not here:
            window.advance(1)
        if not (here and window.text[window.at] in "{[") and not window.find(_NEXT_ITEM):
            return False
        while True:
            on_new_line = window.text[window.at - 1 : window.at] in ("\r", "\n", "\x1e", "\ufeff")
            found = window.value()
            if isinstance(found, Found):
                alone = on_new_line and isinstance(found.value, list)
                if is_conversation(found.value) and (not isinstance(found.value, list) or alone):
                    if alone or (self.of_messages and on_new_line):
                        self.cut = True
                        return False
                    return True
                window.advance(found.size)
            elif self._may_rescan(found):
                window.advance(1)
            else:
                window.advance(max(1, found.offset if isinstance(found, Failed) else found.looked))
            if not window.find(_NEXT_ITEM):
                return False

    def _scalar(self) -> Found | Failed:
        match = _SCALAR.match(self._window.text, self._window.at)
        if match is None:
            return Failed("Expecting value", 0, False, 1)
        return Found(None, match.end() - match.start(), ())

    def _fault(self, reason: str) -> Fault:
        fault = Fault(f"{self._prefix}index {self._index}", reason)
        self._index += 1
        return fault

    def _ended(self) -> Fault:
        return Fault("document", f"the file ends inside item {self._index} (counted from 0) of the list")


def _each(record: Record, salvaged: bool, depth: int = _MOST_NESTED) -> Iterator[Record]:
    """Yield the records of an item: the item itself, or the items of a nested list of conversations."""
    value = record.value
    if isinstance(value, list) and value and not is_message(value[0]) and depth:
        for number, item in enumerate(value):
            notes = tuple(
                replace(note, field=note.field.partition("]")[2].lstrip("."))
                for note in record.notes
                if note.field.startswith(f"[{number}]")
            )
            yield from _each(Record(f"{record.position} index {number}", item, notes), salvaged, depth - 1)
    else:
        yield replace(record, salvaged=salvaged)


def invalid(window: Window, found: Failed) -> str:
    """Return why the text here is not valid JSON, with the place of the error."""
    if found.reason.startswith("it "):
        return found.reason
    before = window.text[window.at : window.at + found.offset]
    lines = before.count("\n")
    column = len(before) - (before.rfind("\n") + 1) + 1
    place = f"line {lines + 1} column {column}" if lines else f"column {column}"
    return f"it is not valid JSON: {found.reason} ({place})"


def too_long(limit: int) -> str:
    return f"it is longer than {limit} bytes, the limit for one record"


def _what_it_is(text: str) -> str | None:
    """Return the kind of a file that is not JSON, by its first characters."""
    for magic, what in _FOREIGN:
        if text.startswith(magic):
            return what
    return "it is binary, not JSON" if "\x00" in text[:4096] else None
