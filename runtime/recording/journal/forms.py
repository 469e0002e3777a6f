"""How what stands on a tape is told by events: the data of an event from a crossing, and a crossing from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from greenroom.runtime.recording.tape.held.errors import held_error
from greenroom.runtime.recording.tape.model import Crossing, Reads
from greenroom.storage.codec.records import pack_sound, pack_value
from greenroom.storage.errors import IntegrityError, ReplayError, ValidationError
from greenroom.storage.events.bodies import Base
from greenroom.storage.events.calls import call_value

__all__ = [
    "TAG",
    "about_of",
    "base_of",
    "crossing_data",
    "crossing_of",
    "reads_data",
    "reads_of",
    "split_body",
    "without_large_parts",
]

MAX_TEXT: Final = 64 << 10
TAG: Final = "recording"
"""The tag of sessions that have recordings, by which they are listed, and the entry of their metadata with what a
program's run came to."""
Load = Callable[[bytes], bytes | None]


def split_body(crossing: Crossing) -> tuple[Mapping[str, Any], bytes | None]:
    """Return the input of a crossing without its body, and the body. A body that is no bytes stays in the input."""
    body = crossing.input.get("body")
    if type(body) is not bytes:
        return crossing.input, None
    return {name: value for name, value in crossing.input.items() if name != "body"}, body


def crossing_data(
    crossing: Crossing, run: int, given: Mapping[str, Any], middle: bytes | None, base: Base | None
) -> dict[str, Any]:
    """Return the data of the event for a crossing. `given` is its input without the body, `middle` what is new in the
    body. Raises ValidationError for what no event can hold."""
    outcome: Mapping[str, Any] = crossing.outcome
    chunks = outcome.get("chunks")
    lengths, gaps = [], None
    joined: bytes | None = None
    if type(chunks) is list and all(type(each) is bytes for each in chunks):
        joined, lengths, gaps = b"".join(chunks), [len(each) for each in chunks], outcome.get("gaps")
        outcome = {name: value for name, value in outcome.items() if name not in ("chunks", "gaps")}
    ticks, before = [], crossing.began
    for tick in crossing.ticks:
        ticks.append(tick - before)
        before = tick
    data: dict[str, Any] = {
        "run": run,
        "number": _number("number", crossing.number),
        "kind": _text("kind", crossing.kind, 255),
        "name": _text("name", crossing.name),
        "place": _text("place", crossing.place),
        "lane": _text("lane", crossing.lane),
        "began": _number("began", crossing.began),
        "time": _number("time", crossing.time),
        "duration": _number("duration", crossing.duration),
        "input": _packed("input", given, crossing.kind),
        "outcome": _packed("outcome", outcome, crossing.kind),
        "flow": pack_sound([ticks, lengths, gaps]),
    }
    if crossing.process:
        data["process"] = _number("process", crossing.process)
    if crossing.key:
        data["key"] = crossing.key
    if middle is not None:
        data["body"] = middle
    if base is not None:
        data["base"] = list(base)
    if joined is not None:
        data["chunks"] = joined
    return data


def without_large_parts(crossing: Crossing, limit: int) -> Crossing:
    """Return a crossing without what is larger than the store takes at once: with how many bytes were left out. Its key
    still identifies it in a replay."""
    given, outcome = dict(crossing.input), dict(crossing.outcome)
    if type(body := given.get("body")) is bytes and len(body) > limit:
        given.update(body=b"", left_out=len(body))
    chunks = outcome.get("chunks")
    if type(chunks) is list and sum(map(len, chunks)) > limit:
        outcome.update(chunks=[], gaps=[], complete=False, left_out=sum(map(len, chunks)))
    if (size := _size_of(given, "body")) > limit:
        given = {"left_out": size}
    if (size := _size_of(outcome, "chunks")) > limit:
        error = ReplayError(
            f"the outcome of {crossing.kind} {crossing.name[:160]} was not recorded: it has {size} bytes, and the store"
            f" takes {limit} at once (max_artifact_bytes). Have the program ask for less of it"
        )
        outcome = {"error": held_error(error)}
    return replace(crossing, input=given, outcome=outcome)


