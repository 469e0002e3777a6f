"""Joins the records of a file that are one conversation together: lines that are messages, or records of a log.

A conversation with a missing line would look complete. So a broken line among the lines of a conversation costs all of
it, and both are reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from .formats import LineForm, line_form_of
from .read import too_long
from .records import Fault, Joined, Note, Record, numbered

__all__ = ["joined"]

_LINE: Final = re.compile(r"line (\d+)")


@dataclass(slots=True)
class _Group:
    """The records of one conversation."""

    form: LineForm
    line: int
    last_line: int
    values: list[Any] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    size: int = 0
    broken: str | None = None
    """Why the conversation cannot be whole."""

    def takes(self, record: Record) -> bool:
        """Return whether a record belongs to this conversation."""
        if not record.line or not self.form.belongs(self.values, record.value):
            return False
        return not self.form.adjacent or record.salvaged or record.line <= self.last_line + 1

    def add(self, record: Record, limit: int) -> None:
        """Add a record, unless the conversation cannot be whole any more."""
        self.last_line = record.last_line
        if self.broken is not None:
            return
        self.size += record.size
        if self.size > limit and self.values:
            self.spoil(too_long(limit))
            return
        self.notes += numbered(len(self.values), record.notes)
        self.values.append(record.value)

    def spoil(self, reason: str) -> None:
        """Give the conversation up, and what it holds in memory but for the first record, which tells what belongs."""
        self.broken = self.broken or reason
        del self.values[1:]
        self.notes.clear()

    def result(self, *, whole_file: bool) -> Record | Fault:
        """Return the conversation, or why there is none."""
        lines = f"line {self.line}" if self.line == self.last_line else f"lines {self.line}-{self.last_line}"
        position = "document" if whole_file else lines
        if self.broken is not None:
            return Fault(position, self.broken)
        return Record(position, Joined(self.form.name, self.values), tuple(self.notes), size=self.size, line=self.line)


def joined(found: Iterable[Record | Fault], limit: int) -> Iterator[Record | Fault]:
    """Yield records and faults, with records that are one conversation joined. A conversation of more than `limit`
    characters is a fault."""
    group: _Group | None = None
    alone = True  # nothing but this group has been found
    end = 0
    """The line on which the last record, or broken value, is known to end."""
    after_fault = False
    for each in found:
        if isinstance(each, Fault):
            at = _LINE.match(each.position)
            line = int(at.group(1)) if at is not None else end
            if group is not None and (not group.form.adjacent or line <= end + 1):
                group.last_line = max(group.last_line, line)
                group.spoil(f"one of its lines is broken ({each.position}), and half a conversation is not ingested")
            end, after_fault = line, True
            yield each
            alone = False
            continue
        if group is not None:
            if group.takes(each):
                group.add(each, limit)
                end, after_fault = each.last_line, False
                continue
            yield group.result(whole_file=False)
            group, alone = None, False
        form = line_form_of(each.value) if each.line else None
        if form is None:
            yield each
            alone = False
        else:
            group = _Group(form, each.line, each.last_line)
            group.add(each, limit)
            if each.salvaged or (after_fault and each.line <= end + 1):
                group.spoil("it follows a broken line, and half a conversation is not ingested")
        end, after_fault = each.last_line, False
    if group is not None:
        yield group.result(whole_file=alone)
