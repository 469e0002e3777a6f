"""How commands print: tables for people, plain columns for pipes, JSON for programs."""

from __future__ import annotations

import json
import re
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from greenroom.storage.codec.json_lines import json_able, json_line

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_quiet = False
_LEAST_WIDTH = 60  # a window that is narrower, or says that it has none, gets lines that are too long, not none
_STATUS_STYLES = {
    "active": "green",
    "suspended": "yellow",
    "completed": "cyan",
    "failed": "red",
    "archived": "dim",
}


def is_terminal(stream: TextIO | None = None) -> bool:
    """Return whether a person is looking at the stream (stdout unless another is given)."""
    return (stream or sys.stdout).isatty()


def console(stream: TextIO | None = None) -> Console:
    """Return a rich console that prints text as it is given: no markup, and no colour outside a terminal."""
    from rich.console import Console

    stream = stream or sys.stdout
    made = Console(file=stream, markup=False, emoji=False, highlight=False, force_terminal=stream.isatty())
    made.width = max(made.width, _LEAST_WIDTH)
    return made


def print_json(value: Any) -> None:
    """Print a value as indented JSON; beyond ASCII as escapes where the terminal is not in UTF-8."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(json_able(value), indent=2, ensure_ascii=not utf8)
    print(text.encode(errors="backslashreplace").decode())  # bytes of a path that are not UTF-8: as JSON escapes


def print_piece(text: str) -> None:
    """Print a piece of a script's output at once, as it is."""
    print(text, end="", flush=True)


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json_line(value))


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print a table: fitted to the window in a terminal, elsewhere in plain columns with nothing cut."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    if not is_terminal():
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        for row in [[column.upper() for column in columns], *rows]:
            cells = (
                cell.rjust(width) if column in right else cell.ljust(width)
                for cell, width, column in zip(row, widths, columns, strict=True)
            )
            print("  ".join(cells).rstrip())
        return
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    for column, width in zip(columns, _fitted(columns, widths, right, out.width), strict=True):
        justify: JustifyMethod = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        table.add_row(*(Text(cell, _style(column, cell)) for column, cell in zip(columns, row, strict=True)))
    out.print(table)


def print_line(text: str, style: str = "") -> None:
    """Print a text on one line, in a terminal with a style."""
    if is_terminal():
        console().print(one_line(text), style=style, soft_wrap=True)
    else:
        print(one_line(text))


def print_fields(fields: Mapping[str, str]) -> None:
    """Print names and values, one a line, the values in one column."""
    width = max(map(len, fields), default=0)
    if not is_terminal():
        for name, value in fields.items():
            print(f"{name.ljust(width)}  {one_line(value)}".rstrip())
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, Text(one_line(value), _style(name, value)))
    console().print(table)


def set_quiet(wanted: bool) -> None:
    """Leave out, or not, whatever was not asked for: notes, progress, reports of what was done."""
    global _quiet
    _quiet = wanted


def tell_beside(message: str) -> None:
    """Tell a part of the result that must not stand among its rows: on stderr, with --quiet too."""
    print(one_line(message), file=sys.stderr)


def note(message: str) -> None:
    """Say something that nobody asked for, such as what to do next: on stderr, unless --quiet."""
    if not _quiet:
        print(one_line(message), file=sys.stderr)


def done(message: str) -> None:
    """Report what was done, on stdout, unless --quiet."""
    if not _quiet:
        print(one_line(message))


def shows_progress() -> bool:
    """Return whether somebody sees and wants progress on stderr."""
    return not _quiet and is_terminal(sys.stderr)


def reader_leaves(seconds: float) -> bool:
    """Wait, and return whether whoever reads stdout has gone by then; a wait ends when they go."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # not a stream of the system
        time.sleep(seconds)
        return False
    waiting = select.poll()
    waiting.register(descriptor, 0)  # what has gone wrong is told in any case
    return bool(waiting.poll(seconds * 1000))


def counted(count: int, thing: str, things: str | None = None) -> str:
    """Return a number with the word for that many: ``1 artifact``, ``2 artifacts``."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def printable(text: str) -> str:
    """Return the text with control characters made visible, so that stored text cannot steer the terminal.

    A carriage return that is a part of a line's end is none of them: it goes.
    """
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return the text on one line, without control characters."""
    return printable(" ".join(text.splitlines()) if "\n" in text or "\r" in text else text)


def brief(value: Any, longest: int = 200) -> str:
    """Return a JSON value or bytes as a short text: a list of texts with commas, what is too long cut off."""
    if isinstance(value, (bytes, bytearray)):
        return size(len(value))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value)
    else:
        text = value if isinstance(value, str) else json.dumps(json_able(value), ensure_ascii=False, default=str)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def short_id(session_id: str) -> str:
    """Return a session id as a table shows it: its first digits in a terminal, whole elsewhere."""
    return session_id[:8] if is_terminal() else session_id


def size(count: int) -> str:
    """Return a number of bytes for people: ``512 B``, ``1.5 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moment(time: datetime) -> str:
    """Return a time in UTC: to the minute in a terminal, where room is scarce, to the second elsewhere."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M" if is_terminal() else "%Y-%m-%d %H:%M:%S")


def _fitted(columns: Sequence[str], widths: Sequence[int], right: Sequence[str], room: int) -> list[int]:
    """Return the widths made to fit: what is short and telling stays whole, names and the like share what is left."""
    fixed = [column in right or column in ("id", "status") or column.endswith("(UTC)") for column in columns]
    room -= 2 * len(columns) + sum(width for width, whole in zip(widths, fixed, strict=True) if whole)
    fitted = list(widths)
    flexible = sorted((number for number, whole in enumerate(fixed) if not whole), key=lambda each: widths[each])
    for place, number in enumerate(flexible):
        fitted[number] = min(widths[number], max(8, room // (len(flexible) - place)))
        room -= fitted[number]
    return fitted


def _style(column: str, cell: str) -> str:
    if column == "status":
        return _STATUS_STYLES.get(cell, "")
    return "cyan" if column == "id" else ""


@contextmanager
def progress_bar(
    what: str, wanted: bool, things: str | None = None
) -> Iterator[Callable[[int, int | None], None] | None]:
    """A bar of bytes, or of other `things`, on stderr, where a person sees it: what it gives is called with those done
    and those to do."""
    if not wanted or not shows_progress():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    counts = TextColumn(f"{{task.completed:,.0f}} of {{task.total:,.0f}} {things}", markup=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True) if things is None else counts,
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task(what, total=None if things is None else 0)

        def show(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        yield show
