"""Content is stored once, stays while anybody refers to it, and leaves nothing behind when it goes or never came."""

from __future__ import annotations

import io
import random
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from greenroom.runtime import (
    InvalidSessionState,
    ResourceLimitExceeded,
    Runtime,
    RuntimeConfig,
    Session,
    ValidationError,
)
from greenroom.storage.content.chunks import read_chunks
from greenroom.storage.engine.engine import CF

MIB = 1 << 20
CONTENT_FAMILIES = (CF.CONTENTS, CF.CHUNKS, CF.MANIFESTS, CF.REFERENCES)


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def stored(rt: Runtime) -> dict[str, list[tuple[bytes, bytes]]]:
    """All that the store has of content, and the marks of content that is not complete."""
    engine = rt._store.engine
    found = {CF.NAMES[cf]: engine.scan(cf, b"", b"\xff" * 80) for cf in CONTENT_FAMILIES}
    found["pending"] = engine.scan(CF.META, b"pending/", b"pending0")
    return found


NOTHING = {"contents": [], "chunks": [], "manifests": [], "references": [], "pending": []}


class Breaks(io.RawIOBase):
    """A stream that fails after so many bytes."""

    class Unplugged(Exception):
        pass

    def __init__(self, data: bytes, after: int) -> None:
        self._data = io.BytesIO(data)
        self._after = after

    def read(self, size: int = -1) -> bytes:
        if self._data.tell() >= self._after:
            raise self.Unplugged("somebody pulled the plug")
        return self._data.read(min(size, self._after - self._data.tell()))


# -- stored once


@pytest.mark.parametrize("size", [100, 100_000, 300_000, 5 * MIB])
def test_known_content_is_not_written_again(rt: Runtime, size: int) -> None:
    data = noise(size)
    one, other = rt.create_session(), rt.create_session()
    one.store_artifact("x", "a", data)
    before = stored(rt)
    one.store_artifact("x", "a", data)
    other.store_artifact("x", "b", io.BytesIO(data))
    other.store_artifact("x", "b", memoryview(data))
    after = stored(rt)
    for family in ("contents", "chunks", "manifests", "pending"):
        assert after[family] == before[family]
    assert len(after["references"]) == len(before["references"]) + 3
    stats = rt.stats()["artifacts"]
    assert (stats["count"], stats["contents"], stats["unique_bytes"], stats["logical_bytes"]) == (
        4,
        1,
        size,
        4 * size,
    )


