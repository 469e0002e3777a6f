from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from blake3 import blake3

from greenroom.runtime import BundleError, GreenroomError, Runtime, Session
from greenroom.storage.bundle.format import framed

Everything = Callable[[Runtime], list[tuple[bytes, bytes]]]
Change = Callable[[Any], None]


def changed_manifest(**changes: Any) -> Change:
    def change(parts: Any) -> None:
        parts.manifest = {**parts.manifest, **changes}

    return change


def changed_session(**changes: Any) -> Change:
    def change(parts: Any) -> None:
        manifest = parts.manifest
        manifest["sessions"][0].update(changes)
        parts.manifest = manifest

    return change


def changed_events(change_records: Callable[[list[Any]], object]) -> Change:
    """Change the journal of the first session."""

    def change(parts: Any) -> None:
        name = f"{parts.manifest['sessions'][0]['id']}/journal"
        records = parts.records(name)
        change_records(records)
        parts.set_records(name, records)

    return change


def changed_event(kind: str, change_data: Callable[[dict[str, Any]], object]) -> Change:
    """Change the data of the first event of a type."""
    return changed_events(lambda records: change_data(next(each[3] for each in records if each[1] == kind)))


def one_key_twice(parts: Any) -> None:
    for session in parts.manifest["sessions"][:2]:
        name = f"{session['id']}/journal"
        records = parts.records(name)
        records[0][3]["key"] = "k"
        parts.set_records(name, records)


def changed_artifacts(change_records: Callable[[list[Any]], object]) -> Change:
    def change(parts: Any) -> None:
        records = parts.records("/artifacts")
        change_records(records)
        parts.set_records("/artifacts", records)

    return change


def moved(source: str, target: int) -> Change:
    def change(parts: Any) -> None:
        parts.members.insert(target, parts.members.pop(parts.index(source)))

    return change


def extra_content(parts: Any) -> None:
    data = b"nobody uses this"
    name = f"contents/{blake3(data).hexdigest()}"
    names = [each for each, _ in parts.members if each.startswith("contents/")]
    parts.members.insert(1 + sum(each < name for each in names), [name, data])
    manifest = parts.manifest
    parts.manifest = {
        **manifest,
        "contents": manifest["contents"] + 1,
        "content_bytes": manifest["content_bytes"] + len(data),
    }


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


def raw_journal(data: bytes) -> Change:
    def change(parts: Any) -> None:
        parts.members[parts.index("/journal")][1] = data

    return change


def times(records: list[Any], at: int, value: Any) -> None:
    records[at][2] = value


def first_of(records: list[Any], kind: str) -> list[Any]:
    found: list[Any] = next(each for each in records if each[1] == kind)
    return found


def drop_artifact_deletion(records: list[Any]) -> None:
    records.remove(first_of(records, "artifact.deleted"))
    for number, each in enumerate(records, start=1):
        each[0] = number


def changed_record(field: int, value: Any, *, at: int = 1, event: int = 0) -> Change:
    """Change a field of one change in an event about records."""

    def change(records: list[Any]) -> None:
        changes = [each[3]["changes"] for each in records if each[1] == "records.changed"][event]
        changes[at][field] = value

    return changed_events(change)


def _second_change(records: list[Any]) -> list[Any]:
    """The change that puts a record in the place of one that is no content."""
    changes: list[Any] = [each[3]["changes"] for each in records if each[1] == "records.changed"][1]
    found: list[Any] = changes[0]
    return found


