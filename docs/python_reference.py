"""The reference of the Python API: its messages, names, and what of it is awaited. `generate.py` writes it."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pydantic

import greenroom.runtime
from greenroom.runtime import GreenroomError, Runtime, Session, messages
from greenroom.runtime.core import RuntimeCore
from greenroom.runtime.creation import Creation
from greenroom.storage.common.late import late

_WRITTEN = "Written by `python docs/generate.py`"


# -- messages


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


def _messages() -> Iterator[str]:
    yield f"""# Messages

{_WRITTEN} from the classes in `greenroom.runtime.messages`. Send one with
`rt.ask(session_id, message, timeout=...)`, which returns its reply, or with `rt.tell(session_id, message)`.

*Rate* is the kind of operation that rates count it as ([policies](../control/policies.md)). *Access* is what the
audit log calls it ([security](../security.md)). *Shared* is the permission on a whole session with which another
session can send it; without one it is for the session, its ancestors and the host. *Hooks* are the points before
and after it ([hooks](../control/hooks.md)).

| message | reply | rate | access | shared | hooks |
| --- | --- | --- | --- | --- | --- |"""
    for name in messages.__all__:
        kind = getattr(messages, name)
        if not (inspect.isclass(kind) and issubclass(kind, (messages.Command, messages.Query))) or kind in (
            messages.Command,
            messages.Query,
        ):
            continue
        what = _first(kind).partition(" Replies ")[0]
        points = " · ".join(f"`{point}`" for point in (kind.points.before, kind.points.after) if point)
        shared = {0: "host only" if kind.host_only else "", 1: "read", 2: "write"}[kind.whole]
        facts = (_reply(kind), kind.rate or "", kind.access, shared, points)
        yield f"| `{name}`: {what} | {' | '.join(facts)} |"


# -- the Python API


def _first(subject: object) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join((inspect.getdoc(subject) or "").split("\n\n")[0].split())


def _signature(name: str, function: Callable[..., Any]) -> str:
    try:
        text = str(inspect.signature(function))
    except (TypeError, ValueError):
        return f"{name}(...)"
    text = re.sub(r"^\(self(, )?", "(", text)
    text = re.sub(r"\b(?:greenroom|collections|typing|datetime|pathlib)\.[\w.]*\b(\w+)", r"\1", text)
    return name + re.sub(r"""(: |-> )(?:'([^']*)'|"([^"]*)")""", r"\1\2\3", text)  # annotations are texts


