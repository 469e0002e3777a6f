"""Write a conversation for other tools: OpenAI's and ShareGPT's lines of JSON, and Markdown."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import IO, Any, Final, cast

from greenroom.actors.messages.conversation import Turn
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.codec.json_lines import json_able, json_line
from greenroom.storage.common.message_text import is_tool_result, role_of, text_of
from greenroom.storage.common.times import iso_time
from greenroom.storage.errors import ValidationError
from greenroom.storage.files.regular_file import file_path, written_file

from .openai import openai_messages

__all__ = ["EXPORT_FORMATS", "exported", "write_export"]

_SPEAKERS: Final = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}


def exported(info: SessionInfo, turns: list[Turn], format: str) -> str:
    """Return a conversation as text that ends in a line break. Raises ValidationError for an unknown format."""
    write = EXPORT_FORMATS.get(format) if type(format) is str else None
    if write is None:
        raise ValidationError(f"format: one of {', '.join(EXPORT_FORMATS)} is needed", field="format")
    return write(info, turns)


def write_export(target: str | os.PathLike[str] | IO[Any], text: str) -> None:
    """Write text to a path, where it appears whole or not at all, or to an open file, as UTF-8 if that is binary.

    Raises ValidationError, StorageError, and what the file raises.
    """
    data = text.encode("utf-8", "replace")
    if not hasattr(type(target), "write"):
        path = file_path(cast("str | os.PathLike[str]", target))
        with written_file(path, f"cannot write {path}") as whole:
            whole.write(data)
        return
    file: Any = target
    try:
        file.write(data)
    except TypeError:
        file.write(text)


def _openai(info: SessionInfo, turns: list[Turn]) -> str:
    return _line({"messages": openai_messages(turns)})


def _sharegpt(info: SessionInfo, turns: list[Turn]) -> str:
    said: list[dict[str, str]] = []
    for turn in turns:
        speaker = _SPEAKERS.get(role_of(turn.role) or "", turn.role)
        parts = turn.content if isinstance(turn.content, list) else []
        results = [part for part in parts if is_tool_result(part)]
        said += [{"from": "observation", "value": text_of(part)} for part in results]
        text = text_of([part for part in parts if part not in results]) if results else turn.text
        calls = [*(turn.tool_calls or []), *(part for part in parts if _is_use(part))]
        if text or not (calls or results):
            said.append({"from": speaker, "value": text})
        said += [{"from": "function_call", "value": json.dumps(_call(call), ensure_ascii=False)} for call in calls]
    return _line({"id": info.id, "conversations": said})


def _markdown(info: SessionInfo, turns: list[Turn]) -> str:
    blocks = [f"# {' '.join((info.name or info.id).split())}"]
    for turn in turns:
        who = turn.role if turn.name is None else f"{turn.role} ({turn.name})"
        marks = [*(["partial"] if turn.partial else []), *(["edited"] if turn.edited_at is not None else [])]
        blocks.append(f"## {' · '.join([' '.join(who.split()), str(iso_time(turn.created_at)), *marks])}")
        if turn.text:
            blocks.append(turn.text)
        parts = turn.content if isinstance(turn.content, list) else []
        for call in [*(turn.tool_calls or []), *(part for part in parts if _is_use(part))]:
            shown = _call(call)
            arguments = json.dumps(json_able(shown["arguments"]), ensure_ascii=False, indent=2)
            blocks.append(f"Calls `{shown['name']}`:\n\n{_fenced(arguments)}")
    return "\n\n".join(blocks) + "\n"


def _fenced(text: str) -> str:
    """Return a block of code, between fences that do not occur in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}json\n{text}\n{fence}"


def _is_use(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_use"


def _call(call: Any) -> dict[str, Any]:
    """Return the name and the arguments of a call of OpenAI's or Anthropic's."""
    call = call if isinstance(call, dict) else {}
    function = call.get("function") if isinstance(call.get("function"), dict) else call
    arguments = function.get("arguments", function.get("input", {}))
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):  # some models write arguments that are no JSON
            arguments = json.loads(arguments)
    return {"name": str(function.get("name") or ""), "arguments": arguments}


def _line(value: Any) -> str:
    line = json.dumps(json_able(value), ensure_ascii=False) + "\n"
    return line if line.isascii() or _is_utf8(line) else json_line(value) + "\n"


def _is_utf8(text: str) -> bool:
    """Return whether a text can be written in UTF-8: one with half a pair of surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


EXPORT_FORMATS: Final[dict[str, Callable[[SessionInfo, list[Turn]], str]]] = {
    "openai": _openai,
    "sharegpt": _sharegpt,
    "markdown": _markdown,
}
"""The formats of conversations: `openai` and `sharegpt` write one line of JSON."""
