"""The asynchronous handles: all methods of the synchronous ones, each in its way."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from greenroom.runtime import AsyncRuntime, AsyncSession, Conflict, InvalidOperation, VariableNotFound, messages

from .held import Held

ROOT = Path(__file__).parents[3]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("async_faces", ROOT / "docs" / "async_faces.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _plain(source: str) -> str:
    """Return the classes of a module without how their lines are broken."""
    classes = [each for each in ast.parse(source).body if isinstance(each, ast.ClassDef)]
    for node in ast.walk(ast.Module(classes, [])):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = " ".join(node.value.value.split())
    return "\n".join(ast.unparse(each) for each in classes)


def test_the_handles_are_what_the_generator_writes() -> None:
    """A new method of a synchronous handle has no face, and this fails, until docs/async_faces.py knows its way."""
    made = generator()
    for plan in made.PLANS:
        written = (made.TARGET / f"{made.file_of(plan)}.py").read_text()
        assert _plain(written) == _plain(made.face_of(plan)), f"run docs/async_faces.py: {plan.name}"


def test_what_is_made_by_hand_is_there() -> None:
    made = generator()
    for plan in made.PLANS:
        ways = plan.ways()
        if plan.name == "Session":
            by_hand = {name for name, way in ways.items() if way == "skip" and not name.startswith("__")}
            missing = {each for each in by_hand if not hasattr(AsyncSession, each)}
            assert missing <= {"current", "follow", "stream_message"}


CALLS: dict[str, Callable[[AsyncSession, AsyncSession], Awaitable[object]]] = {
    "__getitem__": lambda s, o: s["k"],
    "update": lambda s, o: s.update({"a": 1}, b=2),
    "compare_and_set": lambda s, o: s.compare_and_set("k", {"n": 1}, 2),
    "set": lambda s, o: s.set("n", 1),
    "get": lambda s, o: s.get("k", as_=dict[str, int]),
    "delete_variable": lambda s, o: s.delete_variable("k"),
    "variables": lambda s, o: s.variables(),
    "variable_keys": lambda s, o: s.variable_keys(),
    "info": lambda s, o: s.info(),
    "suspend": lambda s, o: s.suspend(),
    "resume": lambda s, o: s.resume(idempotency_key="r"),
    "complete": lambda s, o: s.complete(),
    "fail": lambda s, o: s.fail("why"),
    "archive": lambda s, o: s.archive(),
    "save": lambda s, o: s.save(),
    "load": lambda s, o: s.load(),
    "delete": lambda s, o: s.delete(),
    "rename": lambda s, o: s.rename("new"),
    "describe": lambda s, o: s.describe("new"),
    "add_tag": lambda s, o: s.add_tag("t"),
    "remove_tag": lambda s, o: s.remove_tag("t"),
    "set_tags": lambda s, o: s.set_tags(each for each in ("a", "b")),
    "update_metadata": lambda s, o: s.update_metadata({"a": 1}),
    "add_message": lambda s, o: s.add_message("user", "hi"),
    "add_messages": lambda s, o: s.add_messages({"role": "user", "content": each} for each in "ab"),
    "edit_message": lambda s, o: s.edit_message(2, content="other"),
    "retract_message": lambda s, o: s.retract_message(2),
    "pop_message": lambda s, o: s.pop_message(),
    "truncate_messages": lambda s, o: s.truncate_messages(1),
    "clear_messages": lambda s, o: s.clear_messages(),
    "messages": lambda s, o: s.messages(format="openai"),
    "store_many": lambda s, o: s.store_many({"type": "log", "name": each, "content": each} for each in "ab"),
    "get_artifact": lambda s, o: s.get_artifact("a.txt"),
    "query_artifacts": lambda s, o: s.query_artifacts(limit=1),
    "count_artifacts": lambda s, o: s.count_artifacts(artifact_type="log"),
    "artifact_names": lambda s, o: s.artifact_names(),
    "get_artifact_info": lambda s, o: s.get_artifact_info("a.txt"),
    "list_artifacts": lambda s, o: s.list_artifacts(),
    "artifact_versions": lambda s, o: s.artifact_versions("a.txt"),
    "delete_artifact": lambda s, o: s.delete_artifact("a.txt"),
    "delete_many": lambda s, o: s.delete_many(["a.txt", "none"]),
    "share": lambda s, o: s.share(o, "read"),
    "shares": lambda s, o: s.shares(),
    "grant_scope": lambda s, o: s.grant_scope("user:7"),
    "revoke_scope": lambda s, o: s.revoke_scope("user:7"),
    "scopes": lambda s, o: s.scopes(),
    "share_artifact": lambda s, o: s.share_artifact("a.txt", o),
    "revoke": lambda s, o: s.revoke("a.txt", o),
    "permissions": lambda s, o: s.permissions("a.txt"),
    "check_access": lambda s, o: s.check_access("a.txt", session=o),
    "call_tool": lambda s, o: s.call_tool("echo", {"x": 1}, as_=int),
    "ask_human": lambda s, o: s.ask_human("why?"),
    "approvals": lambda s, o: s.approvals(),
    "accept_losses": lambda s, o: s.accept_losses(),
    "config": lambda s, o: s.config,
    "update_config": lambda s, o: s.update_config(max_operations=None),
    "store_artifact": lambda s, o: s.store_artifact("log", "b.txt", b"b", tags=(each for each in ("a", "b"))),
}
RECORDS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "put": lambda r: r.put("a", 1),
    "put_if_absent": lambda r: r.put_if_absent("r", 1),
    "put_many": lambda r: r.put_many({"a": 1, "b": 2}),
    "delete": lambda r: r.delete("r"),
    "delete_many": lambda r: r.delete_many(each for each in ("r", "none")),
    "get": lambda r: r.get("r", as_=int),
    "get_many": lambda r: r.get_many(each for each in ("r", "none")),
    "count": lambda r: r.count(),
}
BEFORE = {"resume": ["suspend"], "archive": ["complete"], "revoke": ["share_artifact"], "revoke_scope": ["grant_scope"]}


async def _made(rt: AsyncRuntime) -> AsyncSession:
    session = await rt.create_session("s")
    await session.add_message("user", "hello")
    await session.set("k", {"n": 1})
    await session.store_artifact("log", "a.txt", b"a")
    await session.records.put("r", 1)
    return session


def _shown(value: object, session: AsyncSession) -> str:
    text = repr(value).replace(session.id, "ID")
    return re.sub(r"datetime\(.*?\)|[0-9a-f-]{30,}|\b\d{4}-\d\d-\d\dT\S+", "…", text)


def _ways(name: str) -> set[str]:
    (plan,) = [each for each in generator().PLANS if each.name == name]
    return set(plan.once.split())


def test_each_method_that_asks_once_is_called_here() -> None:
    assert CALLS.keys() == _ways("Session")
    assert RECORDS.keys() == _ways("Records")


@pytest.mark.parametrize("way", ["mailbox", "hooked", "not in memory"])
def test_what_asks_once_gives_the_same_by_whichever_way(way: str) -> None:
    """A method that asked twice would fail in the second call, and one that uses up its arguments in the first."""

    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            await rt.tools.register("echo", lambda x: x)
            other = await rt.create_session("o")
            calls: dict[str, Any] = {name: (lambda s, c=call: c(s, other)) for name, call in CALLS.items()}
            calls |= {f"records.{name}": (lambda s, c=call: c(s.records)) for name, call in RECORDS.items()}
            here, there = {}, {}
            for name, call in calls.items():
                for found, elsewhere in ((here, False), (there, True)):
                    session = await _made(rt)
                    for each in BEFORE.get(name, ()):
                        await calls[each](session)
                    found[name] = _shown(await _called(rt, session, call, way if elsewhere else "here"), session)
            if way == "not in memory":  # loading it leaves an event
                assert here.pop("load") != there.pop("load")
            assert here == there

    asyncio.run(main())


async def _called(rt: AsyncRuntime, session: AsyncSession, call: Any, way: str) -> object:
    if way == "here":
        return await call(session)
    if way == "mailbox":
        with Held(rt, session) as held:
            task = asyncio.ensure_future(call(session))
            for _ in range(3):
                await asyncio.sleep(0)
            held.release()
            return await task
    if way == "not in memory":
        table = rt.runtime.core.supervisor.table
        table.passivate(table.actors[session.id])
        return await call(session)
    handles = [await rt.hooks.register(point, lambda context: None) for point in POINTS]
    try:
        return await call(session)
    finally:
        for each in handles:
            await rt.hooks.unregister(each)


POINTS = ("BeforeStateWrite", "AfterStateWrite", "BeforeStateRead", "ArtifactStored")


async def _broken_off(session: AsyncSession) -> None:
    async with session.batch() as batch:
        await batch.set("p", 1)
        raise ZeroDivisionError


def test_the_end_of_a_batch_raises_what_its_session_says() -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await _made(rt)
            with pytest.raises(Conflict):
                async with session.batch(expected_sequence=1) as batch:
                    await batch.set("p", 1)
            with pytest.raises(InvalidOperation, match="this batch is over"):
                await batch.set("p", 1)
            with pytest.raises(ZeroDivisionError):
                await _broken_off(session)
            assert not await session.contains("p")
            async with session.batch() as batch:
                await batch.set("p", 1)
                await batch.records.put("x", 1)
                await batch.scope("user:7").set("n", 2)
                with pytest.raises(InvalidOperation):
                    await batch.get("p")
            assert await session["p"] == 1
            assert await rt.state_scope("user:7")["n"] == 2
            assert batch.replies == [None, True, None]

    asyncio.run(main())


def test_a_compare_and_set_that_is_too_late_says_so_by_every_way() -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await _made(rt)
            assert not await session.compare_and_set("k", 7, 8)
            with Held(rt, session) as held:
                task = asyncio.ensure_future(session.compare_and_set("k", 7, 8))
                missing = asyncio.ensure_future(session["none"])
                await asyncio.sleep(0)
                held.release()
                assert not await task
                with pytest.raises(VariableNotFound):
                    await missing

    asyncio.run(main())


def test_iterators_streams_and_blocks(store_path: Path) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open(store_path) as rt:
            session = await rt.get_or_create("user-7")
            assert session == await rt.session(key="user-7")
            for number in range(300):
                await session.set("n", number)
            assert len([each async for each in session.events()]) == 301
            async with session.create_artifact("log", "run.log") as log:
                await log.write("x" * 100_000)
            assert log.info.size == 100_000
            async with await session.open_artifact(log.info.id) as stream:
                assert b"".join([piece async for piece in stream]) == b"x" * 100_000
            with pytest.raises(ZeroDivisionError):
                async with session.create_artifact("log", "not.log") as log:
                    raise ZeroDivisionError
            assert await session.artifact_names() == ["run.log"]
            async with rt.operation("abc"):
                await session.set("n", 0)
            assert [each async for each in session.events(after=302)][-1].correlation_id == "abc"
            assert [each.id async for each in rt.iterate_sessions()] == [session.id]
            assert await rt.ask(session, messages.GetVariable("n")) == 0
            script = "return Streaming.create(function() Streaming.yield(1) Streaming.yield(2) end)"
            async with rt.stream_script(script) as pieces:
                assert [piece async for piece in pieces] == [1, 2]
            fork = await session.fork(3)
            assert await fork.parent() == session
            assert (await rt.replay(session)).identical

    asyncio.run(main())
