"""OpenAI's responses."""

from __future__ import annotations

from typing import Any, Final

from greenroom.runtime.ingest.forms.apis import item
from greenroom.runtime.recording.understanding.bodies import as_object, as_rows, text_or_none, whole_or_none
from greenroom.runtime.recording.understanding.model import Answered, Asked, ModelError, Usage

from .common import Events, Format, error_in, joined, rest_of, turns_of, with_system

__all__ = ["RESPONSES"]

_TAKEN: Final = ("model", "input", "instructions", "tools", "stream", "stream_options", "previous_response_id")
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


def _asked(body: dict[str, Any]) -> Asked:
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    turns = turns_of([_message(each) for each in items]) if isinstance(items, list) else []
    system, messages = with_system(turns, joined(body.get("instructions")))
    tools, conversation = body.get("tools"), body.get("conversation")
    previous = body.get("previous_response_id") or as_object(conversation).get("id") or conversation
    return Asked(
        text_or_none(body.get("model")),
        system,
        messages,
        tuple(tools) if isinstance(tools, list) else (),
        rest_of(body, *_TAKEN),
        text_or_none(previous),
        streams=body.get("stream") is True,
    )


def _message(value: Any) -> Any:
    """Return an item as a message."""
    kind = as_object(value).get("type")
    if isinstance(kind, str) and kind.endswith("_call_output") and kind != "function_call_output":
        return {"role": "tool", "content": [value], "tool_call_id": value.get("call_id")}
    return item(value)


def _answered(body: dict[str, Any]) -> Answered:
    output, error = body.get("output"), body.get("error")
    turns = turns_of([_message(each) for each in output]) if isinstance(output, list) else []
    reason = as_object(body.get("incomplete_details")).get("reason")
    return Answered(
        text_or_none(body.get("model")),
        text_or_none(body.get("id")),
        tuple(turns),
        text_or_none(reason) or text_or_none(body.get("status")),
        _usage(body.get("usage")),
        (error_in(body) or ModelError("the response has failed")) if error else None,
    )


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, dict):
        return None
    given, made = whole_or_none(value.get("input_tokens")), whole_or_none(value.get("output_tokens"))
    total = whole_or_none(value.get("total_tokens"))
    if total is None and given is not None:
        total = given + (made or 0)
    inside, out = as_object(value.get("input_tokens_details")), as_object(value.get("output_tokens_details"))
    return Usage(
        given,
        made,
        total,
        whole_or_none(inside.get("cached_tokens")),
        whole_or_none(inside.get("cache_write_tokens")),
        reasoning=whole_or_none(out.get("reasoning_tokens")),
    )


def _assembled(events: Events, problems: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    items: dict[Any, dict[str, Any]] = {}
    ended = False
    for name, value in events:
        event = as_object(value)
        kind = event.get("type") or name
        if isinstance(event.get("response"), dict):
            body = event["response"]
        if kind in _ENDS:
            ended = True
        elif kind == "error" or isinstance(event.get("error"), dict):
            body = {**body, "error": event.get("error") or event}
            ended = True
        else:
            _add(items, kind, event)
    if items and not body.get("output"):
        places = sorted(items, key=lambda each: (type(each) is not int, each if type(each) is int else 0))
        body = {**body, "output": [items[place] for place in places]}
    if not ended:
        body = {name: each for name, each in body.items() if name != "status"}
        problems.append("the stream ends before the answer does")
    return body


def _add(items: dict[Any, dict[str, Any]], kind: Any, event: dict[str, Any]) -> None:
    """Add what an event tells of an item of the output."""
    place, given, delta = event.get("output_index"), event.get("item"), event.get("delta")
    if not isinstance(place, int | str | None) or not isinstance(kind, str):
        return
    if kind in ("response.output_item.added", "response.output_item.done"):
        if isinstance(given, dict):
            items[place] = dict(given)
        return
    if not kind.endswith(".delta") or not isinstance(delta, str) or place not in items:
        return
    into = items[place]
    if kind in ("response.output_text.delta", "response.refusal.delta", "response.reasoning_text.delta"):
        type_, key = {
            "response.output_text.delta": ("output_text", "text"),
            "response.refusal.delta": ("refusal", "refusal"),
        }.get(kind, ("reasoning_text", "text"))
        _add_part(into, "content", type_, key, event.get("content_index"), delta)
    elif kind == "response.reasoning_summary_text.delta":
        _add_part(into, "summary", "summary_text", "text", event.get("summary_index"), delta)
    elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
        name = "arguments" if "arguments" in kind else "input"
        before = into.get(name)
        into[name] = (before if isinstance(before, str) else "") + delta


def _add_part(into: dict[str, Any], field: str, kind: str, key: str, place: Any, delta: str) -> None:
    """Add a piece of text to a part of an item."""
    parts = as_rows(into.get(field))
    wanted = place if type(place) is int and 0 <= place <= len(parts) else max(0, len(parts) - 1)
    if wanted >= len(parts):
        parts = [*parts, {"type": kind, key: ""}]
    part = parts[wanted]
    before = part.get(key)
    parts[wanted] = {**part, key: (before if isinstance(before, str) else "") + delta}
    into[field] = parts


RESPONSES: Final = Format("responses", _asked, _answered, _assembled)