ILLEGAL: dict[str, Change] = {
    "newer format": changed_manifest(version=3),
    "no version": changed_manifest(version=None),
    "version as text": changed_manifest(version="1"),
    "version zero": changed_manifest(version=0),
    "another kind": changed_manifest(kind="tarball"),
    "unknown manifest entry": changed_manifest(more=1),
    "history as number": changed_manifest(history=1),
    "fewer contents": lambda parts: changed_manifest(contents=parts.manifest["contents"] - 1)(parts),
    "more contents": lambda parts: changed_manifest(contents=parts.manifest["contents"] + 1)(parts),
    "endless contents": changed_manifest(contents=1 << 62),
    "negative contents": changed_manifest(contents=-1),
    "wrong content bytes": changed_manifest(content_bytes=1),
    "no sessions": changed_manifest(sessions=[]),
    "sessions as an object": changed_manifest(sessions={}),
    "too many sessions": lambda parts: changed_manifest(sessions=parts.manifest["sessions"] * 4000)(parts),
    "one session twice": lambda parts: changed_manifest(sessions=parts.manifest["sessions"] * 2)(parts),
    "child before parent": lambda parts: changed_manifest(sessions=parts.manifest["sessions"][::-1])(parts),
    "deep manifest": lambda parts: parts.members[0].__setitem__(1, b'{"a":' * 100_000),
    "manifest of digits": lambda parts: parts.members[0].__setitem__(1, b"9" * 100_000),
    "manifest of rubbish": lambda parts: parts.members[0].__setitem__(1, b"\xff\x00"),
    "link from nowhere": changed_event("event.linked", lambda data: data.update({"from": "nowhere"})),
    "link to a number": changed_event("event.linked", lambda data: data.update(to=7)),
    "link from another session": changed_event(
        "event.linked", lambda data: data.update({"from": "00000000-0000-4000-8000-000000000000/1"})
    ),
    "link from an event to come": changed_event(
        "event.linked", lambda data: data.update({"from": data["to"][:36] + "/99"})
    ),
    "link of no kind": changed_event("event.linked", lambda data: data.update(kind="loves")),
    "published half": changed_event("custom.step", lambda data: data.update(published=msgpack.packb({"k": 1})[:-1])),
    "schema of a number": changed_event("variable.set", lambda data: data.update(schema=5, schema_version=1)),
    "schema of version 0": changed_event("variable.set", lambda data: data.update(schema="it", schema_version=0)),
    "published rubbish": changed_event("custom.step", lambda data: data.update(published=b"\xc1")),
    "published and more": changed_event("custom.step", lambda data: data.update(more=1)),
    "a fact made of what was published": changed_events(
        lambda records: next(each for each in records if each[1] == "custom.step").__setitem__(1, "session.completed")
    ),
    "a fact marked as published": changed_events(lambda records: records[1].__setitem__(1, "~" + records[1][1])),
    "published a megabyte": changed_event(
        "custom.step", lambda data: data.update(published=msgpack.packb({"k": "x" * (1 << 20)}))
    ),
    "id that is none": changed_session(id="../../../../../../../../../../etc/passwd"),
    "id of a scope": changed_session(id="00000000-0000-8000-8000-000000000000"),
    "id in capitals": lambda parts: changed_session(id=parts.manifest["sessions"][0]["id"].upper())(parts),
    "id as number": changed_session(id=5),
    "own parent": lambda parts: changed_session(parent=parts.manifest["sessions"][0]["id"])(parts),
    "parent that is no id": changed_session(parent="x"),
    "another parent": changed_session(parent="00000000-0000-4000-8000-000000000000"),
    "wrong number of events": changed_session(events=3),
    "endless events": changed_session(events=1 << 70),
    "wrong number of artifacts": changed_session(artifacts=1),
    "unknown session entry": changed_session(more=1),
    "missing manifest": lambda parts: parts.members.pop(0),
    "missing content": lambda parts: parts.members.pop(1),
    "missing journal": lambda parts: parts.members.pop(parts.index("/journal")),
    "missing artifacts": lambda parts: parts.members.pop(parts.index("/artifacts")),
    "second manifest": lambda parts: parts.members.insert(1, list(parts.members[0])),
    "content twice": lambda parts: parts.members.insert(1, list(parts.members[1])),
    "journal twice": lambda parts: parts.members.append(list(parts.members[-1])),
    "content that nobody uses": extra_content,
    "unknown member": lambda parts: parts.members.append(["contents/readme", b"x"]),
    "path traversal": lambda parts: parts.members.append(["../../evil", b"x"]),
    "path traversal in a known place": lambda parts: parts.members.insert(1, ["contents/../../evil", b"x"]),
    "absolute path": lambda parts: parts.members.append(["/tmp/evil", b"x"]),
    "contents out of order": lambda parts: parts.members.insert(1, parts.members.pop(2)),
    "journal before contents": moved("/journal", 1),
    "journal before artifacts": lambda parts: parts.members.insert(
        parts.index("/artifacts"), parts.members.pop(parts.index("/journal"))
    ),
    "wrong content": lambda parts: parts.members[1].__setitem__(1, parts.members[1][1] + b"x"),
    "wrong hash": lambda parts: parts.members[1].__setitem__(0, "contents/" + "0" * 64),
    "empty journal": raw_journal(b""),
    "endless record": raw_journal(b"\xff\xff\xff\xff" + b"x" * 100),
    "record of nothing": raw_journal(bytes(4)),
    "journal that ends in a length": raw_journal(b"\x00\x00"),
    "array bomb": raw_journal(framed(b"\xdd\xff\xff\xff\xff")),
    "nested array bomb": raw_journal(framed(b"\xdd\x00\xff\xff\xff" * 200_000)),
    "map bomb": raw_journal(framed(b"\xdf\xff\xff\xff\xff" * 1000)),
    "deep record": raw_journal(framed(nested(100_000))),
    "extension": raw_journal(framed(msgpack.packb(msgpack.ExtType(5, b"x")))),
    "integer bomb": raw_journal(framed(msgpack.packb(msgpack.ExtType(1, b"9" * 100_000)))),
    "time stamp extension": raw_journal(framed(msgpack.packb(msgpack.Timestamp(1, 1)))),
    "trailing bytes in a record": lambda parts: parts.members[parts.index("/journal")].__setitem__(
        1, framed(parts.members[parts.index("/journal")][1][4:] + b"\xc0")
    ),
    "gap in the journal": changed_events(lambda records: records.pop(4)),
    "event twice": changed_events(lambda records: records.insert(4, records[4])),
    "events swapped": changed_events(lambda records: records.insert(4, records.pop(5))),
    "sequence as truth": changed_events(lambda records: records[0].__setitem__(0, True)),
    "sequence as float": changed_events(lambda records: records[1].__setitem__(0, 2.0)),
    "no creation": changed_events(lambda records: records[0].__setitem__(1, "custom.x")),
    "second creation": changed_events(lambda records: records.__setitem__(4, [5, *records[0][1:]])),
    "time before the last": changed_events(lambda records: times(records, 3, 1)),
    "negative time": changed_events(lambda records: times(records, 0, -1)),
    "time beyond all": changed_events(lambda records: times(records, -1, 1 << 63)),
    "time as text": changed_events(lambda records: times(records, 2, "now")),
    "wrong operations": changed_events(lambda records: records[5].__setitem__(4, 0)),
    "operations as float": changed_events(lambda records: records[5].__setitem__(4, float(records[5][4]))),
    "wrong artifact count": changed_events(lambda records: records[-1].__setitem__(5, 99)),
    "wrong bytes": changed_events(lambda records: records[-1].__setitem__(6, 99)),
    "huge totals": changed_events(lambda records: records[-1].__setitem__(4, 1 << 63)),
    "type as number": changed_events(lambda records: records[4].__setitem__(1, 7)),
    "data as list": changed_events(lambda records: records[4].__setitem__(3, [])),
    "data with a number as key": changed_events(lambda records: records[4][3].__setitem__(1, 1)),
    "short event": changed_events(lambda records: records[4].pop()),
    "context as text": changed_events(lambda records: records[4].append("x")),
    "unknown context": changed_events(lambda records: records[4].append({"evil": "x"})),
    "lost event": changed_events(lambda records: records[4].__setitem__(1, "event.lost")),
    "resumed while active": changed_events(
        lambda records: first_of(records, "variable.set").__setitem__(1, "session.resumed")
    ),
    "writing after the end": changed_events(
        lambda records: first_of(records, "session.suspended").__setitem__(1, "session.completed")
    ),
    "archived while active": changed_events(
        lambda records: first_of(records, "session.suspended").__setitem__(1, "session.archived")
    ),
    "variable without value": changed_event("variable.set", lambda data: data.pop("value")),
    "variable with rubbish": changed_event("variable.set", lambda data: data.update(value=b"\xc1")),
    "variable with text": changed_event("variable.set", lambda data: data.update(value="text")),
    "variable in another spelling": changed_event("variable.set", lambda data: data.update(value=b"\xcd\x00\x01")),
    "variable that is nested": changed_event("variable.set", lambda data: data.update(value=nested(500))),
    "variable that is a bomb": changed_event("variable.set", lambda data: data.update(value=b"\xdc\xff\xff" * 300_000)),
    "variable with NaN": changed_event("variable.set", lambda data: data.update(value=msgpack.packb(float("nan")))),
    "variable that is too long": changed_event(
        "variable.set", lambda data: data.update(value=msgpack.packb("x" * (1 << 20)))
    ),
    "key that is empty": changed_event("variable.set", lambda data: data.update(key="")),
    "key as number": changed_event("variable.deleted", lambda data: data.update(key=1)),
    "metadata as list": changed_event("metadata.updated", lambda data: data.update(metadata=b"\x90")),
    "metadata that is too long": changed_event(
        "metadata.updated", lambda data: data.update(metadata=msgpack.packb({"k": "x" * (1 << 16)}))
    ),
    "renamed to a number": changed_event("session.renamed", lambda data: data.update(name=7)),
    "renamed to nothing": changed_event("session.renamed", lambda data: data.update(name="")),
    "described by a number": changed_event("session.described", lambda data: data.update(description=7)),
    "key that is too long": changed_event("session.created", lambda data: data.update(key="x" * 513)),
    "two sessions with one key": one_key_twice,
    "key that is no text": changed_event("session.created", lambda data: data.update(key=7)),
    "tags as text": changed_event("tags.changed", lambda data: data.update(tags="abc")),
    "tag twice": changed_event("tags.changed", lambda data: data.update(tags=["a", "a"])),
    "name that is too long": changed_event("session.created", lambda data: data.update(name="x" * 256)),
    "impossible configuration": changed_event(
        "session.created", lambda data: data.update(config=msgpack.packb({"max_artifacts": "many"}))
    ),
    "unknown configuration": changed_event(
        "session.created", lambda data: data.update(config=msgpack.packb({"evil": 1}))
    ),
    "role that is missing": changed_event("message.added", lambda data: data.pop("role")),
    "content as number": changed_event("message.added", lambda data: data.update(content=b"\x01")),
    "two contents": changed_event("message.added", lambda data: data.update(content_hash=bytes(32), text=True)),
    "no content": changed_event("message.added", lambda data: data.pop("content")),
    "message of unknown content": changed_events(
        lambda records: [each[3].update(content_hash=bytes(32)) for each in records if "text" in each[3]]
    ),
    "parts that are text": changed_events(
        lambda records: [each[3].update(text=not each[3]["text"]) for each in records if "text" in each[3]]
    ),
    "artifact of unknown content": changed_event("artifact.stored", lambda data: data.update(content_hash=bytes(32))),
    "artifact named like an id": changed_event(
        "artifact.stored", lambda data: data.update(name=f"{'0' * 64}:00000000-0000-4000-8000-000000000000:1")
    ),
    "artifact of another size": changed_event("artifact.stored", lambda data: data.update(size=1)),
    "artifact number taken": changed_events(
        lambda records: [each[3].update(sequence=1) for each in records if each[1] == "artifact.stored"]
    ),
    "artifact number zero": changed_event("artifact.stored", lambda data: data.update(sequence=0)),
    "version taken": changed_events(
        lambda records: [each[3].update(version=1) for each in records if each[1] == "artifact.stored"]
    ),
    "version beyond all": changed_event("artifact.stored", lambda data: data.update(version=1 << 32)),
    "name with a line end": changed_event("artifact.stored", lambda data: data.update(name="a\nb")),
    "name with a zero": changed_event("artifact.stored", lambda data: data.update(name="a\0\0\0\0\1")),
    "type with another name": changed_event("artifact.stored", lambda data: data.update(type="prompt")),
    "parent that is no artifact": changed_event("artifact.stored", lambda data: data.update(parent_artifact="x")),
    "deletion of another": changed_event("artifact.deleted", lambda data: data.update(name="other")),
    "deletion of another type": changed_event("artifact.deleted", lambda data: data.update(type="other")),
    "deletion of no type": changed_event("artifact.deleted", lambda data: data.update(type=None)),
    "deletion of nothing": changed_event("artifact.deleted", lambda data: data.update(sequence=99)),
    "deletion left out": changed_events(drop_artifact_deletion),
    "artifact record left out": changed_artifacts(lambda records: records.pop()),
    "artifact record twice": changed_artifacts(lambda records: records.append(records[-1])),
    "artifact records out of order": changed_artifacts(lambda records: records.reverse()),
    "artifact record that differs": changed_artifacts(lambda records: records[0].__setitem__(2, "other name")),
    "artifact record as text": changed_artifacts(lambda records: records.__setitem__(0, "x")),
    "artifact record that is short": changed_artifacts(lambda records: records[0].pop()),
    "record under no key": changed_record(0, b""),
    "record under a long key": changed_record(0, b"k" * 1025),
    "record under a text": changed_record(0, "r/2"),
    "record of another content": changed_record(1, bytes(32)),
    "record without a hash": changed_record(1, b"x"),
    "record deleted without being there": changed_record(1, None),
    "record of another size": changed_record(2, 1),
    "record of a size below zero": changed_record(2, -1),
    "record of a size beyond all": changed_record(2, 1 << 62),
    "record that is no value": changed_record(3, 1, at=4),
    "record that is lost": changed_record(3, 5),
    "record in place of one that is not there": changed_record(4, 7),
    "record in place of nothing": changed_events(lambda records: _second_change(records).__setitem__(4, None)),
    "record that releases another content": changed_events(
        lambda records: _second_change(records).append([1, bytes(32)])
    ),
    "record too large for itself": changed_record(3, 0, at=0, event=2),
    "record twice in an event": changed_event(
        "records.changed", lambda data: data["changes"].append(data["changes"][0])
    ),
    "no change of records": changed_event("records.changed", lambda data: data["changes"].clear()),
    "changes that are no list": changed_event("records.changed", lambda data: data.update(changes={})),
    "change that is no list": changed_event("records.changed", lambda data: data["changes"].append(b"x")),
    "change that is short": changed_event("records.changed", lambda data: data["changes"][1].pop()),
}


