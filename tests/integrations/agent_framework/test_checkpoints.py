"""The contract of `agent_framework.CheckpointStorage` (agent-framework-core 1.23), over the framework's own storages
and greenroom's; and a real workflow that is resumed after a restart."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    CheckpointStorage,
    Executor,
    FileCheckpointStorage,
    InMemoryCheckpointStorage,
    Workflow,
    WorkflowBuilder,
    WorkflowCheckpoint,
    WorkflowCheckpointException,
    WorkflowContext,
    handler,
)

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.agent_framework import GreenroomCheckpointStorage

STORAGES = ["memory", "file", "greenroom"]


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path: Path, rt: Runtime) -> CheckpointStorage:
    made: dict[str, Callable[[], CheckpointStorage]] = {
        "memory": InMemoryCheckpointStorage,
        "file": lambda: FileCheckpointStorage(tmp_path / "files"),
        "greenroom": lambda: GreenroomCheckpointStorage(rt),
    }
    return made[request.param]()


BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def checkpoint(number: int = 0, workflow: str = "w", **fields: Any) -> WorkflowCheckpoint:
    return WorkflowCheckpoint(
        workflow_name=workflow,
        graph_signature_hash="g",
        timestamp=fields.pop("timestamp", (BEGUN + timedelta(seconds=number)).isoformat()),
        iteration_count=number,
        **fields,
    )


STATES: list[dict[str, Any]] = [
    {},
    {"a": [1, 2.5, None, True, "ü🌱"], "deep": {"x": {"y": []}}},
    {"tuple": (1, (2,)), "set": {1, 2}, "bytes": b"\x00\xff", "time": BEGUN, "keys": {1: "a", "1": "b"}},
    {"numbers": [2**100, float("inf"), -0.0]},
    {"__pickled__": "no", "__type__": "no"},
    {"long": ["x" * 1000] * 300},
    {"_executor_state": {"e": {"seen": [WorkflowCheckpoint("inner", "g")]}}},
]


@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
def test_a_checkpoint_comes_back_as_it_was(storage: CheckpointStorage, state: dict[str, Any]) -> None:
    saved = checkpoint(3, state=state, metadata={"m": 1}, previous_checkpoint_id="p")
    assert asyncio.run(storage.save(saved)) == saved.checkpoint_id
    assert asyncio.run(storage.load(saved.checkpoint_id)) == saved


def test_what_is_saved_and_loaded_are_copies(storage: CheckpointStorage) -> None:
    saved = checkpoint(state={"list": [1]})
    asyncio.run(storage.save(saved))
    saved.state["list"].append(2)
    loaded = asyncio.run(storage.load(saved.checkpoint_id))
    assert loaded.state == {"list": [1]}
    loaded.state.clear()
    assert asyncio.run(storage.load(saved.checkpoint_id)).state == {"list": [1]}


def test_what_is_not_there(storage: CheckpointStorage) -> None:
    async def main() -> None:
        with pytest.raises(WorkflowCheckpointException):
            await storage.load("none")
        assert await storage.delete("none") is False
        assert await storage.list_checkpoints(workflow_name="none") == []
        assert await storage.list_checkpoint_ids(workflow_name="none") == []
        assert await storage.get_latest(workflow_name="none") is None

    asyncio.run(main())


def test_listings_are_of_one_workflow(storage: CheckpointStorage) -> None:
    async def main() -> None:
        names = ["a", "a/b", "ü", "", "a\x00", "A"]
        made = {name: [checkpoint(number, name) for number in range(3)] for name in names}
        for number in range(3):
            for name in names:
                await storage.save(made[name][number])
        for name in names:
            by_id = sorted(made[name], key=lambda each: each.checkpoint_id)
            listed = await storage.list_checkpoints(workflow_name=name)
            assert sorted(listed, key=lambda each: each.checkpoint_id) == by_id
            ids = await storage.list_checkpoint_ids(workflow_name=name)
            assert sorted(ids) == [each.checkpoint_id for each in by_id]
            assert await storage.get_latest(workflow_name=name) == made[name][2]

    asyncio.run(main())


@pytest.mark.parametrize("storage", ["memory", "greenroom"], indirect=True)
def test_listings_are_in_the_order_of_the_first_saving(storage: CheckpointStorage) -> None:
    async def main() -> None:
        made = [checkpoint(5 - number) for number in range(5)]
        for each in [*made, made[2]]:
            await storage.save(each)
        assert await storage.list_checkpoint_ids(workflow_name="w") == [each.checkpoint_id for each in made]
        assert await storage.list_checkpoints(workflow_name="w") == made

    asyncio.run(main())


def test_the_latest_is_by_the_timestamp_whatever_its_zone(storage: CheckpointStorage) -> None:
    async def main() -> None:
        for stamp in ("2026-01-01T10:00:00+00:00", "2026-01-01T11:30:00+01:00", "2026-01-01T10:45:00.5+00:00"):
            await storage.save(checkpoint(timestamp=stamp))
        latest = await storage.get_latest(workflow_name="w")
        assert latest is not None
        assert latest.timestamp == "2026-01-01T10:45:00.5+00:00"

    asyncio.run(main())


def test_saving_again_replaces(storage: CheckpointStorage) -> None:
    async def main() -> None:
        await storage.save(checkpoint(0, checkpoint_id="c", state={"n": 1}))
        await storage.save(checkpoint(1, "other", checkpoint_id="c", state={"n": 2}))
        assert await storage.list_checkpoint_ids(workflow_name="w") == []
        assert await storage.list_checkpoint_ids(workflow_name="other") == ["c"]
        assert (await storage.load("c")).state == {"n": 2}

    asyncio.run(main())


def test_a_deleted_one_is_gone_from_everything(storage: CheckpointStorage) -> None:
    async def main() -> None:
        made = [checkpoint(number) for number in range(3)]
        for each in made:
            await storage.save(each)
        assert await storage.delete(made[2].checkpoint_id) is True
        assert await storage.delete(made[2].checkpoint_id) is False
        with pytest.raises(WorkflowCheckpointException):
            await storage.load(made[2].checkpoint_id)
        assert await storage.get_latest(workflow_name="w") == made[1]
        assert len(await storage.list_checkpoint_ids(workflow_name="w")) == 2

    asyncio.run(main())


@pytest.mark.parametrize("storage", ["memory", "greenroom"], indirect=True)
def test_ids_are_any_texts(storage: CheckpointStorage) -> None:
    async def main() -> None:
        ids = ["", " ", "a/../b", "\x00", "ü🌱", "\ud800", "x" * 5000, "c" + "x" * 5000]
        for number, id in enumerate(ids):
            await storage.save(checkpoint(number, checkpoint_id=id))
        for number, id in enumerate(ids):
            assert (await storage.load(id)).iteration_count == number
        assert await storage.list_checkpoint_ids(workflow_name="w") == ids

    asyncio.run(main())


class Own:
    """A type that nobody has allowed."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("storage", ["file", "greenroom"], indirect=True)
