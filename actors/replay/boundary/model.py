"""Requests that a program makes of the world outside, their recorded outcomes, and the answers of a replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

__all__ = ["Answer", "Boundary", "Recording", "Request"]


class Request(NamedTuple):
    """Something that the program asks of the world outside.

    `kind` is what is asked: a "tool", an "agent", a "hook", the "clock", an "id"; later parts add kinds of their own.
    `name` says which one, and `input` is what it is given, encoded; None if it takes nothing. `place` is where in the
    program it is asked: any value that is the same when the program runs again, such as the sequence of the event that
    recorded the call.
    """

    kind: str
    name: str
    input: bytes | None = None
    place: Any = None


class Recording(NamedTuple):
    """What was recorded of one request: the request itself, its outcome, and the position of the outcome in the
    record. The boundary does not look into the outcome."""

    request: Request
    outcome: Any
    sequence: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a boundary answers. `match` is "exact" if the outcome was recorded for this very request, "drifted" if it
    was recorded for another input, and "live" if the callable ran just now. `sequence` is where the recording
    stands."""

    request: Request
    outcome: Any
    sequence: int
    match: Literal["exact", "drifted", "live"] = "exact"


class Boundary(Protocol):
    """Answers for everything outside the program that runs again."""

    def record(self, recording: Recording) -> None:
        """Take note of a recorded outcome. Recordings come in the order in which they were made."""

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request. Raises ReplayError if there is none."""
