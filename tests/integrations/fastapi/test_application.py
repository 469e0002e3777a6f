"""greenroom in a FastAPI application, over real HTTP: uvicorn serves, httpx asks.

What is tested is written down by others: the format of server-sent events and Last-Event-ID by the HTML standard
(section 9.2), lifespan and disconnecting by the ASGI specification, dependencies by FastAPI's documentation.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Request, Response

from greenroom.runtime import AsyncRuntime, AsyncSession, GreenroomError, InvalidOperation, Runtime, ValidationError
from greenroom.runtime.integrations.fastapi import Greenroom, error_response, follow_events


class Sent:
    """The server-sent events of a response, as a browser takes them."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.last_id = ""

    async def next(self) -> tuple[str, Any] | None:
        name, data = "message", None
        async for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "id":
                self.last_id = value
            elif field == "event":
                name = value
            elif field == "data":
                data = json.loads(value)
            elif not line and data is not None:
                return name, data
        return None

    async def rest(self) -> list[tuple[str, Any]]:
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


def application(greenroom: Greenroom, model: Callable[[str], AsyncIterator[str]] | None = None) -> FastAPI:
    app = FastAPI(lifespan=greenroom.lifespan)
    app.add_exception_handler(GreenroomError, error_response)

    sessions: dict[str, AsyncSession] = {}

    @app.post("/chats/{name}")
    async def create(name: str, rt: AsyncRuntime = Depends(greenroom)) -> str:  # noqa: B008
        sessions[name] = await rt.create_session(name)
        return sessions[name].id

    @app.post("/chats/{name}/answer")
    async def answer(name: str, text: str, key: str | None = None) -> Response:
        assert model is not None
        return await greenroom.answer(sessions[name], model(text), idempotency_key=key)

    @app.get("/chats/{name}/messages/{sequence}")
    async def message(name: str, sequence: int, request: Request) -> Response:
        return await greenroom.message(sessions[name], sequence, request)

    @app.put("/chats/{name}/{key}")
    async def put(name: str, key: str, value: str) -> None:
        await sessions[name].set(key, value)

    @app.get("/chats/{name}/events")
    async def events(name: str, request: Request, pattern: str = "**") -> Response:
        return follow_events(sessions[name], request, pattern=pattern)

    @app.get("/events")
    async def all_events(request: Request, rt: AsyncRuntime = Depends(greenroom)) -> Response:  # noqa: B008
        return follow_events(rt, request, pattern="variable.*")

    @app.delete("/chats/{name}")
    async def delete(name: str, rt: AsyncRuntime = Depends(greenroom)) -> None:  # noqa: B008
        await rt.run(sessions[name].sync.delete)

    return app


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            base = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with httpx.AsyncClient(base_url=base, timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            await serving


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


class Model:
    """A model whose pieces come when the test says so."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self.ended = asyncio.Event()

    def say(self, *pieces: str | None) -> None:
        for piece in pieces:
            self.pieces.put_nowait(piece)

    async def __call__(self, text: str) -> AsyncIterator[str]:
        try:
            while (piece := await self.pieces.get()) is not None:
                if piece == "raise":
                    raise LookupError("the model is gone")
                yield piece
        finally:
            self.ended.set()


def test_an_answer_streams_and_is_kept(store_path: Path) -> None:
    async def main() -> None:
        model = Model()
        async with served(application(Greenroom(store_path), model)) as client:
            await client.post("/chats/one")
            async with client.stream("POST", "/chats/one/answer", params={"text": "hi"}) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                sent = Sent(response)
                first = await sent.next()
                assert first is not None
                assert first[0] == "start"
                model.say("Hello ")
                assert await sent.next() == ("delta", {"text": "Hello "})  # before the next piece is there
                model.say("world\n", "né", None)
                *deltas, last = await sent.rest()
                told = "".join(data["text"] for _, data in deltas)
                assert "world\nné".startswith(told)
            assert last[0] == "message"
            assert last[1]["content"] == "Hello world\nné"
            assert last[1]["partial"] is False
            done = await client.get(
                f"/chats/one/messages/{last[1]['sequence']}", headers={"Last-Event-ID": sent.last_id}
            )
            assert done.status_code == 204
        with Runtime.open(store_path) as rt:
            (session,) = rt.list_sessions()
            assert [turn.content for turn in rt.session(session.id).messages()] == ["Hello world\nné"]

    run(main)


def test_a_client_that_leaves_and_comes_back_gets_the_rest(store_path: Path) -> None:
    async def main() -> None:
        model = Model()
        async with served(application(Greenroom(store_path), model)) as client:
            await client.post("/chats/one")
            async with client.stream("POST", "/chats/one/answer", params={"text": "hi"}) as response:
                sent = Sent(response)
                first = await sent.next()
                model.say("a")
                assert await sent.next() == ("delta", {"text": "a"})
            assert first is not None
            place = f"/chats/one/messages/{first[1]['sequence']}"
            await asyncio.sleep(0.1)  # deltas of one twentieth of a second are one
            model.say("b")
            headers = {"Last-Event-ID": sent.last_id}
            async with client.stream("GET", place, headers=headers) as response:
                again = Sent(response)
                assert await again.next() == ("delta", {"text": "b"})
                model.say(None)
                assert (await again.rest())[-1][1]["content"] == "ab"
            everything = await Sent(await client.get(place)).rest()
            assert [name for name, _ in everything] == ["start", "delta", "delta", "message"]
            for wrong in ("x", "999-1", f"{first[1]['sequence']}-x", ""):
                refused = await client.get(place, headers={"Last-Event-ID": wrong})
                assert (refused.status_code, refused.json()["error"]) == (422, "ValidationError")

    run(main)


def test_a_model_that_fails_leaves_a_partial_message(store_path: Path) -> None:
    async def main() -> None:
        model = Model()
        async with served(application(Greenroom(store_path), model)) as client:
            await client.post("/chats/one")
            model.say("so far", "raise")
            sent = await Sent(await client.post("/chats/one/answer", params={"text": "hi", "key": "k"})).rest()
            assert sent[-1][1]["content"] == "so far"
            assert sent[-1][1]["partial"] is True
            model.say("now ", "complete", None)
            sent = await Sent(await client.post("/chats/one/answer", params={"text": "hi", "key": "k"})).rest()
            assert "restart" in [name for name, _ in sent]
            assert sent[-1][1]["content"] == "now complete"
            once_more = await Sent(await client.post("/chats/one/answer", params={"text": "hi", "key": "k"})).rest()
            assert once_more[-1] == sent[-1]

    run(main)


def test_the_end_of_the_application_ends_what_is_written(store_path: Path) -> None:
    async def main() -> None:
        model = Model()
        async with served(application(Greenroom(store_path), model)) as client:
            await client.post("/chats/one")
            async with client.stream("POST", "/chats/one/answer", params={"text": "hi"}) as response:
                model.say("so far")
                sent = Sent(response)
                await sent.next()
                await sent.next()
        assert model.ended.is_set()
        with Runtime.open(store_path) as rt:
            (session,) = rt.list_sessions()
            assert [(turn.content, turn.partial) for turn in rt.session(session.id).messages()] == [("so far", True)]

    run(main)


def test_events_are_followed_and_resumed(store_path: Path) -> None:
    async def main() -> None:
        async with served(application(Greenroom(store_path))) as client:
            await client.post("/chats/one")
            await client.put("/chats/one/a", params={"value": "1"})
            async with client.stream("GET", "/chats/one/events") as response:
                sent = Sent(response)
                assert [(await sent.next() or ("",))[0] for _ in range(2)] == ["session.created", "variable.set"]
                await client.put("/chats/one/b", params={"value": "2"})
                event = await sent.next()
                assert event is not None
                assert event[1]["data"]["key"] == "b"
            await client.put("/chats/one/c", params={"value": "3"})
            async with client.stream("GET", "/chats/one/events", headers={"Last-Event-ID": sent.last_id}) as response:
                event = await Sent(response).next()
                assert event is not None
                assert event[1]["data"]["key"] == "c"
            for wrong in ("x", "-1", "1" * 40, ""):
                refused = await client.get("/chats/one/events", headers={"Last-Event-ID": wrong})
                assert refused.status_code == 422

    run(main)


def test_the_events_of_all_sessions_are_followed_and_resumed(store_path: Path) -> None:
    async def main() -> None:
        async with served(application(Greenroom(store_path))) as client:
            for name in ("one", "two"):
                await client.post(f"/chats/{name}")
            async with client.stream("GET", "/events") as response:
                await client.put("/chats/one/a", params={"value": "1"})
                sent = Sent(response)
                await sent.next()
            await client.put("/chats/two/b", params={"value": "1"})
            async with client.stream("GET", "/events", headers={"Last-Event-ID": sent.last_id}) as response:
                event = await Sent(response).next()
                assert event is not None
                assert event[1]["data"]["key"] == "b"

    run(main)


def test_a_stream_ends_with_its_session_and_errors_have_their_status(store_path: Path) -> None:
    async def main() -> None:
        async with served(application(Greenroom(store_path))) as client:
            await client.post("/chats/one")
            async with client.stream("GET", "/chats/one/events") as response:
                sent = Sent(response)
                await sent.next()
                await client.delete("/chats/one")
                await sent.rest()
            gone = await client.put("/chats/one/a", params={"value": "1"})
            assert (gone.status_code, gone.json()["error"]) == (404, "SessionNotFound")
            assert (await client.get("/chats/one/events")).status_code == 404

    run(main)


def test_a_runtime_that_is_open_stays_open(rt: Runtime) -> None:
    async def main() -> None:
        async with served(application(Greenroom(rt))) as client:
            assert (await client.post("/chats/one")).status_code == 200
        assert [info.name for info in rt.list_sessions()] == ["one"]

    run(main)


def test_what_cannot_be_is_refused(rt: Runtime) -> None:
    with pytest.raises(ValidationError, match="config"):
        Greenroom(rt, config={})
    with pytest.raises(InvalidOperation, match="lifespan"):
        _ = Greenroom("nowhere").runtime
    assert not Path("nowhere").exists()
