"""Adds facts of an SWE-agent trajectory's steps that its history lacks to the turns of those steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from greenroom.runtime.ingest.records import Turn, digest_of

from .message import with_free_key

__all__ = ["steps_into_turns", "turns_of_steps"]

_SAID: Final = ("response", "thought", "action")
"""The fields of a step that identify its turn."""


def turns_of_steps(steps: list[Any]) -> list[Turn]:
    """Return the conversation of steps without history: the agent's texts and the observations."""
    turns: list[Turn] = []
    for step in steps:
        if not isinstance(step, dict):
            turns.append(Turn("unknown", step if isinstance(step, str) else None, metadata={"step": step}))
            continue
        rest = dict(step)
        said = next((key for key in _SAID if isinstance(rest.get(key), str)), None)
        content = rest.pop(said) if said is not None else None
        observation = rest.pop("observation") if isinstance(rest.get("observation"), str) else None
        turns.append(Turn("assistant", content, metadata=rest))
        if observation is not None:
            turns.append(Turn("tool", observation))
    return turns


def steps_into_turns(turns: list[Turn], history: list[Any], steps: list[Any]) -> tuple[list[Turn], list[Any]]:
    """Return the turns with further facts of the steps, and the steps without a turn. The last observation becomes a
    turn of its own."""
    turns = list(turns)
    said = _Said(history)
    left: list[Any] = []
    place = 0
    extra: Turn | None = None
    for number, step in enumerate(steps):
        at = _turn_of_step(turns, step, place)
        if at is None:
            left.append(step)
            continue
        place = at + 1
        observation = step.get("observation")
        answered = place < len(turns) and turns[place].role != "assistant"
        rest = {
            key: value
            for key, value in step.items()
            if not _is_there(turns[at], key, value) and not _is_copied(value, said)
        }
        if isinstance(observation, str):
            if answered and observation.strip() in turns[place].text:
                del rest["observation"]
            elif number == len(steps) - 1 and place == len(turns) and observation:
                extra = Turn(_role_of_answers(turns), observation)
                del rest["observation"]
        if rest:
            turns[at] = replace(turns[at], metadata=with_free_key(turns[at].metadata, "step", rest))
    return ([*turns, extra] if extra is not None else turns), left


def _turn_of_step(turns: list[Turn], step: Any, begin: int) -> int | None:
    """Return the index of the agent's next turn with the text of a step, or None."""
    if not isinstance(step, dict):
        return None
    for at in _agents(turns, begin):
        turn = turns[at]
        if turn.text == step.get("response") or any(
            isinstance(step.get(key), str) and step[key] and turn.metadata.get(key) == step[key]
            for key in ("thought", "action")
        ):
            return at
    return None


def _agents(turns: list[Turn], begin: int) -> Iterator[int]:
    return (at for at in range(begin, len(turns)) if turns[at].role == "assistant")


def _is_there(turn: Turn, key: str, value: Any) -> bool:
    """Return whether the turn already has this field of its step."""
    return (key in turn.metadata and turn.metadata[key] == value) or (
        key in ("response", "thought") and isinstance(value, str) and value == turn.content
    )


class _Said:
    """Tells which values are messages of the history. Most steps have no field that could be."""

    def __init__(self, history: list[Any]) -> None:
        self._history = history
        self._digests: set[str] | None = None

    def __contains__(self, value: Any) -> bool:
        if self._digests is None:
            self._digests = {digest_of(message) for message in self._history}
        return digest_of(value) in self._digests


def _is_copied(value: Any, said: _Said) -> bool:
    """Return whether a field of a step only repeats messages of the history."""
    return isinstance(value, list) and bool(value) and all(each in said for each in value)


def _role_of_answers(turns: list[Turn]) -> str:
    """Return the role of observations in this history."""
    for before, turn in zip(reversed(turns[:-1]), reversed(turns[1:]), strict=True):
        if before.role == "assistant" and turn.role in ("tool", "user"):
            return turn.role
    return "tool"
