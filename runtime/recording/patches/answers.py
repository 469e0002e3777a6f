"""Patch what a step was answered."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from greenroom.runtime.recording.tape.model import Crossing
from greenroom.runtime.recording.understanding.bodies import Exchange, exchange_of, sse_of
from greenroom.runtime.recording.understanding.eventstream import messages_of
from greenroom.storage.errors import ValidationError

from .bodies import request_of, with_length
from .formats.base import Call, Format
from .formats.framing import Event, Framing, framing_of, packed
from .formats.known import format_of
from .grammar import Patch
from .values import apply, missing

__all__ = ["answer_of", "format_of_crossing", "patched_answer"]

Outcome = Mapping[str, Any]


def format_of_crossing(crossing: Crossing) -> Format | None:
    """Return the format of a model's call; None if the crossing is none."""
    if crossing.kind != "http":
        return None
    return format_of(str(crossing.input.get("url")), request_of(crossing.input))


def answer_of(crossing: Crossing) -> Any:
    """Return the JSON body of what was answered; of a stream what it adds up to. Raises ValidationError if it is no
    JSON."""
    exchange = exchange_of(crossing.input, crossing.outcome)
    format = format_of_crossing(crossing)
    framing = _framing(crossing, exchange.kind)
    try:
        if framing is not None and format is not None:
            return format.whole(_events(framing, exchange))
        return json.loads(exchange.body)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        why = f": {'; '.join(exchange.problems)}" if exchange.problems else ""
        raise ValidationError(f"patch: the answer of step {crossing.number} is no JSON{why}", field="patch") from error


def _framing(crossing: Crossing, kind: str) -> Framing | None:
    return framing_of(kind, str(crossing.input.get("url")))


def _events(framing: Framing, exchange: Exchange) -> list[Event]:
    """Return the events of a stream; of one that was cut off those that are whole."""
    if framing == "sse":
        return [Event(name or None, data) for name, data in sse_of(exchange.body, exchange.problems)]
    if framing == "array":
        found = json.loads(exchange.body)
        return [Event(None, each) for each in (found if isinstance(found, list) else [found])]
    messages = messages_of(exchange.body, exchange.problems)
    if framing == "aws":
        return [Event(each.type, json.loads(each.payload or b"{}")) for each in messages]
    chunks = [json.loads(each.payload)["bytes"] for each in messages if each.type == "chunk"]
    return [Event(None, json.loads(base64.b64decode(each))) for each in chunks]


def patched_answer(crossing: Crossing, patch: Patch) -> Crossing:
    """Return a crossing with the outcome that a patch of `response`, `tool` or `http.status` gives it. Raises
    ValidationError if it has no such field."""
    outcome = _patched_outcome(crossing, patch)
    if "chunks" not in outcome:
        return dataclasses.replace(crossing, outcome=outcome)
    # The head of a response and each chunk have a tick: a replay waits for those that do not come.
    return dataclasses.replace(crossing, outcome=outcome, ticks=crossing.ticks[: 1 + len(outcome["chunks"])])


def _patched_outcome(crossing: Crossing, patch: Patch) -> Outcome:
    if patch.root == "tool" and crossing.kind != "http":
        return _patched_value(crossing, patch)
    if crossing.kind != "http" or "status" not in crossing.outcome:
        what = "failed without an answer" if crossing.kind == "http" else f"is no HTTP call but a {crossing.kind} call"
        raise ValidationError(f"patch: step {crossing.number} {what}: {patch.target} is of an answer", field="patch")
    if patch.root == "http":
        return _with_status(crossing.outcome, patch)
    return _with_answer(crossing, _changed(crossing, patch))


