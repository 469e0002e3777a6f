"""Whatever bytes come, a decoder answers with its own error or with a value, and an import with BundleError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgpack
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.session.state.model import SessionState
from greenroom.runtime import (
    ArtifactId,
    ArtifactNotFound,
    BundleError,
    IntegrityError,
    Runtime,
    SchemaTooNew,
    Session,
    ValidationError,
)
from greenroom.storage.bundle.decoding import plain_record, stored_value
from greenroom.storage.bundle.format import Manifest
from greenroom.storage.codec.records import seal, unpack_value, unseal
from greenroom.storage.content.chunks import Encoded, Reference, encode
from greenroom.storage.content.contents import Contents
from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent

SESSION = bytes.fromhex("0123456789ab4def8123456789abcdef")
SESSION_ID = "01234567-89ab-4def-8123-456789abcdef"
KEY = SESSION + (1).to_bytes(8, "big")

keys = st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)


@st.composite
def changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A way to change bytes: flipped, overwritten, removed, repeated or moved."""
    kind = draw(st.sampled_from(["flip", "write", "remove", "repeat", "cut", "insert"]))
    place = draw(st.floats(0, 1, exclude_max=True))
    length = draw(st.integers(1, 600))
    data = draw(st.binary(min_size=1, max_size=30))
    bit = draw(st.integers(0, 7))

    def change(source: bytes) -> bytes:
        at = int(place * len(source))
        if kind == "flip":
            return source[:at] + bytes([source[at] ^ 1 << bit]) + source[at + 1 :] if source else source
        if kind == "write":
            return source[:at] + data + source[at + len(data) :]
        if kind == "remove":
            return source[:at] + source[at + length :]
        if kind == "repeat":
            return source[: at + length] + source[at:]
        if kind == "insert":
            return source[:at] + data + source[at:]
        return source[:at]

    return change


several_changes = st.lists(changes(), min_size=1, max_size=3)


def applied(source: bytes, each: list[Callable[[bytes], bytes]]) -> bytes:
    for change in each:
        source = change(source)
    return source


def packed(value: Any) -> bytes:
    """As a stranger may encode it: integers that msgpack has no form for become floats."""
    return msgpack.packb(value, unicode_errors="surrogatepass", default=float)  # type: ignore[no-any-return]


def with_floats(value: Any) -> Any:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return float(value)
    if isinstance(value, list):
        return [with_floats(each) for each in value]
    if isinstance(value, dict):
        return {key: with_floats(each) for key, each in value.items()}
    return value


class Target:
    """A store that takes what is good and stays whole whatever comes."""

    def __init__(self, runtime: Runtime, path: Path) -> None:
        self.runtime = runtime
        self._path = path

    def offer(self, write: Callable[[Path], object]) -> bool:
        """Try to import what `write` writes; whether it was taken."""
        write(self._path)
        commits = self.runtime.stats()["commits"]
        try:
            sessions = self.runtime.import_bundle(self._path, keep_ids=False)
        except BundleError:
            assert self.runtime.stats()["commits"] == commits, "nothing is written of a bundle that is refused"
            return False
        # It was believed, so all of it must be usable.
        for session in sessions:
            _use(session)
        assert self.runtime.verify().problems == []
        for session in reversed(sessions):
            session.delete()
        return True


def _use(session: Session) -> None:
    session.info().to_dict()
    session.variables()
    session.tree()
    for message in session.messages():
        message.to_dict()
    for event in session.events():
        event.to_dict()
    for info in session.list_artifacts():
        info.to_dict()
        session.get_artifact(info.id)
        session.artifact_versions(info.name)
    if session.info().status != "active":
        return
    session.add_tag("t")
    session.store_artifact("t", "a new one", "x")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with Runtime.open() as runtime:
        yield Target(runtime, tmp_path / "fuzzed.bundle")


@settings(max_examples=150)
@given(change=several_changes)
def test_changed_bytes_are_refused(family_bundle: Path, target: Target, change: list[Any]) -> None:
    good = family_bundle.read_bytes()
    bad = applied(good, change)
    assert target.offer(lambda path: path.write_bytes(bad)) is (bad == good)


@settings(max_examples=100)
@given(change=several_changes, where=st.integers(0, 1 << 30), data=st.data())
def test_changed_members_with_a_right_checksum_are_refused_or_usable(
    parts: Any, target: Target, change: list[Any], where: int, data: st.DataObject
) -> None:
    at = where % len(parts.members)
    name, before = parts.members[at]
    after = applied(before, change)
    parts.members[at] = [name, after]
    if name.startswith("contents/") and data.draw(st.booleans()):
        parts.members[at][0] = f"contents/{blake3(after).hexdigest()}"
    try:
        target.offer(parts.write)
    finally:
        parts.members[at] = [name, before]


@settings(max_examples=150)
@given(where=st.integers(0, 1 << 30), field=st.integers(0, 1 << 30), value=values, data=st.data())
def test_changed_events_are_refused_or_usable(
    parts: Any, target: Target, where: int, field: int, value: Any, data: st.DataObject
) -> None:
    members = [name for name, _ in parts.members if name.startswith("sessions/")]
    name = members[where % len(members)]
    at = parts.index(name)
    before = parts.members[at][1]
    records = parts.records(name)
    if not records:
        return
    record = records[data.draw(st.integers(0, len(records) - 1))]
    value = with_floats(value)
    if len(record) == 7 and data.draw(st.booleans()):
        names = sorted(record[3])
        key = names[field % len(names)] if names and data.draw(st.booleans()) else data.draw(keys)
        record[3][key] = packed(value) if data.draw(st.booleans()) else value
    else:
        record[field % len(record)] = value
    try:
        parts.set_records(name, records)
        target.offer(parts.write)
    finally:
        parts.members[at][1] = before


