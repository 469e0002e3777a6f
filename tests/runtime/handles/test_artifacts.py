"""Artifacts: named, versioned content that comes back as it was stored.

The file is long because storing, reading and versions are tested on the same contents.
"""

from __future__ import annotations

import array
import io
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from greenroom.runtime import (
    AccessDenied,
    ArtifactId,
    ArtifactInfo,
    ArtifactNotFound,
    ArtifactTooLarge,
    GreenroomError,
    ResourceLimitExceeded,
    Runtime,
    RuntimeConfig,
    Session,
    StorageError,
    ValidationError,
)

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


# -- storing and reading


def test_an_artifact_has_the_fields_it_was_given(session: Session) -> None:
    before = datetime.now(UTC)
    parent = session.store_artifact("prompt", "question", b"?").id
    info = session.store_artifact(
        "tool_output",
        "results.json",
        b"{}",
        description="what came out",
        tags=["t", "u", "t"],
        metadata={"step": "1", "nested": {"a": [1]}},
        created_by="worker",
        parent_artifact=parent,
        label="1.2.0",
    )
    assert info.id.content_hash == blake3(b"{}").hexdigest()
    assert (info.id.session_id, info.id.sequence) == (session.id, 2)
    assert (info.name, info.description, info.artifact_type) == ("results.json", "what came out", "tool_result")
    assert (info.mime_type, info.size, info.stored_size) == ("application/json", 2, 2)
    assert info.tags == ("t", "u")
    assert info.custom == {"step": "1", "nested": {"a": [1]}}
    assert (info.version, info.previous_hash) == (1, None)
    assert (info.created_by, info.parent_artifact, info.is_compressed) == ("worker", str(parent), False)
    assert info.label == "1.2.0"
    assert abs((info.created_at - before).total_seconds()) < 60
    assert session.get_artifact_info(info.id) == info
    artifact = session.get_artifact("results.json")
    assert artifact.info == info
    assert artifact.content == b"{}"
    row = info.to_dict()
    assert json.loads(json.dumps(row)) == row
    assert row["id"] == str(info.id)
    assert row["created_at"].endswith("Z")
    with pytest.raises(AttributeError):
        info.name = "x"  # type: ignore[misc]


SIZES = [
    0,
    1,
    10 * KIB,
    10 * KIB + 1,
    128 * KIB - 1,
    128 * KIB,
    128 * KIB + 1,
    700_000,
    4 * MIB,
    4 * MIB + 1,
    5_500_000,
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["noise", "text"])
def test_content_of_any_size_comes_back_however_it_is_given(rt: Runtime, size: int, kind: str) -> None:
    data = noise(size) if kind == "noise" else (b"all work and no play " * (size // 20 + 1))[:size]
    session = rt.create_session()
    infos = [
        session.store_artifact("x", "bytes", data),
        session.store_artifact("x", "memoryview", memoryview(data)),
        session.store_artifact("x", "stream", io.BytesIO(data)),
    ]
    assert len({info.id.content_hash for info in infos}) == 1
    assert {info.size for info in infos} == {size}
    assert len({info.stored_size for info in infos}) == 1
    assert len({info.mime_type for info in infos}) == 1
    assert rt.stats()["artifacts"]["contents"] == 1
    for info in infos:
        assert session.get_artifact(info.id).content == data
        with session.open_artifact(info.id) as stream:
            assert stream.read() == data
    if kind == "text" and size > 10 * KIB:
        assert infos[0].is_compressed
        assert infos[0].stored_size < size // 2
    if kind == "noise" or size <= 10 * KIB:
        assert not infos[0].is_compressed
    assert rt.verify().ok


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("grüße", "grüße".encode()),
        ("", b""),
        ("\ud800", b"\xed\xa0\x80"),
        (bytearray(b"abc"), b"abc"),
        (memoryview(b""), b""),
        (memoryview(b"abcdef")[::2], b"ace"),
        (memoryview(b"abcdef")[3:3], b""),
        (memoryview(array.array("H", [1, 2, 3])), array.array("H", [1, 2, 3]).tobytes()),
        (memoryview(array.array("I")), b""),
        (memoryview(bytes(range(6))).cast("B", (2, 3)), bytes(range(6))),
    ],
    ids=lambda value: f"{type(value).__name__} {repr(value).partition(' at 0x')[0]}",
)
def test_text_and_every_kind_of_buffer_can_be_stored(session: Session, content: Any, stored: bytes) -> None:
    info = session.store_artifact("x", "a", content)
    assert info.size == len(stored)
    assert session.get_artifact("a").content == stored