def _patched_value(crossing: Crossing, patch: Patch) -> Outcome:
    """Return the outcome of a tool that has returned something else: a value that is JSON, in place of an exception
    too. `marks` say what a value was before it became JSON: they fit a changed field, but not another value."""
    rest = patch.path[2:]
    name = "items" if "items" in crossing.outcome and "value" not in crossing.outcome else "value"
    old = crossing.outcome.get(name)
    old = _returned(old) if crossing.kind == "mcp" and rest else old
    at = f"tool.{patch.path[0]}.result"
    if rest and isinstance(old, str):  # a tool that returns JSON as text
        try:
            changed = json.dumps(apply(json.loads(old), rest, patch.operator, patch.value, at=at))
        except ValueError as error:
            raise error if isinstance(error, ValidationError) else missing(at, rest[0], {}) from error
    else:
        changed = apply(old, rest, patch.operator, patch.value, at=at)
    gone = ("error", "unheld") if rest and crossing.kind == "tool" else ("error", "unheld", "marks")
    return {key: each for key, each in crossing.outcome.items() if key not in gone} | {name: changed}


def _returned(answer: Any) -> Any:
    """Return what a tool of an MCP server returned: its structured content, or its text. The boundary makes an answer
    of the protocol of it again."""
    if not isinstance(answer, dict):
        return answer
    if isinstance(answer.get("structuredContent"), dict):
        return answer["structuredContent"]
    content = answer.get("content")
    if not isinstance(content, list):
        return answer
    return "".join(str(each.get("text") or "") for each in content if isinstance(each, dict))


def _with_status(outcome: Outcome, patch: Patch) -> Outcome:
    status = patch.value
    if patch.operator != "=" or type(status) is not int or not 100 <= status <= 599:
        raise ValidationError("patch: http.status takes a number from 100 to 599: http.status=429", field="patch")
    return {**outcome, "status": status}


def _changed(crossing: Crossing, patch: Patch) -> Any:
    """Return the JSON of the answer with a patch."""
    answer = answer_of(crossing)
    format = format_of_crossing(crossing)
    first, *rest = patch.path
    if patch.root == "tool":
        assert format is not None
        return _with_arguments(format, answer, patch)
    if format is None or first not in ("text", "tool_calls"):
        return apply(answer, patch.path, patch.operator, patch.value, at="response")
    if first == "text":
        if rest:
            raise ValidationError("patch: response.text is a text and has no fields", field="patch")
        return format.with_text(answer, patch.operator, patch.value)
    calls = [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in format.calls(answer)]
    if not rest and patch.operator == "del":
        return format.with_calls(answer, [])
    return format.with_calls(answer, _calls(apply(calls, rest, patch.operator, patch.value, at="response.tool_calls")))


def _with_arguments(format: Format, answer: Any, patch: Patch) -> Any:
    """Return the answer of a model that calls a tool with other arguments: the last of its calls of this tool."""
    name, _, *rest = patch.path
    calls = format.calls(answer)
    at = max(place for place, each in enumerate(calls) if each.name == name)
    old = calls[at]
    changed = apply(old.arguments, rest, patch.operator, patch.value, at=f"tool.{name}.arguments")
    return format.with_calls(answer, [*calls[:at], Call(old.id, old.name, changed), *calls[at + 1 :]])


def _calls(given: Any) -> list[Call]:
    try:
        return [Call(each.get("id"), str(each["name"]), each.get("arguments", {})) for each in given]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValidationError(
            'patch: response.tool_calls is a list of {"name": "…", "arguments": {…}}', field="patch"
        ) from error


def _with_answer(crossing: Crossing, answer: Any) -> Outcome:
    """Return the outcome with another JSON body, framed as the old one was, in no more chunks."""
    outcome = crossing.outcome
    framing = _framing(crossing, exchange_of(crossing.input, outcome).kind)
    format = format_of_crossing(crossing)
    if framing is not None and format is not None:
        chunks = packed(framing, format.streamed(answer))
    else:
        chunks = [json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()]
    most = max(len(outcome.get("chunks") or ()), 1)
    chunks = [*chunks[: most - 1], b"".join(chunks[most - 1 :])]
    return {
        **{name: each for name, each in outcome.items() if name != "error"},
        "headers": with_length(outcome.get("headers") or (), sum(map(len, chunks))),
        "chunks": chunks,
        "gaps": [0] * len(chunks),
        "complete": True,
    }