@settings(max_examples=100)
@given(key=keys, value=values)
def test_changed_manifests_are_refused_or_usable(parts: Any, target: Target, key: str, value: Any) -> None:
    before = parts.members[0][1]
    names = [*parts.manifest, key]
    try:
        for name in names:
            if not isinstance(value, bytes):
                try:
                    parts.manifest = {**parts.manifest, name: value}
                except TypeError:
                    continue  # bytes inside
                target.offer(parts.write)
                parts.members[0][1] = before
    finally:
        parts.members[0][1] = before


# -- the decoders, one by one

DAMAGE = (IntegrityError, SchemaTooNew)


@settings(max_examples=150)
@given(value=values, change=several_changes)
def test_a_changed_record_is_never_taken_for_a_good_one(value: Any, change: list[Any]) -> None:
    record = seal(KEY, with_floats(value))
    changed = applied(record, change)
    if changed == record:
        return
    with pytest.raises(DAMAGE):
        unseal(KEY, changed)


@settings(max_examples=150)
@given(data=st.binary(max_size=200))
def test_records_of_any_bytes(data: bytes) -> None:
    for decode in (lambda: unseal(KEY, data), lambda: unpack_value(data)):
        with contextlib.suppress(DAMAGE):
            decode()
    for outside in (plain_record, lambda each: stored_value(each, "value"), Manifest.decode):
        with contextlib.suppress(BundleError):
            outside(data)


@settings(max_examples=150)
@given(data=st.binary(max_size=200) | values.map(with_floats).map(packed), change=several_changes)
def test_states_of_any_bytes(data: bytes, change: list[Any]) -> None:
    state = SessionState(SESSION_ID)
    state.variables = {"k": b"\x01"}
    for source in (data, applied(state.encode(), change)):
        with contextlib.suppress(IntegrityError):
            SessionState.decode(SESSION_ID, source)


@settings(max_examples=150)
@given(where=st.lists(st.integers(0, 30), min_size=1, max_size=2), value=values.map(with_floats))
def test_states_with_a_changed_field(where: list[int], value: Any) -> None:
    state = SessionState(SESSION_ID)
    state.variables = {"k": b"\x01"}
    fields = msgpack.unpackb(state.encode())
    place = fields
    for at in where[:-1]:
        inner = place[at % len(place)]
        place = inner if isinstance(inner, list) and inner else place
    place[where[-1] % len(place)] = value
    with contextlib.suppress(IntegrityError):
        SessionState.decode(SESSION_ID, msgpack.packb(fields, unicode_errors="surrogatepass"))


@settings(max_examples=150)
@given(text=st.text(max_size=200) | st.from_regex(r"[0-9a-f]{64}:[0-9a-f-]{36}:[0-9]{1,25}", fullmatch=True))
def test_artifact_ids_of_any_text(text: str) -> None:
    try:
        parsed = ArtifactId.parse(text)
    except ValidationError:
        return
    assert str(parsed) == text


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "engine", Durability.WAL, EngineOptions())
    yield engine
    engine.close()


@settings(max_examples=100)
@given(change=several_changes, which=st.integers(0, 2))
def test_a_journal_with_changed_records(engine: Engine, change: list[Any], which: int) -> None:
    journal = Journal(engine)
    stored = [StoredEvent("custom.x", 1 + number, {"n": number}, number, 0, 0) for number in range(3)]
    ops = [Journal.append(SESSION, number + 1, event) for number, event in enumerate(stored)]
    cf, key, record = ops[which]
    bad = applied(record or b"", change)
    engine.write([*ops, (cf, key, bad)])
    if bad == record:
        assert [event for _, event in journal.read(SESSION)] == stored
        return
    reading = journal.read(SESSION)
    assert [event for _, event in islice(reading, which)] == stored[:which]
    with pytest.raises(DAMAGE):
        next(reading)
    with pytest.raises(DAMAGE):
        journal.event(SESSION, which + 1)


@settings(max_examples=100)
@given(content=st.binary(max_size=3000), repeated=st.integers(1, 8), change=several_changes, family=st.booleans())
def test_content_with_changed_bytes(
    engine: Engine, content: bytes, repeated: int, change: list[Any], family: bool
) -> None:
    content *= repeated
    contents = Contents(engine, 0)
    digest = blake3(content).digest()
    payload = encode(content, 0)
    reference = Reference(SESSION, b"a", 1)
    ops = contents.add_ops(Encoded(digest, len(content), len(payload) - 1, payload), reference)
    assert ops
    engine.write(ops)
    where = CF.CHUNKS if family else CF.CONTENTS
    key, good = engine.scan(where, b"", b"\xff" * 40)[0]
    engine.write([(where, key, applied(good, change))])
    try:
        assert contents.read(digest) == content
    except (*DAMAGE, ArtifactNotFound):
        pass
    finally:
        engine.write([(CF.CHUNKS, b"\x00" + digest, None), (CF.CONTENTS, digest, None)])
        engine.write([(CF.REFERENCES, reference.key(digest), None)])