def test_a_buffer_may_be_reused_after_storing(session: Session) -> None:
    for size in (100, 300_000):
        buffer = bytearray(noise(size))
        expected = bytes(buffer)
        info = session.store_artifact("x", f"n{size}", memoryview(buffer))
        buffer[:] = bytes(size)
        assert session.get_artifact(info.id).content == expected


def test_an_artifact_is_named_by_id_by_its_text_or_by_name(session: Session) -> None:
    first = session.store_artifact("x", "a", b"one")
    second = session.store_artifact("x", "a", b"two")
    for ref, content in ((first.id, b"one"), (str(first.id), b"one"), ("a", b"two"), (second.id, b"two")):
        assert session.get_artifact(ref).content == content
    assert session.get_artifact("a", version=1).content == b"one"
    assert session.get_artifact("a", version=2).content == b"two"
    assert session.get_artifact("a", version="latest").content == b"two"
    assert ArtifactId.parse(str(first.id)) == first.id


def test_a_version_beside_an_id_must_be_that_of_the_id(session: Session) -> None:
    old = session.store_artifact("log", "n", b"1", label="first").id
    new = session.store_artifact("log", "n", b"2").id
    assert [session.get_artifact_info(old, each).id for each in (1, "first")] == [old, old]
    assert [session.get_artifact_info(str(new), each).id for each in (2, "latest")] == [new, new]
    for version in (2, "latest", "second", 9):
        with pytest.raises(ValidationError, match="the id of version 1") as caught:
            session.delete_artifact(old, version)
        assert caught.value.field == "version"
    assert session.get_artifact(old).content == b"1"


def test_what_is_not_there_is_not_found(rt: Runtime, session: Session) -> None:
    info = session.store_artifact("x", "a", b"content")
    other = rt.create_session()
    foreign = other.store_artifact("x", "b", b"content").id
    missing: list[tuple[Any, Any]] = [
        ("b", None),
        ("A", None),
        ("", None),
        ("a", 2),
        ("b", 1),
        ("a", "first"),
        ("a", "first\x00"),
        (ArtifactId(info.id.content_hash, session.id, 2), None),
        (ArtifactId("0" * 64, session.id, 1), None),
        ("x" * 10_000, None),
        ("a\x00", None),
        ("a\x00\x00\x00", None),
        ("a\x00\x00\x00\x00\x01", None),
    ]
    for ref, version in missing:
        for use in (
            session.get_artifact,
            session.get_artifact_info,
            session.open_artifact,
            session.delete_artifact,
        ):
            with pytest.raises(GreenroomError) as caught:
                use(ref, version)
            assert caught.value.code in ("ArtifactNotFound", "ValidationError")
    for foreign_id in (foreign, str(foreign)):
        with pytest.raises(AccessDenied):  # nobody shares it with this session
            session.get_artifact(foreign_id)
    with pytest.raises(ArtifactNotFound):
        session.save_artifact("b", "/nowhere")
    for version in (0, -1, "1", 1.5, True, [1]):
        with pytest.raises(ValidationError) as caught:
            session.get_artifact("a", version)  # type: ignore[arg-type]
        assert caught.value.fields["field"] == "version"
    assert session.artifact_versions("b") == []
    assert session.get_artifact("a").content == b"content"


def test_the_error_for_a_missing_artifact_names_the_session_only(session: Session) -> None:
    with pytest.raises(ArtifactNotFound) as caught:
        session.get_artifact("a", 3)
    assert session.id in str(caught.value)
    assert "3" in str(caught.value)
    assert caught.value.fields["artifact"] == "a"