def _size_of(fields: Mapping[str, Any], but: str) -> int:
    return len(pack_value({name: value for name, value in fields.items() if name != but}, "fields"))


def _text(name: str, value: str, most: int = MAX_TEXT) -> str:
    if type(value) is not str or len(value) > most:
        raise ValidationError(f"crossing: its {name} has to be a text of at most {most} characters", field="crossing")
    return value


def _number(name: str, value: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValidationError(f"crossing: its {name} has to be a number from 0", field="crossing")
    return value


def _packed(name: str, given: Mapping[str, Any], kind: str) -> bytes:
    """Return the encoded input or outcome. That of HTTP is made by its boundary, of nothing but texts and numbers, so
    it is not looked through again."""
    if kind == "http" and "error" not in given:
        try:
            return pack_sound(given)
        except (TypeError, ValueError):
            pass  # which `pack_value` explains, or finds a form for
    return pack_value(dict(given), name)


def base_of(data: Mapping[str, Any], sequence: int) -> Base | None:
    """Return the base of the body in an event; None if the event has the whole body. Raises IntegrityError."""
    found = data.get("base")
    if found is None:
        return None
    if type(found) is not list or len(found) != 4 or not all(type(each) is int and each >= 0 for each in found):
        raise IntegrityError(f"event {sequence} has a body that is a delta against no body", sequence=sequence)
    if not 0 < found[0] < sequence:
        raise IntegrityError(f"event {sequence} has a body that is a delta against a later one", sequence=sequence)
    return Base(*found)


def crossing_of(data: Mapping[str, Any], body: bytes | None, load: Load) -> Crossing:
    """Return the crossing of an event with this whole body. Raises IntegrityError if a part cannot be read."""
    given, outcome = _loaded(data, "input", load), dict(_loaded(data, "outcome", load))
    ticks, lengths, gaps = _loaded(data, "flow", load)
    if body is not None:
        given = {**given, "body": body}
    if "chunks" in data or "chunks_hash" in data:
        joined: bytes = _loaded(data, "chunks", load)
        outcome["chunks"], at = [], 0
        for length in lengths:
            outcome["chunks"].append(joined[at : at + length])
            at += length
        if at != len(joined):
            raise IntegrityError("a recorded response has other chunks than bytes")
        if gaps is not None:
            outcome["gaps"] = gaps
    began = data["began"]
    at, handed = began, []
    for step in ticks:
        at += step
        handed.append(at)
    return Crossing(
        number=data["number"],
        kind=data["kind"],
        name=data["name"],
        place=data["place"],
        lane=data["lane"],
        input=given,
        outcome=outcome,
        began=began,
        ticks=handed,
        time=data["time"],
        duration=data["duration"],
        process=data.get("process", 0),
        key=data.get("key", b""),
    )


def _loaded(data: Mapping[str, Any], name: str, load: Load) -> Any:
    value = call_value(data, name, load)
    if value is None:
        raise IntegrityError(f"the {name} of a recorded call cannot be read: its content is damaged or gone")
    return value


def reads_data(reads: Reads, run: int) -> dict[str, Any]:
    """Return the data of the event for quick reads."""
    places: dict[tuple[str, str, str, str], int] = {}
    of, values = [], []
    for kind, name, place, lane, value in reads.reads:
        key = (kind, name, place, lane)
        of.append(places.setdefault(key, len(places)))
        values.append(value)
    data: dict[str, Any] = {"run": run, "reads": pack_value([[list(each) for each in places], of, values], "reads")}
    if reads.process:
        data["process"] = reads.process
    return data


def reads_of(data: Mapping[str, Any], load: Load) -> Reads:
    """Return the quick reads of an event. Raises IntegrityError if they cannot be read."""
    places, of, values = _loaded(data, "reads", load)
    return Reads(
        [(*places[at], value) for at, value in zip(of, values, strict=True)],
        process=data.get("process", 0),
    )


def about_of(data: Mapping[str, Any], load: Load) -> dict[str, Any]:
    """Return what an event says about a program. Raises IntegrityError if it cannot be read."""
    about = _loaded(data, "about", load)
    return about if type(about) is dict else {}