@pytest.mark.parametrize("case", ILLEGAL)
def test_a_hostile_bundle_is_refused_and_nothing_is_written(
    parts: Any, other: Runtime, tmp_path: Path, everything: Everything, case: str
) -> None:
    parts.write(tmp_path / "still-good.bundle")
    ILLEGAL[case](parts)
    parts.write(tmp_path / "bad.bundle")
    assert (tmp_path / "bad.bundle").read_bytes() != (tmp_path / "still-good.bundle").read_bytes()
    before, commits = everything(other), other.stats()["commits"]
    for keep_ids in (True, False):
        with pytest.raises(BundleError):
            other.import_bundle(tmp_path / "bad.bundle", keep_ids=keep_ids)
    assert other.stats()["commits"] == commits
    assert everything(other) == before
    # What was taken apart and put together unchanged is good: the refusal is due to the change.
    assert len(other.import_bundle(tmp_path / "still-good.bundle")) == 3


def foreign(kind: bytes, name: str = "manifest.json", link: str = "", size: int = 0) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, size
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(bytes(size)))
    return buffer.getvalue()


ENTRIES = {
    "symbolic link": foreign(tarfile.SYMTYPE, link="/etc/passwd"),
    "hard link": foreign(tarfile.LNKTYPE, link="/etc/passwd"),
    "character device": foreign(tarfile.CHRTYPE),
    "block device": foreign(tarfile.BLKTYPE),
    "fifo": foreign(tarfile.FIFOTYPE),
    "directory": foreign(tarfile.DIRTYPE),
    "pax header": foreign(tarfile.XHDTYPE, size=512),
    "long name": foreign(tarfile.GNUTYPE_LONGNAME, size=512),
    "sparse file": foreign(tarfile.GNUTYPE_SPARSE, size=512),
    "unknown type": foreign(b"~"),
    "empty file": b"",
    "only zeros": bytes(10240),
    "gzip": b"\x1f\x8b" + bytes(10000),
    "text": b"hello" * 1000,
}


