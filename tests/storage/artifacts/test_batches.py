"""Many artifacts at once: stored in one write or not at all, read with what can be read."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    ArtifactId,
    ArtifactNotFound,
    ArtifactTooLarge,
    IntegrityError,
    InvalidSessionState,
    ResourceLimitExceeded,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
    messages,
)
from greenroom.storage.engine.engine import CF

from ...warm import run_warm


def leftovers(rt: Runtime) -> list[bytes]:
    """Marks of content that nothing has completed."""
    return rt._store.contents.pending_blobs()


def test_a_batch_is_one_write_of_all_in_their_order(rt: Runtime, session: Session) -> None:
    before, commits = session.info(), rt.stats()["commits"]
    infos = session.store_many(
        [
            {"type": "tool_result", "name": "a", "content": "one", "tags": ["x"], "metadata": {"n": 1}},
            {"type": "log", "name": "b", "content": b"two", "description": "second"},
            messages.StoreArtifact("log", "c", io.BytesIO(b"three" * 100_000)),
        ]
    )
    assert rt.stats()["commits"] == commits + 1
    assert [info.name for info in infos] == ["a", "b", "c"]
    assert [info.id.sequence for info in infos] == [1, 2, 3]
    assert infos == list(session.list_artifacts())
    after = session.info()
    assert (after.sequence, after.artifact_count, after.operation_count) == (
        before.sequence + 3,
        3,
        before.operation_count + 1,
    )
    assert [event.data["name"] for event in session.events(after=before.sequence)] == ["a", "b", "c"]
    assert [session.get_artifact(info.id).content for info in infos] == [b"one", b"two", b"three" * 100_000]
    assert session.query_artifacts(tags=["x"]).total == 1
    assert rt.verify().ok
    assert leftovers(rt) == []


def test_the_same_name_in_a_batch_makes_versions(session: Session) -> None:
    session.store_artifact("log", "a", "0")
    infos = session.store_many([{"type": "log", "name": "a", "content": str(n)} for n in (1, 2)])
    assert [info.version for info in infos] == [2, 3]
    assert infos[1].previous_hash == infos[0].id.content_hash
    assert [info.version for info in session.artifact_versions("a")] == [1, 2, 3]
    assert session.get_artifact("a").content == b"2"


@pytest.mark.parametrize("size", [10, 100_000, 1_000_000])
def test_the_same_content_in_a_batch_is_stored_once(rt: Runtime, session: Session, size: int) -> None:
    content = os.urandom(size)
    session.store_many(
        [
            {"type": "log", "name": "a", "content": content},
            {"type": "log", "name": "b", "content": content},
            {"type": "log", "name": "c", "content": io.BytesIO(content)},
        ]
    )
    artifacts = rt.stats()["artifacts"]
    assert (artifacts["count"], artifacts["contents"], artifacts["unique_bytes"]) == (3, 1, size)
    assert artifacts["stored_bytes"] <= size + 100
    session.store_many([{"type": "log", "name": "d", "content": content}])
    assert rt.stats()["artifacts"]["stored_bytes"] == artifacts["stored_bytes"]
    for name in "abcd":
        assert session.get_artifact(name).content == content
    assert leftovers(rt) == []
    assert rt.verify().ok
    session.delete()
    assert rt.stats()["artifacts"]["contents"] == 0
    assert rt.verify().ok


def test_a_large_batch_is_written_ahead_in_parts(rt: Runtime, session: Session) -> None:
    contents = [os.urandom(100_000) for _ in range(120)]
    session.store_many([{"type": "log", "name": f"{n}", "content": each} for n, each in enumerate(contents)])
    assert [session.get_artifact(f"{n}").content for n in range(120)] == contents
    assert rt.verify().ok
    assert leftovers(rt) == []


def test_an_empty_batch_changes_nothing(session: Session) -> None:
    before = session.info()
    assert session.store_many([]) == []
    assert session.info() == before


LARGE = b"large" * 100_000


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"type": "log", "name": "b\n", "content": "x"}, ValidationError),
        ({"type": "log", "name": "b" * 300, "content": "x"}, ValidationError),
        ({"type": "log", "name": "b"}, ValidationError),
        ({"kind": "log", "name": "b", "content": "x"}, ValidationError),
        ({"type": "log", "name": "b", "content": io.StringIO("text")}, ValidationError),
        (7, ValidationError),
        ({"type": "log", "name": "b", "content": b"x" * 600_001}, ArtifactTooLarge),
        ({"type": "log", "name": "b", "content": io.BytesIO(b"x" * 2_000_000)}, ResourceLimitExceeded),
    ],
)
def test_one_that_cannot_be_stored_keeps_all_from_it(bad: Any, error: type[Exception]) -> None:
    with Runtime.open(config={"max_artifact_bytes": 600_000}) as rt:
        session = rt.create_session(config={"max_storage_bytes": 1_500_000})
        before = session.info()
        good = {"type": "log", "name": "a", "content": io.BytesIO(LARGE)}
        with pytest.raises(error):
            session.store_many([good, bad])
        assert session.info() == before
        assert leftovers(rt) == []
        assert rt.stats()["artifacts"]["contents"] == 0
        assert rt.verify().ok


def test_limits_hold_for_the_whole_batch(rt: Runtime) -> None:
    session = rt.create_session(config={"max_artifacts": 4, "max_storage_bytes": 1000})
    session.store_artifact("log", "first", b"x" * 100)
    before = session.info()
    for batch in (
        [{"type": "log", "name": f"{n}", "content": "x"} for n in range(4)],
        [{"type": "log", "name": f"{n}", "content": "x"} for n in range(5)],
        [{"type": "log", "name": f"{n}", "content": b"x" * 301} for n in range(3)],
        [{"type": "log", "name": f"{n}", "content": io.BytesIO(b"x" * 301)} for n in range(3)],
        [{"type": "log", "name": f"{n}", "content": b"x" * 600} for n in range(2)],
    ):
        with pytest.raises(ResourceLimitExceeded):
            session.store_many(batch)
        assert session.info() == before
    assert len(session.store_many([{"type": "log", "name": f"{n}", "content": b"x" * 300} for n in range(3)])) == 3
    assert rt.verify().ok


def test_only_an_active_session_takes_a_batch(rt: Runtime, session: Session) -> None:
    session.suspend()
    with pytest.raises(InvalidSessionState):
        session.store_many([{"type": "log", "name": "a", "content": io.BytesIO(LARGE)}])
    assert leftovers(rt) == []
    assert rt.stats()["artifacts"]["contents"] == 0


def test_a_batch_can_be_told(rt: Runtime, session: Session) -> None:
    rt.tell(session.id, messages.StoreMany([{"type": "log", "name": "a", "content": LARGE}]))
    assert rt.ask(session.id, messages.Finish()) is None
    assert session.get_artifact("a").content == LARGE


KILLED = """
import os, signal, sys
from greenroom.runtime import Runtime
rt = Runtime.open(sys.argv[1])
session = rt.session(sys.argv[2])
engine = rt._store.engine
write, count, before, after = engine.write, 0, int(sys.argv[3]), int(sys.argv[4])
def counted(ops, *rest):
    global count
    count += 1
    if count == before:
        os.kill(os.getpid(), signal.SIGKILL)
    done = write(ops, *rest)
    if count == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
