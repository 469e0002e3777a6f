"""Tapes in bundles that lie in a repository: the same tape makes the same bytes, so that its history stays quiet."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from greenroom.runtime.recording.journal.bundles import tape_of_bundle
from greenroom.runtime.recording.journal.writing import JournalSink
from greenroom.runtime.recording.tape.model import Crossing, Tape
from greenroom.runtime.runtime import Runtime
from greenroom.storage.bundle.format import BundleReader, BundleWriter
from greenroom.storage.common.session_ids import session_id_of
from greenroom.storage.common.times import iso_time
from greenroom.storage.errors import GreenroomError
from greenroom.storage.files.regular_file import written_file

__all__ = ["keep_tape", "says_the_same", "write_tape"]

_VOLATILE: Final = ("headers", "gaps", "arrived")


class _Still:
    """A clock on which it is always the moment at which the recording began."""

    def __init__(self, now: int) -> None:
        self._now = now

    def time_ns(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return time.monotonic()


def write_tape(tape: Tape, path: Path, name: str, *, redact: Sequence[str] = ()) -> None:
    """Write a tape to a bundle, as a session of this name, whose id follows from it. What fits the rules of `redact` is
    left out. Raises ValidationError for rules that are none, StorageError."""
    began = int(tape.about.get("started_at") or 0)
    with Runtime.open(clock=_Still(began)) as runtime, tempfile.TemporaryDirectory() as folder:
        session = runtime.create_session(name=name[-256:])
        sink = JournalSink(session, tape.about, redact=redact or None)
        for each in tape.reads:
            sink.reads(each)
        for crossing in tape.crossings:
            sink.crossing(crossing)
        sink.end()
        exported = Path(folder) / "exported"
        runtime.export_session(session.id, exported)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_plainly(exported, path, _id_of(name), _iso_time_of(began))


def keep_tape(tape: Tape, path: Path, name: str, *, redact: Sequence[str] = ()) -> bool:
    """Write a tape to a bundle, unless the bundle that is there says the same. Return whether it was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_tape(tape, new, name, redact=redact)
        if path.exists():
            with suppress(GreenroomError):  # a damaged one is replaced
                if says_the_same(tape_of_bundle(path), tape_of_bundle(new)):
                    return False
        new.replace(path)
        return True
    finally:
        new.unlink(missing_ok=True)


def _iso_time_of(ns: int) -> str:
    """Return a time as RFC 3339."""
    from datetime import UTC, datetime

    return iso_time(datetime.fromtimestamp(ns / 1e9, UTC)) or ""


def _id_of(name: str) -> str:
    """Return the session id for a name: a UUIDv4 in form, the same each time."""
    raw = bytearray(blake3(name.encode("utf-8", "surrogatepass")).digest(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return session_id_of(bytes(raw))


def _write_plainly(exported: Path, path: Path, session_id: str, created_at: str) -> None:
    """Copy a bundle of one session, with another id and time in place of those that are new at each export. The journal
    of a recording does not name its session."""
    size = exported.stat().st_size
    with exported.open("rb") as source, written_file(path, f"cannot write the cassette {path}") as target:
        reader, writer = BundleReader(source, size), BundleWriter(target)
        manifest = reader.manifest()
        old = manifest.sessions[0]
        encoded = replace(manifest, created_at=created_at, sessions=(replace(old, id=session_id),)).encode()
        writer.member("manifest.json", len(encoded), [encoded])
        names = ["contents/"] * manifest.contents + [f"sessions/{old.id}/artifacts", f"sessions/{old.id}/journal"]
        for name in names:
            member = reader.next(name)
            writer.member(member.name.replace(old.id, session_id), member.size, member.blocks())
        writer.finish()


def says_the_same(a: Tape, b: Tape) -> bool:
    """Return whether two tapes hold the same calls with the same answers: when they were made, and the headers and
    pauses of the answers, do not count."""
    return [_said(each) for each in a.crossings] == [_said(each) for each in b.crossings]


def _said(crossing: Crossing) -> tuple[Any, ...]:
    outcome: Mapping[str, Any] = crossing.outcome
    answer = {name: value for name, value in outcome.items() if name not in _VOLATILE}
    if "chunks" in answer:
        answer["chunks"] = b"".join(answer["chunks"] or ())
    given = {name: value for name, value in crossing.input.items() if name != "headers"}
    return crossing.kind, crossing.name, given, answer