# -- versions


def test_the_same_name_makes_the_next_version(session: Session) -> None:
    infos = [session.store_artifact("x", "a", content) for content in (b"1", b"2", b"2", b"1")]
    assert [info.version for info in infos] == [1, 2, 3, 4]
    assert [info.id.sequence for info in infos] == [1, 2, 3, 4]
    assert [info.previous_hash for info in infos] == [
        None,
        infos[0].id.content_hash,
        infos[1].id.content_hash,
        infos[2].id.content_hash,
    ]
    assert session.artifact_versions("a") == infos
    other = session.store_artifact("x", "ab", b"1")
    assert (other.version, other.id.sequence) == (1, 5)
    assert session.artifact_versions("a") == infos


def test_a_version_number_never_means_two_things(session: Session) -> None:
    for content in (b"1", b"2", b"3"):
        session.store_artifact("x", "a", content)
    session.delete_artifact("a")
    assert session.get_artifact("a").info.version == 2
    info = session.store_artifact("x", "a", b"4")
    assert info.version == 4
    assert info.previous_hash == blake3(b"2").hexdigest()
    for version in (1, 2, 4):
        session.delete_artifact("a", version)
    assert session.artifact_versions("a") == []
    with pytest.raises(ArtifactNotFound):
        session.get_artifact("a")
    again = session.store_artifact("x", "a", b"5")
    assert (again.version, again.id.sequence, again.previous_hash) == (5, 5, None)


def test_versions_survive_reopening(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        for number in range(300):
            session.store_artifact("x", "a", str(number))
        session.delete_artifact("a", 300)
    with Runtime.open(store_path) as rt:
        session = rt.session(session.id)
        assert session.store_artifact("x", "a", b"next").version == 301
        assert session.get_artifact("a", 256).content == b"255"
        assert len(session.artifact_versions("a")) == 300


# -- listing


def test_artifacts_are_listed_in_the_order_of_storing(session: Session) -> None:
    infos = [session.store_artifact("x", f"n{number % 3}", str(number)) for number in range(10)]
    page = session.list_artifacts()
    assert list(page) == infos
    assert (page.total, page.has_more) == (10, False)
    page = session.list_artifacts(limit=3, offset=4)
    assert list(page) == infos[4:7]
    assert (page.total, page.offset, page.limit, page.has_more) == (10, 4, 3, True)
    assert list(session.list_artifacts(limit=0)) == []
    assert list(session.list_artifacts(offset=99)) == []
    session.delete_artifact(infos[4].id)
    page = session.list_artifacts(limit=3, offset=3)
    assert list(page) == [infos[3], infos[5], infos[6]]
    assert page.total == 9


def test_the_session_counts_its_artifacts(session: Session) -> None:
    first = session.store_artifact("x", "a", b"12345")
    session.store_artifact("x", "a", b"12345")
    info = session.info()
    assert (info.artifact_count, info.total_artifact_size) == (2, 10)
    session.delete_artifact(first.id)
    info = session.info()
    assert (info.artifact_count, info.total_artifact_size) == (1, 5)


# -- limits, each its own error


def test_every_limit_has_its_own_error() -> None:
    config = RuntimeConfig(max_artifact_bytes=1000, max_artifact_name=20)
    with Runtime.open(config=config) as rt:
        session = rt.create_session(config={"max_storage_bytes": 300_000, "max_artifacts": 3})
        with pytest.raises(ArtifactTooLarge) as caught:
            session.store_artifact("x", "a", b"x" * 1001)
        assert caught.value.fields == {"size": 1001, "limit": 1000}
        assert session.store_artifact("x", "a", b"x" * 1000).size == 1000
        assert session.store_artifact("x", "b", io.BytesIO(b"x" * 1001)).size == 1001  # a stream may be longer
        with pytest.raises(ValidationError) as refused:
            session.store_artifact("x", "n" * 21, b"")
        assert refused.value.fields["field"] == "name"
        session.store_artifact("x", "n" * 20, b"")
        with pytest.raises(ResourceLimitExceeded) as exceeded:
            session.store_artifact("x", "d", b"")
        assert exceeded.value.fields["resource"] == "artifacts"
        session.delete_artifact("a")
        for content in (io.BytesIO(noise(299_000)), io.BytesIO(noise(300_001)), io.BytesIO(noise(5 * MIB))):
            with pytest.raises(ResourceLimitExceeded) as exceeded:
                session.store_artifact("x", "d", content)
            assert exceeded.value.fields["resource"] == "storage_bytes"
            assert exceeded.value.fields["limit"] == 300_000
            assert exceeded.value.fields["value"] > 300_000
        assert session.store_artifact("x", "d", io.BytesIO(noise(298_000))).size == 298_000
        assert rt.stats()["artifacts"]["contents"] == 3
        assert rt.verify().ok


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 255, "a/b c.txt", "😀", "..", "ˈ"])
def test_names_may_be_anything_printable(session: Session, name: str) -> None:
    session.store_artifact("x", name, b"content")
    assert session.get_artifact(name).content == b"content"


