"""Answer requests from what was recorded, in order. Nothing is ever run."""

from __future__ import annotations

from typing import Final

from greenroom.storage.codec.keys import canonical_value
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.errors import IntegrityError, ReplayError, shown

from .model import Answer, Recording, Request

__all__ = ["JournalBoundary"]

_MOST: Final = 10_000
"""The most recordings that wait for their requests. A program that asks for none of them lets the oldest go."""
_NEAR: Final = 3
"""How many near recordings an error names."""


class JournalBoundary:
    """Answers each request by the oldest recording that fits it and has not been used: one of the same place, else one
    of the same input, else the next of the same name, whose answer has *drifted*."""

    def __init__(self) -> None:
        self._waiting: dict[int, Recording] = {}
        self._number = 0

    def record(self, recording: Recording) -> None:
        self._number += 1
        self._waiting[self._number] = recording
        if len(self._waiting) > _MOST:
            del self._waiting[next(iter(self._waiting))]

    def answer(self, request: Request) -> Answer:
        """Return the recorded answer. Raises ReplayError, which names the nearest recordings and why each is none."""
        found = self._found(request)
        if found is None:
            raise self._missing(request)
        recording = self._waiting.pop(found)
        same = _same_input(recording.request.input, request.input)
        return Answer(request, recording.outcome, recording.sequence, "exact" if same else "drifted")

    def _found(self, request: Request) -> int | None:
        kind, name, input, place = request
        by_input = by_name = None
        for number, recording in self._waiting.items():
            recorded = recording.request
            if recorded.kind != kind or recorded.name != name:
                continue
            if place is not None and recorded.place == place:
                return number
            if by_input is None and _same_input(recorded.input, input):
                by_input = number
            if by_name is None:
                by_name = number
        return by_input if by_input is not None else by_name

    def _missing(self, request: Request) -> ReplayError:
        near = [
            f"{recording.request.kind} {shown(recording.request.name)} at {recording.sequence}"
            f" ({'another kind' if recording.request.kind != request.kind else 'another name'})"
            for recording in self._waiting.values()
            if recording.request.name == request.name or recording.request.kind == request.kind
        ][:_NEAR]
        at = f" at {request.place}" if request.place is not None else ""
        told = f"; the nearest recordings are {', '.join(near)}" if near else "; no other recording is left"
        return ReplayError(
            f"nothing was recorded for {request.kind} {shown(request.name)}{at}, so a replay cannot answer it{told}",
            kind=request.kind,
            name=request.name,
            place=request.place,
        )


def _same_input(one: bytes | None, other: bytes | None) -> bool:
    if one == other:
        return True
    if one is None or other is None:
        return False
    try:
        return canonical_value(unpack_value(one)) == canonical_value(unpack_value(other))
    except IntegrityError:  # one of them is the hash of a large input, and the other is not
        return False