def _members(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield (name, heading, doc) of the public methods and properties that a class itself has, in its order."""
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        inner = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if isinstance(inner, (property, late)):
            yield name, name, inspect.getdoc(inner) or ""
        elif inspect.isfunction(inner):
            heading = _signature(name, inner)
            yield name, re.sub(r"\(cls(, )?", "(", heading), inspect.getdoc(inner) or ""


def _notes(kind: type) -> dict[str, str]:
    """Return the texts that stand below the fields of a class in its source, by the fields above them."""
    notes: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        except (OSError, TypeError):
            continue
        above: list[str] = []
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for node in body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                above.append(node.target.id)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and above:
                text = " ".join(str(node.value.value).split())
                notes.update(dict.fromkeys(above, text))
                above = []
            else:
                above = []
    return notes


def _reachable() -> list[tuple[str, type]]:
    """Return (how a program comes to it, class) of the objects with methods that a program uses."""
    with Runtime.open() as runtime:
        session = runtime.create_session()
        found: dict[type, str] = {Runtime: "Runtime", Session: "Session"}
        for start, owner in (("rt", runtime), ("s", session)):
            for name in sorted(dir(owner)):
                if not name.startswith("_") and not callable(member := getattr(owner, name)):
                    kind = type(member)
                    if kind.__module__.startswith("greenroom.") and any(True for _ in _members(kind)):
                        found.setdefault(kind, f"{start}.{name}")
    return [(reached, kind) for kind, reached in found.items()]


def _python() -> Iterator[str]:
    yield f"""# The Python API

{_WRITTEN} from the public names of `greenroom.runtime`. Errors are on
[a page of their own](errors.md), settings on [another](settings.md), messages [on a third](messages.md)."""
    told = set()
    for reached, kind in _reachable():
        if issubclass(kind, (enum.Enum, pydantic.BaseModel, RuntimeCore, Creation)):
            continue
        told.add(kind)
        title = kind.__name__ if reached == kind.__name__ else f"{kind.__name__} (`{reached}`)"
        yield f"\n## {title}\n\n{inspect.getdoc(kind) or ''}"
        for _, heading, doc in _members(kind):
            yield f"\n### `{heading}`\n\n{doc}"
    yield from _asynchronous()
    yield "\n## Functions\n"
    for name in greenroom.runtime.__all__:
        function = getattr(greenroom.runtime, name)
        if inspect.isfunction(function):
            yield f"### `{_signature(name, function)}`\n\n{inspect.getdoc(function)}\n"
    yield "\n## Values\n"
    for name in greenroom.runtime.__all__:
        kind = getattr(greenroom.runtime, name)
        if not inspect.isclass(kind) or issubclass(kind, (GreenroomError, pydantic.BaseModel)) or kind in told:
            continue
        yield f"### {name}\n\n{_plain_doc(kind)}"
        if issubclass(kind, enum.Enum):
            yield f"\nOne of {', '.join(f'`{each.value}`' for each in kind)}."
        fields = [field for field in getattr(kind, "__annotations__", {}) if not field.startswith("_")]
        if fields and not issubclass(kind, enum.Enum):
            notes = _notes(kind)
            yield ""
            for field in fields:
                type_ = str(kind.__annotations__[field]).replace("|", "or")
                yield f"- `{field}`: {type_}" + (f". {notes[field]}" if field in notes else "")
        for _, heading, doc in _members(kind):
            first = " ".join(doc.split("\n\n")[0].split())
            yield f"- `{heading}`: {first}"
        yield ""


def _asynchronous() -> Iterator[str]:
    """Yield what is different in the asynchronous API, and no method that is there under the same name."""
    yield """
## AsyncRuntime and what it gives

The classes below have the methods of the synchronous ones, under the same names, with the same arguments, types and
errors, to be awaited: `await rt.create_session(...)`, `await session.set("k", 1)`. What an iterator gives is read by
`async for`, and blocks are entered by `async with`. Only what is not the same is listed here; see
[how to use them](../how-to/async.md). `.sync` of each is the synchronous object, for code on other threads.

| class | to be awaited instead of | how a program comes to it |
| --- | --- | --- |"""
    kinds = {name: getattr(greenroom.runtime, name) for name in greenroom.runtime._ASYNC}
    for name in sorted(kinds, key=_place):
        kind = kinds[name]
        yield f"| `{name}` | {_instead_of(kind)} | {_ASYNC_REACHED.get(name) or f'`rt.{_snake(name)}`'} |"
    for name in sorted(kinds, key=_place):
        members = list(_members(kinds[name]))
        if not members:
            continue
        yield f"\n### {name}\n\n{inspect.getdoc(kinds[name]) or ''}\n"
        for member, heading, doc in members:
            first = " ".join(doc.split("\n\n")[0].split())
            waits = inspect.iscoroutinefunction(getattr(kinds[name], member))
            yield f"- `{'await ' if waits else ''}{heading}`" + (f": {first}" if first else "")


_ASYNC_REACHED = {
    "AsyncRuntime": "`await AsyncRuntime.open(...)`, `AsyncRuntime.over(runtime)`",
    "AsyncSession": "`await rt.create_session(...)`, `await rt.session(...)`",
    "AsyncBatch": "`session.batch()`",
    "AsyncRecords": "`session.records`",
    "AsyncScope": "`rt.state_scope(name)`",
    "AsyncMessageStream": "`session.stream_message(role)`",
    "AsyncArtifactWriter": "`session.create_artifact(type, name)`",
    "AsyncArtifactReader": "`await session.open_artifact(ref)`",
    "AsyncFollow": "`session.follow()`, `rt.follow()`",
    "AsyncSubscription": "`rt.events.subscribe(...)`",
    "AsyncScriptStream": "`rt.stream_script(source)`",
    "AsyncReplay": "`await rt.replays.start(session)`",
    "AsyncInstalledScripts": "`rt.scripts`",
}


def _place(name: str) -> int:
    """Return where a class stands: those that programs begin with, then the parts of a runtime."""
    first = list(_ASYNC_REACHED)
    return first.index(name) if name in first else len(first)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removeprefix("Async")).lower()


def _instead_of(kind: type) -> str:
    name = kind.__name__.removeprefix("Async")
    return {"Batch": "`SessionBatch`", "ArtifactReader": "what `Session.open_artifact` returns"}.get(name, f"`{name}`")


def _plain_doc(kind: type) -> str:
    doc = inspect.getdoc(kind) or ""
    return "" if doc.startswith(f"{kind.__name__}(") else doc
