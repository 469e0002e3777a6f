"""Records: values under keys of bytes, in the order of the keys, outside the state of their session."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    ArtifactTooLarge,
    InvalidOperation,
    InvalidSessionState,
    ResourceLimitExceeded,
    Runtime,
    Session,
    ValidationError,
    messages,
)

LARGE = b"".join(b"line %d of a large value\n" % number for number in range(2000))


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()


VALUES: list[Any] = [
    b"",
    b"bytes",
    b"\x00" * 4096,
    b"\x00" * 4097,
    LARGE,
    None,
    True,
    0,
    1 << 200,
    1.5,
    "",
    "text \ud800",
    "long text " * 1000,
    [],
    {"a": [1, {"b": b"bytes"}]},
    {"many": ["x" * 50] * 500},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_what_was_put_is_returned(store_path: Path, value: Any) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        session.records.put(b"k", value)
        found = session.records.get(b"k", "nothing")
        assert (found, type(found)) == (value, type(value))
        assert session.records.scan() == [(b"k", value)]
        assert session.get("k") is None
    with Runtime.open(store_path) as rt:
        assert rt.session(session.id).records.get(b"k", "nothing") == value
        assert rt.verify().problems == []


def test_a_large_record_of_many_megabytes_is_one_write(session: Session) -> None:
    value = bytes(range(256)) * 20_000
    session.records.put(b"k", value)
    session.records.put(b"k", value + b"more")
    assert session.records.get(b"k") == value + b"more"


def test_what_is_in_memory_of_the_sender_does_not_matter_afterwards(session: Session) -> None:
    buffer = bytearray(b"one")
    session.records.put(memoryview(b"key"), buffer)
    buffer[:] = b"two"
    value = session.records.get("key")
    assert value == b"one"
    assert type(value) is bytes


def test_records_are_in_the_order_of_their_keys(session: Session) -> None:
    keys = [b"a", b"a/1", b"a/10", b"a/2", b"a\xff", b"b", b"\xff", b"\xff\xff", b"\xff\xff\xff"]
    session.records.put_many({key: key for key in reversed(keys)})
    everything = [(key, key) for key in keys]
    records = session.records
    assert records.scan() == everything
    assert records.keys() == keys
    assert records.scan(reverse=True) == everything[::-1]
    assert records.keys(reverse=True) == keys[::-1]
    assert records.keys("a/") == [b"a/1", b"a/10", b"a/2"]
    assert records.scan(prefix=b"a/", reverse=True, limit=2) == [(b"a/2", b"a/2"), (b"a/10", b"a/10")]
    assert records.keys(b"\xff\xff") == [b"\xff\xff", b"\xff\xff\xff"]
    assert records.keys(b"\xff", reverse=True) == [b"\xff\xff\xff", b"\xff\xff", b"\xff"]
    assert records.keys(after=b"a/10") == keys[3:]
    assert records.keys(after=b"a/11", limit=2) == [b"a/2", b"a\xff"]
    assert records.keys(after=b"a/11", reverse=True) == [b"a/10", b"a/1", b"a"]
    assert records.keys(b"a/", after=b"") == [b"a/1", b"a/10", b"a/2"]
    assert records.keys(b"a/", after=b"b") == []
    assert records.keys(b"b", after=b"a", reverse=True) == []
    assert records.keys(limit=0) == []
    assert [records.count(prefix) for prefix in (b"", "a/", b"\xff", b"\xff\xff\xff\xff", "none")] == [9, 3, 3, 0, 0]


def test_a_scan_goes_on_from_page_to_page(session: Session) -> None:
    values = {b"%05d" % number: {"n": number} for number in range(1000)}
    session.records.put_many(values)
    assert dict(session.records.iterate()) == values
    assert len(session.records.scan(limit=700)) == 700
    found: list[bytes] = []
    while page := session.records.keys(after=found[-1] if found else None, limit=300):
        found += page
    assert found == list(values)
    session.records.put_many({b"large/%d" % number: bytes([number]) * 300_000 for number in range(10)})
    assert [len(value) for _, value in session.records.scan(b"large/", reverse=True)] == [300_000] * 10


def test_put_if_absent_puts_once(session: Session) -> None:
    assert session.records.put_if_absent("k", 1) is True
    assert session.records.put_if_absent("k", 2) is False
    assert session.records.get("k") == 1
    assert session.records.put_if_absent("large", LARGE * 100) is True
    assert session.records.put_if_absent("large", LARGE * 101) is False
    session.records.delete("k")
    assert session.records.put_if_absent("k", 3) is True
    assert session._runtime.core.store.contents.pending_blobs() == []


def test_deleting(session: Session) -> None:
    records = session.records
    assert records.delete(b"k") is False
    records.put_many({b"a/%d" % number: number for number in range(5)} | {b"b": LARGE})
    assert records.delete("a/0") is True
    assert records.delete_many([b"a/1", b"a/1", "a/2", b"none"]) == 2
    assert records.keys() == [b"a/3", b"a/4", b"b"]
    assert records.delete_prefix("a/") == 2
    assert records.delete_prefix("a/") == 0
    assert records.delete_prefix(b"") == 1
    assert records.count() == 0
    assert "records" not in session._runtime.core.supervisor.table.actors[session.id].state.more


def test_an_event_names_keys_and_hashes_and_no_values(session: Session) -> None:
    session.records.put_many({b"\xff": "secret", "large": LARGE})
    session.records.put(b"\xff", 1)
    session.records.delete(b"\xff")
    events = [event for event in session.events() if event.type == "records.changed"]
    assert [
        [(each["key"], each["size"], each["replaced_size"]) for each in event.data["changes"]] for event in events
    ] == [
        [(b"\xff", 7, None), (b"large", len(LARGE), None)],
        [(b"\xff", 1, 7)],
        [(b"\xff", None, 1)],
    ]
    digest = events[0].data["changes"][1]["hash"]
    artifact = session.store_artifact("log", "same", LARGE)
    assert artifact.id.content_hash == digest
    assert "secret" not in repr([event.data for event in events])


def test_what_changes_nothing_journals_nothing(session: Session) -> None:
    session.records.put_many({"a": 1, "large": LARGE})
    before = session.info().sequence
    session.records.put("a", 1)
    session.records.put("large", LARGE)
    session.records.put_many({})
    session.records.put_many({"a": 1, "large": LARGE})
    session.records.delete("none")
    assert session.info().sequence == before
    session.records.put("a", b"\x01")  # the same bytes, and another value
    assert session.records.get("a") == b"\x01"


def test_a_record_and_an_artifact_share_one_content(rt: Runtime) -> None:
    first, second = rt.create_session(), rt.create_session()
    first.store_artifact("log", "a", LARGE)
    second.records.put("k", LARGE)
    assert rt.stats()["artifacts"]["contents"] == 1
    first.delete()
    assert second.records.get("k") == LARGE
    third = rt.create_session()
    third.store_artifact("log", "a", LARGE)
    second.delete()
    assert third.get_artifact("a").content == LARGE
    third.delete()
    assert rt.stats()["artifacts"]["contents"] == 0
    assert rt.verify().problems == []


def test_growing_values_share_their_chunks(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(1, 50):
        session.records.put(b"latest", LARGE[: 1000 * number])
        session.records.put(b"step/%d" % number, LARGE[: 1000 * number])
    assert rt.stats()["artifacts"]["stored_bytes"] < 2 * len(LARGE)
    assert session.records.get(b"latest") == LARGE[:49_000]
    assert session.records.get(b"step/7") == LARGE[:7000]
    assert rt.verify().problems == []
    session.records.delete_prefix(b"")
    assert rt.stats()["artifacts"]["contents"] == 0
    assert rt.verify().problems == []


KEYS: dict[str, Any] = {
    "empty": b"",
    "empty text": "",
    "1025 bytes": b"k" * 1025,
    "1025 bytes as text": "ü" * 513,
    "a number": 1,
    "None": None,
    "a list": [b"k"],
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_that_cannot_be_is_refused(session: Session, key: Any) -> None:
    records = session.records
    for use in (
        lambda: records.put(key, 1),
        lambda: records.put_if_absent(key, 1),
        lambda: records.get(key),
        lambda: records.get_many([b"a", key]),
        lambda: records.delete(key),
        lambda: records.delete_many([b"a", key]),
    ):
        with pytest.raises(ValidationError):
            use()
    assert records.count() == 0


@pytest.mark.parametrize("key", [b"k" * 1024, b"\xff" * 1024, b"\x00", b"\x00" * 1024, b"\xff"])
def test_hostile_keys_are_keys(rt: Runtime, key: bytes) -> None:
    session, other = rt.create_session(), rt.create_session()
    for each in (session, other):
        each.records.put(key, each.id)
    assert session.records.scan(prefix=key) == [(key, session.id)]
    assert session.records.scan(after=key) == session.records.scan(after=key, reverse=True) == []
    assert rt.verify().problems == []
    session.delete()
    assert other.records.scan(reverse=True) == [(key, other.id)]
    assert rt.verify().problems == []


def test_wrong_arguments_are_refused(session: Session) -> None:
    for use in (
        lambda: session.records.put_many([(b"k", 1)]),  # type: ignore[arg-type]
        lambda: session.records.put_many({b"k": 1, "k": 2}),
        lambda: session.records.put(b"k", object()),
        lambda: session.records.scan(1),  # type: ignore[arg-type]
        lambda: session.records.scan(limit=-1),
        lambda: session.records.scan(reverse="yes"),  # type: ignore[arg-type]
        lambda: session.records.scan(after=3),  # type: ignore[arg-type]
        lambda: session.records.scan(b"k" * 1025),
        lambda: session.records.delete_many(b"key"),
        lambda: session.records.put_many({b"%d" % number: 1 for number in range(10_001)}),
        lambda: messages.DeleteRecords([b"k"], prefix=b"k"),
    ):
        with pytest.raises(ValidationError):
            use()
    assert session.info().sequence == 1


def test_limits(rt: Runtime) -> None:
    session = rt.create_session(config={"max_records": 2, "max_record_bytes": 100})
    session.records.put_many({"a": b"x" * 40, "b": b"x" * 40})
    with pytest.raises(ResourceLimitExceeded) as caught:
        session.records.put("c", 1)
    assert caught.value.fields["resource"] == "records"
    with pytest.raises(ResourceLimitExceeded) as caught:
        session.records.put("a", b"x" * 60)
    assert (caught.value.fields["resource"], caught.value.fields["value"]) == ("record_bytes", 102)
    session.records.put("a", b"x" * 58)
    session.update_config(max_record_bytes=10)
    session.records.put("a", b"x" * 50)  # it may always shrink
    session.records.delete("b")
    assert session.records.keys() == [b"a"]


def test_a_value_larger_than_one_call_may_carry_is_refused(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store", config={"max_artifact_bytes": 100_000}) as rt:
        session = rt.create_session()
        with pytest.raises(ArtifactTooLarge):
            session.records.put(b"k", b"x" * 100_001)
        assert session.records.count() == 0


def test_an_ended_session_is_readable_and_closed(rt: Runtime) -> None:
    session = rt.create_session()
    session.records.put_many({"a": 1, "b": LARGE})
    session.suspend()
    with pytest.raises(InvalidSessionState):
        session.records.put("a", 2)
    session.complete()
    for write in (lambda: session.records.put("a", 2), lambda: session.records.delete("a")):
        with pytest.raises(InvalidSessionState):
            write()
    assert session.records.scan() == [(b"a", 1), (b"b", LARGE)]


def test_a_follower_reads_records(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        session.records.put_many({"a": 1, "b": LARGE})
        with Runtime.open(store_path, read_only=True) as follower:
            there = follower.session(session.id)
            assert there.records.scan() == [(b"a", 1), (b"b", LARGE)]
            assert there.records.count() == 2
            with pytest.raises(InvalidOperation):
                there.records.put("a", 2)


def test_a_session_reaches_its_descendants_records_and_nobody_elses(rt: Runtime) -> None:
    parent, other = rt.create_session(), rt.create_session()
    child = rt.create_session(parent=parent)
    for each in (parent, child, other):
        each.records.put("k", each.id)
    with acting(principal=parent.id):
        assert child.records.get("k") == child.id
        parent.records.put("k", "own")
        with pytest.raises(AccessDenied):
            other.records.get("k")
        with pytest.raises(AccessDenied):
            other.records.put("k", 1)
    with acting(principal=child.id), pytest.raises(AccessDenied):
        parent.records.scan()
    assert other.records.get("k") == other.id


def test_usage_counts_records(rt: Runtime) -> None:
    session = rt.create_session()
    session.records.put_many({"a": b"x" * 100, "b": LARGE})
    usage = rt.usage()
    share = usage.sessions[session.id]
    assert (share.items, share.logical_bytes) == (2, 100 + len(LARGE))
    assert usage.types["(records)"].items == usage.names["(records)"].items == 2
    assert share.unique_bytes > 100


def test_ten_thousand_records(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        session.records.put_many({b"%06d" % number: number for number in range(10_000)})
        for number in range(0, 10_000, 100):
            session.records.put(b"%06d" % number, LARGE[:number])
        assert session.records.count() == session.records.count(b"0") == 10_000
    with Runtime.open(store_path) as rt:
        session = rt.session(session.id)
        rows = session.records.scan(reverse=True)
        assert [key for key, _ in rows] == [b"%06d" % number for number in reversed(range(10_000))]
        assert all(value == (LARGE[: int(key)] if int(key) % 100 == 0 else int(key)) for key, value in rows)
        assert rt.verify().problems == []
        assert session.records.delete_prefix(b"00") == 10_000
        assert rt.verify().problems == []


def test_a_fork_says_what_it_cannot_have(rt: Runtime) -> None:
    session = rt.create_session()
    session.records.put_many({"stays": 1, "changes": "old", "goes": 2, "large": LARGE, "large and gone": LARGE + b"!"})
    at = session.info().sequence
    session.records.put_many({"changes": "new", "large": 3, "large and gone": 4})
    session.records.delete("goes")
    session.store_artifact("log", "keeps the content", LARGE)
    fork = session.fork(at)
    assert fork.records.scan() == [(b"large", LARGE), (b"stays", 1)]
    assert fork.records.count() == 2
    first = next(event for event in fork.events() if event.type == "session.forked")
    assert first.data["records_lost"] == {"count": 3, "keys": [b"changes", b"goes", b"large and gone"]}
    assert session.fork().records.scan() == session.records.scan()
    fork.records.put("changes", "own")
    assert session.records.get("changes") == "new"
    session.delete()
    assert fork.records.scan() == [(b"changes", "own"), (b"large", LARGE), (b"stays", 1)]
    assert rt.verify().problems == []


@pytest.mark.parametrize(("values", "version"), [({}, 1), ({"k": 1}, 2)])
def test_only_bundles_with_records_have_the_newer_format(
    rt: Runtime, tmp_path: Path, values: dict[str, int], version: int
) -> None:
    session = rt.create_session()
    session.records.put_many(values)
    session.export(tmp_path / "bundle")
    with tarfile.open(tmp_path / "bundle") as bundle:
        manifest = bundle.extractfile("manifest.json")
        assert manifest is not None
        assert json.loads(manifest.read())["version"] == version


def test_a_backup_has_the_records(rt: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    session.records.put_many({"a": 1, "b": LARGE})
    rt.backup(tmp_path / "backup")
    session.records.delete_prefix("")
    Runtime.restore(tmp_path / "backup", tmp_path / "store")
    with Runtime.open(tmp_path / "store") as restored:
        assert restored.session(session.id).records.scan() == [(b"a", 1), (b"b", LARGE)]
        assert restored.verify().problems == []


def test_redaction_cleans_values_and_leaves_keys() -> None:
    with Runtime.open(config={"redact": [r"sk-[a-z]+"]}) as rt:
        session = rt.create_session()
        value = {"key": "sk-secret", "n": 1}
        session.records.put_many({b"sk-key": b"sk-bytes", "value": value, "other": [1]})
        assert session.records.scan() == [
            (b"other", [1]),
            (b"sk-key", b"********"),
            (b"value", {"key": "[redacted]", "n": 1}),
        ]
        assert value["key"] == "sk-secret"
        assert session.records.count("sk-") == 1
        assert session.records.delete(b"sk-key") is True
