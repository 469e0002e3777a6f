"""Recognizes the format of a JSON record and reads its conversation in one shape.

Each form has a small reader: it tells whether a record has this form, and returns the conversation. Other fields of a
record are kept as the conversation's `extra`, other fields of a message as the turn's `metadata`. Nothing is dropped
here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from greenroom.storage.common.message_text import text_of

from .records import Conversation, Note, Turn, UnknownRecord, digest_of
from .swe_agent import steps_into_turns, turns_of_steps
from .turns import time_of, turn_of_message, with_free_key

__all__ = ["conversation_of", "is_conversation", "is_message"]

_SYSTEM: Final = ("system", "system_prompt", "systemInstruction", "system_instruction")
"""Keys of a system text beside the turns."""
_TITLES: Final = ("title", "name")
_STARTED: Final = ("created_at", "create_time", "created", "createdAt", "started_at", "start_time", "timestamp", "date")
_ENDED: Final = ("updated_at", "update_time", "updatedAt", "ended_at", "end_time", "completed_at")


def is_message(value: Any) -> bool:
    """Return whether a value is a single message, not a conversation."""
    return isinstance(value, dict) and ("role" in value or "from" in value) and not is_conversation(value)


def is_conversation(value: Any) -> bool:
    """Return whether a value looks like a whole conversation."""
    if isinstance(value, list):
        return bool(value) and is_message(value[0])
    return isinstance(value, dict) and any(form.reads(value) for form in _FORMS)


def conversation_of(value: Any) -> Conversation:
    """Return the conversation in a parsed JSON record.

    Raises UnknownRecord if there are no turns; the text says what is missing and at which message. Messages are counted
    from 0.
    """
    if isinstance(value, list):
        value = {"messages": value}
        if is_message(value["messages"][0] if value["messages"] else None) and "role" not in value["messages"][0]:
            value = {"conversations": value["messages"]}
    if not isinstance(value, dict):
        raise UnknownRecord("it is no conversation: neither an object nor a list")
    for form in _FORMS:
        if form.reads(value):
            return _with_times(form.conversation(value))
    if "role" in value or "from" in value:
        raise UnknownRecord("it is a single message, not a conversation")
    raise UnknownRecord('it is no conversation: it has no list under "messages", "history" or "conversations"')


@dataclass(frozen=True, slots=True)
class _Form:
    """One form of records."""

    reads: Callable[[dict[str, Any]], bool]
    conversation: Callable[[dict[str, Any]], Conversation]


# --- forms ----------------------------------------------------------------------------------------


def _has(*keys: str) -> Callable[[dict[str, Any]], bool]:
    return lambda value: any(isinstance(value.get(key), list) for key in keys)


def _chat(value: dict[str, Any]) -> Conversation:
    """Return a chat of OpenAI or Anthropic: ``{"messages": [{"role", "content"}]}``."""
    turns, extra, notes = _turns(value, "messages")
    anthropic = "system" in value or any(map(_has_blocks, turns))
    return _conversation("anthropic" if anthropic else "openai-chat", value, "messages", turns, extra, notes)


def _sharegpt(value: dict[str, Any]) -> Conversation:
    """Return a ShareGPT conversation, ``{"conversations": [{"from", "value"}]}``, with the usual names of roles."""
    key = "conversations" if isinstance(value.get("conversations"), list) else "conversation"
    turns, extra, notes = _turns(value, key)
    return _conversation("sharegpt", value, key, turns, extra, notes)


def _swe_agent(value: dict[str, Any]) -> Conversation:
    """Return a SWE-agent trajectory: its history, and further facts of its steps."""
    steps = value.get("trajectory")
    if not isinstance(value.get("history"), list) or not value["history"]:
        turns = turns_of_steps(steps or [])
        if not turns:
            raise UnknownRecord("the trajectory has no steps")
        extra = {key: item for key, item in value.items() if key != "trajectory"}
        return _conversation("swe-agent", value, "trajectory", turns, extra, [])
    turns, extra, notes = _turns(value, "history")
    if isinstance(steps, list):
        turns, left = steps_into_turns(turns, value["history"], steps)
        del extra["trajectory"]
        if left:
            extra["trajectory"] = left
    return _conversation("swe-agent", value, "history", turns, extra, notes)


def _is_batch(value: dict[str, Any]) -> bool:
    return any(_batch_parts(value))


def _batch_parts(value: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the request and the response that a line of a batch, or of a log, holds."""
    request = value.get("body") if "custom_id" in value else value.get("request")
    response = value.get("response")
    if isinstance(request, dict) and isinstance(request.get("body"), dict):
        request = request["body"]
    if isinstance(response, dict) and isinstance(response.get("body"), dict):
        response = response["body"]
    return (
        request if isinstance(request, dict) and _is_exchange(request) else None,
        response if isinstance(response, dict) and _is_exchange(response) else None,
    )


def _batch(value: dict[str, Any]) -> Conversation:
    """Return a line of OpenAI's batches, or of a log of requests and responses."""
    parts = [part for part in _batch_parts(value) if part is not None]
    conversations = [conversation_of(part) for part in parts]
    extra = dict(value)
    for key in ("body", "request", "response"):
        for part, conversation in zip(parts, conversations, strict=True):
            if value.get(key) is part:
                extra[key] = conversation.extra
            elif isinstance(value.get(key), dict) and value[key].get("body") is part:
                extra[key] = {**value[key], "body": conversation.extra}
    return replace(
        conversations[0],
        turns=[turn for conversation in conversations for turn in conversation.turns],
        notes=[note for conversation in conversations for note in conversation.notes],
        extra=extra,
        digest=digest_of(value),
    )


