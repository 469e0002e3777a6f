"""What the formats share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from greenroom.runtime.ingest.forms.message import turn_of_message
from greenroom.runtime.ingest.records import Turn
from greenroom.runtime.recording.understanding.bodies import as_object, text_or_none, whole_or_none
from greenroom.runtime.recording.understanding.model import Answered, Asked, ModelError
from greenroom.storage.common.message_text import text_of

__all__ = ["Events", "Format", "error_in", "joined", "rest_of", "summed", "turns_of", "with_system"]

Events = list[tuple[str, Any]]
"""The events of a stream: each its name, if it has one, and its value."""


@dataclass(frozen=True, slots=True)
class Format:
    """How to read one API. `assembled` makes of a stream the body that would have come without one."""

    api: str
    asked: Callable[[dict[str, Any]], Asked]
    answered: Callable[[dict[str, Any]], Answered]
    assembled: Callable[[Events, list[str]], dict[str, Any]]


def turns_of(messages: Any) -> list[Turn]:
    """Return the turns of a list of messages; none for what is no list."""
    return [turn_of_message(number, each, [])[0] for number, each in enumerate(messages)] if _is_list(messages) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def with_system(turns: list[Turn], *beside: str) -> tuple[str | None, tuple[Turn, ...]]:
    """Return the system's instructions and the turns after them. `beside` are instructions beside the messages."""
    begin = next((number for number, turn in enumerate(turns) if turn.role != "system"), len(turns))
    texts = [text for text in (*beside, *(turn.text for turn in turns[:begin])) if text]
    return "\n\n".join(texts) or None, tuple(turns[begin:])


def joined(content: Any) -> str:
    """Return the text of instructions: a text, or parts, each a paragraph."""
    if isinstance(content, list):
        return "\n\n".join(text for part in content if (text := text_of(part)))
    return text_of(content)


def rest_of(body: dict[str, Any], *taken: str) -> dict[str, Any]:
    """Return the parameters in a request: all that is not null and stands nowhere else."""
    return {name: value for name, value in body.items() if name not in taken and value is not None}


def summed(counts: Iterable[int | None]) -> int | None:
    """Return the sum of the counts that are known; None if none is."""
    known = [each for each in counts if each is not None]
    return sum(known) if known else None


_INNER: Final = ("error", "detail")
_TEXTS: Final = ("message", "Message", "msg", "detail", "error_description")


def error_in(value: Any, status: int | None = None) -> ModelError | None:
    """Return the error that a body tells, whatever its form; None if it tells none."""
    if isinstance(value, list):
        value = next((each for each in value if isinstance(each, dict)), None)
    body = as_object(value)
    inner = next((body[key] for key in _INNER if body.get(key)), body)
    if isinstance(inner, list):  # FastAPI's
        inner = next((each for each in inner if isinstance(each, dict)), {})
    if isinstance(inner, str):
        return ModelError(inner, text_or_none(body.get("type")), None, status)
    message = next((text for key in _TEXTS if (text := text_or_none(as_object(inner).get(key)))), None)
    if message is None:
        return None
    code = inner.get("code")
    number = whole_or_none(code)
    kind = text_or_none(inner.get("type")) or text_or_none(inner.get("status")) or text_or_none(inner.get("__type"))
    return ModelError(message, kind, str(number) if number is not None else text_or_none(code), status)
