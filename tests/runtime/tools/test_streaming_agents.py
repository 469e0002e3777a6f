"""Agents whose replies come piece by piece, agents made of others, and agents as tools."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from greenroom.runtime import (
    AgentReply,
    CallFailed,
    InvalidOperation,
    OperationTimeout,
    Runtime,
    Session,
    TokenUsage,
    ValidationError,
)


def words(input: str) -> Iterator[str]:
    for word in input.split():
        yield f"{word} "


def counted(input: str) -> Any:
    yield from words(input)
    return AgentReply("", TokenUsage(1, 2))


async def slow_words(input: str) -> AsyncIterator[str]:
    for word in input.split():
        yield f"{word} "


@pytest.mark.parametrize("agent", [words, counted, slow_words])
def test_a_generator_streams(rt: Runtime, session: Session, agent: Any) -> None:
    rt.agents.register("words", agent, replace=True)
    pieces: list[tuple[str, bool]] = []
    here = threading.get_ident()
    reply = session.call_agent(
        "words", "a b c", on_piece=lambda piece: pieces.append((piece, threading.get_ident() == here))
    )
    assert pieces == [("a ", True), ("b ", True), ("c ", True)]
    assert reply.text == "a b c "
    assert session.call_agent("words", "a b c").text == "a b c "
    assert (reply.usage == TokenUsage(1, 2)) is (agent is counted)
    returned = [each.data["result"]["text"] for each in session.events() if each.type == "agent.returned"]
    assert returned == ["a b c ", "a b c "]


def test_an_agent_that_does_not_stream_gives_one_piece(rt: Runtime, session: Session) -> None:
    pieces: list[str] = []
    assert rt.agents.call("echo", "all at once", on_piece=pieces.append).text == "all at once"
    for _ in range(2):  # the second one is remembered
        session.call_agent("echo", "again", on_piece=pieces.append, idempotency_key="k")
    assert pieces == ["all at once", "again", "again"]


def test_the_agent_waits_for_a_slow_listener_and_stops_when_told(rt: Runtime, session: Session) -> None:
    made: list[int] = []
    closed = threading.Event()

    def endless(input: str) -> Iterator[str]:
        try:
            while True:
                made.append(1)
                yield "x"
        finally:
            closed.set()

    rt.agents.register("endless", endless, replace=True)
    heard: list[str] = []

    def three(piece: str) -> bool:
        heard.append(piece)
        return len(heard) < 3

    reply = session.call_agent("endless", "", on_piece=three)
    assert len(heard) == 3
    assert len(made) < 40
    assert reply.text.startswith("xxx")
    assert closed.wait(20)


def test_a_failure_in_the_middle_reaches_the_caller(rt: Runtime, session: Session) -> None:
    def breaks(input: str) -> Iterator[str]:
        yield "one"
        raise ConnectionError("cut")

    rt.agents.register("breaks", breaks, replace=True)
    pieces: list[str] = []
    with pytest.raises(CallFailed, match="cut"):
        session.call_agent("breaks", "", on_piece=pieces.append)
    assert pieces == ["one"]

    def refuses(piece: str) -> None:
        raise KeyError("mine")

    rt.agents.register("words", words, replace=True)
    with pytest.raises(KeyError, match="mine"):
        session.call_agent("words", "a b", on_piece=refuses)
    failed = [each.data["success"] for each in session.events() if each.type == "agent.returned"]
    assert failed == [False, False]


def test_a_stream_that_hangs_is_left(rt: Runtime, session: Session, release: threading.Event) -> None:
    def hangs(input: str) -> Iterator[str]:
        yield "one"
        release.wait(20)

    rt.agents.register("hangs", hangs, replace=True)
    pieces: list[str] = []
    for _ in range(30):  # without a core for it, the call ends before the agent has begun
        with pytest.raises(OperationTimeout):
            session.call_agent("hangs", "", on_piece=pieces.append, timeout=0.2)
        if pieces:
            break
    assert pieces == ["one"]


@pytest.mark.parametrize("bad", [1, b"x", None])
def test_pieces_are_texts(rt: Runtime, session: Session, bad: Any) -> None:
    def wrong(input: str) -> Iterator[Any]:
        yield bad

    rt.agents.register("wrong", wrong, replace=True)
    with pytest.raises((CallFailed, ValidationError)):
        session.call_agent("wrong", "")


# -- made of others


def test_agents_work_in_turn_and_at_once(rt: Runtime, session: Session) -> None:
    rt.agents.register("louder", lambda input: f"{input}!", replace=True)
    rt.agents.register("twice", lambda input: f"{input} {input}", replace=True)
    rt.agents.composite("both", ["louder", "twice", "louder"])
    reply = session.call_agent("both", "hey")
    assert reply.text == "hey! hey!!"
    assert reply.data["replies"] == {"louder": "hey!", "twice": "hey! hey!", "louder 3": "hey! hey!!"}
    rt.agents.composite("choir", ["louder", "twice"], "parallel")
    assert session.call_agent("choir", "la").text == "la!\n\nla la"
    called = [each for each in session.events() if each.type == "agent.called"]
    assert [each.data["name"] for each in called[:4]] == ["both", "louder", "twice", "louder"]
    assert {each.causation_id for each in called[1:4]} == {called[0].id}
    assert {"both", "choir"} <= {each.name for each in rt.agents.discover(model="composite")}
    with pytest.raises(ValidationError):
        rt.agents.composite("both", ["louder"])
    with pytest.raises(InvalidOperation):
        rt.agents.composite("broken", ["nobody"])
    with pytest.raises(ValidationError):
        rt.agents.composite("none", [])


def test_a_member_that_fails_fails_the_whole(rt: Runtime, session: Session) -> None:
    def fails(input: str) -> str:
        raise RuntimeError("no")

    rt.agents.register("fails", fails, replace=True)
    for order in ("sequential", "parallel"):
        rt.agents.composite("mixed", ["echo", "fails"], order, replace=True)  # type: ignore[arg-type]
        with pytest.raises(CallFailed, match="no"):
            session.call_agent("mixed", "x")


def test_an_agent_is_a_tool(rt: Runtime, session: Session) -> None:
    rt.tools.register("ask_echo", rt.agents.as_tool("echo"), replace=True)
    assert session.call_tool("ask_echo", {"input": "hello"}) == "hello"
    types = [each.type for each in session.events() if each.type.startswith(("tool.", "agent."))]
    assert types == ["tool.called", "agent.called", "agent.returned", "tool.returned"]
    with pytest.raises(InvalidOperation):
        rt.agents.as_tool("nobody")


def test_agents_are_found_by_what_they_are(rt: Runtime) -> None:
    rt.agents.create("helper", "echo", system_prompt="Counts words.", tools=["text_stats"])
    assert [each.name for each in rt.agents.discover("counts help")] == ["helper"]
    assert [each.name for each in rt.agents.discover(tool="text_stats")] == ["helper"]
    assert rt.agents.discover("nothing of the kind") == []
