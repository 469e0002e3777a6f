"""What a model was given in one call, and what changed since the call before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from greenroom.actors.messages.conversation import Turn
from greenroom.storage.codec.records import Json
from greenroom.storage.common.message_text import role_of, text_of_message
from greenroom.storage.common.times import iso_time
from greenroom.storage.errors import ReplayError, ValidationError
from greenroom.storage.events.model import Event, StoredEvent
from greenroom.storage.events.turns import ADDED, STARTED

from .recorded import Recorded
from .values import brief

__all__ = ["Call", "ContextChange", "ContextView", "calls_of", "context_of"]

CALLED: Final = "agent.called"
RETURNED: Final = "agent.returned"
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
class Call:
    """One call of a model in a session: the sequence of the event that records it, and its number, from 1. `kind` is
    "agent" for a call that greenroom made, and "message" for an assistant's turn that came in from elsewhere."""

    sequence: int
    number: int
    kind: Literal["agent", "message"]
    agent: str
    upto: int
    """The event after which the conversation was as the model saw it."""


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
        lines = [f"call {self.number} of {self.calls}, event {self.call}: {self.agent}"]
        if self.model is not None and self.model != self.agent:
            lines[0] += f" ({self.model})"
        if self.system_prompt is not None:
            lines.append(f"  system     {brief(self.system_prompt)}")
        if self.tools:
            lines.append(f"  tools      {', '.join(map(_tool_name, self.tools))}")
        lines += [f"  parameter  {name} = {brief(value)}" for name, value in sorted(self.parameters.items())]
        if self.kind == "agent":
            lines.append(f"  input      {brief(self.input)}")
        lines += [f"  {_title(each):<10} {brief(_shown(each))}" for each in self.messages]
        if self.previous is None:
            lines.append("the first call")
        else:
            lines.append(f"since event {self.previous}:" + ("" if self.changes else " nothing changed"))
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


def calls_of(recorded: Recorded) -> list[Call]:
    """Return the calls of models in a session. If greenroom made any, these are the calls; otherwise the assistant's
    turns are."""
    agents: list[tuple[int, str]] = []
    turns: list[tuple[int, str]] = []
    for sequence, stored in recorded.stored(0, None, lambda each: each.type in (CALLED, ADDED, STARTED)):
        if stored.type == CALLED:
            agents.append((sequence, str(stored.data["name"])))
        elif not agents and role_of(stored.data["role"]) == "assistant":
            turns.append((sequence, str(stored.data.get("name") or "assistant")))
    if agents:
        return [Call(sequence, number, "agent", name, sequence) for number, (sequence, name) in enumerate(agents, 1)]
    return [Call(sequence, number, "message", name, sequence - 1) for number, (sequence, name) in enumerate(turns, 1)]


def context_of(recorded: Recorded, call: int | None, number: int | None, upto: int | None = None) -> ContextView:
    """Return what the model of a call was given; if none is named, of the newest call up to an event. Raises
    ReplayError if there is no such call."""
    calls = calls_of(recorded)
    found = _found(recorded, calls, call, number, recorded.last if upto is None else upto)
    before = next((each for each in reversed(calls[: found.number - 1]) if each.agent == found.agent), None)
    view = _given(recorded, found, len(calls))
    if before is None:
        return view
    changes = tuple(_changes(_given(recorded, before, len(calls)), view))
    values = {name: getattr(view, name) for name in view.__dataclass_fields__}
    return ContextView(**{**values, "previous": before.sequence, "changes": changes})


def _found(recorded: Recorded, calls: list[Call], call: int | None, number: int | None, upto: int) -> Call:
    for name, value in (("call", call), ("number", number)):
        if value is not None and type(value) is not int:
            raise ValidationError(f"{name}: a whole number is needed", field=name)
    if call is not None and number is not None:
        raise ValidationError("context: give the sequence of a call or its number, not both", field="call")
    if not calls:
        raise ReplayError(
            f"session {recorded.id} has no call of an agent and no assistant's message", session_id=recorded.id
        )
    if number is not None:
        if not 1 <= number <= len(calls):
            raise ReplayError(
                f"session {recorded.id} has the calls 1 to {len(calls)}, not {number}", session_id=recorded.id
            )
        return calls[number - 1]
    if call is None:
        found = next((each for each in reversed(calls) if each.sequence <= upto), None)
        if found is None:
            raise ReplayError(
                f"session {recorded.id} has no call of an agent up to event {upto}: the first one is event "
                f"{calls[0].sequence}",
                session_id=recorded.id,
                nearest=calls[0].sequence,
            )
        return found
    found = next((each for each in calls if each.sequence == call), None)
    if found is None:
        near = min(calls, key=lambda each: abs(each.sequence - call))
        raise ReplayError(
            f"event {call} of session {recorded.id} is no call of an agent: the nearest one is event {near.sequence}",
            session_id=recorded.id,
            nearest=near.sequence,
        )
    return found