@pytest.mark.parametrize("name", ["", "a" * 256, "a\nb", "a\x00", "\x7f", "\x85", None, 7])
def test_names_without_sense_are_refused(session: Session, name: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        session.store_artifact("x", name, b"content")
    assert caught.value.fields["field"] == "name"
    assert session.list_artifacts().total == 0


# -- files


def test_a_file_goes_in_and_comes_out(session: Session, tmp_path: Path) -> None:
    for size in (0, 5_000, 400_000):
        data = noise(size)
        source, target = tmp_path / f"source-{size}.png", tmp_path / "target"
        source.write_bytes(data)
        info = session.store_file(source, tags=["file"], metadata={"a": 1})
        assert (info.name, info.artifact_type, info.size) == (source.name, "user_input", size)
        assert (info.mime_type, info.tags, info.custom) == ("image/png", ("file",), {"a": 1})
        assert session.save_artifact(info.id, target) == size
        assert target.read_bytes() == data
    renamed = session.store_file(str(source), "tool_result", name="other.txt")
    assert (renamed.name, renamed.artifact_type, renamed.mime_type) == ("other.txt", "tool_result", "text/plain")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "source-0.png",
        "source-400000.png",
        "source-5000.png",
        "target",
    ]


def test_a_file_that_cannot_be_read_or_written_is_a_storage_error(session: Session, tmp_path: Path) -> None:
    session.store_artifact("x", "a", noise(300_000))
    for source in (tmp_path / "missing", tmp_path):
        with pytest.raises(StorageError) as caught:
            session.store_file(source)
        assert caught.value.fields["path"] == str(source)
    for target in (tmp_path / "no" / "such" / "directory", tmp_path):
        with pytest.raises(StorageError) as caught:
            session.save_artifact("a", target)
        assert caught.value.fields["path"] == str(target)
    assert list(tmp_path.iterdir()) == []
    assert session.info().artifact_count == 1


