"""A secret that is taken out is nowhere on disk: not in events, records, indexes, contents or the log of RocksDB."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.session.redaction import IDENTITIES
from greenroom.runtime import (
    CallFailed,
    HookCancelled,
    HookContext,
    HookResult,
    Runtime,
    Session,
    Step,
    ValidationError,
    Workflow,
    hooks,
    messages,
)
from greenroom.runtime.agents import AgentReply
from greenroom.runtime.ingest import ingest
from greenroom.storage.engine.engine import CF

RULES = [r"sk-[0-9a-f]+"]


@pytest.fixture
def secret() -> str:
    return f"sk-{secrets.token_hex(16)}"


def on_disk(rt: Runtime, secret: str) -> set[str]:
    """Where the secret is: in files as they are, and in everything that can be read of the store."""
    found = {path.name for path in rt.path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()}
    for session in rt.list_sessions(status=["active", "suspended", "completed", "failed", "archived"], limit=None):
        handle = rt.session(session.id)
        found |= {event.type for event in handle.events() if secret in repr(event.to_dict())}
        found |= {"artifact" for info in handle.list_artifacts() if secret in repr(info.to_dict())}
        found |= {"record" for key, value in handle.records.scan() if secret in repr(key) + repr(value)}
        for info in handle.list_artifacts():
            if secret.encode() in handle.get_artifact(info.id).content:
                found.add(f"content of {info.name}")
    engine = rt._store.engine
    for name, family in vars(CF).items():
        if type(family) is int:
            for key, value in engine.pages(family, b"", b"\xff" * 64):
                if secret.encode() in key + value:
                    found.add(name)
    return found


def _tools(rt: Runtime, secret: str) -> None:
    def leak(given: str) -> dict[str, Any]:
        assert secret in given, "the tool itself gets its input as it is"
        return {"text": f"result with {secret} in it " * 100, secret: [secret.encode(), 7]}

    def fail(given: str) -> None:
        raise ConnectionError(f"cannot reach {given}")

    rt.tools.register("leak", leak)
    rt.tools.register("text", lambda given: f"{given} " * 3000)
    rt.tools.register("binary", lambda given: given.encode() * 100)
    rt.tools.register("fail", fail)
    rt.agents.register("leaky", lambda input, context: AgentReply(f"about {input} " * 100, data={"more": input}))


def _everything(rt: Runtime, secret: str) -> Session:
    """Every kind of operation that writes, with the secret in all it is given."""
    rt.hooks.register("BeforeStateWrite", lambda context: None, replayable=True, priority="highest")
    rt.hooks.register("BeforeToolExecution", lambda context: None, replayable=True)
    rt.hooks.register("AfterToolExecution", lambda context: None, replayable=True)
    rt.hooks.register("BeforeMessageAdd", lambda context: None, replayable=True)
    told = f"my key is {secret}, keep it"
    s = rt.create_session(name=told, description=told, created_by=told, tags=[secret], metadata={"key": told})
    s.set("k", {"deep": [told, {secret: told}], "bytes": told.encode()})
    s.set(f"name {secret}", told)
    rt.tell(s.id, messages.SetVariable("told", told))
    rt.state_scope("global").set("shared", told)
    s.add_message("user", told, name=secret, metadata={"m": told})
    s.add_message("assistant", [{"type": "text", "text": told}], tool_calls=[{"arguments": told}])
    s.add_message("user", told * 4000)
    s.store_artifact("tool_result", f"{secret}.txt", "content", description=told, tags=[secret], metadata={"m": told})
    s.store_many([{"type": "tool_result", "name": secret, "content": b"", "metadata": {"m": told}}])
    s.add_tag(secret)
    s.update_metadata({"more": told})
    for tool in ("leak", "text", "binary"):
        s.call_tool(tool, {"given": told})
    with pytest.raises(CallFailed):
        s.call_tool("fail", {"given": told})
    assert secret in s.call_agent("leaky", told).text, "who calls gets the reply as it is"
    s.run_workflow(Workflow.sequential(Step("one", tool="leak", input={"given": told})), told)
    rt.events.publish("custom.step", {"about": told}, session=s, tags=[secret], source=told, target=told)
    rt.run_script(f"State.set('script', '{told}'); print('{told}'); return '{told}'", session=s)
    with pytest.raises(Exception, match="script"):
        rt.run_script(f"error('{told}')", session=s)
    s.fork().set("k", told)
    s.save()
    failed = rt.create_session()
    failed.fail(told)
    return s


@pytest.mark.parametrize("rules", [RULES, lambda text: re.sub(RULES[0], "[redacted]", text)])
def test_what_the_runtime_redacts_is_nowhere_on_disk(store_path: Path, secret: str, rules: Any) -> None:
    with Runtime.open(store_path, config={"redact": rules}) as rt:
        _tools(rt, secret)
        session = _everything(rt, secret)
        assert on_disk(rt, secret) == set()
        assert session.get("k") == {
            "deep": ["my key is [redacted], keep it", {"[redacted]": "my key is [redacted], keep it"}],
            "bytes": b"my key is [redacted], keep it",
        }
        assert session.messages()[0].content == "my key is [redacted], keep it"
        assert session.info().tags == ("[redacted]",)
        called = next(each for each in session.events() if each.type == "tool.called")
        assert called.data["input"] == {"given": "my key is [redacted], keep it"}
        rt.compact()
        assert rt.verify().ok
    raw = b"".join(path.read_bytes() for path in store_path.rglob("*") if path.is_file())
    assert secret.encode() not in raw
    with Runtime.open(store_path) as rt:
        assert on_disk(rt, secret) == set()


def test_without_redaction_all_of_that_is_on_disk(store_path: Path, secret: str) -> None:
    # Or the search would not find it either.
    with Runtime.open(store_path) as rt:
        _tools(rt, secret)
        _everything(rt, secret)
        found = on_disk(rt, secret)
    assert {
        "session.created",
        "variable.set",
        "message.added",
        "artifact.stored",
        "tool.called",
        "tool.returned",
        "agent.called",
        "agent.returned",
        "hook.executed",
        "workflow.started",
        "workflow.stage",
        "custom.step",
        "session.failed",
        "artifact",
        "JOURNAL",
        "ARTIFACTS",
        "INDEX",
    } <= found
    assert any(each.startswith("content of") for each in found)


@pytest.fixture
def rt(store_path: Path) -> Iterator[Runtime]:
    with Runtime.open(store_path) as runtime:
        yield runtime


@pytest.mark.parametrize("how", ["RedactHook", "modified", "in place", "replace", "lua"])
def test_what_a_hook_after_a_tool_takes_out_was_never_written(rt: Runtime, secret: str, how: str) -> None:
    def modified(context: HookContext) -> HookResult:
        return HookResult.modified({"result": "clean"})

    def in_place(context: HookContext) -> None:
        context.data["result"]["text"] = "clean"

    def replace(context: HookContext) -> HookResult:
        return HookResult.replace("clean")

    hook: dict[str, Callable[[HookContext], Any]] = {
        "RedactHook": hooks.RedactHook(RULES),
        "modified": modified,
        "in place": in_place,
        "replace": replace,
    }
    rt.tools.register("leak", lambda: {"text": f"{secret} " * 100})
    rt.agents.register("leaky", lambda input: f"{secret} " * 100)
    session = rt.create_session()
    if how == "lua":
        script = """
            local clean = { type = "modified", data = { result = "clean" } }
            Hook.register("AfterToolExecution", function() return clean end)
            return Tool.invoke("leak", {}).result
        """
        assert rt.run_script(script, session=session).value == "clean"
    else:
        rt.hooks.register("AfterToolExecution", hook[how])
        rt.hooks.register("AfterAgentExecution", hook[how])
        assert secret not in str(session.call_tool("leak"))
        assert secret not in session.call_agent("leaky", "x").text
    assert on_disk(rt, secret) == set()
    assert [each.data["success"] for each in session.events() if each.type == "tool.returned"] == [True]


def test_a_reply_that_is_withheld_is_withheld_from_the_journal(rt: Runtime, secret: str) -> None:
    rt.tools.register("leak", lambda: f"{secret} " * 100)
    session = rt.create_session()
    rt.hooks.register("AfterToolExecution", lambda context: "cancel")
    with pytest.raises(HookCancelled):
        session.call_tool("leak")
    assert on_disk(rt, secret) == set()
    (event,) = [each for each in session.events() if each.type == "tool.returned"]
    assert (event.data["success"], event.data["error"]["code"]) == (False, "HookCancelled")


def test_a_redact_hook_before_operations_changes_what_they_do(rt: Runtime, secret: str) -> None:
    for point in ("BeforeStateWrite", "BeforeMessageAdd", "BeforeArtifactStore", "BeforeToolExecution"):
        rt.hooks.register(point, hooks.RedactHook(RULES))
    rt.tools.register("echo", lambda text: text)
    session = rt.create_session()
    session.set("k", [secret])
    session.add_message("user", secret)
    session.store_artifact("tool_result", "a", "content", metadata={"m": secret})
    assert session.call_tool("echo", {"text": secret}) == "[redacted]"
    assert on_disk(rt, secret) == set()
    assert session.get_artifact("a").content == b"content"


def test_a_failed_attempt_and_the_next_are_journaled_each_by_itself(rt: Runtime, secret: str) -> None:
    replies = iter([secret, "fine"])
    rt.tools.register("twice", lambda: next(replies))
    session = rt.create_session()

    def again(context: HookContext) -> HookResult | None:
        if context.data["result"] == "fine":
            return None
        context.data["result"] = "bad"
        return HookResult.retry(0, 1)

    rt.hooks.register("AfterToolExecution", again)
    assert session.call_tool("twice") == "fine"
    assert [each.data["result"] for each in session.events() if each.type == "tool.returned"] == ["bad", "fine"]
    assert on_disk(rt, secret) == set()


def test_what_a_hook_makes_of_a_result_that_cannot_be_one_fails_the_call(rt: Runtime) -> None:
    rt.tools.register("fine", lambda: 1)
    session = rt.create_session()
    rt.hooks.register("AfterToolExecution", lambda context: HookResult.replace(object()))
    with pytest.raises(CallFailed):
        session.call_tool("fine")
    assert [each.data["success"] for each in session.events() if each.type == "tool.returned"] == [False]


def test_a_redaction_that_fails_takes_out_all_of_the_text(store_path: Path, secret: str) -> None:
    for broken in (lambda text: 1 / 0, lambda text: None, lambda text: text.encode()):
        with Runtime.open(store_path, config={"redact": broken}) as rt:
            session = rt.create_session()
            session.set("k", [secret, 1])
            assert session.variables() == {"[redacted]": ["[redacted]", "[redacted]"]}
            assert on_disk(rt, secret) == set()


@pytest.mark.parametrize("rules", [["("], ["x*"], [7], 7])
def test_rules_that_are_none_are_refused(store_path: Path, rules: Any) -> None:
    with pytest.raises(ValidationError, match="redact"):
        Runtime.open(store_path, config={"redact": rules})
    assert not store_path.exists()
    with pytest.raises(ValidationError, match="redact"):
        hooks.RedactHook(rules)


def test_ids_and_choices_are_left_as_they_are(store_path: Path) -> None:
    with Runtime.open(store_path, config={"redact": ["[0-9a-f]{4,}", "user", "tool_result"]}) as rt:
        s, other = rt.create_session(), rt.create_session()
        s.add_message("user", "user")
        info = s.store_artifact("tool_result", "a", "content")
        s.share(info.id, other, "read")
        assert other.get_artifact(info.id).content == b"content"
        s.store_version(info.id, "more")
        assert [each.version for each in s.artifact_versions("a")] == [1, 2]
        s.delete_artifact(str(info.id))
        assert (s.messages()[0].role, s.messages()[0].content) == ("user", "[redacted]")


def test_what_a_failing_redaction_says_is_not_logged(store_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fails(text: str) -> str:
        raise ValueError(f"cannot read {text}")

    with Runtime.open(store_path, config={"redact": fails}) as rt:
        session = rt.create_session()
        session.add_message("user", "sk-very-secret")
        assert session.messages()[0].content == "[redacted]"
    assert "ValueError" in caplog.text
    assert "sk-very-secret" not in caplog.text


def test_what_is_ingested_is_redacted_also_where_it_becomes_an_artifact(
    store_path: Path, tmp_path: Path, secret: str
) -> None:
    large = f"{secret} " * 8000
    conversation = {
        "messages": [
            {"role": "user", "content": f"key {secret}", "odd": {"x": secret}, "name": secret, "blob": large},
            {"role": "assistant", "content": [{"type": "text", "text": secret}], "tool_calls": [{"id": secret}]},
            {"role": "user", "content": large},
        ],
        "title": f"about {secret}",
        "extra": {"large": large, "small": secret},
        secret: secret,
    }
    path = tmp_path / "conversations.jsonl"
    path.write_text(json.dumps(conversation) + "\n")
    with Runtime.open(store_path, config={"redact": RULES}) as rt:
        report = ingest(rt, [str(path)])
        assert (report.sessions, report.messages) == (1, 3)
        assert report.artifacts >= 4
        assert on_disk(rt, secret) == set()
    with Runtime.open(tmp_path / "plain") as rt:
        ingest(rt, [str(path)])
        assert "content of turn-0001-blob.txt" in on_disk(rt, secret)


def test_the_page_about_redaction_lists_what_stays() -> None:
    page = (Path(__file__).parents[3] / "docs" / "control" / "redaction.md").read_text()
    missing = [each for each in IDENTITIES if f"`{each}`" not in page]
    assert not missing
