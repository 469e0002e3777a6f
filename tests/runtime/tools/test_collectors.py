from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AgentOutputCollector,
    AgentReply,
    ArtifactInfo,
    CallFailed,
    RateLimited,
    ResourceLimitExceeded,
    Runtime,
    Session,
    TokenUsage,
    ToolResultCollector,
    ValidationError,
)

from .conftest import events_of


@pytest.fixture(autouse=True)
def collect(rt: Runtime) -> Iterator[Runtime]:
    """A runtime that collects small outputs too; its collectors are as they were after the test."""
    tools, agents = rt.tools.collector, rt.agents.collector
    rt.tools.collector, rt.agents.collector = ToolResultCollector(min_bytes=0), AgentOutputCollector(min_bytes=0)
    yield rt
    rt.tools.collector, rt.agents.collector = tools, agents


def returning(rt: Runtime, session: Session, value: Any, name: str = "give") -> list[ArtifactInfo]:
    """What is collected of a tool that returns a value."""
    rt.tools.register(name, lambda **anything: value, replace=True)
    session.call_tool(name)
    return list(session.list_artifacts())


@pytest.mark.parametrize(
    ("value", "mime_type", "content"),
    [
        ("héllo", "text/plain", "héllo".encode()),
        ({"a": [1, "é"]}, "application/json", '{"a": [1, "é"]}'.encode()),
        (7, "application/json", b"7"),
        (None, "application/json", b"null"),
        (b"\x89PNG\r\n\x1a\n\x00", "image/png", b"\x89PNG\r\n\x1a\n\x00"),
    ],
)
def test_text_json_and_bytes_are_collected(
    rt: Runtime, session: Session, value: Any, mime_type: str, content: bytes
) -> None:
    (info,) = returning(rt, session, value)
    assert info.artifact_type == "tool_result"
    assert info.mime_type == mime_type
    assert session.get_artifact(info.id).content == content


def test_an_artifact_says_where_it_comes_from(rt: Runtime, session: Session) -> None:
    rt.tools.register("give", lambda n: n, replace=True)
    session.call_tool("give", {"n": 5})
    (info,) = session.query_artifacts(artifact_type="tool_result").items
    called, returned = events_of(session, "tool.called", "tool.returned")
    assert info.name == f"give-{called.sequence}.json"
    assert info.custom == {"tool": "give", "call_id": called.id, "parameters": {"n": 5}}
    assert set(info.tags) == {"tool", "give"}
    assert info.created_by == "tool:give"
    assert returned.data["artifact"] == info.id.sequence


def test_of_agents_the_text_is_collected_with_model_and_usage(rt: Runtime, session: Session) -> None:
    rt.agents.register(
        "acme/", lambda input: AgentReply("the answer", TokenUsage(3, 4, 7), cost_usd="0.25"), replace=True
    )
    session.call_agent("acme/large", "a question")
    (info,) = session.query_artifacts(artifact_type="agent_output").items
    assert session.get_artifact(info.id).content == b"the answer"
    assert info.custom["model"] == "acme/large"
    assert info.custom["provider"] == "acme"
    assert info.custom["usage"] == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert info.custom["cost_usd"] == 0.25
    assert info.custom["parameters"] == "a question"


def test_a_session_can_do_without(rt: Runtime) -> None:
    session = rt.create_session(config={"auto_collect_artifacts": False})
    assert returning(rt, session, "text") == []
    assert events_of(session, "tool.returned")[0].data["result"] == "text"


def test_a_runtime_can_do_without(collect: Runtime, session: Session) -> None:
    collect.tools.collector = None
    assert returning(collect, session, "text") == []


def test_small_outputs_stand_in_the_journal_and_become_no_artifacts(collect: Runtime, session: Session) -> None:
    collect.tools.collector, collect.agents.collector = ToolResultCollector(), AgentOutputCollector()
    for value in ("2", 2, None, {"a": 1}, b"\x00", "x" * 255):
        assert returning(collect, session, value) == []
        assert events_of(session, "tool.returned")[-1].data["result"] == value
    collect.agents.register("brief", lambda input: AgentReply("yes"), replace=True)
    session.call_agent("brief", "a question")
    assert not session.list_artifacts().total
    assert [info.size for info in returning(collect, session, "x" * 256)] == [256]


def test_sizes_bound_what_is_collected(collect: Runtime, session: Session) -> None:
    collect.tools.collector = ToolResultCollector(min_bytes=3, max_bytes=5)
    for text in ("12", "123", "12345", "123456"):
        returning(collect, session, text)
    assert [each.size for each in session.list_artifacts()] == [3, 5]


def test_types_filter_what_is_collected(collect: Runtime, session: Session) -> None:
    collect.tools.collector = ToolResultCollector(min_bytes=0, types=["json", "binary"])
    for value in ("text", {"a": 1}, b"\x00\x01"):
        returning(collect, session, value)
    assert [each.size for each in session.list_artifacts()] == [8, 2]


def test_sampling_keeps_its_share_and_always_the_same(collect: Runtime) -> None:
    session = collect.create_session()
    for rate in (0, 1):
        collect.tools.collector = ToolResultCollector(min_bytes=0, sampling=rate)
        before = session.info().artifact_count
        returning(collect, session, "x")
        assert session.info().artifact_count == before + rate
    half = ToolResultCollector(min_bytes=0, sampling=0.5)
    kept = [half._sampled(f"{session.id}/{n}") for n in range(1000)]
    assert 400 < sum(kept) < 600
    assert kept == [half._sampled(f"{session.id}/{n}") for n in range(1000)]


