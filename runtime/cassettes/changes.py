"""What has changed in a request since it was recorded, for people to read: the model, the messages and the tools, and
not the JSON that carries them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from greenroom.runtime.ingest.records import Turn
from greenroom.runtime.recording.understanding.decode import model_call
from greenroom.runtime.recording.understanding.model import ModelCall
from greenroom.runtime.recording.understanding.parts import calls_in, results_in

__all__ = ["changes_between"]

_LONGEST: Final = 160
"""Characters of a value on one line."""
_MOST_LINES: Final = 60
_CONTEXT: Final = 40
"""Characters of a long line around what has changed in it."""
Input = Mapping[str, Any]


def changes_between(kind: str, recorded: Input, given: Input) -> list[str]:
    """Return what two inputs of a boundary differ in, line by line: "- " stands before what was recorded, "+ " before
    what the program asks for now. Empty if they differ in nothing that counts."""
    lines: list[str] = []
    if kind == "http":
        a, b = model_call(recorded, {}), model_call(given, {})
        lines = list(_of_calls(a, b)) if a is not None and b is not None else list(_of_http(recorded, given))
        if not lines:
            lines = list(_of_http(recorded, given))
    else:
        lines = list(_of_values("", _counting(recorded), _counting(given)))
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"… and {len(lines) - _MOST_LINES} lines more"]
    return lines


def _counting(input: Input) -> dict[str, Any]:
    """Return what counts of the input of a tool."""
    return {
        name: value for name, value in input.items() if name not in ("server", "params") or "arguments" not in input
    }


def _of_calls(a: ModelCall, b: ModelCall) -> Iterator[str]:
    yield from _of_values("model", a.model, b.model)
    yield from _of_text("system", a.system or "", b.system or "")
    yield from _of_values("", a.parameters, b.parameters)
    yield from _of_tools(a, b)
    yield from _of_messages(a.messages, b.messages)


def _of_tools(a: ModelCall, b: ModelCall) -> Iterator[str]:
    old, new = dict(_named(a)), dict(_named(b))
    for name in sorted(old.keys() - new.keys()):
        yield f"tool {name}: no longer offered"
    for name in sorted(new.keys() - old.keys()):
        yield f"tool {name}: offered now"
    for name in sorted(old.keys() & new.keys()):
        yield from _of_values(f"tool {name}", old[name], new[name])


def _named(call: ModelCall) -> Iterator[tuple[str, Any]]:
    for at, tool in enumerate(call.tools):
        names = ModelCall(call.provider, call.api, tools=(tool,)).tool_names
        yield ", ".join(names) or f"#{at + 1}", tool


def _of_messages(a: Sequence[Turn], b: Sequence[Turn]) -> Iterator[str]:
    """Tell the messages apart. What came in between moves the others, which are then the same."""
    old, new = [_said(each) for each in a], [_said(each) for each in b]
    for what, at, until, to, to_until in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        paired = min(until - at, to_until - to)
        for step in range(paired):
            yield from _of_text(_title(to + step, b[to + step]), old[at + step], new[to + step])
        for index in range(at + paired, until):
            yield f"{_title(index, a[index])}: gone"
            yield from _marked("- ", old[index])
        for index in range(to + paired, to_until):
            yield f"{_title(index, b[index])}: new"
            yield from _marked("+ ", new[index])


def _title(index: int, turn: Turn) -> str:
    return f"message {index + 1} ({turn.role})"


def _said(turn: Turn) -> str:
    """Return a message as text: what it says, the tools that it calls, and the results that it has."""
    calls = [f"calls {each.name}({_shown(each.arguments)})" for each in calls_in(turn)]
    results = [f"result of {each.name or each.call_id}: {_shown(each.content)}" for each in results_in(turn)]
    text = turn.text if not results else ""
    return "\n".join([*([text] if text else []), *calls, *results]) or _shown(turn.content)


def _of_http(a: Input, b: Input) -> Iterator[str]:
    yield from _of_values("method", a.get("method"), b.get("method"))
    yield from _of_values("url", a.get("url"), b.get("url"))
    old, new = _body(a.get("body")), _body(b.get("body"))
    if isinstance(old, str) and isinstance(new, str):
        yield from _of_text("body", old, new)
    else:
        yield from _of_values("body", old, new)


def _body(body: Any) -> Any:
    if not isinstance(body, bytes):
        return body
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"<{len(body)} bytes>"


def _of_values(path: str, a: Any, b: Any) -> Iterator[str]:
    """Tell two JSON values apart, by path."""
    if a == b and type(a) is type(b):
        return
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in [*a, *(each for each in b if each not in a)]:
            inner = f"{path}.{name}" if path else str(name)
            if name not in b:
                yield f"{inner}: gone"
                yield f"- {_shown(a[name])}"
            elif name not in a:
                yield f"{inner}: new"
                yield f"+ {_shown(b[name])}"
            else:
                yield from _of_values(inner, a[name], b[name])
        return
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for at, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _of_values(f"{path}[{at}]", one, other)
        return
    if isinstance(a, str) and isinstance(b, str) and (len(a) > _LONGEST or len(b) > _LONGEST or "\n" in a + b):
        yield from _of_text(path, a, b)
        return
    yield f"{path}:"
    yield f"- {_shown(a)}"
    yield f"+ {_shown(b)}"


def _of_text(title: str, a: str, b: str) -> Iterator[str]:
    """Tell two texts apart, line by line."""
    if a == b:
        return
    yield f"{title}:"
    old, new = a.splitlines() or [""], b.splitlines() or [""]
    for what, at, until, to, to_until in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        paired = min(until - at, to_until - to)
        for one, other in zip(old[at : at + paired], new[to : to + paired], strict=True):
            around = _around(one, other)
            yield f"- {around[0]}"
            yield f"+ {around[1]}"
        yield from (f"- {_cut(line)}" for line in old[at + paired : until])
        yield from (f"+ {_cut(line)}" for line in new[to + paired : to_until])


def _around(a: str, b: str) -> tuple[str, str]:
    """Return two lines; of long ones, what lies around the difference."""
    if max(len(a), len(b)) <= _LONGEST:
        return a, b
    start = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))
    begin = max(0, start - _CONTEXT)
    lead = "…" if begin else ""
    return lead + _cut(a[begin:]), lead + _cut(b[begin:])


def _marked(mark: str, text: str) -> Iterator[str]:
    yield from (f"{mark}{_cut(line)}" for line in text.splitlines() or [""])


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    return _cut(" ".join(text.splitlines()))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
