"""Writes the pages that are made from the code: `python docs/generate.py`. A test compares them with what it writes."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path

from greenroom.runtime import messages

_HEAD = """# Messages

Written by `python docs/generate.py` from the classes in `greenroom.runtime.messages`. Send one with
`rt.ask(session_id, message, timeout=...)`, which returns its reply, or with `rt.tell(session_id, message)`.

*Rate* is the kind of operation that rates count it as (docs/policies.md). *Access* is what the audit log calls it
(docs/security.md). *Hooks* are the points before and after it (docs/hooks.md).

| message | reply | rate | access | hooks |
| --- | --- | --- | --- | --- |
"""


def _reply(kind: type[messages.Message[object]]) -> str:
    """Return the type of the reply to a class of messages, as one reads it."""
    for each in kind.__mro__:
        for base in getattr(each, "__orig_bases__", ()):
            for argument in typing.get_args(base):
                if not isinstance(argument, typing.TypeVar):
                    return _name(argument)
    return ""


def _name(kind: object) -> str:
    arguments = typing.get_args(kind)
    if kind is type(None) or kind is None:
        return "None"
    if typing.get_origin(kind) is None:
        return getattr(kind, "__name__", str(kind))
    if kind.__class__.__name__ in ("UnionType", "_UnionGenericAlias"):
        return " or ".join(map(_name, arguments))
    return f"{_name(typing.get_origin(kind))}[{', '.join(map(_name, arguments))}]"


def message_rows() -> str:
    """Return a line of the table for each public message."""
    lines = []
    for name in messages.__all__:
        kind = getattr(messages, name)
        if not (inspect.isclass(kind) and issubclass(kind, (messages.Command, messages.Query))) or kind in (
            messages.Command,
            messages.Query,
        ):
            continue
        what = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split()).partition(" Replies ")[0]
        points = " · ".join(f"`{point}`" for point in (kind.points.before, kind.points.after) if point)
        lines.append(f"| `{name}`: {what} | {_reply(kind)} | {kind.rate or ''} | {kind.access} | {points} |")
    return "\n".join(lines) + "\n"


PAGES = {"messages.md": lambda: _HEAD + message_rows()}


if __name__ == "__main__":
    for page, make in PAGES.items():
        (Path(__file__).parent / page).write_text(make())