def test_failures_are_collected_when_asked_for(collect: Runtime, session: Session) -> None:
    def broken() -> None:
        raise ValueError("no luck")

    collect.tools.register("broken", broken, replace=True)
    with pytest.raises(CallFailed):
        session.call_tool("broken")
    assert not session.list_artifacts().total
    collect.tools.collector = ToolResultCollector(min_bytes=0, collect_errors=True)
    with pytest.raises(CallFailed):
        session.call_tool("broken")
    (info,) = session.list_artifacts()
    assert "error" in info.tags
    assert json.loads(session.get_artifact(info.id).content)["error"]["code"] == "CallFailed"


def test_tags_are_added(collect: Runtime, session: Session) -> None:
    collect.tools.collector = ToolResultCollector(min_bytes=0, tags=["run-7"])
    returning(collect, session, "x")
    assert session.query_artifacts(tags=["run-7", "tool"]).total == 1


@pytest.mark.parametrize("privacy", [[r"sk-\w+", r"\d{4}"], lambda text: text.replace("sk-abc", "[redacted]")])
def test_a_privacy_filter_sees_output_and_parameters(collect: Runtime, session: Session, privacy: Any) -> None:
    collect.tools.collector = ToolResultCollector(min_bytes=0, privacy=privacy)
    collect.tools.register("leak", lambda key: {"deep": [{"key": key}]}, replace=True)
    session.call_tool("leak", {"key": "sk-abc"})
    (info,) = session.list_artifacts()
    assert json.loads(session.get_artifact(info.id).content) == {"deep": [{"key": "[redacted]"}]}
    assert info.custom["parameters"] == {"key": "[redacted]"}


def test_a_privacy_filter_that_fails_keeps_everything_back(
    collect: Runtime, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    collect.tools.collector = ToolResultCollector(min_bytes=0, privacy=lambda text: 1 / 0)  # type: ignore[arg-type,return-value]
    with caplog.at_level(logging.WARNING, "greenroom.calls"):
        assert returning(collect, session, "secret") == []
    assert "not collected" in caplog.text
    assert "secret" not in caplog.text


def test_outputs_have_limits_of_their_own_and_use_up_none_of_the_users(rt: Runtime, tmp_path: Path) -> None:
    limits = {"max_artifacts": 1, "max_storage_bytes": 10, "max_collected_artifacts": 3, "max_collected_bytes": 100}
    session = rt.create_session(config=limits)
    for number in range(3):
        returning(rt, session, f"output {number}")
    info = session.store_artifact("user_input", "mine", b"mine")
    with pytest.raises(ResourceLimitExceeded) as caught:
        session.store_artifact("user_input", "more", b"x")
    assert (caught.value.resource, caught.value.value) == ("artifacts", 1)
    assert "update_config" in str(caught.value)
    returning(rt, session, "not kept")
    assert events_of(session, "tool.returned")[-1].data["not_collected"] == "ResourceLimitExceeded"
    used = {name: each.value for name, each in rt.policies.usage(session).items()}
    assert (used["artifacts"], used["storage_bytes"]) == (1, 4)
    assert (used["collected_artifacts"], used["collected_bytes"]) == (3, 24)
    assert session.info().artifact_count == 4
    # Deleting gives back what each kind had taken: of the session, of a fork, of one that travelled, after a restart.
    moved: list[Session] = []
    for history in (True, False):
        rt.export_session(session.id, tmp_path / "s.bundle", history=history)
        moved.append(rt.import_session(tmp_path / "s.bundle", keep_ids=False))
    for each in (session, session.fork(), *moved):
        name = next(one.name for one in each.list_artifacts() if one.artifact_type == "tool_result")
        each.delete_artifact(name)
        rt._supervisor.table.while_absent(each.id, lambda: None)
        used = {name: one.value for name, one in rt.policies.usage(each).items()}
        assert (used["artifacts"], used["collected_artifacts"], used["collected_bytes"]) == (1, 2, 16)
        returning(rt, each, "fits again")
        assert "artifact" in events_of(each, "tool.returned")[-1].data
        each.delete_artifact(info.name)
        used = {name: one.value for name, one in rt.policies.usage(each).items()}
        assert (used["artifacts"], used["storage_bytes"], used["collected_artifacts"]) == (0, 0, 3)
    assert rt.verify().ok


def test_outputs_take_no_part_of_the_rate_at_which_users_store(rt: Runtime) -> None:
    rates = {"rate": {"kinds": {"artifact_store": 1}, "burst": 1}}
    session = rt.create_session(config={"policies": rates})
    for _ in range(5):
        returning(rt, session, "output")
    assert session.info().artifact_count == 5
    session.store_artifact("user_input", "mine", b"mine")
    with pytest.raises(RateLimited):
        session.store_artifact("user_input", "mine", b"again")


def test_a_full_session_still_calls_and_says_what_it_did_not_keep(
    rt: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    session = rt.create_session(config={"max_collected_artifacts": 1})
    with caplog.at_level(logging.WARNING, "greenroom.calls"):
        returning(rt, session, "first")
        assert len(returning(rt, session, "second")) == 1
    assert "not collected" in caplog.text
    last = events_of(session, "tool.returned")[-1]
    assert last.data["success"] is True
    assert last.data["result"] == "second"
    assert last.data["not_collected"] == "ResourceLimitExceeded"


@pytest.mark.parametrize(
    "options",
    [
        {"sampling": 1.5},
        {"sampling": "all"},
        {"types": ["video"]},
        {"max_bytes": -1},
        {"privacy": ["("]},
        {"tags": "x"},
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentOutputCollector(**options)
