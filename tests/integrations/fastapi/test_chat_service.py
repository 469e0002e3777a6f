"""The chat service of the examples with its worker processes: what it does, and what is left when they are killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from greenroom.runtime import Runtime

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "chat_service"


class Service:
    """A running service."""

    def __init__(self, data: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [sys.executable, str(EXAMPLE), "--data", str(data), "--workers", "2", "--port", str(self.port)]
        self.output = data.with_suffix(".out")
        with self.output.open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def workers(self) -> list[int]:
        """Return the processes of the workers that were started, the latest of each."""
        found = dict(re.findall(r"worker (store-\d): process (\d+)", self.output.read_text()))
        return [int(process) for process in found.values()]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    async def ready(self, client: httpx.AsyncClient) -> None:
        """Wait until both workers answer."""
        for user in ("ada", "bob", "eve", "joe", "kim"):
            while True:
                try:
                    if (await client.get(f"/chats/{user}")).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                assert self.process.poll() is None, self.output.read_text()
                await asyncio.sleep(0.05)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path / "chats")
    try:
        yield running
    finally:
        running.end()


def sent(body: str) -> list[tuple[str, Any]]:
    """Return the server-sent events that are whole in a body."""
    found = []
    for block in body.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_a_conversation(service: Service) -> None:
    async def main() -> None:
        async with service.client() as client:
            await service.ready(client)
            for user in ("ada", "bob", "eve"):
                answer = sent((await client.post(f"/chats/{user}/first", json={"text": "Hello"})).text)
                assert answer[0][0] == "start"
                assert answer[-1][1]["content"] == "You said: Hello"
                counted = sent((await client.post(f"/chats/{user}/first", json={"text": "count to be or not"})).text)
                assert counted[-1][1]["content"] == "4 words"
                stored = await client.put(f"/chats/{user}/first/files/notes.txt", content=b"some notes")
                assert stored.json() == {"name": "notes.txt", "version": 1, "size": 10}
                read = sent((await client.post(f"/chats/{user}/first", json={"text": "read notes.txt"})).text)
                assert read[-1][1]["content"] == "some notes"
                again = await client.get(f"/chats/{user}/first/answers/{answer[-1][1]['sequence']}")
                assert sent(again.text)[-1] == answer[-1]
                history = (await client.get(f"/chats/{user}/first")).json()
                assert [turn["role"] for turn in history] == ["user", "assistant"] * 3
                async with client.stream("GET", f"/chats/{user}/first/events") as events:
                    async for line in events.aiter_lines():
                        if line == "event: tool.returned":
                            break
                assert (await client.get(f"/chats/{user}")).json() == ["first"]
            assert (await client.delete("/chats/bob")).json() == {"deleted": 1}
            assert (await client.get("/chats/bob")).json() == []
            assert (await client.get("/chats/ada")).json() == ["first"]

    asyncio.run(main())


KILLS = 4
CLIENTS = 12


def test_what_was_acknowledged_is_there_after_kill_9_under_load(service: Service) -> None:
    answered: dict[str, list[tuple[str, str]]] = {}
    """The questions of each user whose answer came whole, with it."""
    seen: dict[str, list[tuple[str, str]]] = {}
    """The questions of each user whose answer was cut, with what was seen of it."""
    uploaded: dict[str, list[bytes]] = {}
    ending = asyncio.Event()

    async def talk(user: str, client: httpx.AsyncClient) -> None:
        number = 0
        while not ending.is_set():
            number += 1
            question, body = f"{user}-{number}", ""
            try:
                async with client.stream("POST", f"/chats/{user}/load", json={"text": question}) as response:
                    if response.status_code != 200:
                        await asyncio.sleep(0.02)
                        continue
                    async for text in response.aiter_text():
                        body += text
            except httpx.HTTPError:
                pass
            events = sent(body)
            if events and events[-1][0] == "message":
                answered.setdefault(user, []).append((question, events[-1][1]["content"]))
            elif events:
                told = "".join(data["text"] for name, data in events if name == "delta")
                seen.setdefault(user, []).append((question, told))
            try:
                content = os.urandom(8) * (1 + number % 3 * 10_000)  # now and then above 64 KiB
                if (await client.put(f"/chats/{user}/load/files/f", content=content)).status_code == 200:
                    uploaded.setdefault(user, []).append(content)
            except httpx.HTTPError:
                await asyncio.sleep(0.02)

    async def main() -> None:
        users = [f"user{number}" for number in range(CLIENTS)]
        async with service.client() as client:
            await service.ready(client)
            talking = [asyncio.create_task(talk(user, client)) for user in users]
            for kill in range(KILLS):
                goal = sum(map(len, answered.values())) + 15
                while sum(map(len, answered.values())) < goal:
                    await asyncio.sleep(0.01)
                    assert all(not task.done() for task in talking)
                os.kill(service.workers()[kill % 2], signal.SIGKILL)
            ending.set()
            await asyncio.gather(*talking)
            await service.ready(client)
            for user in users:
                turns = (await client.get(f"/chats/{user}/load")).json()
                said = {}
                for asked, reply in itertools.pairwise(turns):
                    if asked["role"] == "user" and reply["role"] == "assistant":
                        said[asked["content"]] = reply
                for question, content in answered.get(user, []):
                    assert (said[question]["content"], said[question]["partial"]) == (content, False)
                for question, told in seen.get(user, []):
                    assert question in said
                    assert (said[question]["content"] or "").startswith(told)
                read = sent((await client.post(f"/chats/{user}/versions", json={"text": "Hello"})).text)
                assert read[-1][1]["content"] == "You said: Hello"
        assert len(set(service.workers())) == 2

    asyncio.run(main())
    started = re.findall(r"worker store-\d: process \d+", service.output.read_text())
    assert len(started) == 2 + KILLS
    service.end()
    for store in sorted(service.output.with_suffix("").iterdir()):
        with Runtime.open(store) as rt:
            assert rt.verify().ok
            for info in rt.list_sessions(limit=1000):
                if info.name != "load":
                    continue
                session = rt.session(info.id)
                versions = [session.get_artifact(each.id).content for each in session.artifact_versions("f")]
                kept = iter(versions)
                assert all(content in kept for content in uploaded.pop(info.created_by or "", []))
    assert not uploaded
