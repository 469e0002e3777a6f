"""Patches made from what somebody changed in an editor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from greenroom.runtime.recording.tape.model import Crossing
from greenroom.storage.errors import ValidationError

from .answers import answer_of, format_of_crossing
from .bodies import request_of
from .formats.base import Format
from .grammar import Patch, Step, parse, shown_path

__all__ = ["document", "patches_between"]


def document(steps: Sequence[Crossing], at: int) -> dict[str, Any]:
    """Return what can be edited at a step, as JSON: `answer`, what the last replayed step was answered, and `request`,
    what was called next."""
    found: dict[str, Any] = {}
    if at:
        found["answer"] = _answer(steps[at - 1])
    if at < len(steps):
        found["request"] = _request(steps[at])
    return {part: content for part, content in found.items() if content is not None}


def _answer(step: Crossing) -> dict[str, Any] | None:
    if step.kind != "http":
        return {"result": step.outcome["value"]} if "value" in step.outcome else None
    if "status" not in step.outcome:
        return None
    try:
        return {"status": step.outcome["status"], "body": answer_of(step)}
    except ValidationError:
        return {"status": step.outcome["status"]}


def _request(step: Crossing) -> Any:
    if step.kind == "http":
        body = request_of(step.input)
        return {"body": body} if body is not None else None
    return {"arguments": step.input["arguments"]} if "arguments" in step.input else None


def patches_between(
    before: Mapping[str, Any], after: Mapping[str, Any], steps: Sequence[Crossing], at: int
) -> list[Patch]:
    """Return the patches that make of a document what somebody made of it. Raises ValidationError if it is no such
    document any more."""
    if not isinstance(after, dict) or set(after) != set(before):
        raise ValidationError(f"what was edited must have {' and '.join(before)} as before, and no more", field="edit")
    return [parse(text) for text in _lines(before, after, steps, at)]


def _lines(before: Mapping[str, Any], after: Mapping[str, Any], steps: Sequence[Crossing], at: int) -> Iterator[str]:
    for path, change in _changes(before, after, ()):
        part, field, *rest = path if len(path) > 1 else (*path, "")
        step = steps[at - 1] if part == "answer" else steps[at]
        target = (_answer_target if part == "answer" else _request_target)(step, str(field), rest)
        if target is None:
            raise ValidationError(
                f"what was edited: {shown_path(path)[1:]} is no field that can be changed", field="edit"
            )
        yield f"del {target}" if change is _GONE else f"{target}={json.dumps(change, ensure_ascii=False)}"


def _answer_target(step: Crossing, field: str, rest: Sequence[Step]) -> str | None:
    if field == "status" and not rest:
        return "http.status"
    if field == "body" and rest:
        return "response" + shown_path(tuple(rest))
    return f"tool{shown_path((step.name,))}.result{shown_path(tuple(rest))}" if field == "result" else None


def _request_target(step: Crossing, field: str, rest: Sequence[Step]) -> str | None:
    if field == "arguments":
        return f"tool{shown_path((step.name,))}.arguments{shown_path(tuple(rest))}"
    if field != "body" or not rest:
        return None
    format = format_of_crossing(step)
    return (_model_target(format, rest) if format is not None else None) or "http.body" + shown_path(tuple(rest))


def _model_target(format: Format, path: Sequence[Step]) -> str | None:
    """Return the field of a model call, which also changes later calls, in place of one of a body."""
    if path[0] == format.conversation:
        return "llm.messages" + shown_path(tuple(path[1:]))
    if path == ["model"]:
        return "llm.model"
    for name, place in format.parameters.items():
        if tuple(path[: len(place)]) == place:
            return f"llm.{name}{shown_path(tuple(path[len(place) :]))}"
    return "llm.system" if list(path) in (["instructions"], ["system"]) else None


_GONE: Any = object()


def _changes(before: Any, after: Any, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Return the paths at which two JSON values differ, with what is there now. A list of another length is one
    change."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before:
            if name not in after:
                yield (*path, name), _GONE
        for name, value in after.items():
            if name not in before:
                yield (*path, name), value
            else:
                yield from _changes(before[name], value, (*path, name))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _changes(one, other, (*path, place))
    elif before != after or type(before) is not type(after):
        yield path, after
