"""Find the calls of models in a session, and what each was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from greenroom.actors.messages.conversation import Turn
from greenroom.storage.codec.records import Json
from greenroom.storage.common.message_text import role_of, text_of_message
from greenroom.storage.errors import ReplayError, ValidationError
from greenroom.storage.events.model import Event, StoredEvent
from greenroom.storage.events.turns import ADDED, STARTED

from .recorded import Recorded
from .view import ContextView, changes_between

__all__ = ["Call", "calls_of", "context_of"]

CALLED: Final = "agent.called"
RETURNED: Final = "agent.returned"


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
    thread: int | None = None
    """The conversation of a recorded call: one run may hold several."""


def calls_of(recorded: Recorded) -> list[Call]:
    """Return the calls of models in a session. If greenroom made any, these are the calls; otherwise the assistant's
    turns are."""
    agents: list[tuple[int, str, int | None]] = []
    turns: list[tuple[int, str]] = []
    for sequence, stored in recorded.stored(0, None, lambda each: each.type in (CALLED, ADDED, STARTED)):
        if stored.type == CALLED:
            agents.append((sequence, str(stored.data["name"]), stored.data.get("thread")))
        elif not agents and role_of(stored.data["role"]) == "assistant":
            turns.append((sequence, str(stored.data.get("name") or "assistant")))
    if agents:
        return [
            Call(sequence, number, "agent", name, sequence, thread)
            for number, (sequence, name, thread) in enumerate(agents, 1)
        ]
    return [Call(sequence, number, "message", name, sequence - 1) for number, (sequence, name) in enumerate(turns, 1)]


def context_of(recorded: Recorded, call: int | None, number: int | None, upto: int | None = None) -> ContextView:
    """Return what the model of a call was given; if none is named, of the newest call up to an event. Raises
    ReplayError if there is no such call."""
    calls = calls_of(recorded)
    found = _found(recorded, calls, call, number, recorded.last if upto is None else upto)
    earlier = reversed(calls[: found.number - 1])
    before = next((each for each in earlier if each.thread == found.thread and each.agent == found.agent), None)
    view = _given(recorded, found, len(calls))
    if before is None:
        return view
    changes = tuple(changes_between(_given(recorded, before, len(calls)), view))
    return replace(view, previous=before.sequence, changes=changes)


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
        system = "\n\n".join(
            text_of_message(each.get("content"), each) for each in messages if role_of(str(each["role"])) == "system"
        )
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
        input=input if "crossing" not in data else None,  # a recorded call has nothing but its messages
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