@pytest.mark.parametrize("place", ["first", "second", "last"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_only_plain_members_in_their_places_are_read(
    family_bundle: Path, other: Runtime, tmp_path: Path, entry: str, place: str
) -> None:
    data = family_bundle.read_bytes()
    block = ENTRIES[entry]
    if place == "first":
        bad = block + data
        bad = bad if entry != "empty file" else b""
    elif place == "second":
        bad = data[:1024] + (block or b"x") + data[1024:]
    else:
        bad = data + (block or b"\0")
    (tmp_path / "bad.bundle").write_bytes(bad)
    with pytest.raises(BundleError):
        other.import_bundle(tmp_path / "bad.bundle")
    assert other.stats()["commits"] == 0


def test_sizes_are_checked_against_the_file_before_anything_is_read(
    family: Session, other: Runtime, tmp_path: Path
) -> None:
    family.export(tmp_path / "s.bundle")
    data = bytearray((tmp_path / "s.bundle").read_bytes())
    for size in (b"77777777777\0", b"\x80" + b"\xff" * 11, b"\x80" + (1 << 60).to_bytes(11, "big"), b"-0000000001\0"):
        data[124:136] = size
        data[148:156] = b"        "
        data[148:156] = b"%06o\0 " % sum(data[:512])
        (tmp_path / "bad.bundle").write_bytes(data)
        with pytest.raises(BundleError):
            other.import_bundle(tmp_path / "bad.bundle")
    assert other.stats()["commits"] == 0


def test_a_bundle_that_is_cut_off_anywhere_is_refused(rt: Runtime, other: Runtime, tmp_path: Path) -> None:
    session = rt.create_session(name="s")
    session.set("k", 1)
    session.store_artifact("t", "a", "content")
    session.export(tmp_path / "s.bundle")
    data = (tmp_path / "s.bundle").read_bytes()
    for length in range(len(data)):
        (tmp_path / "bad.bundle").write_bytes(data[:length])
        with pytest.raises(BundleError):
            other.import_bundle(tmp_path / "bad.bundle")
    assert other.stats()["commits"] == 0


def test_flipped_bits_everywhere_are_noticed(rt: Runtime, other: Runtime, tmp_path: Path) -> None:
    session = rt.create_session(name="s")
    session.set("k", 1)
    session.store_artifact("t", "a", "content")
    session.export(tmp_path / "s.bundle")
    data = bytearray((tmp_path / "s.bundle").read_bytes())
    for at in range(0, len(data), 3):
        data[at] ^= 1 << at % 8
        (tmp_path / "bad.bundle").write_bytes(data)
        with pytest.raises(BundleError):
            other.import_bundle(tmp_path / "bad.bundle")
        data[at] ^= 1 << at % 8
    assert other.stats()["commits"] == 0


def test_what_is_no_file_is_refused_without_waiting(other: Runtime, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(GreenroomError):
            other.import_bundle(path)


def test_a_bundle_that_changes_while_it_is_imported_is_refused(
    family: Session, other: Runtime, tmp_path: Path, everything: Everything
) -> None:
    path = tmp_path / "s.bundle"
    for number in range(4):
        family.store_artifact("t", f"random {number}", os.urandom(400_000))
    family.set("a variable", "of this session")
    family.export(path, tree=True)
    good = path.read_bytes()
    before = everything(other)
    for at in [*range(0, len(good), len(good) // 40), good.index(b"of this session")]:
        path.write_bytes(good)
        changed = []

        def show(done: int, total: int, at: int = at, changed: list[int] = changed) -> None:
            if done > total // 2 and not changed:  # all has been checked
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(bytes([good[at] ^ 1]))
                changed.append(at)

        try:
            (root, *_) = other.import_bundle(path, on_progress=show)
        except BundleError:
            assert everything(other) == before
        else:
            # What changed had been read already, or is read only once: nothing of it was believed.
            assert other.verify().problems == []
            assert [each.id for each in root.list_artifacts()] == [each.id for each in family.list_artifacts()]
            assert root.variables() == family.variables()
            for session in other.list_sessions(status=("active", "suspended", "archived")):
                other.delete_session(session.id)
            before = everything(other)
        assert changed