@pytest.mark.parametrize("value", [Own(), lambda: 0], ids=["a type that is not allowed", "what has no form"])
def test_what_would_not_be_restored_is_not_saved(storage: CheckpointStorage, value: object) -> None:
    async def main() -> None:
        with pytest.raises(WorkflowCheckpointException):
            await storage.save(checkpoint(state={"own": value}))
        assert await storage.list_checkpoint_ids(workflow_name="w") == []

    asyncio.run(main())


@pytest.mark.parametrize("made", [FileCheckpointStorage, GreenroomCheckpointStorage])
def test_types_can_be_allowed(made: Any, tmp_path: Path) -> None:
    storage = made(tmp_path / "store", allowed_checkpoint_types=[f"{__name__}:Own"])
    saved = checkpoint(state={"own": Own()})
    asyncio.run(storage.save(saved))
    assert asyncio.run(storage.load(saved.checkpoint_id)) == saved
    if isinstance(storage, GreenroomCheckpointStorage):
        storage.close()


# -- a real workflow


@dataclass
class Count:
    value: int


class Adder(Executor):
    @handler
    async def add(self, message: int, ctx: WorkflowContext[int, int]) -> None:
        ctx.set_state("sum", (ctx.get_state("sum") or 0) + message)
        if message < 5:
            await ctx.send_message(message + 1)
        else:
            await ctx.yield_output(ctx.get_state("sum"))


