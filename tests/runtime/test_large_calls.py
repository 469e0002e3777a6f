"""Large inputs and results of tools and agents are content: whole, stored once, and known to everything that knows
content."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AgentReply, ResourceLimitExceeded, Runtime, RuntimeConfig, Session, TokenUsage

MIB = 1 << 20
WORDS = random.Random(1).randbytes(300_000).hex()


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as rt:
        rt.tools.register("echo", lambda text: text)
        yield rt


@pytest.fixture
def s(rt: Runtime) -> Session:
    return rt.create_session(config={"auto_collect_artifacts": False})


RESULTS: list[Any] = [
    WORDS,
    WORDS.encode(),
    {"text": WORDS, "n": 1 << 80, "b": b"\xff"},
    {"rows": [{"a": WORDS[:5000], "b": 1.0, "c": None}] * 3, "text": 1},
    {"text": WORDS, "raw": WORDS},
    ["\ud800" * 5000, b"x" * 5000],
    ["\ud800" * 5000, -0.0],
]


@pytest.mark.parametrize("collect", [False, True], ids=["kept", "collected"])
@pytest.mark.parametrize("result", RESULTS, ids=range(len(RESULTS)))
def test_events_give_large_fields_back_whole(rt: Runtime, tmp_path: Path, result: Any, collect: bool) -> None:
    s = rt.create_session(config={"auto_collect_artifacts": collect})
    heard = rt.events.subscribe("tool.*")
    assert s.call_tool("echo", {"text": result}, idempotency_key="i") == result
    kinds = ["tool.called", "tool.returned"]

    def check(rt: Runtime, s: Session, key: str | None = "i") -> None:
        called, returned = (each for each in s.events() if each.type in kinds)
        assert called.data == {"name": "echo", "input": {"text": result}}
        assert returned.data["result"] == result
        assert not [name for name in returned.data if name.endswith(("_hash", "_form"))]
        if key is not None:
            assert s.call_tool("echo", {"text": ""}, idempotency_key=key) == result
        assert rt.verify().problems == []

    check(rt, s)
    assert [getattr(heard.receive(60), "data", {}).get("result") for _ in kinds] == [None, result]
    for info in s.list_artifacts():
        s.delete_artifact(info.id)
    check(rt, s)
    check(rt, s.fork(), None)
    s.export(tmp_path / "bundle")
    with Runtime.open(tmp_path / "other") as other:
        copy = other.import_session(tmp_path / "bundle")
        other.tools.register("echo", lambda text: result)
        copy.call_tool("echo", {"text": ""}, idempotency_key="i")
        assert [e.data["result"] for e in copy.events() if e.type == "tool.returned"] == [result, result]
        assert other.verify().problems == []
    rt.close()
    with Runtime.open(tmp_path / "store") as again:
        check(again, again.session(s.id))


def test_an_agent_call_is_given_back_whole(rt: Runtime, s: Session) -> None:
    reply = AgentReply(WORDS, TokenUsage(1, 2, 3), data={"x": [1]})
    rt.agents.register("model", lambda input: reply)
    agent = rt.agents.create("writer", "model", system_prompt=WORDS[:9000], schema={"long": WORDS[:6000]})
    prompt = [{"role": "user", "content": WORDS}]
    first = s.call_agent(agent, prompt, idempotency_key="i")
    assert first.text == WORDS
    assert s.call_agent(agent, prompt, idempotency_key="i") == first
    called, returned = (each.data for each in s.events() if each.type.startswith("agent."))
    assert called["input"] == prompt
    assert called["system_prompt"] == WORDS[:9000]
    assert called["parameters"] == {"schema": {"long": WORDS[:6000]}}
    assert returned["result"] == first.to_dict()
    assert rt.verify().problems == []


def test_the_same_prompt_is_stored_once(rt: Runtime, s: Session) -> None:
    rt.agents.register("model", lambda input: "ok")
    for _ in range(30):
        s.call_agent("model", WORDS)
    usage = rt.usage()
    assert usage.types["(events)"].items == usage.sessions[s.id].items == 30
    assert rt.stats()["artifacts"]["unique_bytes"] < 2 * len(WORDS)
    journal = rt._store.engine.scan(0, b"", b"\xff" * 20)
    assert sum(len(value or b"") for _, value in journal) < 100_000


@pytest.mark.parametrize("result", [WORDS, WORDS.encode(), {"rows": [WORDS]}], ids=["text", "bytes", "json"])
def test_a_collected_output_is_stored_once(rt: Runtime, result: Any) -> None:
    rt.tools.register("give", lambda: result)
    rt.agents.register("model", lambda input: WORDS)
    s = rt.create_session()
    s.call_tool("give")
    (info,) = s.list_artifacts()
    assert rt.stats()["artifacts"]["unique_bytes"] == info.size
    if result == WORDS:
        s.call_agent("model", "x")
        assert len(s.list_artifacts()) == 2
        assert rt.stats()["artifacts"]["unique_bytes"] == info.size


def test_what_is_deleted_leaves_nothing(rt: Runtime, s: Session) -> None:
    s.call_tool("echo", {"text": WORDS})
    fork = s.fork()
    s.delete()
    rt.gc()
    assert [e.data["result"] for e in fork.events() if e.type == "tool.returned"] == [WORDS]
    fork.delete()
    rt.gc()
    assert rt._store.engine.scan(6, b"", b"\xff" * 40) == []
    assert rt.verify().problems == []


def test_limits_are_those_of_messages(rt: Runtime, s: Session) -> None:
    large = "x" * (15 * MIB)
    assert s.call_tool("echo", {"text": large}) == large
    before = s.info()
    with pytest.raises(ResourceLimitExceeded, match="16777216"):
        s.call_tool("echo", {"text": "x" * (17 * MIB)})
    assert s.info() == before
    assert [len(e.data["result"]) for e in s.events() if e.type == "tool.returned"] == [len(large)]


def test_a_return_is_journaled_though_the_store_takes_no_more_content(tmp_path: Path) -> None:
    config = RuntimeConfig(max_store_bytes=MIB)
    with Runtime.open(tmp_path, config=config) as rt:
        rt.tools.register("give", lambda size: random.Random(2).randbytes(size))
        s = rt.create_session(config={"auto_collect_artifacts": False})
        assert len(s.call_tool("give", {"size": 2 * MIB}, idempotency_key="i")) == 2 * MIB
        (returned,) = (e.data for e in s.events() if e.type == "tool.returned")
        assert (returned["success"], returned["result"]) == (True, None)
        assert returned["bytes"] > 2 * MIB
        assert rt.verify().problems == []


def test_replay_knows_large_calls(rt: Runtime, s: Session) -> None:
    s.call_tool("echo", {"text": WORDS}, idempotency_key="i")
    s.set("k", 1)
    assert rt.replay(s.id).identical
