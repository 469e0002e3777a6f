"""The contracts of `a2a.server.tasks.TaskStore` and `PushNotificationConfigStore`. The SDK ships no tests of them, so
they are written out here from the interfaces' docstrings, and every test runs on its in-memory stores and on ours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from a2a.auth.user import User
from a2a.server.context import ServerCallContext
from a2a.server.tasks import (
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    PushNotificationConfigStore,
    TaskStore,
)
from a2a.types.a2a_pb2 import Artifact, ListTasksRequest, Message, Part, Task, TaskPushNotificationConfig, TaskState
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import encode_page_token
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.runtime import AsyncRuntime, Runtime, ValidationError
from greenroom.runtime.integrations.a2a import GreenroomPushNotificationConfigStore, GreenroomTaskStore

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]


class Named(User):
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def user_name(self) -> str:
        return self._name


def of(name: str) -> ServerCallContext:
    return ServerCallContext(user=Named(name))


ADA, BOB = of("ada"), of("bob")


@pytest.fixture(params=["memory", "greenroom", "AsyncRuntime"])
def tasks(request: pytest.FixtureRequest, rt: Runtime, run: Run[Any]) -> TaskStore:
    async def over() -> TaskStore:
        return GreenroomTaskStore(AsyncRuntime.over(rt))

    kinds: dict[str, Callable[[], TaskStore]] = {
        "memory": InMemoryTaskStore,
        "greenroom": lambda: GreenroomTaskStore(rt),
        "AsyncRuntime": lambda: run(over()),
    }
    return kinds[request.param]()


@pytest.fixture(params=["memory", "greenroom"])
def configs(request: pytest.FixtureRequest, rt: Runtime) -> PushNotificationConfigStore:
    return (
        InMemoryPushNotificationConfigStore() if request.param == "memory" else GreenroomPushNotificationConfigStore(rt)
    )


@pytest.fixture
def run() -> Iterator[Run[Any]]:
    with asyncio.Runner() as runner:
        yield runner.run


def made(id: str, seconds: float | None = None, context: str = "c", state: Any = TaskState.TASK_STATE_WORKING) -> Task:
    task = Task(id=id, context_id=context)
    task.status.state = state
    if seconds is not None:
        task.status.timestamp.FromNanoseconds(int(seconds * 1e9))
    return task


def full(id: str = "t1") -> Task:
    task = made(id, 7.25)
    task.metadata.update({"n": 1.5, "nested": {"list": [1, None, "é"]}})
    for n in range(3):
        message = Message(message_id=f"m{n}", parts=[Part(text=f"text {n}"), Part(raw=b"\x00\xff")])
        task.history.append(message)
        task.artifacts.append(Artifact(artifact_id=f"a{n}", name="näme", parts=[Part(text=str(k)) for k in range(n)]))
    task.status.message.CopyFrom(task.history[0])
    return task


# -- tasks


@pytest.mark.parametrize("task", [full(), Task(id="bare"), Task(), made("no time"), made("odd/\u2028é", -62e9)])
def test_a_task_comes_back_as_it_was_saved(tasks: TaskStore, run: Run[Any], task: Task) -> None:
    run(tasks.save(task, ADA))
    assert run(tasks.get(task.id, ADA)) == task
    assert run(tasks.list(ListTasksRequest(), ADA)).tasks == [task]


def test_what_is_not_there_is_none(tasks: TaskStore, run: Run[Any]) -> None:
    for id in ("none", "", "x" * 5000, "\x00"):
        assert run(tasks.get(id, ADA)) is None
        run(tasks.delete(id, ADA))
    run(tasks.save(made("t"), ADA))
    assert run(tasks.get("tt", ADA)) is None
    assert run(tasks.get("", ADA)) is None


def test_a_save_replaces_all_of_a_task(tasks: TaskStore, run: Run[Any]) -> None:
    task = full()
    run(tasks.save(task, ADA))
    steps: list[Callable[[Task], object]] = [
        lambda t: t.history.append(Message(message_id="m3", parts=[Part(text="more")])),
        lambda t: t.artifacts[0].parts.append(Part(text="a chunk")),
        lambda t: t.status.timestamp.FromNanoseconds(9 * 10**9),
        lambda t: t.ClearField("metadata"),
        lambda t: t.history.pop(0),
        lambda t: t.artifacts.pop(),
        lambda t: t.artifacts[0].ClearField("parts"),
        lambda t: t.ClearField("history"),
        lambda t: t.status.ClearField("timestamp"),
        lambda t: t.ClearField("artifacts"),
        lambda t: t.ClearField("status"),
        lambda t: t.CopyFrom(full()),
    ]
    for step in steps:
        step(task)
        run(tasks.save(task, ADA))
        assert run(tasks.get("t1", ADA)) == task
        listed = run(tasks.list(ListTasksRequest(), ADA))
        assert (listed.tasks, listed.total_size) == ([task], 1)


def test_what_is_returned_and_saved_are_copies(tasks: TaskStore, run: Run[Any]) -> None:
    task = full()
    run(tasks.save(task, ADA))
    task.history[0].message_id = "changed"
    got = run(tasks.get("t1", ADA))
    got.history[0].message_id = "changed"
    assert run(tasks.get("t1", ADA)) == full()


def test_owners_share_nothing(tasks: TaskStore, run: Run[Any]) -> None:
    run(tasks.save(made("t", 1), ADA))
    run(tasks.save(made("t", 2), BOB))
    run(tasks.delete("t", of("")))
    assert run(tasks.get("t", of(""))) is None
    run(tasks.delete("t", BOB))
    assert run(tasks.get("t", BOB)) is None
    assert run(tasks.get("t", ADA)) == made("t", 1)
    assert run(tasks.list(ListTasksRequest(), BOB)).total_size == 0


@pytest.mark.parametrize("owner", ["", "x" * 1000, "sha256:" + "0" * 64, "a\x00b", "\u2028", "é/:ä"])
def test_owners_may_have_any_name(tasks: TaskStore, run: Run[Any], owner: str) -> None:
    run(tasks.save(made("t"), of(owner)))
    assert run(tasks.get("t", of(owner))) == made("t")
    assert run(tasks.get("t", of(owner + "x"))) is None


def pages(tasks: TaskStore, run: Run[Any], **criteria: Any) -> list[list[str]]:
    found: list[list[str]] = []
    token = ""
    while True:
        page = run(tasks.list(ListTasksRequest(page_token=token, **criteria), ADA))
        found.append([task.id for task in page.tasks])
        token = page.next_page_token
        if not token:
            return found


def test_lists_are_newest_first_page_by_page(tasks: TaskStore, run: Run[Any]) -> None:
    for id, seconds in (("a", 1), ("b", 3), ("c", 2), ("d", 2), ("none 1", None), ("none 2", None), ("old", -5)):
        run(tasks.save(made(id, seconds), ADA))
    assert pages(tasks, run, page_size=3) == [["b", "d", "c"], ["a", "old", "none 2"], ["none 1"]]
    assert pages(tasks, run, page_size=7) == [["b", "d", "c", "a", "old", "none 2", "none 1"]]
    page = run(tasks.list(ListTasksRequest(page_size=2), ADA))
    assert (page.total_size, page.page_size) == (7, 2)
    run(tasks.delete("d", ADA))  # the place of a token stays
    after = run(tasks.list(ListTasksRequest(page_size=2, page_token=page.next_page_token), ADA))
    assert [task.id for task in after.tasks] == ["c", "a"]
    legacy = run(tasks.list(ListTasksRequest(page_size=2, page_token=encode_page_token("c")), ADA))
    assert [task.id for task in legacy.tasks] == ["c", "a"]


def test_lists_filter(tasks: TaskStore, run: Run[Any]) -> None:
    for n in range(6):
        state = TaskState.TASK_STATE_COMPLETED if n % 2 else TaskState.TASK_STATE_WORKING
        run(tasks.save(made(f"t{n}", n, context=f"c{n % 3}", state=state), ADA))
    assert pages(tasks, run, context_id="c1", page_size=1) == [["t4"], ["t1"]]
    assert pages(tasks, run, status=TaskState.TASK_STATE_COMPLETED) == [["t5", "t3", "t1"]]
    assert pages(tasks, run, status=TaskState.TASK_STATE_COMPLETED, context_id="c2") == [["t5"]]
    assert pages(tasks, run, context_id="c") == [[]]
    since = ListTasksRequest(page_size=1)
    since.status_timestamp_after.FromNanoseconds(4 * 10**9)
    page = run(tasks.list(since, ADA))
    assert ([task.id for task in page.tasks], page.total_size) == (["t5"], 2)
    run(tasks.save(made("t0", 10, context="c1", state=TaskState.TASK_STATE_FAILED), ADA))
    assert pages(tasks, run, context_id="c1") == [["t0", "t4", "t1"]]
    assert pages(tasks, run, context_id="c0") == [["t3"]]


@pytest.mark.parametrize("token", ["garbage", "====", "é", encode_page_token("none"), "\x00"])
def test_a_token_that_is_none_is_refused(tasks: TaskStore, run: Run[Any], token: str) -> None:
    for saved in (0, 1):
        for n in range(saved):
            run(tasks.save(made(str(n)), ADA))
        with pytest.raises(InvalidParamsError):
            run(tasks.list(ListTasksRequest(page_token=token), ADA))


TASKS = st.builds(
    made,
    st.sampled_from(["", "a", "b", "a/", "aa", "é"]),
    st.none() | st.integers(-10, 10),
    st.sampled_from(["", "c", "d"]),
    st.sampled_from([0, 1, 2]),
)
STEPS = st.lists(st.tuples(TASKS, st.sampled_from(["ada", "bob"]), st.booleans()), max_size=15)


@given(STEPS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_sequence_leaves_what_the_in_memory_store_has(steps: list[tuple[Task, str, bool]]) -> None:
    async def main() -> None:
        with Runtime.open() as rt:
            stores: list[TaskStore] = [InMemoryTaskStore(), GreenroomTaskStore(rt)]
            for task, owner, saves in steps:
                for store in stores:
                    await (store.save(task, of(owner)) if saves else store.delete(task.id, of(owner)))
            for request in (
                ListTasksRequest(),
                ListTasksRequest(page_size=2),
                ListTasksRequest(context_id="c", status=1),
            ):
                for owner in ("ada", "bob"):
                    one, other = [await store.list(request, of(owner)) for store in stores]
                    assert one == other

    asyncio.run(main())


# -- push notifications


def config(id: str, url: str = "https://example.org") -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(id=id, url=url, token="secret")


def test_configurations_are_stored_with_their_ids(configs: PushNotificationConfigStore, run: Run[Any]) -> None:
    given = config("")
    stored = run(configs.set_info("t", given, ADA))
    assert (stored.task_id, stored.id, given.id) == ("t", "t", "")
    run(configs.set_info("t", config("two"), ADA))
    run(configs.set_info("t", config("two", "https://other.example.org"), ADA))
    assert [(each.id, each.url) for each in run(configs.get_info("t", ADA))] == [
        ("t", "https://example.org"),
        ("two", "https://other.example.org"),
    ]


def test_configurations_of_owners_are_apart_but_all_are_notified(
    configs: PushNotificationConfigStore, run: Run[Any]
) -> None:
    run(configs.set_info("t", config("1"), ADA))
    run(configs.set_info("t", config("1"), BOB))
    run(configs.set_info("tt", config("2"), BOB))
    assert len(run(configs.get_info("t", ADA))) == 1
    assert run(configs.get_info("t", of("ad"))) == []
    assert len(run(configs.get_info_for_dispatch("t"))) == 2
    assert len(run(configs.get_info_for_dispatch("tt"))) == 1
    run(configs.delete_info("t", BOB))
    assert len(run(configs.get_info_for_dispatch("t"))) == 1
    assert len(run(configs.get_info("tt", BOB))) == 1


def test_configurations_are_deleted_by_id_or_all(configs: PushNotificationConfigStore, run: Run[Any]) -> None:
    for id in ("1", "2", "3"):
        run(configs.set_info("t", config(id), ADA))
    run(configs.delete_info("t", ADA, "2"))
    run(configs.delete_info("t", ADA, "none"))
    run(configs.delete_info("none", ADA))
    assert [each.id for each in run(configs.get_info("t", ADA))] == ["1", "3"]
    run(configs.delete_info("t", ADA))
    assert run(configs.get_info("t", ADA)) == []
    assert run(configs.get_info_for_dispatch("none")) == []


# -- what a durable store adds


def test_names_that_no_key_can_hold_are_refused(rt: Runtime, run: Run[Any]) -> None:
    tasks, configs = GreenroomTaskStore(rt), GreenroomPushNotificationConfigStore(rt)
    for id in ("x" * 257, "a\x00b"):
        with pytest.raises(ValidationError, match="id"):
            run(tasks.save(made(id), ADA))
        with pytest.raises(ValidationError, match="id"):
            run(configs.set_info("t", config(id), ADA))
        with pytest.raises(ValidationError, match="id"):
            run(configs.set_info(id, config("1"), ADA))
    assert run(tasks.list(ListTasksRequest(), ADA)).total_size == 0


def test_a_restart_and_another_store_find_everything(store_path: Path, run: Run[Any]) -> None:
    tasks = GreenroomTaskStore(store_path)
    task = full()
    run(tasks.save(task, ADA))
    tasks.close()
    with Runtime.open(store_path) as rt:
        one, other = GreenroomTaskStore(rt), GreenroomTaskStore(rt)
        assert run(one.get("t1", ADA)) == task
        for n in range(6):  # by turns: what one remembers of a task is not what the other has written
            task.history.append(Message(message_id=f"more {n}"))
            if n == 3:
                del task.history[:5]
            run((one, other)[n % 2].save(task, ADA))
            assert run(one.get("t1", ADA)) == run(other.get("t1", ADA)) == task
        key = rt.list_sessions(key_prefix="a2a:tasks:")[0].key
        rt.delete_session(rt.session(key=key).id)
        assert run(one.get("t1", ADA)) is None
        run(one.save(task, ADA))
        assert run(other.get("t1", ADA)) == task


def test_long_tasks_are_read_whole(rt: Runtime, run: Run[Any]) -> None:
    tasks = GreenroomTaskStore(rt)
    task = made("long", 1)
    for n in range(600):
        task.history.append(Message(message_id=str(n), parts=[Part(text="x" * 200)]))
    task.artifacts.append(Artifact(artifact_id="a", parts=[Part(text=str(n)) for n in range(600)]))
    run(tasks.save(task, ADA))
    assert run(tasks.get("long", ADA)) == task
    assert run(tasks.list(ListTasksRequest(), ADA)).tasks == [task]


def test_a_save_writes_only_what_is_new(rt: Runtime, run: Run[Any]) -> None:
    tasks = GreenroomTaskStore(rt)
    task = made("t", 1)
    sizes = []
    for n in range(60):
        task.history.append(Message(message_id=str(n), parts=[Part(text="x" * 1000)]))
        task.status.timestamp.FromNanoseconds(n)
        run(tasks.save(task, ADA))
        if n in (19, 39, 59):
            session = rt.session(rt.list_sessions(key_prefix="a2a:tasks:")[0].id)
            sizes.append(sum(len(str(event.data)) for event in session.events()))
    assert sizes[2] - sizes[1] < 1.2 * (sizes[1] - sizes[0])


def test_many_writers_leave_every_task_once(rt: Runtime) -> None:
    stores = [GreenroomTaskStore(rt), GreenroomTaskStore(rt)]

    def write(which: int) -> None:
        async def main() -> None:
            await asyncio.gather(*(stores[which % 2].save(made(f"t{n % 5}", which * 20 + n), ADA) for n in range(20)))

        asyncio.run(main())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    listed = asyncio.run(stores[0].list(ListTasksRequest(), ADA))
    assert (listed.total_size, sorted(task.id for task in listed.tasks)) == (5, [f"t{n}" for n in range(5)])
    assert listed.tasks == [asyncio.run(stores[1].get(task.id, ADA)) for task in listed.tasks]


def test_what_was_saved_outlives_a_kill(store_path: Path) -> None:
    source = f"""
import asyncio, os, signal
from a2a.server.context import ServerCallContext
from a2a.types.a2a_pb2 import Message, Task
from greenroom.runtime.integrations.a2a import GreenroomTaskStore
store = GreenroomTaskStore({str(store_path)!r})
async def main():
    task = Task(id="t")
    for n in range(30):
        task.history.append(Message(message_id=str(n)))
        await store.save(task, ServerCallContext())
        print(n, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr
    tasks = GreenroomTaskStore(store_path)
    found = asyncio.run(tasks.get("t", ServerCallContext()))
    assert found is not None
    assert [message.message_id for message in found.history] == [str(n) for n in range(30)]
    tasks.close()
