"""What greenroom adds: threads are sessions, and what was acknowledged survives."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chainlit.element import File, Text
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import User

from greenroom.runtime import AsyncRuntime, Runtime, RuntimeClosed, StoreLocked, ValidationError
from greenroom.runtime.integrations.chainlit import GreenroomDataLayer

from ..values import VALUES, keeps_or_refuses
from .conftest import outside_of_a_session
from .test_contract import step


def run(work: Any) -> Any:
    return asyncio.run(outside_of_a_session(work))


def test_messages_are_turns(rt: Runtime, tmp_path: Path) -> None:
    async def main() -> None:
        layer = GreenroomDataLayer(rt)
        ada: Any = await layer.create_user(User(identifier="ada", display_name="Ada"))
        assert ada.display_name == "Ada"
        await layer.update_thread("t", name="n" * 300, user_id=ada.id, tags=["a"])
        await layer.create_step(step("a", "t", "hello"))
        await layer.create_step(step("b", "t", "", at=1, type="assistant_message"))
        await layer.create_step(step("c", "t", "42", at=2, type="tool"))
        await layer.update_step(step("b", "t", "hi", at=1, type="assistant_message"))
        await layer.upsert_feedback(Feedback(forId="b", value=1))
        await layer.create_element(
            Text(thread_id="t", id="e", name="n.txt", mime="text/plain", content="text", for_id="a")
        )

    run(main())
    session = rt.session(key="chainlit:thread:t")
    assert [(turn.role, turn.content) for turn in session.messages()] == [("user", "hello"), ("assistant", "hi")]
    assert session.info().name == "n" * 255
    assert [each.mime_type for each in session.query_artifacts(artifact_type="chainlit_element").items] == [
        "text/plain"
    ]
    assert rt.replay(session.id).identical
    before: Any = run(GreenroomDataLayer(rt).get_thread("t"))
    assert (before["name"], before["tags"]) == ("n" * 300, ["a"])
    rt.export_session(session.id, tmp_path / "thread.bundle")
    with Runtime.open(tmp_path / "other") as other:
        other.import_session(tmp_path / "thread.bundle")
        assert run(GreenroomDataLayer(other).get_thread("t")) == before


def test_what_others_take_out_of_the_conversation_is_no_step(rt: Runtime) -> None:
    async def main() -> list[str]:
        layer = GreenroomDataLayer(rt)
        for number in range(3):
            await layer.create_step(step(f"s{number}", "t", f"text {number}", at=number))
        session = rt.session(key="chainlit:thread:t")
        session.retract_message(session.messages()[1].sequence)
        session.add_message("user", "a note of another")
        seen: Any = await layer.get_thread("t")
        outputs = [each["output"] for each in seen["steps"]]
        await layer.update_step(step("s1", "t", "back", at=1))
        again: Any = await layer.get_thread("t")
        return outputs + [each["output"] for each in again["steps"]]

    assert run(main()) == ["text 0", "text 2", "text 0", "back", "text 2"]


def test_elements_of_files_and_urls(rt: Runtime, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)

    async def main() -> None:
        layer = GreenroomDataLayer(rt, elements_url="/files/")
        await layer.create_element(File(thread_id="t/1", id="é", name="f", path=str(tmp_path / "f"), for_id="a"))
        await layer.create_element(File(thread_id="t/1", id="u", name="u", url="https://example.invalid/u"))
        found: Any = await layer.get_element("t/1", "é")
        assert found["url"] == "/files/t%2F1/%C3%A9"
        content = await layer.read_element("t/1", "é")
        assert content is not None
        assert content.content == b"x" * 3_000_000
        other: Any = await layer.get_element("t/1", "u")
        assert other["url"] == "https://example.invalid/u"
        assert await layer.read_element("t/1", "u") is None
        assert await layer.read_element("none", "u") is None
        await layer.delete_element("é", "t/1")
        assert await layer.read_element("t/1", "é") is None

    run(main())


def test_no_feedback_counts_as_none(rt: Runtime) -> None:
    async def main() -> list[str]:
        layer = GreenroomDataLayer(rt)
        ada: Any = await layer.create_user(User(identifier="ada"))
        for number, value in enumerate((0, 1)):
            await layer.update_thread(f"t{number}", user_id=ada.id)
            await layer.create_step(step(f"s{number}", f"t{number}", "text"))
            made = await layer.upsert_feedback(Feedback(forId=f"s{number}", value=value))  # type: ignore[arg-type]
        assert not await layer.delete_feedback("none")
        assert await layer.upsert_feedback(Feedback(forId="s0", value=0, id=made)) == made  # moved to another step
        with pytest.raises(ValidationError, match="no step"):
            await layer.upsert_feedback(Feedback(forId="none", value=1))
        found = await layer.list_threads(Pagination(first=9), ThreadFilter(userId=ada.id, feedback=0))
        return [each["id"] for each in found.data]

    assert run(main()) == ["t0"]


def test_writers_at_once_lose_nothing(rt: Runtime) -> None:
    async def main() -> Any:
        layer = GreenroomDataLayer(AsyncRuntime.over(rt))
        made = await asyncio.gather(*(layer.create_user(User(identifier="ada")) for _ in range(8)))
        assert len({each.id for each in made if each is not None}) == 1
        await asyncio.gather(
            *(layer.create_step(step(f"s{number}", "t", f"text {number}", at=number)) for number in range(40)),
            *(layer.update_thread("t", metadata={f"k{number}": number}) for number in range(20)),
        )
        return await layer.get_thread("t")

    thread = run(main())
    assert [each["output"] for each in thread["steps"]] == [f"text {number}" for number in range(40)]
    assert thread["metadata"] == {f"k{number}": number for number in range(20)}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", ["metadata", "generation", "step", "user", "thread"])
def test_what_is_given_comes_back_or_is_refused(rt: Runtime, place: str, name: str) -> None:
    async def put(value: Any) -> Any:
        layer = GreenroomDataLayer(rt)
        held = {"value": value}
        if place == "user":
            await layer.create_user(User(identifier="ada", metadata=held))
            found: Any = await layer.get_user("ada")
            return found.metadata["value"]
        if place == "thread":
            await layer.update_thread("t", metadata=held)
            thread: Any = await layer.get_thread("t")
            return thread["metadata"]["value"]
        await layer.create_step(step("s", "t", "text", **(held if place == "step" else {place: held})))
        seen: Any = await layer.get_thread("t")
        return seen["steps"][0]["value"] if place == "step" else seen["steps"][0][place]["value"]

    keeps_or_refuses(name, lambda value: outside_of_a_session(put(value)))


IDS = ["", "/", "a", "A", "%", "\x00", "\ud800", "\udfff", "x" * 600, "x" * 601, "sha256:", "user:a", "index"]


def test_ids_of_any_characters_are_apart(rt: Runtime) -> None:
    async def main() -> None:
        layer = GreenroomDataLayer(rt)
        for number, each in enumerate(IDS):
            await layer.create_step(step(each, each, f"text {number}"))
            await layer.create_user(User(identifier=each, metadata={"n": number}))
        for number, each in enumerate(IDS):
            found: Any = await layer.get_thread(each)
            assert [(step["id"], step["output"]) for step in found["steps"]] == [(each, f"text {number}")]
            user: Any = await layer.get_user(each)
            assert user.metadata == {"n": number}
        for each in IDS:
            await layer.delete_step(each)
            found = await layer.get_thread(each)
            assert found["steps"] == []

    run(main())


@pytest.mark.parametrize("wrong", [None, 1, ["s"]])
def test_ids_are_texts(rt: Runtime, wrong: Any) -> None:
    async def main() -> None:
        layer = GreenroomDataLayer(rt)
        for work in (
            layer.get_thread(wrong),
            layer.update_thread(wrong),
            layer.create_step(step(wrong, "t")),
            layer.create_step(step("s", wrong)),
            layer.get_element(wrong, "e"),
            layer.get_user(wrong),
            layer.update_thread("t", user_id="nobody"),
        ):
            with pytest.raises(ValidationError):
                await work
        await layer.delete_step(wrong)
        assert rt.count_sessions() == 0

    run(main())


def test_a_path_is_opened_and_closed(tmp_path: Path) -> None:
    async def main() -> None:
        async with GreenroomDataLayer(tmp_path / "s") as layer:
            with pytest.raises(StoreLocked):
                GreenroomDataLayer(tmp_path / "s")
            await layer.update_thread("t")
        await layer.close()
        with pytest.raises(RuntimeClosed):
            await layer.get_thread("t")

    run(main())


PROGRAM = """
import asyncio, sys
from unittest.mock import Mock
from chainlit.context import ChainlitContext, context_var
from chainlit.session import HTTPSession
from greenroom.runtime.integrations.chainlit import GreenroomDataLayer

async def main():
    context_var.set(ChainlitContext(Mock(spec=HTTPSession), emitter=Mock()))
    layer = GreenroomDataLayer(sys.argv[1])
    for n in range(100_000):
        made = {"id": f"s{n}", "threadId": "t", "name": "a", "type": "user_message", "createdAt": f"{n:09}"}
        await layer.create_step({**made, "output": ""})
        await layer.update_step({**made, "output": str(n)})
        print(n, flush=True)

asyncio.run(main())
"""


def test_kill_minus_nine_loses_nothing_acknowledged(tmp_path: Path) -> None:
    environment = {**os.environ, "CHAINLIT_APP_ROOT": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "s")]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert writer.stdout is not None
    for _ in range(30):
        assert writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = 30 + writer.stdout.read().count("\n")
    writer.wait()

    async def main() -> Any:
        async with GreenroomDataLayer(tmp_path / "s") as layer:
            return await layer.get_thread("t")

    outputs = [each["output"] for each in run(main())["steps"]]
    assert outputs[:acknowledged] == [str(n) for n in range(acknowledged)]
    assert len(outputs) in (acknowledged, acknowledged + 1)
