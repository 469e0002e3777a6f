"""An artifact that is written piece by piece is stored whole, or not at all."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import (
    ArtifactNotFound,
    InvalidOperation,
    InvalidSessionState,
    ResourceLimitExceeded,
    Runtime,
    Session,
    ValidationError,
)


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()


def test_what_was_written_is_stored_at_the_end_of_the_block(session: Session) -> None:
    with session.create_artifact("log", "run.log", tags=["t"], metadata={"step": 1}, label="v1") as log:
        assert log.write("grün\n") == 6
        log.write(bytearray(b"\xff"))
        log.write(memoryview(b"abc")[::1])
        assert log.tell() == 10
        with pytest.raises(ArtifactNotFound):
            session.get_artifact("run.log")
        with pytest.raises(InvalidOperation):
            _ = log.info
    artifact = session.get_artifact("run.log")
    assert artifact.content == "grün\n".encode() + b"\xffabc"
    assert artifact.info == log.info == log.close()
    assert (artifact.info.tags, artifact.info.custom, artifact.info.label) == (("t",), {"step": 1}, "v1")
    assert log.closed
    with pytest.raises(InvalidOperation):
        log.write("more")


def test_an_exception_in_the_block_leaves_nothing(rt: Runtime, session: Session) -> None:
    before = rt.stats()["artifacts"]
    with contextlib.suppress(KeyError), session.create_artifact("log", "run.log") as log:
        log.write(b"x" * (3 << 20))
        raise KeyError
    assert log.closed
    with pytest.raises(InvalidOperation):
        log.close()
    given_up = session.create_artifact("log", "run.log")
    given_up.write("x")
    given_up.abort()
    del given_up
    session.create_artifact("log", "run.log").write("never closed")
    assert session.list_artifacts().total == 0
    assert rt.stats()["artifacts"] == before


def test_what_refuses_the_artifact_leaves_nothing(rt: Runtime) -> None:
    session = rt.create_session(config={"max_storage_bytes": 2 << 20})
    with pytest.raises(ResourceLimitExceeded) as full, session.create_artifact("log", "large") as large:
        shutil.copyfileobj(io.BytesIO(b"x" * (4 << 20)), large, 1 << 20)
    assert full.value.fields == {"resource": "storage_bytes", "limit": 2 << 20, "value": 3 << 20}
    for wrong in ({"type": "x" * 65}, {"name": ""}, {"tags": ["x" * 65]}, {"mime_type": "none"}, {"on_progress": 1}):
        with pytest.raises(ValidationError):
            session.create_artifact(**{"type": "log", "name": "n", **wrong})  # type: ignore[arg-type]
    late = session.create_artifact("log", "late")
    session.complete()
    with pytest.raises(InvalidSessionState):
        late.close()
    assert session.list_artifacts().total == 0
    assert rt.verify().problems == []


@pytest.mark.parametrize("wrong", [1, None, ["x"], "\ud800"])
def test_only_text_and_bytes_can_be_written(session: Session, wrong: Any) -> None:
    with session.create_artifact("log", "n") as log:
        with pytest.raises(ValidationError):
            log.write(wrong)
        log.write(memoryview(b"abcd")[::2])
    assert session.get_artifact("n").content == b"ac"


def test_libraries_can_write_to_it(session: Session) -> None:
    with session.create_artifact("data", "a.json") as file:
        json.dump({"a": [1, 2]}, file)
    with session.create_artifact("data", "b.bin") as file:
        shutil.copyfileobj(io.BytesIO(b"x" * 100_000), file)
    assert json.loads(session.get_artifact("a.json").content) == {"a": [1, 2]}
    assert session.get_artifact("b.bin").info.size == 100_000
    assert session.get_artifact("a.json").info.mime_type == "application/json"


@settings(max_examples=10)
@given(parts=st.lists(st.binary(max_size=300_000), max_size=12))
def test_the_content_is_the_parts_in_their_order(parts: list[bytes]) -> None:
    with Runtime.open() as rt:
        session = rt.create_session()
        with session.create_artifact("log", "n") as log:
            for part in parts:
                log.write(part)
        whole = b"".join(parts)
        assert session.get_artifact("n").content == whole
        assert session.store_artifact("log", "n", whole).id.content_hash == log.info.id.content_hash


def test_little_of_it_is_in_memory(session: Session) -> None:
    block = bytes(range(256)) * 4096
    tracemalloc.start()
    try:
        with session.create_artifact("log", "large") as large:
            for number in range(48):
                large.write(block[number:] + block[:number])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert large.info.size == 48 << 20
    assert most < 24 << 20


def test_progress_is_that_of_storing(session: Session) -> None:
    seen: list[tuple[int, int | None]] = []
    with session.create_artifact("log", "n", on_progress=lambda done, total: seen.append((done, total))) as log:
        log.write(b"x" * 10)
        assert seen == []
    assert seen[-1] == (10, 10)
