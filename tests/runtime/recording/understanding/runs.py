"""Recorded runs of agents, as a boundary would put them on a tape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from greenroom.runtime import Session
from greenroom.runtime.recording.journal.writing import JournalSink
from greenroom.runtime.recording.tape.model import Crossing

URL = "https://api.openai.com/v1/chat/completions"
START = 1_700_000_000_000_000_000


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def says(text: str | None, *calls: tuple[str, str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return an assistant's message; `calls` are the id, the name and the arguments of tools."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id_, name, arguments in calls
        ]
    return message


def result(id_: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": text}


class Run:
    """A run of a program whose crossings are journaled in a session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.sink = JournalSink(session, {"command": ["agent.py"]})
        self.number = 0

    def crossing(self, kind: str, name: str, given: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        self.number += 1
        tick = 2 * self.number
        self.sink.crossing(
            Crossing(
                self.number, kind, name, f"agent.py:{self.number} in step", "main", given, outcome,
                tick, [tick + 1], START + self.number * 10**9, 250_000_000,
            )
        )  # fmt: skip

    def http(self, url: str, asked: Any, answer: Any, status: int = 200, kind: str = "application/json") -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.crossing(
            "http",
            f"POST {url}",
            {"method": "POST", "url": url, "headers": [], "body": json.dumps(asked).encode()},
            {"status": status, "headers": [["content-type", kind]], "chunks": [body], "gaps": [1], "complete": True},
        )

    def chat(
        self, messages: list[dict[str, Any]], reply: dict[str, Any] | None, *, model: str = "gpt-4o", **more: Any
    ) -> list[dict[str, Any]]:
        """Record a call of a chat; without a reply, one that has failed. Return the messages and the reply."""
        asked = {"model": model, "messages": [{"role": "system", "content": "Be brief."}, *messages], **more}
        if reply is None:
            self.http(URL, asked, {"error": {"message": "slow down", "type": "rate_limit"}}, 429)
            return messages
        answer = {
            "id": f"chatcmpl-{self.number}",
            "model": model,
            "choices": [{"index": 0, "message": {**reply, "refusal": None}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }
        self.http(URL, asked, answer)
        return [*messages, reply]

    def tool(self, name: str, arguments: Mapping[str, Any], **outcome: Any) -> None:
        self.crossing("tool", name, {"arguments": dict(arguments)}, outcome)


def conversation(session: Session) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in session.messages()]


def events(session: Session, *types: str) -> list[dict[str, Any]]:
    return [event.data for event in session.events() if event.type in types]
