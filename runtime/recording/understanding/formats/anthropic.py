"""Anthropic's messages, as they are also spoken through Bedrock and Vertex."""

from __future__ import annotations

from typing import Any, Final

from greenroom.runtime.recording.understanding.bodies import as_object, json_of, text_or_none, whole_or_none
from greenroom.runtime.recording.understanding.model import Answered, Asked, Usage

from .common import Events, Format, error_in, joined, rest_of, summed, turns_of, with_system

__all__ = ["MESSAGES"]

_TAKEN: Final = ("model", "messages", "system", "tools", "stream", "anthropic_version")
_PIECES: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def _asked(body: dict[str, Any]) -> Asked:
    system, messages = with_system(turns_of(body.get("messages")), joined(body.get("system")))
    tools = body.get("tools")
    return Asked(
        text_or_none(body.get("model")),
        system,
        messages,
        tuple(tools) if isinstance(tools, list) else (),
        rest_of(body, *_TAKEN),
        streams=body.get("stream") is True,
    )


def _answered(body: dict[str, Any]) -> Answered:
    content = body.get("content")
    reply = turns_of([{"role": "assistant", "content": content}]) if isinstance(content, list | str) else []
    return Answered(
        text_or_none(body.get("model")),
        text_or_none(body.get("id")),
        tuple(reply),
        text_or_none(body.get("stop_reason")),
        _usage(body.get("usage")),
        error_in(body) if body.get("error") else None,
    )


def _usage(value: Any) -> Usage | None:
    """Return the usage. Anthropic counts what comes from the cache, and what is written to it, apart from the rest."""
    if not isinstance(value, dict):
        return None
    cached = whole_or_none(value.get("cache_read_input_tokens"))
    written = whole_or_none(value.get("cache_creation_input_tokens"))
    given = summed((whole_or_none(value.get("input_tokens")), cached, written))
    made = whole_or_none(value.get("output_tokens"))
    return Usage(
        given,
        made,
        summed((given, made)),
        cached,
        written,
        whole_or_none(as_object(value.get("cache_creation")).get("ephemeral_1h_input_tokens")),
        whole_or_none(as_object(value.get("output_tokens_details")).get("thinking_tokens")),
    )


def _assembled(events: Events, problems: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    ended = False
    for name, value in events:
        event = as_object(value)
        kind = event.get("type") or name
        place = whole_or_none(event.get("index"))
        if kind == "message_start":
            body = dict(as_object(event.get("message")))
        elif kind == "content_block_start" and place is not None:
            blocks[place] = dict(as_object(event.get("content_block")))
        elif kind == "content_block_delta" and place is not None:
            _add(blocks.setdefault(place, {}), inputs, place, as_object(event.get("delta")))
        elif kind == "message_delta":
            body.update(_without_nulls(event.get("delta")))
            body["usage"] = {**as_object(body.get("usage")), **_without_nulls(event.get("usage"))}
        elif kind == "message_stop":
            ended = True
        elif kind == "error" or isinstance(event.get("error"), dict):
            body["error"] = event.get("error") or event
            ended = True
    for place, text in inputs.items():
        given = json_of(text) if text else {}
        if given is None:
            problems.append("the arguments of a tool's call are no JSON")
        blocks[place]["input"] = given if given is not None else text
    if blocks:
        body["content"] = [blocks[place] for place in sorted(blocks)]
    if not ended:
        problems.append("the stream ends before the answer does")
    return body


def _add(block: dict[str, Any], inputs: dict[int, str], place: int, delta: dict[str, Any]) -> None:
    kind = delta.get("type")
    if kind == "input_json_delta":
        piece = delta.get("partial_json")
        inputs[place] = inputs.get(place, "") + (piece if isinstance(piece, str) else "")
    elif kind == "citations_delta":
        known = block.get("citations")
        block["citations"] = [*(known if isinstance(known, list) else []), delta.get("citation")]
    elif isinstance(kind, str) and (key := _PIECES.get(kind)) is not None and isinstance(delta.get(key), str):
        block.setdefault("type", key if key != "signature" else "thinking")
        before = block.get(key)
        block[key] = (before if isinstance(before, str) else "") + delta[key]


def _without_nulls(value: Any) -> dict[str, Any]:
    return {name: each for name, each in as_object(value).items() if each is not None}


MESSAGES: Final = Format("messages", _asked, _answered, _assembled)
