"""Crossings as a boundary of HTTP makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from greenroom.runtime.recording.tape.model import Crossing

__all__ = ["conversation", "crossing"]

URL = "https://api.example.com/v1/chat"


def crossing(number: int, body: bytes, chunks: Sequence[bytes] = (b"{}",), gaps: list[int] | None = None) -> Crossing:
    """Return a call of a model with this body and answer."""
    outcome = {
        "status": 200,
        "headers": [["content-type", "application/json"], ["x-request-id", f"req_{number}"]],
        "version": "HTTP/1.1",
        "chunks": list(chunks),
        "complete": True,
    }
    if gaps is not None:
        outcome["gaps"] = gaps
    began = number * 3
    return Crossing(
        number=number,
        kind="http",
        name=f"POST {URL}",
        place="agent.py:14 in step",
        lane="main",
        input={"method": "POST", "url": URL, "headers": [["content-type", "application/json"]], "body": body},
        outcome=outcome,
        began=began,
        ticks=[began + 1, *[began + 2] * len(chunks)],
        time=1_800_000_000_000_000_000 + number,
        duration=1000,
    )


def conversation(turns: int) -> Iterator[Crossing]:
    """Yield the calls of a conversation that is sent again with every turn."""
    messages = [{"role": "system", "content": "You are a helpful assistant."}]
    for number in range(1, turns + 1):
        messages.append({"role": "user", "content": f"Question {number}: " + "why? " * 20})
        answer = f"Answer {number}"
        body = json.dumps({"model": "m", "messages": messages, "stream": True}).encode()
        pieces = [f'data: {{"text":"{piece}"}}\n\n'.encode() for piece in answer.split()]
        yield crossing(number, body, pieces, [5] * len(pieces))
        messages.append({"role": "assistant", "content": answer})
