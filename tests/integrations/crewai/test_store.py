"""What greenroom adds: a flow is a session, and what was acknowledged survives."""

from __future__ import annotations

import asyncio
import copy
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from crewai.flow.async_feedback.types import PendingFeedbackContext
from crewai.flow.flow import Flow, FlowState, listen, start
from crewai.flow.persistence import persist

from greenroom.runtime import AsyncRuntime, InvalidSessionState, Runtime, RuntimeClosed, SessionNotFound, StoreLocked
from greenroom.runtime.integrations.crewai import GreenroomFlowPersistence


class Counted(FlowState):
    counter: int = 0


def counting(store: GreenroomFlowPersistence) -> Any:
    @persist(store)
    class Counting(Flow[Counted]):
        @start()
        def first(self) -> None:
            self.state.counter += 1

        @listen(first)
        def second(self) -> None:
            self.state.counter += 1

    return Counting()


def test_a_flow_is_a_session(rt: Runtime, tmp_path: Path) -> None:
    flow = counting(GreenroomFlowPersistence(rt))
    flow.kickoff()
    session = rt.session(key=f"crewai:{flow.state.id}")
    assert session.variables() == {"state": {"id": flow.state.id, "counter": 2}, "method": "second"}
    assert session.info().created_by == "crewai"
    saved = [each.sequence for each in session.events() if each.type == "variable.set"]
    assert session.at(sequence=saved[1]).variables == {
        "state": {"id": flow.state.id, "counter": 1},
        "method": "first",
    }
    assert rt.replay(session.id).identical
    rt.export_session(session.id, tmp_path / "flow.bundle")
    with Runtime.open(tmp_path / "other") as other:
        other.import_session(tmp_path / "flow.bundle")
        assert GreenroomFlowPersistence(other).load_state(flow.state.id) == {"id": flow.state.id, "counter": 2}


def test_a_flow_goes_on_from_a_moment_before(rt: Runtime) -> None:
    store = GreenroomFlowPersistence(rt)
    flow = counting(store)
    flow.kickoff()
    session = rt.session(key=f"crewai:{flow.state.id}")
    first = next(each.sequence for each in session.events() if each.payload.get("value") == "first")
    earlier: Any = session.at(sequence=first).variables["state"]
    store.save_state("again", "first", earlier)
    again = counting(store)
    again.kickoff(restore_from_state_id="again")
    assert again.state.counter == 3
    assert store.load_state(flow.state.id) == {"id": flow.state.id, "counter": 2}


def test_what_no_variable_holds_is_an_artifact(rt: Runtime, tmp_path: Path) -> None:
    store = GreenroomFlowPersistence(rt)
    asked = PendingFeedbackContext("f", "c", "m", method_output="x" * 2_000_000, message="?")
    for number in range(3):
        store.save_state("f", "m", {"text": "é" * 2_000_000, "n": number})
    store.save_pending_feedback("f", asked, {"n": 3})
    session = rt.session(key="crewai:f")
    found = session.query_artifacts(artifact_type="flow_state").items
    assert sorted((each.name, each.version) for each in found) == [
        ("pending_feedback.json", 1),
        *(("state.json", version) for version in (1, 2, 3, 4)),
    ]
    assert session.get("state") == 4
    pending = store.load_pending_feedback("f")
    assert pending is not None
    assert (pending[0], pending[1].method_output) == ({"n": 3}, "x" * 2_000_000)
    rt.export_session(session.id, tmp_path / "flow.bundle")
    with Runtime.open(tmp_path / "other") as other:
        other.import_session(tmp_path / "flow.bundle")
        assert GreenroomFlowPersistence(other).load_state("f") == {"n": 3}
    store.clear_pending_feedback("f")
    store.save_state("f", "m", {"n": 4})
    assert session.get("state") == {"n": 4}
    assert store.load_state("f") == {"n": 4}
    assert store.load_pending_feedback("f") is None


def test_a_flow_that_was_deleted_begins_anew(rt: Runtime) -> None:
    store = GreenroomFlowPersistence(rt)
    store.save_state("f", "m", {"n": 1})
    rt.session(key="crewai:f").delete()
    assert store.load_state("f") is None
    store.save_state("f", "m", {"n": 2})
    assert store.load_state("f") == {"n": 2}
    rt.session(key="crewai:f").complete()
    with pytest.raises(InvalidSessionState):
        store.save_state("f", "m", {"n": 3})
    assert store.load_state("f") == {"n": 2}