def _given(recorded: Recorded, call: Call, calls: int) -> ContextView:
    """Return what a call was given, without what changed."""
    event = recorded.event(call.sequence)
    turns = recorded.moment(call.upto).messages if call.upto >= recorded.first else []
    messages = tuple(_as_message(turn) for turn in turns)
    about: dict[str, Any] = {
        "session_id": recorded.id,
        "call": call.sequence,
        "number": call.number,
        "calls": calls,
        "kind": call.kind,
        "agent": call.agent,
        "time": event.timestamp,
    }
    if call.kind == "message":
        turn = next(iter(recorded.turns(recorded.last, (call.sequence,))), None)
        reply = _as_message(turn) if turn is not None else event.data
        source = recorded.moment(call.sequence).metadata.get("source_record")
        asked: dict[str, Any] = source if isinstance(source, dict) else {}
        model = (turn.metadata.get("model") if turn is not None else None) or asked.get("model")
        system = "\n\n".join(_text(each) for each in messages if role_of(str(each["role"])) == "system")
        usage = turn.metadata.get("usage") if turn is not None else None
        return ContextView(
            **about,
            model=model if isinstance(model, str) else None,
            system_prompt=system or None,
            tools=tuple(asked["tools"]) if isinstance(asked.get("tools"), list) else (),
            parameters={name: asked[name] for name in _PARAMETERS if name in asked},
            messages=messages,
            reply=reply,
            usage=usage,
        )
    return _of_agent(recorded, call, event, messages, about)


def _returns(stored: StoredEvent) -> bool:
    return stored.type == RETURNED


def _of_agent(
    recorded: Recorded, call: Call, event: Event, messages: tuple[dict[str, Json], ...], about: dict[str, Any]
) -> ContextView:
    data: dict[str, Any] = event.data
    input = data.get("input")
    asked: dict[str, Any] = input if isinstance(input, dict) else {}
    inside = input if isinstance(input, list) else asked.get("messages")
    if isinstance(inside, list) and inside and all(isinstance(each, dict) and "role" in each for each in inside):
        messages = tuple(inside)
    system = data.get("system_prompt")
    if system is None and isinstance(asked.get("system"), str):
        system = asked["system"]
    tools = data.get("tools") or (asked.get("tools") if isinstance(asked.get("tools"), list) else None) or ()
    returned: dict[str, Any] = next(
        (
            each.data
            for each in recorded.events(call.sequence, None, _returns)
            if each.data.get("call") == call.sequence
        ),
        {},
    )
    return ContextView(
        **about,
        model=data.get("model"),
        provider=data.get("provider"),
        system_prompt=system,
        tools=tuple(tools),
        parameters=dict(data.get("parameters") or {}),
        input=input,
        messages=messages,
        reply=returned.get("result"),
        error=returned.get("error"),
        usage=returned.get("usage"),
    )


_PARAMETERS: Final = (
    "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "seed", "stop", "tool_choice",
    "reasoning_effort",
)  # fmt: skip
"""What ingestion keeps of a request besides its messages, in the metadata of the session."""
_FIELDS: Final = ("sequence", "role", "content", "name", "tool_calls", "tool_call_id")


def _as_message(turn: Turn) -> dict[str, Json]:
    found = {name: getattr(turn, name) for name in _FIELDS}
    return {name: value for name, value in found.items() if value is not None or name == "content"}


def _text(message: Mapping[str, Any]) -> str:
    return text_of_message(message.get("content"), message)


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


def _changes(before: ContextView, after: ContextView) -> Iterator[ContextChange]:
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

    keys: dict[str, int] = {}
    one, other = ([keys.setdefault(_key(each), len(keys)) for each in side] for side in (before, after))
    skipped_before, skipped_after = all_before - len(before), all_after - len(after)
    for tag, i1, i2, j1, j2 in opcodes(one, other):
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
