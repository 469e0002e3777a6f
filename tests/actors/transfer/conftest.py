from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from greenroom.runtime import Runtime, Session
from greenroom.storage.bundle.format import BundleWriter, framed
from greenroom.storage.engine.engine import CF


@pytest.fixture
def other() -> Iterator[Runtime]:
    """A second store, for what the first has exported."""
    with Runtime.open() as runtime:
        yield runtime


class Parts:
    """A bundle taken apart, to be changed and put together again with a checksum that is right."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            members = [(entry.name, tar.extractfile(entry)) for entry in tar]
            self.members = [[name, file.read() if file is not None else b""] for name, file in members]
        assert self.members.pop()[0] == "checksum"

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.members[0][1])
        return found

    @manifest.setter
    def manifest(self, value: Any) -> None:
        self.members[0][1] = json.dumps(value).encode()

    def index(self, name: str) -> int:
        """Where the first member with a name that contains this is."""
        return next(at for at, (each, _) in enumerate(self.members) if name in each)

    def records(self, name: str) -> list[list[Any]]:
        data, found = self.members[self.index(name)][1], []
        while data:
            size = int.from_bytes(data[:4], "big")
            found.append(msgpack.unpackb(data[4 : 4 + size], unicode_errors="surrogatepass", strict_map_key=False))
            data = data[4 + size :]
        return found

    def set_records(self, name: str, records: list[Any]) -> None:
        packed = (msgpack.packb(record, unicode_errors="surrogatepass") for record in records)
        self.members[self.index(name)][1] = b"".join(map(framed, packed))

    def write(self, path: Path) -> None:
        with path.open("wb") as file:
            writer = BundleWriter(file)
            for name, data in self.members:
                writer.member(name, len(data), [data])
            writer.finish()


def fill(session: Session) -> None:
    """Something of everything that a session can have, with detours."""
    for number in range(12):
        session.set(f"v{number % 5}", {"n": number, "b": b"\x00\xff", "big": 1 << 80})
    session.delete_variable("v3")
    session.set_tags(["one", "two"])
    session.add_tag("drei ü")
    name = session.info().name
    session.rename("another")
    session.rename(name)
    session.describe("of everything")
    session.update_metadata({"team": "x", "level": 3, "gone": 1})
    session.update_metadata({"gone": None})
    session.add_message("user", "hello")
    session.add_message("assistant", "a long answer " * 600, tool_calls=[{"id": "1"}], metadata={"tokens": 5})
    session.add_message("tool", [{"type": "text", "text": "x" * 5000}], tool_call_id="1", name="search")
    session.add_message("assistant", None)
    first = session.store_artifact("tool_result", "r.txt", "first", tags=["t"], metadata={"k": [1, 2.5]})
    session.store_artifact("tool_result", "r.txt", "second", parent_artifact=first.id, description="next")
    session.store_artifact("tool_result", "r.txt", "third", parent_artifact="r.txt")
    session.delete_artifact("r.txt", 3)
    events = session._runtime.events
    published = events.publish("custom.step", {"n": 1 << 80, "b": b"\xff"}, session, tags=["t"], correlation_id="c")
    events.link(published, next(session.events()), "follows_from")
    session.store_artifact("own", "big.bin", bytes(range(256)) * 1200, created_by="me")
    session.store_artifact("own", "last", "to be deleted")
    session.records.put_many(
        {"r/1": b"one", "r/2": {"n": 2}, "large": b"large " * 2000, "gone": 1, b"\xff": b"two " * 9000}
    )
    session.records.put("r/1", b"larger " * 3000)
    session.records.put("large", b"large " * 2500)
    session.records.delete_many(["gone", b"\xff"])
    session._runtime.tools.register("echo", lambda text: text, replace=True)
    session.call_tool("echo", {"text": "called " * 1000}, idempotency_key="i")
    session.call_tool("echo", {"text": [{"called": "x" * 6000}]})
    session.suspend()
    session.resume()
    session.delete_artifact("last")


def family_in(rt: Runtime) -> Session:
    """A session with all there is, a child in another status, and a grandchild in a third."""
    root = rt.create_session(
        name="root", description="d", created_by="me", tags=["old"], metadata={"old": 1}, config={"max_artifacts": 50}
    )
    fill(root)
    child = rt.create_session(name="child", parent=root)
    root.share("r.txt", child, version=1)
    child.store_artifact("own", "shared", "first", parent_artifact=root.get_artifact_info("r.txt", 1).id)
    child.suspend()
    grandchild = rt.create_session(name="grandchild", parent=child)
    grandchild.set("k", 1)
    grandchild.fail("because")
    grandchild.archive()
    return root


@pytest.fixture
def family(rt: Runtime) -> Session:
    return family_in(rt)


@pytest.fixture(scope="session")
def family_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a whole family, whose store is gone."""
    path = tmp_path_factory.mktemp("family") / "good.bundle"
    with Runtime.open() as rt:
        report = family_in(rt).export(path, tree=True)
    assert report.bytes == path.stat().st_size
    return path


@pytest.fixture
def parts(family_bundle: Path) -> Parts:
    """The bundle of a whole family, taken apart."""
    return Parts(family_bundle)


@pytest.fixture
def everything() -> Callable[[Runtime], list[tuple[bytes, bytes]]]:
    """All that is in a store, key by key."""

    def read(runtime: Runtime) -> list[tuple[bytes, bytes]]:
        engine = runtime._store.engine
        return [entry for family in range(len(CF.NAMES)) for entry in engine.scan(family, b"", b"\xff" * 200)]

    return read
