"""What all forms share: lists of messages become turns, and turns with a record's other fields a conversation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from greenroom.runtime.ingest.records import Branch, Conversation, Note, Turn, UnknownRecord, digest_of
from greenroom.storage.common.message_text import text_of

from .message import time_of, turn_of_message

__all__ = ["call", "conversation", "read_turns", "text_or_none", "turns_under", "whole", "with_times", "without"]

_SYSTEM: Final = ("system", "system_prompt", "systemInstruction", "system_instruction")
"""Keys of a system text beside the turns."""
_TITLES: Final = ("title", "name")
_STARTED: Final = ("created_at", "create_time", "created", "createdAt", "started_at", "start_time", "timestamp", "date")
_ENDED: Final = ("updated_at", "update_time", "updatedAt", "ended_at", "end_time", "completed_at")


def turns_under(value: dict[str, Any], key: str) -> tuple[list[Turn], dict[str, Any], list[Note]]:
    """Return the turns under a key, beginning with a system text beside them, and the record's other fields."""
    turns, notes = read_turns(value[key])
    extra = without(value, key)
    return _with_system(turns, extra), extra, notes


def _with_system(turns: list[Turn], extra: dict[str, Any]) -> list[Turn]:
    """Return the turns, beginning with a system text that stands in the record's other fields. It is taken out of
    them."""
    for name in _SYSTEM:
        said = extra.get(name)
        text = said if isinstance(said, str) else text_of(said)
        if not text:
            continue
        if turns and turns[0].role == "system" and turns[0].content == said:
            del extra[name]  # the first turn has it already
            return turns
        if isinstance(said, (str, list)):
            del extra[name]
            return [Turn("system", said, metadata={"field": name}), *turns]
        return [Turn("system", text, metadata={"field": name}), *turns]
    return turns


def read_turns(items: list[Any], notes: list[Note] | None = None, place: str = "") -> tuple[list[Turn], list[Note]]:
    """Return the turns of messages, and notes of what was changed. `place` comes before the places in the notes.

    Raises UnknownRecord if there are no messages, or none has a role.
    """
    if not items:
        raise UnknownRecord("the conversation has no messages")
    notes = notes if notes is not None else []
    begin = len(notes)
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
    if place:
        notes[begin:] = [replace(note, field=f"{place} {note.field}") for note in notes[begin:]]
    return turns, notes


def conversation(
    form: str,
    value: dict[str, Any],
    key: str,
    turns: list[Turn],
    extra: dict[str, Any],
    notes: list[Note],
) -> Conversation:
    """Return the conversation of a record whose turns stand under `key`."""
    return Conversation(form, turns, extra, notes=notes, digest=digest_of([value.get(key), without(value, key)]))


def whole(
    form: str,
    value: Any,
    turns: list[Turn],
    extra: dict[str, Any],
    notes: list[Note],
    *,
    branches: list[Branch] | None = None,
    source_id: Any = None,
    title: str | None = None,
    started: int | None = None,
    ended: int | None = None,
) -> Conversation:
    """Return the conversation of a record of an application."""
    return Conversation(
        form,
        turns,
        extra,
        title,
        started,
        ended,
        notes,
        branches or [],
        source_id if isinstance(source_id, str) and source_id else None,
        digest_of(value),
    )


def with_times(conversation: Conversation) -> Conversation:
    """Return the conversation with its title and times, which stand in the record's other fields unless it has them."""
    extra = conversation.extra
    title, started, ended = conversation.title, conversation.started, conversation.ended
    if title is None:
        title = next(
            (extra[key].strip() for key in _TITLES if isinstance(extra.get(key), str) and extra[key].strip()), None
        )
    if started is None:
        started = next((time for key in _STARTED if (time := time_of(extra.get(key))) is not None), None)
    if ended is None:
        ended = next((time for key in _ENDED if (time := time_of(extra.get(key))) is not None), None)
    return replace(conversation, title=title, started=started, ended=ended)


def call(id_: Any, name: Any, arguments: Any, **rest: Any) -> dict[str, Any]:
    """Return a call of a tool, in OpenAI's form. Arguments that are no text become JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    made: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": text}, **rest}
    return {"id": id_, **made} if id_ is not None else made


def text_or_none(value: Any) -> str | None:
    """Return a value that is a text and not empty."""
    return value if isinstance(value, str) and value else None


def without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return an object without some of its fields."""
    return {name: item for name, item in value.items() if name not in keys}
