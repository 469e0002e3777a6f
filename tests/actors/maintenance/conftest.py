from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import GreenroomError, IntegrityError, Runtime, Session, StorageError
from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions

CONFIG = {"handle_signals": False, "artifact_cache_bytes": 0}
"""Without the cache every reading comes from the disk."""


def text(seed: int, size: int) -> bytes:
    """Bytes that compress like text."""
    dice = random.Random(seed)
    words = [f"word{dice.randrange(500)}" for _ in range(size // 6)]
    return " ".join(words).encode()[:size]


def fill(runtime: Runtime) -> list[str]:
    """Sessions of all kinds: statuses, families, messages short and long, versions, deletions, chunks, snapshots."""
    ids = []
    for number in range(6):
        parent = ids[0] if number in (2, 3) else None
        s = runtime.create_session(
            f"session {number}", created_by="ada", tags=["all", f"n{number}"], metadata={"n": number}, parent=parent
        )
        ids.append(s.id)
        for key in range(20):
            s.set(f"k{key}", {"value": key, "pad": "x" * 60})
        s.set("k0", "changed")
        s.delete_variable("k7")
        s.add_message("user", f"hello {number}")
        s.add_message("tool", text(number, 6000).decode(), name="search", tool_call_id="c1")
        s.store_artifact("user_input", "notes.txt", text(50 + number, 900), tags=["draft"], metadata={"page": number})
        s.store_artifact("user_input", "notes.txt", text(60 + number, 20_000))
        s.store_artifact("tool_result", "gone.txt", f"deleted {number}")
        s.delete_artifact("gone.txt")
        s.store_artifact("agent_output", "shared.txt", b"the same in all of them")
        if number == 1:
            s.save()
            s.set("after", "the snapshot")
        if number < 2:
            s.store_artifact("agent_output", "big.txt", text(1, 300_000) + f"{number}".encode())
        if number == 3:
            s.suspend()
        if number == 4:
            s.complete()
        if number == 5:
            s.fail("broken")
    runtime.state_scope("global").set("setting", [1, 2, 3])
    return ids


def everything(runtime: Runtime, ids: list[str]) -> dict[str, Callable[[], Any]]:
    """Every reading that users can make, by what it reads."""
    readings: dict[str, Callable[[], Any]] = {
        "scope": lambda: runtime.state_scope("global").get("setting"),
        "counts": lambda: runtime.stats()["sessions"],
    }
    for each in ids:
        handle = Session(runtime, each)
        readings |= {
            f"{each} info": lambda h=handle: h.info().to_dict(),
            f"{each} k0": lambda h=handle: h.get("k0"),
            f"{each} k5": lambda h=handle: h.get("k5"),
            f"{each} k7": lambda h=handle: h.get("k7", "none"),
            f"{each} variables": lambda h=handle: h.variables(),
            f"{each} messages": lambda h=handle: [turn.to_dict() for turn in h.messages()],
            f"{each} events": lambda h=handle: [event.to_dict() for event in h.events()],
            f"{each} artifacts": lambda h=handle: [info.to_dict() for info in h.list_artifacts()],
            f"{each} versions": lambda h=handle: [info.to_dict() for info in h.artifact_versions("notes.txt")],
            f"{each} notes 1": lambda h=handle: h.get_artifact("notes.txt", 1).content,
            f"{each} notes": lambda h=handle: h.get_artifact("notes.txt").content,
            f"{each} shared": lambda h=handle: h.get_artifact("shared.txt").content,
        }
    for each in ids[:2]:
        handle = Session(runtime, each)
        readings[f"{each} big"] = lambda h=handle: h.get_artifact("big.txt").content
        readings[f"{each} stream"] = lambda h=handle: h.open_artifact("big.txt").read()
    return readings


@dataclass
class Readings:
    """What reading everything gave: values, and the names of those that raised."""

    values: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, GreenroomError] = field(default_factory=dict)

    @property
    def failed(self) -> set[str]:
        return set(self.refused)


def read_all(runtime: Runtime, ids: list[str]) -> Readings:
    found = Readings()
    for name, reading in everything(runtime, ids).items():
        try:
            found.values[name] = reading()
        except (IntegrityError, StorageError) as error:
            found.refused[name] = error
    return found


_copies = itertools.count()


@dataclass(frozen=True)
class Store:
    """A closed store, what is in it, and copies of it to damage."""

    path: Path
    ids: list[str]
    truth: dict[str, Any]
    work: Path

    def copy(self) -> Path:
        """A copy of its own: what a failed test keeps open locks nobody out."""
        for old in self.work.glob("*"):
            shutil.rmtree(old, ignore_errors=True)
        path = self.work / f"{next(_copies)}"
        shutil.copytree(self.path, path)
        return path

    CONFIG = CONFIG
    fill = staticmethod(fill)

    def open(self, path: Path, **settings: Any) -> Runtime:
        return Runtime.open(path, config={**CONFIG, **settings})

    def read(self, runtime: Runtime) -> Readings:
        """Read everything."""
        return read_all(runtime, self.ids)

    def bytes_of(self, path: Path) -> Engine:
        """The bytes below a closed runtime."""
        return Engine(path, Durability.WAL, EngineOptions())

    def entries(self, engine: Engine) -> list[tuple[int, bytes, bytes]]:
        """Everything in a store, as (family, key, value)."""
        return [(cf, key, value) for cf in range(len(CF.NAMES)) for key, value in engine.scan(cf, b"", b"\xff" * 96)]


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    base = tmp_path_factory.mktemp("care")
    path = base / "store"
    with Runtime.open(path, config=CONFIG) as runtime:
        ids = fill(runtime)
    with Runtime.open(path, config=CONFIG) as runtime:
        assert runtime.verify().ok
        found = read_all(runtime, ids)
    assert not found.refused
    return Store(path, ids, found.values, base / "work")
