"""Where the attacks take place: a runtime with the session that a script acts for, a neighbour that it must not reach,
and files in and around a granted directory."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from greenroom.runtime import GreenroomError, Runtime, Session
from greenroom.scripting.running.engine import threads

from .collection import ATTACKS, Attack

__all__ = ["ISOLATIONS", "MEMORY", "Ending", "Scene"]

MEMORY: Final = 12 << 20
"""Memory of a script in bytes."""
ISOLATIONS: Final = ("thread", "process")
_QUOTA: Final = {
    "max_artifacts": 2000,
    "max_storage_bytes": 16 << 20,
    "max_state_bytes": 24 << 20,
    "max_records": 500,
}
_ZEROS: Final = 1 << 30


@dataclass(frozen=True)
class Ending:
    """How a script ended. `code` is None where it returned `value`."""

    value: Any
    code: str | None
    message: str
    seconds: float
    peak: int
    """By how many bytes this process grew meanwhile, at most."""


class Scene:
    def __init__(self, folder: Path) -> None:
        self.runtime = Runtime.open(
            config={"script_memory_bytes": MEMORY, "policies": {"resources": _QUOTA}, "ask_timeout": 60}
        )
        self._folder = folder
        self._inside, self._outside = folder / "inside", folder / "outside"
        self._lay_out()
        self.other = self.runtime.create_session(name="neighbour", key="host/neighbour", tags=["secret"])
        self.other.set("k", "secret")
        self._info = self.other.store_artifact("log", "n", "secret", tags=["secret"])
        self._approval = self.other.ask_human("Which?")
        self._correlation = list(self.other.events())[-1].correlation_id
        self._hook = self.runtime.hooks.register("BeforeSessionSave", lambda context: None)
        self.other.export(folder / "inside" / "bundle")
        self._tools()
        warm = "return Replay.create_comparator():compare_json({ 1 }, { 2 }).equal"  # imports what is imported late
        assert self.runtime.run_script(warm).value is False
        for language, profile in itertools.product({each.language for each in ATTACKS}, ("sandboxed", "files")):
            self.runtime.run_script("return 1", language, profile, isolation="process")
        self._idle = len(_descendants())

    def close(self) -> None:
        self.runtime.close()

    def _lay_out(self) -> None:
        inside, outside = self._inside, self._outside
        inside.mkdir()
        outside.mkdir()
        (outside / "secret.txt").write_text("secret")
        (inside / "link").symlink_to(outside / "secret.txt")
        (inside / "folder").symlink_to(outside)
        (inside / "dangling").symlink_to(outside / "new")
        (inside / "proc").symlink_to("/proc/self")
        (inside / "circle").symlink_to(inside / "square")
        (inside / "square").symlink_to(inside / "circle")
        os.link(outside / "secret.txt", inside / "hard")
        os.mkfifo(inside / "pipe")
        here = os.getcwd()
        os.chdir(inside)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
        os.chdir(here)
        with (inside / "zeros").open("wb") as file:
            file.truncate(_ZEROS)

    def _tools(self) -> None:
        runtime = self.runtime

        def swap() -> None:
            own = self._inside / "own.txt"
            own.unlink()
            own.symlink_to(self._outside / "secret.txt")

        runtime.tools.register("swap", swap)
        runtime.tools.register("leak", lambda: self)
        runtime.tools.register("reader", lambda session: runtime.session(session).get("k"))
        runtime.tools.register("file_operations", lambda operation, path, input=None: Path(path).read_text())
        runtime.agents.register("echo", lambda request: "echo")

    def facts(self, session: Session) -> dict[str, Any]:
        return {
            "mine": session.id,
            "other": self.other.id,
            "key": "host/neighbour",
            "artifact": str(self._info.id),
            "hash": self._info.id.content_hash,
            "sequence": self._info.id.sequence,
            "approval": self._approval,
            "correlation": self._correlation,
            "hook": self._hook.id,
            "dir": str(self._inside),
            "outside": str(self._outside),
            "secret": str(self._outside / "secret.txt"),
            "bundle": str(self._inside / "bundle"),
        }

    def run(self, attack: Attack, isolation: str, session: Session) -> Ending:
        own = self._inside / "own.txt"
        own.unlink(missing_ok=True)
        own.write_text("own")
        before = _resident()
        _forget_peak()
        started = time.monotonic()
        value, code, message = None, None, ""
        try:
            value = self.runtime.run_script(
                attack.source,
                attack.language,
                attack.profile,
                None if attack.host else session,
                [self.facts(session)],
                attack.time,
                name="attack",
                directories=[self._inside] if attack.profile == "files" else [],
                isolation=isolation,
            ).value
        except GreenroomError as error:
            code = getattr(error, "cause", None) or error.code
            message = str(error)
        seconds = time.monotonic() - started
        return Ending(value, code, message, seconds, _peak() - before)

    def until_idle(self) -> None:
        """Wait until no thread and no process works for a script; the test's timeout bounds it."""
        bell = threading.Event()
        while threads.busy or len(_descendants()) > self._idle:
            bell.wait(0.002)

    def untouched(self) -> Any:
        """Return what no attack may change: the neighbour, the host's state, and the files outside."""
        return (
            self.other.info().sequence,
            self.runtime.state_scope("global").list(),
            {each.name: each.read_bytes() for each in self._outside.iterdir()},
            [each.id for each in self.runtime.hooks.list()],
            [each.id for each in self.runtime.list_sessions(key_prefix="host")],
        )


def _status(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _tasks(process: int) -> list[Path]:
    """Return the lists of children of a process; none if it has just ended."""
    with contextlib.suppress(OSError):
        return [*Path(f"/proc/{process}/task").glob("*/children")]
    return []


def _descendants() -> list[int]:
    """Return the processes that were started by this one, by those, and so on."""
    found, waiting = [], [os.getpid()]
    while waiting:
        for task in _tasks(waiting.pop()):
            with contextlib.suppress(OSError):
                started = [int(each) for each in task.read_text().split()]
                found += started
                waiting += started
    return found