engine.write = counted
large = bytes(range(256)) * 2000
items = [{"type": "log", "name": f"{n}", "content": large + bytes([n]) if n % 2 else f"{n}"} for n in range(6)]
session.store_many(items)
"""


# Three writes ahead, for the large ones, and then the batch.
@pytest.mark.parametrize(
    ("before", "after", "survives"), [(1, 0, False), (3, 0, False), (0, 3, False), (4, 0, False), (0, 4, True)]
)
def test_a_batch_survives_a_kill_whole_or_not_at_all(store_path: Path, before: int, after: int, survives: bool) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
    command = [sys.executable, "-c", KILLED, str(store_path), session.id, str(before), str(after)]
    done = run_warm(command, env=dict(os.environ), timeout=60)
    assert done.returncode == -signal.SIGKILL
    with Runtime.open(store_path) as rt:
        session = rt.session(session.id)
        assert len(session.list_artifacts()) == (6 if survives else 0)
        assert session.query_artifacts(artifact_type="log", limit=10).total == (6 if survives else 0)
        assert leftovers(rt) == []
        assert rt.verify().ok
        if not survives:
            assert rt.stats()["artifacts"]["contents"] == 0


def test_what_can_be_read_is_read_and_the_rest_says_why(rt: Runtime, session: Session) -> None:
    small = session.store_artifact("log", "small", "s")
    large = session.store_artifact("log", "large", LARGE)
    gone = session.store_artifact("log", "gone", "g")
    session.delete_artifact("gone")
    other = rt.create_session().store_artifact("log", "other", "o")
    damaged = session.store_artifact("log", "damaged", "d")
    digest = bytes.fromhex(damaged.id.content_hash)
    rt._store.engine.write([(CF.CHUNKS, b"\0" + digest, b"\0?")])
    odd = ArtifactId("x", session.id, -1)
    found = session.get_many([small.id, "large", str(gone.id), other.id, damaged.id, "nobody", odd, "", small.id])
    assert {key: artifact.content for key, artifact in found.results.items()} == {small.id: b"s", "large": LARGE}
    assert {key: type(error) for key, error in found.errors.items()} == {
        str(gone.id): ArtifactNotFound,
        other.id: AccessDenied,
        damaged.id: IntegrityError,
        "nobody": ArtifactNotFound,
        odd: ValidationError,
        "": ValidationError,
    }
    everywhere = rt.get_many([small.id, str(other.id), "a name", ArtifactId(small.id.content_hash, "x", 1), large.id])
    assert {artifact.info.name for artifact in everywhere.results.values()} == {"small", "large", "other"}
    assert len(everywhere.errors) == 2
    for wrong in ("small", 7, [7], [None]):
        with pytest.raises(ValidationError):
            session.get_many(wrong)  # type: ignore[arg-type]
    session.delete()
    with pytest.raises(SessionNotFound):
        session.get_many([small.id])
    assert isinstance(rt.get_many([small.id]).errors[small.id], SessionNotFound)
