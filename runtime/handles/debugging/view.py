"""`ContextView`: what a model was given in one call, and what is different from the call before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from greenroom.storage.codec.records import Json
from greenroom.storage.common.message_text import text_of_message
from greenroom.storage.common.times import iso_time

from .values import brief

__all__ = ["ContextChange", "ContextView", "changes_between"]

_MAX_ALIGNED: Final = 4000
"""So many of the newest messages are compared with those of the call before."""
_MAX_ROLE: Final = 32

Kind = Literal["injected", "dropped", "changed", "truncated"]


@dataclass(frozen=True, slots=True)
class ContextChange:
    """One difference to the call before. `kind` is injected (it was not there), dropped (it is not there any more),
    truncated (it has become a part of what it was) or changed; `what` names it: "system_prompt", "message 12",
    "tool search", "parameter temperature", "input"."""

    kind: Kind
    what: str
    before: Json = None
    after: Json = None

    def __str__(self) -> str:
        if self.kind == "injected":
            return f"injected   {self.what}: {brief(self.after)}"
        if self.kind == "dropped":
            return f"dropped    {self.what}: {brief(self.before)}"
        return f"{self.kind:<10} {self.what}: {brief(self.before)} -> {brief(self.after)}"

    def to_dict(self) -> dict[str, Json]:
        return {"kind": self.kind, "what": self.what, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class ContextView:
    """What the model of one call was given.

    `messages` are the conversation at that moment, or the messages in the input if it has some. For a call that
    greenroom made, `system_prompt`, `tools` and `parameters` are those of the agent; else the system prompt is the text
    of the system messages, and tools and parameters are those that came in with the conversation. `changes` says what
    is different from the call before of the same agent, whose sequence is `previous`. `reply` is what came back, or
    None.
    """

    session_id: str
    call: int
    number: int
    calls: int
    """How many calls there are."""
    kind: Literal["agent", "message"]
    agent: str
    time: datetime
    model: str | None = None
    provider: str | None = None
    system_prompt: str | None = None
    tools: tuple[Json, ...] = ()
    parameters: dict[str, Json] = field(default_factory=dict)
    input: Json = None
    messages: tuple[dict[str, Json], ...] = ()
    reply: Json = None
    error: Json = None
    usage: Json = None
    previous: int | None = None
    changes: tuple[ContextChange, ...] = ()

    def __repr__(self) -> str:
        return f"<ContextView of call {self.number} of {self.calls} at {self.call}: {len(self.messages)} messages>"

    def __str__(self) -> str:
        lines = [f"call {self.number} of {self.calls}, at event {self.call}: {self.agent}"]
        if self.model is not None and self.model != self.agent:
            lines[0] += f" ({self.model})"
        if self.system_prompt is not None and self.kind == "agent":  # else it stands among the messages
            lines.append(f"  system     {brief(self.system_prompt)}")
        if self.tools:
            lines.append(f"  tools      {', '.join(map(_tool_name, self.tools))}")
        lines += [f"  parameter  {name} = {brief(value)}" for name, value in sorted(self.parameters.items())]
        if self.kind == "agent":
            lines.append(f"  input      {brief(self.input)}")
        lines += [f"  {_title(each):<10} {brief(_shown(each))}" for each in self.messages]
        lines += [f"  reply      {brief(_answer(self.reply))}"] if self.reply is not None else []
        lines += [f"  error      {brief(self.error)}"] if self.error is not None else []
        if self.previous is None:
            lines.append("this is the first call")
        else:
            lines.append(f"since the call at event {self.previous}:" + ("" if self.changes else " nothing has changed"))
            lines += [f"  {each}" for each in self.changes]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Json]:
        """Return everything by name as JSON values."""
        return {
            "session_id": self.session_id,
            "call": self.call,
            "number": self.number,
            "calls": self.calls,
            "kind": self.kind,
            "agent": self.agent,
            "time": iso_time(self.time),
            "model": self.model,
            "provider": self.provider,
            "system_prompt": self.system_prompt,
            "tools": list(self.tools),
            "parameters": dict(self.parameters),
            "input": self.input,
            "messages": [dict(each) for each in self.messages],
            "reply": self.reply,
            "error": self.error,
            "usage": self.usage,
            "previous": self.previous,
            "changes": [each.to_dict() for each in self.changes],
        }


def _text(message: Mapping[str, Any]) -> str:
    return text_of_message(message.get("content"), message)


def _answer(reply: Json) -> Json:
    """Return what a reply says: that of an agent has its text, that of a model is a message."""
    return (reply.get("text") or _shown(reply)) if isinstance(reply, dict) else reply


def _shown(message: Mapping[str, Any]) -> Json:
    text = _text(message)
    if text:
        return text
    return {name: value for name, value in message.items() if name not in ("sequence", "role")}


def _title(message: Mapping[str, Any]) -> str:
    number = message.get("sequence")
    return f"{number} {_role(message)}" if number is not None else _role(message)


def _tool_name(tool: Any) -> str:
    if isinstance(tool, str):
        return tool
    if isinstance(tool, dict):
        function = tool.get("function")
        name = tool.get("name") or (function.get("name") if isinstance(function, dict) else None)
        if isinstance(name, str):
            return name
    return brief(tool, 40)


# -- what changed


def changes_between(before: ContextView, after: ContextView) -> Iterator[ContextChange]:
    """Yield what is different between two calls."""
    yield from _of_text("system_prompt", before.system_prompt, after.system_prompt)
    if (before.model, before.provider) != (after.model, after.provider):
        yield ContextChange("changed", "model", before.model, after.model)
    yield from _of_entries("tool", _by_name(before.tools), _by_name(after.tools))
    yield from _of_entries("parameter", before.parameters, after.parameters)
    if after.kind == "agent" and not _has_messages(before.input) and not _has_messages(after.input):
        yield from _of_text("input", before.input, after.input)
    yield from _of_messages(before.messages, after.messages)


def _has_messages(input: Json) -> bool:
    return isinstance(input, list) or (isinstance(input, dict) and isinstance(input.get("messages"), list))


def _by_name(tools: Sequence[Json]) -> dict[str, Json]:
    return {_tool_name(each): each for each in tools}


def _of_entries(kind: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[ContextChange]:
    for name in [*before, *(each for each in after if each not in before)]:
        what = f"{kind} {name}"
        if name not in after:
            yield ContextChange("dropped", what, before[name])
        elif name not in before:
            yield ContextChange("injected", what, None, after[name])
        elif before[name] != after[name]:
            yield from _of_text(what, before[name], after[name])


def _of_text(what: str, before: Json, after: Json) -> Iterator[ContextChange]:
    if before == after:
        return
    if before is None:
        yield ContextChange("injected", what, None, after)
    elif after is None:
        yield ContextChange("dropped", what, before)
    else:
        yield ContextChange("truncated" if _is_truncated(before, after) else "changed", what, before, after)


_MARKS: Final = ("...", "…", "[truncated]", "[...]", "(truncated)")


def _is_truncated(before: Json, after: Json) -> bool:
    """Return whether a text has become its own beginning, its end, or both with a mark between them."""
    if not isinstance(before, str) or not isinstance(after, str):
        return False
    kept = after.strip()
    for mark in _MARKS:
        kept = kept.removesuffix(mark).rstrip()
        kept = kept.removeprefix(mark).lstrip()
    if len(kept) >= len(before):
        return False
    if before.startswith(kept) or before.endswith(kept):
        return True
    for mark in _MARKS:
        head, found, tail = kept.partition(mark)
        if found and before.startswith(head.rstrip()) and before.endswith(tail.lstrip()):
            return True
    return False


def _of_messages(before: Sequence[dict[str, Json]], after: Sequence[dict[str, Json]]) -> Iterator[ContextChange]:
    if all("sequence" in each for each in (*before, *after)):
        yield from _by_sequence(before, after)
        return
    yield from _aligned(before[-_MAX_ALIGNED:], after[-_MAX_ALIGNED:], len(before), len(after))


def _by_sequence(before: Sequence[dict[str, Json]], after: Sequence[dict[str, Json]]) -> Iterator[ContextChange]:
    old: dict[Any, dict[str, Json]] = {each["sequence"]: each for each in before}
    new: dict[Any, dict[str, Json]] = {each["sequence"]: each for each in after}
    for sequence in sorted({*old, *new}):
        yield from _of_message(f"message {sequence}", old.get(sequence), new.get(sequence))


def _of_message(what: str, before: dict[str, Json] | None, after: dict[str, Json] | None) -> Iterator[ContextChange]:
    if before == after:
        return
    if before is None or after is None:
        kind: Kind = "injected" if before is None else "dropped"
        yield ContextChange(kind, f"{what} ({_role(after or before or {})})", _content(before), _content(after))
        return
    what = f"{what} ({_role(after)})"
    one, other = _text(before), _text(after)
    kind = "truncated" if one != other and _is_truncated(one, other) else "changed"
    if one == other:
        yield ContextChange(kind, what, dict(before), dict(after))
    else:
        yield ContextChange(kind, what, _content(before), _content(after))


def _role(message: Mapping[str, Any]) -> str:
    return str(message.get("role"))[:_MAX_ROLE]


def _content(message: dict[str, Json] | None) -> Json:
    if message is None:
        return None
    content = message.get("content")
    return content if content is not None else _shown(message)


def _aligned(
    before: Sequence[dict[str, Json]], after: Sequence[dict[str, Json]], all_before: int, all_after: int
) -> Iterator[ContextChange]:
    """Compare messages that have no sequences, as inputs have them, by what they say. They are named by their place."""
    from .alignment import opcodes

    skipped_before, skipped_after = all_before - len(before), all_after - len(after)
    for tag, i1, i2, j1, j2 in opcodes(map(_key, before), map(_key, after)):
        if tag == "equal":
            continue
        paired = min(i2 - i1, j2 - j1)
        for at in range(max(i2 - i1, j2 - j1)):
            old = before[i1 + at] if at < i2 - i1 else None
            new = after[j1 + at] if at < j2 - j1 else None
            place = skipped_after + j1 + at + 1 if new is not None else skipped_before + i1 + at + 1
            if at < paired and old is not None and new is not None and old.get("role") != new.get("role"):
                yield from _of_message(f"message #{skipped_before + i1 + at + 1}", old, None)
                yield from _of_message(f"message #{place}", None, new)
            else:
                yield from _of_message(f"message #{place}", old, new)


def _key(message: Mapping[str, Json]) -> str:
    return json.dumps(message, sort_keys=True, default=repr)
