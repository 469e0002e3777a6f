"""`GreenroomEventStore`: the contract of the SDK's `mcp.server.streamable_http.EventStore`, as its docstrings have it
(ids of events, order, one stream at a time, None for events that are not known), and what a durable store adds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mcp.server.streamable_http import EventMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCResponse, jsonrpc_message_adapter

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.integrations.mcp import GreenroomEventStore


def note(text: str) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": text})


def answer(id: int | str, text: str = "done") -> JSONRPCResponse:
    return JSONRPCResponse(jsonrpc="2.0", id=id, result={"text": text})


def store(events: GreenroomEventStore, stream: str, message: JSONRPCMessage | None) -> str:
    return asyncio.run(events.store_event(stream, message))


def replayed(events: GreenroomEventStore, after: str) -> tuple[str | None, list[EventMessage]]:
    sent: list[EventMessage] = []

    async def send(message: EventMessage) -> None:
        sent.append(message)

    return asyncio.run(events.replay_events_after(after, send)), sent


def test_events_after_one_are_sent_in_order_with_their_ids(rt: Runtime) -> None:
    events = GreenroomEventStore(rt)
    ids = [store(events, "1", message) for message in (None, note("a"), note("b"), answer(1))]
    stream, sent = replayed(events, ids[1])
    assert stream == "1"
    assert [each.event_id for each in sent] == ids[2:]
    assert [each.message for each in sent] == [note("b"), answer(1)]
    assert replayed(events, ids[0])[1][0].message == note("a")  # from a priming event on; none is sent
    assert replayed(events, ids[3]) == ("1", [])


def test_streams_are_apart(rt: Runtime) -> None:
    events = GreenroomEventStore(rt)
    first = store(events, "1", None)
    store(events, "2", note("of 2"))
    get = store(events, "_GET_stream", note("0"))
    store(events, "1", note("of 1"))
    store(events, "_GET_stream", note("1"))
    assert [each.message for each in replayed(events, first)[1]] == [note("of 1")]
    assert [each.message for each in replayed(events, get)[1]] == [note("1")]


def test_what_follows_the_answer_is_of_another_request(rt: Runtime) -> None:
    events = GreenroomEventStore(rt)
    begun = store(events, "1", None)
    store(events, "1", answer(1, "mine"))
    store(events, "1", None)
    store(events, "1", answer(1, "another's"))
    assert [each.message for each in replayed(events, begun)[1]] == [answer(1, "mine")]


@pytest.mark.parametrize("wrong", ["", "-", "0-0", "1-0", "zz", "1", "\x00", "-1-a", "f" * 99, "é", "1_0-a", "١-a"])
def test_events_that_are_not_known_are_not_replayed(rt: Runtime, wrong: str) -> None:
    events = GreenroomEventStore(rt)
    store(events, "1", None)
    store(events, "1", note("x"))
    assert replayed(events, wrong) == (None, [])


def test_clients_apart_share_nothing(rt: Runtime) -> None:
    events = GreenroomEventStore(rt)
    mine, others = events.apart(), events.apart()
    begun = store(mine, "1", None)
    store(others, "1", note("another's"))
    store(mine, "1", note("mine"))
    assert [each.message for each in replayed(mine, begun)[1]] == [note("mine")]
    assert replayed(others, begun) == (None, [])
    assert replayed(events, begun) == (None, [])


def test_the_newest_are_kept(rt: Runtime) -> None:
    events = GreenroomEventStore(rt, max_events=100)
    ids = [store(events, "1", note(str(n))) for n in range(400)]
    kept = rt.session(key="mcp:streams").records.count()
    assert 100 <= kept < 200
    assert replayed(events, ids[0]) == (None, [])
    assert [each.event_id for each in replayed(events, ids[-100])[1]] == ids[-99:]
    for wrong in (0, -1, True, "9"):
        with pytest.raises(ValidationError, match="max_events"):
            GreenroomEventStore(rt, max_events=wrong)  # type: ignore[arg-type]


def test_every_kind_of_message_comes_back_as_it_was(rt: Runtime) -> None:
    events = GreenroomEventStore(rt)
    begun = store(events, "_GET_stream", None)
    messages: list[Any] = [
        note("nàh\u2028\x00"),
        answer("text id"),
        JSONRPCResponse(jsonrpc="2.0", id=2**40, result={"big": "x" * 300_000, "none": None}),
        JSONRPCError.model_validate({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "m"}}),
        jsonrpc_message_adapter.validate_python({"jsonrpc": "2.0", "id": 3, "method": "ping"}),
    ]
    for message in messages:
        store(events, "_GET_stream", message)
    assert [each.message for each in replayed(events, begun)[1]] == messages


def test_many_tasks_and_two_stores_at_once_lose_nothing(rt: Runtime) -> None:
    stores = [GreenroomEventStore(rt), GreenroomEventStore(rt)]
    begun = store(stores[0], "_GET_stream", None)

    async def many(events: GreenroomEventStore, which: int) -> None:
        await asyncio.gather(*(events.store_event("_GET_stream", note(f"{which} {n}")) for n in range(50)))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda which: asyncio.run(many(stores[which], which)), (0, 1)))
    texts = {each.message.params["data"] for each in replayed(stores[0], begun)[1]}  # type: ignore[union-attr, index]
    assert texts == {f"{which} {n}" for which in (0, 1) for n in range(50)}


def test_streams_outlive_the_process_that_is_killed(store_path: Path) -> None:
    source = f"""
import asyncio, os, signal
from mcp_types import JSONRPCNotification
from greenroom.runtime.integrations.mcp import GreenroomEventStore
events = GreenroomEventStore({str(store_path)!r})
async def main():
    print(await events.store_event("1", None))
    for n in range(20):
        message = JSONRPCNotification(jsonrpc="2.0", method="m", params={{"n": n}})
        print(await events.store_event("1", message), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)
    ids = done.stdout.split()
    assert (done.returncode, len(ids)) == (-9, 21), done.stderr
    events = GreenroomEventStore(store_path)
    assert [each.event_id for each in replayed(events, ids[0])[1]] == ids[1:]
    assert store(events, "1", note("goes on")) not in ids
    events.close()
