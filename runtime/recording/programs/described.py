"""Say in a few words what a step of a recording was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from greenroom.runtime.recording.tape.model import Crossing
from greenroom.runtime.recording.understanding import ModelCall, model_call

__all__ = ["Described", "Totals", "described", "totals_of"]

_LONGEST: Final = 120


@dataclass(frozen=True, slots=True)
class Described:
    """A step in words: what was called, with what, and what came back. `model` is None if it was no call of a model;
    `tokens` and `cost_microusd` are None if they are not known."""

    step: int
    kind: str
    called: str
    answer: str
    place: str
    failed: bool
    model: str | None = None
    tokens: int | None = None
    cost_microusd: int | None = None
    duration: int = 0
    """Nanoseconds."""
    process: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """What the steps of a recording come to. The cost is that of the calls whose price is known."""

    steps: int = 0
    model_calls: int = 0
    tokens: int = 0
    cost_microusd: int = 0
    failed: int = 0


def totals_of(steps: Iterable[Described]) -> Totals:
    """Return the sums over steps."""
    found = list(steps)
    return Totals(
        len(found),
        sum(each.model is not None for each in found),
        sum(each.tokens or 0 for each in found),
        sum(each.cost_microusd or 0 for each in found),
        sum(each.failed for each in found),
    )


def described(step: int, crossing: Crossing) -> Described:
    """Return a step in words."""
    call = model_call(crossing.input, crossing.outcome) if crossing.kind == "http" else None
    if call is not None:
        return _of_model(step, crossing, call)
    error = crossing.outcome.get("error")
    called, answer = crossing.name, _failure(error) if error else ""
    if crossing.kind == "http":
        answer = answer or str(crossing.outcome.get("status", ""))
    else:
        called = f"{crossing.name}({_arguments(crossing.input.get('arguments'))})"
        answer = answer or _brief(crossing.outcome.get("value", crossing.outcome.get("items")))
    status = crossing.outcome.get("status")
    failed = bool(error) or (isinstance(status, int) and status >= 400)
    return Described(
        step,
        crossing.kind,
        called,
        answer,
        crossing.place,
        failed,
        duration=crossing.duration,
        process=crossing.process,
    )


def _of_model(step: int, crossing: Crossing, call: ModelCall) -> Described:
    if call.error is not None:
        answer = f"{call.error.type or 'error'}: {call.error.message}"
    else:
        calls = [f"{each.name}({_arguments(each.arguments)})" for each in call.tool_calls]
        answer = _brief(" ".join([*([call.text] if call.text else []), *calls]))
    usage = call.usage
    return Described(
        step,
        crossing.kind,
        crossing.name,
        answer,
        crossing.place,
        call.error is not None,
        call.model or call.model_answered or call.provider,
        usage.total if usage is not None else None,
        call.cost_microusd,
        crossing.duration,
        crossing.process,
    )


def _failure(error: Any) -> str:
    if not isinstance(error, dict):
        return "failed"
    name, text = error.get("name") or "error", error.get("text")
    return _brief(f"{name}: {text}" if text else str(name))


def _arguments(arguments: Any) -> str:
    if not isinstance(arguments, dict):
        return _brief(arguments) if arguments else ""
    return _brief(", ".join(f"{name}={_brief(value)}" for name, value in arguments.items()))


def _brief(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
