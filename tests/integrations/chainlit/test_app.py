"""A real Chainlit app, talked to as its page does: messages, feedback and elements, before kill -9 and after it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import socketio

from greenroom.runtime import Runtime

APP = """
import chainlit as cl
from greenroom.runtime.integrations.chainlit import GreenroomDataLayer, serve_elements

layer = GreenroomDataLayer("store")
serve_elements(layer)

@cl.data_layer
def data_layer():
    return layer

@cl.password_auth_callback
def log_in(name, password):
    return cl.User(identifier=name) if password == "p" else None

@cl.on_chat_start
async def begin():
    await cl.Message("Say something.").send()

@cl.on_chat_resume
async def resume(thread):
    cl.user_session.set("steps", len(thread["steps"]))

@cl.on_message
async def answer(message):
    async with cl.Step(name="look up", type="tool", show_input=True) as step:
        step.input, step.output = "query", "found"
    await cl.Message(f"Echo: {message.content}", elements=[cl.Text(name="n.html", content="<b>body</b>")]).send()
"""


class App:
    """The app as a process."""

    def __init__(self, folder: Path) -> None:
        (folder / "app.py").write_text(APP, "utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "chainlit", "run", "app.py", "--headless", "--host", "127.0.0.1"]
        environment = {**os.environ, "CHAINLIT_AUTH_SECRET": "s" * 64, "CHAINLIT_APP_ROOT": str(folder)}
        self.process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        said = ""
        while "Your app is available" not in said:
            line = self.process.stdout.readline()
            assert line, said
            said += line

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        print(self.process.communicate()[0])


class Page:
    """What a browser does for one user."""

    def __init__(self, app: App, user: str) -> None:
        self.http = httpx.AsyncClient(base_url=app.url, timeout=30)
        self.app, self.user = app, user
        self.client = socketio.AsyncClient()
        self.got: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.session_id = str(uuid4())

    async def log_in(self) -> None:
        assert (await self.http.post("/login", data={"username": self.user, "password": "p"})).status_code == 200

    async def connect(self, thread_id: str = "") -> None:
        self.client.on("*", lambda event, data=None: self.got.put_nowait((event, data)))
        cookies = "; ".join(f"{each.name}={each.value}" for each in self.http.cookies.jar)
        auth = {"clientType": "webapp", "sessionId": self.session_id, "threadId": thread_id}
        options: dict[str, Any] = {"socketio_path": "/ws/socket.io", "transports": ["websocket"], "wait_timeout": 30}
        await self.client.connect(self.app.url, headers={"Cookie": cookies}, auth=auth, **options)
        await self.client.emit("connection_successful")

    async def say(self, text: str) -> None:
        message = {"id": str(uuid4()), "name": self.user, "type": "user_message", "output": text}
        message["createdAt"] = datetime.now(UTC).isoformat()
        await self.client.emit("client_message", {"message": message, "fileReferences": None})

    async def until(self, event: str, check: Callable[[Any], bool] = lambda data: True) -> Any:
        while True:
            got, data = await asyncio.wait_for(self.got.get(), 30)
            if got == event and check(data):
                return data

    async def thread(self, thread_id: str, check: Callable[[Any], bool]) -> Any:
        """Return a thread once it is as wanted: Chainlit saves behind the answers that it sends."""
        for _ in range(1000):
            answer = await self.http.get(f"/project/thread/{thread_id}")
            if answer.status_code == 200 and check(answer.json()):
                return answer.json()
        raise AssertionError(answer.text)

    async def close(self) -> None:
        await self.client.disconnect()
        await self.http.aclose()


def echoed(text: str) -> Callable[[Any], bool]:
    return lambda step: bool(step["output"] == f"Echo: {text}")


def saved(*texts: str) -> Callable[[Any], bool]:
    """Say whether a thread has, for each text, the message, the whole tool's step and the answer with its element."""

    def check(thread: Any) -> bool:
        steps = [each for each in thread["steps"] if each["output"]]
        outputs = [each["output"] for each in steps]
        return (
            all(text in outputs and f"Echo: {text}" in outputs for text in texts)
            and outputs.count("found") == len(texts)
            and len(thread["elements"]) == len(texts)
        )

    return check


def test_an_app_goes_on_after_kill_minus_nine(tmp_path: Path) -> None:
    app = App(tmp_path)

    async def first() -> tuple[str, Any]:
        ada = Page(app, "ada")
        await ada.log_in()
        await ada.connect()
        await ada.until("new_message", lambda step: step["output"] == "Say something.")
        await ada.say("hello")
        thread_id = (await ada.until("first_interaction"))["thread_id"]
        answer = await ada.until("new_message", echoed("hello"))
        thread = await ada.thread(thread_id, saved("hello"))
        given = await ada.http.put(
            "/feedback", json={"feedback": {"forId": answer["id"], "value": 1}, "sessionId": ada.session_id}
        )
        assert given.status_code == 200
        os.kill(app.process.pid, signal.SIGKILL)
        await ada.http.aclose()
        return thread_id, thread

    try:
        thread_id, before = asyncio.run(first())
    finally:
        app.kill()
    assert (before["name"], before["userIdentifier"]) == ("hello", "ada")
    app = App(tmp_path)

    async def second() -> None:
        ada, bob = Page(app, "ada"), Page(app, "bob")
        await ada.log_in()
        await bob.log_in()
        await ada.connect(thread_id)
        resumed = await ada.until("resume_thread")
        assert [each["id"] for each in resumed["steps"]] == [each["id"] for each in before["steps"]]
        assert [each["feedback"]["value"] for each in resumed["steps"] if each["feedback"]] == [1]
        await ada.say("again")
        await ada.until("new_message", echoed("again"))
        thread = await ada.thread(thread_id, saved("hello", "again"))
        listed = await ada.http.post(
            "/project/threads", json={"pagination": {"first": 10}, "filter": {"search": "AGAIN"}}
        )
        assert [each["id"] for each in listed.json()["data"]] == [thread_id]
        element = thread["elements"][0]
        content = await ada.http.get(element["url"])
        assert (content.status_code, content.text) == (200, "<b>body</b>")
        assert "sandbox" in content.headers["content-security-policy"]
        assert (await bob.http.get(element["url"])).status_code == 404
        assert (await httpx.AsyncClient(base_url=app.url).get(element["url"])).status_code in (401, 404)
        assert (await bob.http.get(f"/project/thread/{thread_id}")).status_code == 401
        assert (await bob.http.get("/project/thread/none")).status_code == 404
        gone = await ada.http.request("DELETE", "/project/thread", json={"threadId": thread_id})
        assert gone.status_code == 200
        assert (await ada.http.get(f"/project/thread/{thread_id}")).status_code == 404
        await ada.close()
        await bob.http.aclose()

    try:
        asyncio.run(second())
    finally:
        app.kill()
    with Runtime.open(tmp_path / "store") as rt:
        assert rt.verify().ok