def test_reading_creates_nothing(rt: Runtime) -> None:
    store = GreenroomFlowPersistence(rt)
    assert store.load_state("f") is None
    assert store.load_pending_feedback("f") is None
    store.clear_pending_feedback("f")
    with pytest.raises(SessionNotFound):
        rt.session(key="crewai:f")


def test_writers_at_once_leave_a_whole_state(rt: Runtime) -> None:
    store = GreenroomFlowPersistence(rt)

    def write(writer: int) -> None:
        for number in range(25):
            store.save_state("f", f"m{writer}", {"writer": writer, "again": [writer] * 20, "n": number})
            store.save_state(f"own {writer}", "m", {"n": number})
            loaded = store.load_state("f")
            assert loaded is not None
            assert loaded["again"] == [loaded["writer"]] * 20

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(write, range(6)))
    session = rt.session(key="crewai:f")
    assert session.get("method") == f"m{(store.load_state('f') or {})['writer']}"
    assert [event.type for event in session.events()].count("variable.set") == 6 * 25 * 2
    assert [store.load_state(f"own {each}") for each in range(6)] == [{"n": 24}] * 6


def test_all_that_name_a_path_share_its_store(tmp_path: Path) -> None:
    store = GreenroomFlowPersistence(tmp_path / "s")
    second = GreenroomFlowPersistence(str(tmp_path / "s"))
    second.save_state("f", "m", {"n": 1})
    assert store.load_state("f") == {"n": 1}
    second.close()
    assert store.load_state("f") == {"n": 1}
    assert copy.deepcopy(store) is store
    restored = GreenroomFlowPersistence.model_validate(store.model_dump(mode="json"))
    assert restored.load_state("f") == {"n": 1}
    with pytest.raises(StoreLocked):
        Runtime.open(tmp_path / "s")
    store.close()
    with pytest.raises(RuntimeClosed):
        second.load_state("f")
    with GreenroomFlowPersistence.model_validate(store.model_dump(mode="json")) as again:
        assert again.load_state("f") == {"n": 1}
    with Runtime.open(tmp_path / "s", read_only=True) as reading:
        assert GreenroomFlowPersistence(reading).load_state("f") == {"n": 1}


def test_an_async_runtime_will_do(rt: Runtime) -> None:
    async def main() -> Any:
        flow = counting(GreenroomFlowPersistence(AsyncRuntime.over(rt)))
        await flow.kickoff_async()
        return flow

    flow = asyncio.run(main())
    assert rt.session(key=f"crewai:{flow.state.id}").get("method") == "second"


@pytest.mark.parametrize("wrong", [None, 7, object()])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="a Runtime, an AsyncRuntime or the path of a store"):
        GreenroomFlowPersistence(wrong)


PROGRAM = """
import os, signal, sys
os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false")
from crewai.flow.flow import Flow, FlowState, listen, start
from crewai.flow.persistence import persist
from greenroom.runtime.integrations.crewai import GreenroomFlowPersistence

class State(FlowState):
    done: list[int] = []

store = GreenroomFlowPersistence(sys.argv[1])

@persist(store)
class Steps(Flow[State]):
    @start()
    def step(self):
        if self.state.done:
            print("saved", len(self.state.done), flush=True)  # that was loaded
        self.state.done.append(len(self.state.done))

for _ in range(100_000):
    Steps(suppress_flow_events=True).kickoff(inputs={"id": "f"})
"""


def test_kill_minus_nine_loses_nothing_acknowledged(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "s")]
    saved: list[int] = []
    for _ in range(2):  # the second goes on where the first was killed
        flow = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert flow.stdout is not None
        enough = len(saved) + 10
        while len(saved) < enough:
            line = flow.stdout.readline()
            assert line
            saved += numbers_in(line)
        os.kill(flow.pid, signal.SIGKILL)
        saved += numbers_in(flow.stdout.read())
        flow.wait()
    with GreenroomFlowPersistence(tmp_path / "s") as store:
        state = store.load_state("f")
    assert state is not None
    assert state["done"] == list(range(len(state["done"])))
    assert saved[-1] <= len(state["done"]) <= saved[-1] + 1
    assert sorted(saved) == saved


def numbers_in(text: str) -> list[int]:
    """Return the numbers that the program says it has saved, among what CrewAI prints."""
    return [int(each) for each in re.findall(r"^saved (\d+)$", text, re.MULTILINE)]