def workflow(storage: CheckpointStorage) -> Workflow:
    first, second = Adder(id="first"), Adder(id="second")
    builder = WorkflowBuilder(start_executor=first, checkpoint_storage=storage, name="sums")
    return builder.add_edge(first, second).add_edge(second, first).build()


def test_a_workflow_resumes_from_any_checkpoint_after_a_restart(store_path: Path) -> None:
    first = GreenroomCheckpointStorage(store_path)
    assert asyncio.run(workflow(first).run(1)).get_outputs() == [15]
    first.close()

    second = GreenroomCheckpointStorage(store_path)
    points = asyncio.run(second.list_checkpoints(workflow_name="sums"))
    assert len(points) >= 5
    for point in points:
        result = asyncio.run(workflow(second).run(checkpoint_id=point.checkpoint_id))
        assert result.get_outputs() in ([15], [])  # the last one has nothing left to do
    second.close()


def test_our_checkpoints_are_those_of_memory(rt: Runtime) -> None:
    shapes = []
    for storage in (InMemoryCheckpointStorage(), GreenroomCheckpointStorage(rt)):
        asyncio.run(workflow(storage).run(1))
        points = asyncio.run(storage.list_checkpoints(workflow_name="sums"))
        ids = [each.checkpoint_id for each in points]
        shapes.append(
            [
                (each.iteration_count, each.state, ids.index(each.previous_checkpoint_id or ids[0]), len(each.messages))
                for each in points
            ]
        )
    assert shapes[0] == shapes[1]


# -- greenroom's own means


def test_storages_of_several_names_are_apart(rt: Runtime) -> None:
    one, other = GreenroomCheckpointStorage(rt, name="a:b"), GreenroomCheckpointStorage(rt, name="a")
    asyncio.run(one.save(checkpoint(checkpoint_id="c")))
    assert asyncio.run(other.list_checkpoint_ids(workflow_name="w")) == []
    assert rt.session(key=one.key).records.count() > 0


def test_writers_at_the_same_time_lose_nothing(rt: Runtime) -> None:
    def write(number: int) -> None:
        storage = GreenroomCheckpointStorage(rt)
        for each in range(25):
            asyncio.run(storage.save(checkpoint(each, checkpoint_id=f"{number}.{each}")))
            asyncio.run(storage.save(checkpoint(each, f"w{number}", checkpoint_id="shared")))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    storage = GreenroomCheckpointStorage(rt)
    ids = asyncio.run(storage.list_checkpoint_ids(workflow_name="w"))
    assert sorted(ids) == sorted(f"{number}.{each}" for number in range(4) for each in range(25))
    shared = [asyncio.run(storage.list_checkpoint_ids(workflow_name=f"w{number}")) for number in range(4)]
    assert sorted(shared) == [[], [], [], ["shared"]]


WRITER = """
import asyncio, sys
from agent_framework import WorkflowCheckpoint
from greenroom.runtime.integrations.agent_framework import GreenroomCheckpointStorage
async def main():
    storage = GreenroomCheckpointStorage(sys.argv[1])
    for number in range(100_000):
        await storage.save(WorkflowCheckpoint("w", "g", checkpoint_id=str(number), state={"list": list(range(number))}))
        print(number, flush=True)
asyncio.run(main())
"""


def test_what_was_saved_survives_kill_9(store_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = -1
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged >= 20:
                break
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    storage = GreenroomCheckpointStorage(store_path)
    points = asyncio.run(storage.list_checkpoints(workflow_name="w"))
    storage.close()
    assert [each.checkpoint_id for each in points] == [str(number) for number in range(len(points))]
    assert all(each.state == {"list": list(range(int(each.checkpoint_id)))} for each in points)
    assert len(points) > acknowledged
