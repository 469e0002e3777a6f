"""What makes two turns the same, although one was answered and the other sent back in a request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from greenroom.runtime.ingest.records import Turn
from greenroom.runtime.recording.understanding.parts import calls_in, is_reasoning, results_in, said_in
from greenroom.storage.common.message_text import text_of

__all__ = ["Said", "said"]

_TELLING: Final = 40
"""A text of so many characters is hardly said in two conversations."""
_PLAIN: Final = ("text", "input_text", "output_text", "refusal", "item_reference", "reasoning", "message")


@dataclass(frozen=True, slots=True)
class Said:
    """A turn and its mark. Turns with the same mark are the same; one without is nothing but reasoning."""

    turn: Turn
    mark: bytes | None
    telling: bool = False
    """Whether no other conversation is likely to have this turn."""


def said(turn: Turn) -> Said:
    """Return a turn with its mark: of who says what, which tools are called and what they have returned. Reasoning,
    ids of messages, hints for caches and whether a text stands in parts make no difference."""
    text = said_in(turn).strip()
    calls, results = calls_in(turn), results_in(turn)
    others = [_bare(part) for part in turn.content if _is_other(part)] if isinstance(turn.content, list) else []
    if not (text or calls or results or others) and isinstance(turn.content, list) and turn.content:
        return Said(turn, None)
    told = [
        turn.role,
        "" if results and turn.role == "tool" else text,
        [[call.id, call.name, call.arguments] for call in calls],
        [
            [result.call_id, result.name if result.call_id is None else None, _text(result.content)]
            for result in results
        ],
        others,
    ]
    telling = len(text) >= _TELLING or any(each[0] for each in told[2]) or any(each[0] for each in told[3])
    return Said(turn, blake2b(_bytes(told), digest_size=16).digest(), telling)


def _is_other(part: Any) -> bool:
    """Return whether a part is neither said nor thought, called or returned: an image, say."""
    if not isinstance(part, dict) or is_reasoning(part) or part.get("type") in _PLAIN:
        return False
    turn = Turn("user", [part])
    return not (calls_in(turn) or results_in(turn) or text_of(part))


def _bare(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in part.items() if name not in ("cache_control", "id", "cachePoint")}


def _text(content: Any) -> str:
    return content if isinstance(content, str) else text_of(content) or _bytes(content).decode()


def _bytes(value: Any) -> bytes:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=repr).encode()
    except (ValueError, TypeError, RecursionError):
        return repr(type(value)).encode()