def _is_exchange(value: dict[str, Any]) -> bool:
    return any(form.reads(value) for form in _FORMS if form.reads is not _is_batch)


def _has_choices(value: dict[str, Any]) -> bool:
    choices = value.get("choices")
    return isinstance(choices, list) and any(
        isinstance(each, dict) and isinstance(each.get("message"), dict) for each in choices
    )


def _completion(value: dict[str, Any]) -> Conversation:
    """Return a response of OpenAI's chat completions: ``{"choices": [{"message": …}]}``."""
    choices = [each if isinstance(each, dict) else {"message": each} for each in value["choices"]]
    messages = [each.get("message") for each in choices]
    turns, notes = _read_turns(messages)
    for number, (turn, choice) in enumerate(zip(turns, choices, strict=True)):
        beside = {key: item for key, item in choice.items() if key != "message"}
        if beside:
            turns[number] = replace(turn, metadata=with_free_key(turn.metadata, "choice", beside))
    extra = {key: item for key, item in value.items() if key != "choices"}
    return _conversation("openai-chat", value, "choices", turns, extra, notes)


def _is_responses(value: dict[str, Any]) -> bool:
    items = value.get("output") if isinstance(value.get("output"), list) else value.get("input")
    return (
        isinstance(items, list)
        and bool(items)
        and all(isinstance(item, dict) for item in items)
        and any("role" in item or item.get("type") in _ITEMS for item in items)
    ) or (value.get("object") == "response" and isinstance(value.get("output"), list))


_ITEMS: Final = ("message", "function_call", "function_call_output", "reasoning")


def _responses(value: dict[str, Any]) -> Conversation:
    """Return a request or a response of OpenAI's responses: items of `input` and `output`, and `instructions`."""
    items: list[Any] = []
    extra = dict(value)
    if isinstance(value.get("instructions"), str) and value["instructions"]:
        items.append({"role": "system", "content": extra.pop("instructions")})
    for key in ("input", "output"):
        if isinstance(value.get(key), str) and value[key]:
            items.append({"role": "user" if key == "input" else "assistant", "content": extra.pop(key)})
        elif isinstance(value.get(key), list):
            items += [_item(item) for item in extra.pop(key)]
    turns, notes = _read_turns(items)
    return _conversation("openai-responses", value, "output", turns, extra, notes)


def _item(item: Any) -> Any:
    """Return an item of a response as a message."""
    if not isinstance(item, dict) or "role" in item:
        return item
    kind = item.get("type")
    if kind == "function_call":
        function = {key: item[key] for key in ("name", "arguments") if key in item}
        call = {"type": "function", "function": function}
        if "call_id" in item:
            call["id"] = item["call_id"]
        rest = {key: each for key, each in item.items() if key not in ("name", "arguments", "call_id")}
        return {"role": "assistant", "content": None, "tool_calls": [call], **rest}
    if kind == "function_call_output":
        rest = {key: each for key, each in item.items() if key not in ("output", "call_id")}
        return {"role": "tool", "content": item.get("output"), "tool_call_id": item.get("call_id"), **rest}
    return {"role": "assistant", "content": [item]}


_FORMS: Final = (
    _Form(_has("messages"), _chat),
    _Form(_has("history", "trajectory"), _swe_agent),
    _Form(_has("conversations", "conversation"), _sharegpt),
    _Form(_has_choices, _completion),
    _Form(_is_responses, _responses),
    _Form(_is_batch, _batch),
)


# --- what all forms share -------------------------------------------------------------------------


def _turns(value: dict[str, Any], key: str) -> tuple[list[Turn], dict[str, Any], list[Note]]:
    """Return the turns under a key, beginning with a system text beside them, and the record's other fields."""
    turns, notes = _read_turns(value[key])
    extra = {name: item for name, item in value.items() if name != key}
    for name in _SYSTEM:
        said = extra.get(name)
        text = said if isinstance(said, str) else text_of(said)
        if not text:
            continue
        if turns[0].role == "system" and turns[0].content == said:
            del extra[name]  # the first turn has it already
        elif isinstance(said, (str, list)):
            del extra[name]
            turns.insert(0, Turn("system", said, metadata={"field": name}))
        else:
            turns.insert(0, Turn("system", text, metadata={"field": name}))
        break
    return turns, extra, notes


def _read_turns(items: list[Any]) -> tuple[list[Turn], list[Note]]:
    if not items:
        raise UnknownRecord("the conversation has no messages")
    notes: list[Note] = []
    problem: str | None = None
    turns: list[Turn] = []
    told = False
    for number, item in enumerate(items):
        turn, missing = turn_of_message(number, item, notes)
        turns.append(turn)
        told = told or missing is None
        problem = problem or missing
    if not told:
        raise UnknownRecord(problem or "no message has a role")
    return turns, notes


def _conversation(
    form: str, value: dict[str, Any], key: str, turns: list[Turn], extra: dict[str, Any], notes: list[Note]
) -> Conversation:
    beside = {name: item for name, item in value.items() if name != key}
    return Conversation(form, turns, extra, notes=notes, digest=digest_of([value.get(key), beside]))


def _with_times(conversation: Conversation) -> Conversation:
    extra = conversation.extra
    title = next(
        (extra[key].strip() for key in _TITLES if isinstance(extra.get(key), str) and extra[key].strip()), None
    )
    return replace(
        conversation,
        title=title,
        started=next((time for key in _STARTED if (time := time_of(extra.get(key))) is not None), None),
        ended=next((time for key in _ENDED if (time := time_of(extra.get(key))) is not None), None),
    )


def _has_blocks(turn: Turn) -> bool:
    return isinstance(turn.content, list) and any(
        isinstance(part, dict) and (part.get("type") in ("tool_use", "tool_result", "thinking"))
        for part in turn.content
    )