@pytest.mark.parametrize("size", [600_000, 6 * MIB])
def test_the_next_version_of_a_large_text_costs_its_changes(rt: Runtime, size: int) -> None:
    session = rt.create_session()
    first = noise(size)
    session.store_artifact("x", "a", first)
    before = rt.stats()["artifacts"]["stored_bytes"]
    chunks = len(stored(rt)["chunks"])
    second = first[: size // 3] + b"an inserted line\n" + first[size // 3 :] + b"and one at the end\n"
    session.store_artifact("x", "a", io.BytesIO(second))
    assert len(stored(rt)["chunks"]) - chunks <= 6
    assert rt.stats()["artifacts"]["stored_bytes"] - before < size // 2
    session.delete_artifact("a", 1)
    assert session.get_artifact("a").content == second
    assert len(stored(rt)["chunks"]) == len({blake3(chunk).digest() for chunk in read_chunks(second)})
    session.delete_artifact("a")
    assert stored(rt) == NOTHING


def test_many_threads_storing_the_same_content_store_it_once(rt: Runtime) -> None:
    contents = [noise(50, 1), noise(200_000, 2), noise(200_000, 2) + b"more"]
    sessions = [rt.create_session() for _ in range(8)]
    start = threading.Barrier(8)
    failures: list[BaseException] = []

    def work(session: Session) -> None:
        try:
            start.wait(10)
            for number in range(6):
                for at, content in enumerate(contents):
                    data: Any = io.BytesIO(content) if number % 2 else content
                    session.store_artifact("x", f"n{at}", data)
                    if number:
                        session.delete_artifact(f"n{at}", number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert rt.stats()["artifacts"]["contents"] == 3
    assert stored(rt)["pending"] == []
    for session in sessions:
        for at, content in enumerate(contents):
            assert session.get_artifact(f"n{at}").content == content
    assert rt.verify().ok
    for session in sessions:
        session.delete()
    assert stored(rt) == NOTHING


# -- what never came leaves nothing behind


@pytest.mark.parametrize("after", [0, 1, 1000, 128 << 10, 300_000, 1 * MIB, 2_500_000, 4 * MIB + 1, 5 * MIB, 6_000_000])
def test_a_stream_that_breaks_leaves_nothing(rt: Runtime, after: int) -> None:
    session = rt.create_session()
    with pytest.raises(Breaks.Unplugged):
        session.store_artifact("x", "a", Breaks(noise(7 * MIB), after))  # type: ignore[arg-type]
    assert stored(rt) == NOTHING
    assert session.info().sequence == 1
    assert session.store_artifact("x", "a", b"goes on").version == 1


def test_a_stream_that_breaks_leaves_what_it_shares_with_others(rt: Runtime) -> None:
    session = rt.create_session()
    data = noise(6 * MIB)
    session.store_artifact("x", "a", data)
    before = stored(rt)
    with pytest.raises(Breaks.Unplugged):
        session.store_artifact("x", "b", Breaks(data[: 5 * MIB] + noise(2 * MIB, 2), 6 * MIB))  # type: ignore[arg-type]
    assert stored(rt) == before
    assert session.get_artifact("a").content == data


@pytest.mark.parametrize("size", [200_000, 3 * MIB])
def test_content_that_is_refused_leaves_nothing(rt: Runtime, size: int) -> None:
    suspended = rt.create_session()
    suspended.suspend()
    full = rt.create_session(config={"max_artifacts": 0})
    small = rt.create_session(config={"max_storage_bytes": size - 1})
    for content in (noise(size), io.BytesIO(noise(size))):
        with pytest.raises(InvalidSessionState):
            suspended.store_artifact("x", "a", content)
    for content in (noise(size), io.BytesIO(noise(size))):
        with pytest.raises(ResourceLimitExceeded):
            full.store_artifact("x", "a", content)
    for content in (noise(size), io.BytesIO(noise(size))):
        with pytest.raises(ResourceLimitExceeded):
            small.store_artifact("x", "a", content)
    with pytest.raises(ValidationError):
        small.store_artifact("x", "a", io.StringIO("text"))  # type: ignore[arg-type]
    assert stored(rt) == NOTHING


def test_a_told_message_that_is_refused_leaves_nothing(rt: Runtime) -> None:
    from greenroom.runtime import messages

    session = rt.create_session()
    session.suspend()
    for content in (b"small", noise(300_000)):
        rt.tell(session.id, messages.StoreArtifact("x", "a", content))
        rt.tell(session.id, messages.AddMessage("user", content.hex()))
    rt.ask(session.id, messages.Finish())
    rt.ask(session.id, messages.Finish())
    assert stored(rt) == NOTHING


class Halts(io.RawIOBase):
    """A stream that stops half way until it is let go."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = io.BytesIO(data)
        self._at = at
        self.reached, self.go_on = threading.Event(), threading.Event()

    def read(self, size: int = -1) -> bytes:
        if self._data.tell() >= self._at:
            self.reached.set()
            assert self.go_on.wait(20)
        return self._data.read(size)


def test_a_process_that_dies_in_the_middle_of_a_stream_leaves_nothing_after_opening(
    store_path: Path, tmp_path: Path
) -> None:
    data, copy = noise(7 * MIB), tmp_path / "copy"
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        session.store_artifact("x", "kept", data[: 2 * MIB])
        before = stored(rt)
        source = Halts(data, 6 * MIB)
        thread = threading.Thread(target=session.store_artifact, args=("x", "a", source))
        thread.start()
        assert source.reached.wait(20)
        assert stored(rt)["pending"] != []
        assert session.get("answers", "at once") == "at once"  # storing holds no session up
        shutil.copytree(store_path, copy, ignore=shutil.ignore_patterns("LOCK"))
        source.go_on.set()
        thread.join(20)
        assert session.get_artifact("a").content == data
        assert stored(rt)["pending"] == []
    with Runtime.open(copy) as rt:
        assert stored(rt) == before
        again = rt.session(session.id)
        assert [info.name for info in again.list_artifacts()] == ["kept"]
        assert again.get_artifact("kept").content == data[: 2 * MIB]
        assert rt.verify().ok


# -- any order of storing and deleting

COMMON = noise(400_000, 3)
POOL = [
    b"",
    b"small",
    noise(20_000, 4),
    COMMON,
    COMMON + b"longer",
    b"shifted" + COMMON,
    COMMON[:200_000],
    bytes(300_000),
    bytes(400_000),
]


SETTINGS = settings(max_examples=15, stateful_step_count=15, report_multiple_bugs=False)


class ContentMachine(RuleBasedStateMachine):
    """Sessions that store, delete and disappear, beside a plain list of what is stored."""

    artifacts = Bundle("artifacts")
    runtime: Runtime

    def __init__(self) -> None:
        super().__init__()
        self.sessions = [self.runtime.create_session() for _ in range(2)]
        self.kept: dict[tuple[int, int], bytes] = {}
        self.held: list[bytes] = []  # by messages, until their session is deleted
        self.said: list[list[bytes]] = [[], []]

    @rule(target=artifacts, session=st.integers(0, 1), content=st.sampled_from(range(len(POOL))), stream=st.booleans())
    def store(self, session: int, content: int, stream: bool) -> tuple[int, int]:
        data = POOL[content]
        info = self.sessions[session].store_artifact("x", f"n{content % 2}", io.BytesIO(data) if stream else data)
        self.kept[session, info.id.sequence] = data
        return session, info.id.sequence

    @rule(artifact=consumes(artifacts))
    def delete(self, artifact: tuple[int, int]) -> None:
        if artifact not in self.kept:
            return
        session, sequence = artifact
        (ref,) = [info.id for info in self.sessions[session].list_artifacts() if info.id.sequence == sequence]
        self.sessions[session].delete_artifact(ref)
        del self.kept[artifact]

    @rule(session=st.integers(0, 1), content=st.sampled_from([2, 7]))
    def say(self, session: int, content: int) -> None:
        text = POOL[content].hex()
        self.sessions[session].add_message("user", text)
        self.said[session].append(text.encode())

    @rule(session=st.integers(0, 1))
    def begin_again(self, session: int) -> None:
        self.sessions[session].delete()
        self.sessions[session] = self.runtime.create_session()
        self.said[session] = []
        self.kept = {key: data for key, data in self.kept.items() if key[0] != session}

    @rule(artifact=artifacts)
    def read(self, artifact: tuple[int, int]) -> None:
        data = self.kept.get(artifact)
        if data is not None:
            session, sequence = artifact
            (info,) = [info for info in self.sessions[session].list_artifacts() if info.id.sequence == sequence]
            assert self.sessions[session].get_artifact(info.id).content == data

    @invariant()
    def exactly_what_is_used_is_stored(self) -> None:
        found = stored(self.runtime)
        alive = {*self.kept.values(), *self.said[0], *self.said[1]}
        assert {key for key, _ in found["contents"]} == {blake3(data).digest() for data in alive}
        chunks = set()
        for data in alive:
            if len(data) > 128 << 10:
                chunks |= {b"\x01" + blake3(chunk).digest() for chunk in read_chunks(data)}
            else:
                chunks.add(b"\x00" + blake3(data).digest())
        assert {key for key, _ in found["chunks"]} == chunks
        assert found["pending"] == []
        references = [key for key, _ in found["references"] if key[:1] == b"c"]
        assert len(references) == len(self.kept) + len(self.said[0]) + len(self.said[1])

    def teardown(self) -> None:
        try:
            assert self.runtime.verify().ok
        finally:
            for session in self.sessions:
                session.delete()
        assert stored(self.runtime) == NOTHING


def test_content_under_any_order_of_storing_and_deleting() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    with Runtime.open(config=RuntimeConfig(max_resident_sessions=1)) as runtime:

        class Machine(ContentMachine):
            pass

        Machine.runtime = runtime
        run_state_machine_as_test(
            Machine,
            settings=SETTINGS,
        )


# -- memory


class Endless(io.RawIOBase):
    """A stream of `size` bytes that differ everywhere and take no memory."""

    BLOCK = noise(256 << 10, 9)

    def __init__(self, size: int) -> None:
        self._left = size
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        take = min(size, self._left, len(self.BLOCK))
        self._left -= take
        self._count += 1
        return self._count.to_bytes(8, "big")[:take] + self.BLOCK[8:take]


def test_large_content_goes_in_and_out_in_little_memory(rt: Runtime, tmp_path: Path) -> None:
    import tracemalloc

    size = 64 * MIB
    session = rt.create_session()
    session.store_artifact("x", "warm up", Endless(5 * MIB))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        info = session.store_artifact("x", "large", Endless(size))  # type: ignore[arg-type]
        stored_with = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert session.save_artifact("large", tmp_path / "large") == size
        read_with = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert info.size == size
    assert (tmp_path / "large").stat().st_size == size
    assert stored_with < 32 * MIB
    assert read_with < 32 * MIB
    with (tmp_path / "large").open("rb") as file:
        assert session.store_artifact("x", "again", file).id.content_hash == info.id.content_hash
