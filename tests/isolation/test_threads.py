"""A thread that a tool starts acts for the tool's session, or for nobody; never for the host."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from greenroom.runtime import AccessDenied, Runtime
from greenroom.runtime.messages import AddTag, SetVariable

from .conftest import Two

BOUND = 20.0


def by_thread(work: Callable[[], Any]) -> Any:
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run).start()
    return done.result(BOUND)


def by_subclass(work: Callable[[], Any]) -> Any:
    class Worker(threading.Thread):
        outcome: Any = None

        def run(self) -> None:
            try:
                self.outcome = work()
            except Exception as error:
                self.outcome = error

    worker = Worker()
    worker.start()
    worker.join(BOUND)
    if isinstance(worker.outcome, Exception):
        raise worker.outcome
    return worker.outcome


def by_timer(work: Callable[[], Any]) -> Any:
    done: Future[Any] = Future()
    threading.Timer(0, lambda: by_thread_into(work, done)).start()
    return done.result(BOUND)


def by_thread_into(work: Callable[[], Any], done: Future[Any]) -> None:
    try:
        done.set_result(work())
    except Exception as error:
        done.set_exception(error)


def by_pool(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(2) as pool:
        return pool.submit(work).result(BOUND)


def by_loop(work: Callable[[], Any]) -> Any:
    async def main() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, work)

    return asyncio.run(main())


def by_thread_of_a_thread(work: Callable[[], Any]) -> Any:
    return by_thread(lambda: by_pool(work))


WAYS = [by_thread, by_subclass, by_timer, by_pool, by_loop, by_thread_of_a_thread]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", ["tool", "agent"])
def test_a_thread_of_a_call_is_confined_as_the_call_is(two: Two, way: Callable[..., Any], kind: str) -> None:
    rt, seen = two.rt, []

    def attempts() -> None:
        two.mine.set("by a thread", 1)
        seen.append(two.mine.get("by a thread"))
        seen.append(rt.create_session().info().parent_session_id)
        for attempt in (
            lambda: two.other.set("k", 1),
            lambda: rt.session(two.other.id),
            lambda: rt.state_scope("global"),
            lambda: rt.run_script("return 1"),
            lambda: rt.tell(two.other.id, AddTag("t")),
            lambda: two.mine.update_config(max_artifacts=None),
        ):
            with pytest.raises(AccessDenied):
                attempt()
        seen.append("denied")

    before = two.sequence()
    if kind == "tool":
        rt.tools.register("spawn", lambda: way(attempts) or 1, replace=True)
        two.mine.call_tool("spawn")
    else:
        rt.agents.register("spawner", lambda input: str(way(attempts)), replace=True)
        two.mine.call_agent("spawner", "x")
    assert seen == [1, two.mine.id, "denied"]
    assert two.sequence() == before
    written = [event for event in two.mine.events() if event.data.get("key") == "by a thread"]
    assert (written[-1].source or "").startswith(kind), "what a thread does is told as what its call does"


def test_a_pool_that_outlives_the_call_acts_for_nobody(two: Two) -> None:
    pool = ThreadPoolExecutor(1)
    two.rt.tools.register("fill", lambda: pool.submit(two.mine.set, "k", "in time").result(BOUND), replace=True)
    try:
        two.mine.call_tool("fill")
        assert two.mine.get("k") == "in time"
        for late in (lambda: two.mine.set("k", 1), lambda: two.other.set("k", 1), two.rt.create_session):
            with pytest.raises(AccessDenied, match="over"):
                pool.submit(late).result(BOUND)
        assert two.mine.get("k") == "in time"
    finally:
        pool.shutdown()


def test_threads_of_a_call_that_hangs_still_act_for_its_session(two: Two) -> None:
    begun, leave = threading.Event(), threading.Event()
    outcomes: list[Future[Any]] = []
    """One for each call: without a core for it, a call ends before its tool has begun, which then begins besides."""

    def slow() -> None:
        outcome = Future[Any]()
        outcomes.append(outcome)
        begun.set()
        threading.Thread(target=lambda: (leave.wait(BOUND), by_thread_into(write, outcome))).start()
        outcome.result(BOUND)

    def write() -> Any:
        two.mine.set("late", 1)
        with pytest.raises(AccessDenied):
            two.other.set("late", 1)
        return "written"

    two.rt.tools.register("slow", slow, replace=True)
    for _ in range(30):
        with pytest.raises(TimeoutError):
            two.mine.call_tool("slow", timeout=0.05)
        if begun.is_set():
            break
    leave.set()
    assert outcomes[0].result(BOUND) == "written"


def test_the_hosts_threads_and_the_runtimes_own_stay_the_hosts(two: Two) -> None:
    """Also those that start while a call is at work."""
    rt = two.rt

    def nested() -> str:
        with Runtime.open() as inner:  # its threads are its own
            made = inner.create_session()
            by_pool(lambda: made.set("k", 1))
            inner.tell(made.id, SetVariable("k", 1))
            assert made.get("k") == 1
        rt.tools.invoke("noop", {})
        two.mine.call_tool("noop")
        return "done"

    started, go_on = threading.Event(), threading.Event()

    def pausing() -> None:
        started.set()
        assert go_on.wait(BOUND)

    rt.tools.register("nested", nested, replace=True)
    rt.tools.register("pausing", pausing, replace=True)
    assert two.mine.call_tool("nested") == "done"
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(two.mine.call_tool, "pausing")
        assert started.wait(BOUND)
        assert by_pool(lambda: two.other.get("k", "nothing")) is not None
        assert by_thread(lambda: rt.create_session().info().parent_session_id) is None
        go_on.set()
        call.result(BOUND)
    for each in (two.other, two.mine):
        assert by_pool(each.info).id == each.id


def test_a_context_that_goes_with_the_work_confines_a_pool_of_the_hosts(two: Two) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result(BOUND)  # its thread was started by the host

        def hand_over() -> bool:
            work = contextvars.copy_context()
            with pytest.raises(AccessDenied):
                pool.submit(work.run, two.other.set, "k", 1).result(BOUND)
            return True

        two.rt.tools.register("hand", hand_over, replace=True)
        assert two.mine.call_tool("hand") is True
