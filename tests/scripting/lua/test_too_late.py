"""Once a caller has been told that its script timed out, nothing that the script has begun takes effect."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.runtime import GreenroomError, Runtime, ScriptTimeout, Session
from greenroom.scripting.running import engine

ZEROS = 1 << 30


def until_idle() -> None:
    """Wait for the threads of abandoned scripts to end; the test's timeout bounds it."""
    while engine.threads.busy:
        time.sleep(0.005)


@pytest.fixture
def session(runtime: Runtime) -> Session:
    return runtime.create_session()


@pytest.fixture
def zeros(tmp_path: Path) -> Path:
    """A file of a gibibyte that takes no room."""
    path = tmp_path / "zeros"
    with path.open("wb") as file:
        file.truncate(ZEROS)
    return path


def test_a_file_that_was_being_stored_is_not_there(runtime: Runtime, session: Session, zeros: Path) -> None:
    script = "Artifact.storeFile(..., arg[2])"
    with pytest.raises(ScriptTimeout):
        runtime.run_script(script, args=[session.id, str(zeros)], profile="trusted", timeout=0.1)
    until_idle()
    assert len(session.list_artifacts()) == 0
    assert runtime.verify().ok


def test_a_file_that_was_being_written_is_not_there(runtime: Runtime, session: Session, tmp_path: Path) -> None:
    session.store_artifact("t", "large", b"\0" * (96 << 20))
    target = tmp_path / "out"
    for path, call in (
        (target, "Artifact.saveToFile(arg[1], 'large', arg[2])"),
        (tmp_path / "out.bundle", "Session.export(arg[1], arg[2])"),
    ):
        with pytest.raises(ScriptTimeout):
            runtime.run_script(call, args=[session.id, str(path)], profile="trusted", timeout=0.01)
        until_idle()
        assert sorted(each.name for each in tmp_path.iterdir()) == []


LATE: dict[str, Callable[[Runtime, Session, Path], object]] = {
    "set": lambda runtime, session, path: session.set("late", 1),
    "delete a variable": lambda runtime, session, path: session.delete_variable("k"),
    "add a message": lambda runtime, session, path: session.add_message("user", "late"),
    "store": lambda runtime, session, path: session.store_artifact("t", "late", b"late"),
    "store many": lambda runtime, session, path: session.store_many([{"type": "t", "name": "late", "content": b"x"}]),
    "delete an artifact": lambda runtime, session, path: session.delete_artifact("a"),
    "save to a file": lambda runtime, session, path: session.save_artifact("a", path),
    "publish": lambda runtime, session, path: runtime.events.publish("custom.late", {}, session),
    "create": lambda runtime, session, path: runtime.create_session(name="late"),
    "fork": lambda runtime, session, path: session.fork(),
    "complete": lambda runtime, session, path: session.complete(),
    "delete": lambda runtime, session, path: session.delete(),
    "import": lambda runtime, session, path: runtime.import_session(path.with_name("given"), keep_ids=False),
    "export": lambda runtime, session, path: session.export(path),
    "scope": lambda runtime, session, path: runtime.state_scope("global").set("late", 1),
}


@pytest.mark.parametrize("what", LATE)
def test_what_a_tool_of_an_abandoned_script_does_too_late(
    runtime: Runtime, session: Session, tmp_path: Path, what: str
) -> None:
    """A tool stands for any call of the script that takes its time before it takes effect."""
    began, told, done = threading.Event(), threading.Event(), threading.Event()
    failures: list[str] = []

    def slow() -> None:
        began.set()
        told.wait(20)
        try:
            LATE[what](runtime, session, tmp_path / "file")
        except GreenroomError as error:
            failures.append(error.code)
        finally:
            done.set()

    runtime.tools.register("slow", slow)

    def everything() -> object:
        return (
            [each.id for each in runtime.list_sessions()],
            session.info().status,
            session.variables(),
            [each.name for each in session.list_artifacts()],
            [each.content for each in session.messages()],
            runtime.state_scope("global").list(),
            [each.type for each in session.events() if not each.type.startswith("tool.")],
            [*tmp_path.iterdir()],
        )

    session.set("k", 1)
    session.store_artifact("t", "a", b"a")
    session.export(tmp_path / "given")
    before = everything()
    for _ in range(30):  # without a core for it, a script ends before it has called anything
        with pytest.raises(ScriptTimeout):
            runtime.run_script("Tool.invoke('slow', {})", args=[], timeout=0.1)
        if began.is_set():
            break
    told.set()
    assert done.wait(20)
    until_idle()
    assert set(failures) == {"OperationTimeout"}
    assert everything() == before