def test_a_failed_saving_leaves_the_old_file(session: Session, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old")
    with pytest.raises(ArtifactNotFound):
        session.save_artifact("a", target)
    assert target.read_text() == "old"


# -- streams out


def test_a_stream_seeks_and_reads_lines(session: Session) -> None:
    data = b"".join(b"line %d\n" % number for number in range(60_000))
    session.store_artifact("x", "log.txt", data)
    with session.open_artifact("log.txt") as stream:
        assert stream.readline() == b"line 0\n"
        assert stream.seek(-8, io.SEEK_END) == len(data) - 8
        assert stream.read() == data[-8:]
        assert stream.read() == b""
        stream.seek(0)
        assert sum(1 for _ in stream) == 60_000
        stream.seek(300_000)
        assert stream.read(50) == data[300_000:300_050]
        assert stream.tell() == 300_050
        text = io.TextIOWrapper(stream, encoding="utf-8")
        text.seek(0)
        assert text.readline() == "line 0\n"


def test_several_streams_of_one_artifact_do_not_disturb_each_other(session: Session) -> None:
    data = noise(500_000)
    session.store_artifact("x", "a", data)
    one, other = session.open_artifact("a"), session.open_artifact("a")
    assert one.read(100_000) == data[:100_000]
    assert other.read(200_000) == data[:200_000]
    assert one.read() == data[100_000:]
    assert other.read() == data[200_000:]


# -- deleting


def test_deleting_takes_the_content_that_nobody_else_uses(rt: Runtime, session: Session) -> None:
    other = rt.create_session()

    def contents() -> int:
        found: int = rt.stats()["artifacts"]["contents"]
        return found

    for data in (b"small", noise(300_000)):
        session.store_artifact("x", "a", data)
        session.store_artifact("x", "a", data)
        other.store_artifact("x", "b", data)
        assert contents() == 1
        session.delete_artifact("a")
        session.delete_artifact("a")
        assert contents() == 1
        assert other.get_artifact("b").content == data
        other.delete_artifact("b", version=other.get_artifact_info("b").version)
        assert contents() == 0
        assert rt.stats()["artifacts"]["stored_bytes"] == 0
    assert rt.verify().ok


def test_space_is_given_back_by_compacting(rt: Runtime, session: Session) -> None:
    for number in range(10):
        session.store_artifact("x", f"n{number}", noise(1 * MIB, number))
    rt.compact()
    full = rt.stats()["disk_bytes"]
    assert full > 10 * MIB
    session.delete()
    rt.compact()
    assert rt.stats()["disk_bytes"] < full - 9 * MIB


def test_a_deleted_artifact_is_not_found_again(session: Session) -> None:
    info = session.store_artifact("x", "a", b"content")
    assert session.get_artifact("a").content == b"content"  # now in the cache
    session.delete_artifact(info.id)
    for ref in (info.id, str(info.id), "a"):
        with pytest.raises(ArtifactNotFound):
            session.get_artifact(ref)
        with pytest.raises(ArtifactNotFound):
            session.delete_artifact(ref)


def test_reading_what_is_being_deleted_is_not_found_rather_than_damaged(rt: Runtime, session: Session) -> None:
    """The reply to a read is worked out after the session has gone on; here a deletion comes between."""
    from greenroom.runtime import messages

    for data in (b"small", noise(400_000)):
        session.store_artifact("x", "a", data)
        actor = rt._supervisor.residents()[0]
        reading = actor.actor_ref.ask(messages.GetArtifact("a"), block=False)
        rt.ask(session.id, messages.Finish())
        stream = session.open_artifact("a")
        session.delete_artifact("a")
        with pytest.raises(ArtifactNotFound):
            reading.get(timeout=10)
        if len(data) > 1000:
            with pytest.raises(ArtifactNotFound):
                stream.read()


# -- the cache


@pytest.fixture
def cached() -> Iterator[Session]:
    with Runtime.open(config=RuntimeConfig(artifact_cache_bytes=1000)) as runtime:
        yield runtime.create_session()


def test_the_cache_is_bounded_and_can_be_turned_off(cached: Session) -> None:
    for number in range(20):
        cached.store_artifact("x", f"n{number}", bytes([number]) * 200)
        cached.get_artifact(f"n{number}")
        assert cached._runtime.stats()["cache"]["bytes"] <= 1000
    hits = cached._runtime.stats()["cache"]["hits"]
    cached.get_artifact("n19")
    assert cached._runtime.stats()["cache"]["hits"] == hits + 1
    with Runtime.open(config=RuntimeConfig(artifact_cache_bytes=0)) as rt:
        session = rt.create_session()
        session.store_artifact("x", "a", b"content")
        assert session.get_artifact("a").content == session.get_artifact("a").content == b"content"
        assert rt.stats()["cache"] == {"bytes": 0, "hits": 0, "misses": 2}


def test_infos_are_values(session: Session) -> None:
    info = session.store_artifact("x", "a", b"content", tags=["t"])
    assert info == session.get_artifact_info("a")
    assert isinstance(info, ArtifactInfo)
    assert isinstance(info.tags, tuple)
