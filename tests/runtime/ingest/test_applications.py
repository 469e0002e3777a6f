"""The forms of applications: what becomes of an example of each, and what of the same example when it is broken.

The file is long because each form has its examples here.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session
from greenroom.runtime.ingest import IngestReport, ingest
from greenroom.runtime.ingest.formats import UNEXPECTED

from . import examples


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store", config={"durability": "memory"}) as opened:
        yield opened


def taken(runtime: Runtime, tmp_path: Path, value: Any, name: str = "export.json") -> IngestReport:
    """Ingest a value: a list of lines if its name says so."""
    lines = name.endswith(".jsonl")
    text = "".join(json.dumps(each) + "\n" for each in value) if lines else json.dumps(value)
    (tmp_path / name).write_text(text, encoding="utf-8")
    return ingest(runtime, tmp_path / name)


def said(session: Session) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in session.messages()]


def the_only(runtime: Runtime, report: IngestReport, form: str) -> Session:
    assert report.skipped == []
    (session_id,) = report.session_ids
    session = runtime.session(session_id)
    info = session.info()
    assert info.status == "completed"
    assert info.custom_metadata["source_format"] == form
    times = [message.created_at for message in session.messages()]
    assert times == sorted(times)
    return session


def calls(session: Session) -> list[tuple[str, str]]:
    return [
        (call["function"]["name"], call["function"]["arguments"])
        for message in session.messages()
        for call in message.tool_calls or []
    ]


# -- each form


def test_chatgpt_shows_the_path_to_the_current_node_and_forks_the_others(runtime: Runtime, tmp_path: Path) -> None:
    report = taken(runtime, tmp_path, [examples.chatgpt()])
    session = the_only(runtime, report, "chatgpt")
    assert said(session) == [
        ("user", "plan a trip to Rome"),
        ("assistant", "by plane?"),
        ("user", "yes"),
        ("assistant", "booked"),
    ]
    info = session.info()
    assert (info.name, info.custom_metadata["source_id"]) == ("A trip", "c-1")
    assert info.created_at.isoformat() == "2023-11-14T22:13:20.500000+00:00"
    assert info.ended_at is not None
    assert info.ended_at.isoformat() == "2023-11-14T22:13:30+00:00"
    assert [message.created_at.second for message in session.messages()] == [25, 27, 28, 29]
    assert "sys" in info.custom_metadata["source_record"]["nodes"]  # nobody has said it, and it is not lost
    assert report.branches == 2
    edited, regenerated = (runtime.session(each) for each in report.branch_ids)
    assert said(edited) == [("user", "plan a trip"), ("assistant", "where to?")]
    assert said(regenerated) == [("user", "plan a trip to Rome"), ("assistant", "by train?")]
    for branch in (edited, regenerated):
        assert branch.info().parent_session_id == session.id
        assert branch.info().status == "completed"
    assert [event.type for event in regenerated.events()].index("session.forked") == 3
    assert runtime.verify().ok


def test_a_branch_is_what_a_fork_at_its_turn_would_be(runtime: Runtime, tmp_path: Path) -> None:
    report = taken(runtime, tmp_path, examples.chatgpt())
    session, branch = runtime.session(report.session_ids[0]), runtime.session(report.branch_ids[1])
    forked = next(event for event in branch.events() if event.type == "session.forked")
    assert (forked.data["from_session"], forked.data["sequence"]) == (session.id, forked.sequence - 1)
    fork = session.fork(forked.data["sequence"])
    assert said(fork) == said(branch)[:1]
    before = [(event.type, event.data) for event in branch.events()][: forked.sequence - 1]
    assert [(event.type, event.data) for event in session.events()][: len(before)] == before
    assert [each.name for each in fork.list_artifacts()] == ["turn-0001-user.txt"]


def test_chatgpt_reasoning_tools_images_and_hidden_instructions(runtime: Runtime, tmp_path: Path) -> None:
    session = the_only(runtime, taken(runtime, tmp_path, examples.chatgpt_parts()), "chatgpt")
    assert said(session) == [
        ("user", "I am Ada\n\nbe brief"),
        ("user", "what is this?"),
        ("assistant", "two and two"),
        ("assistant", "2 + 2"),
        ("tool", "4"),
        ("assistant", "It is four."),
        ("assistant", ""),
    ]
    messages = session.messages()
    assert messages[1].content[0]["asset_pointer"] == "file-service://file-1"
    assert messages[2].content[0]["type"] == "thinking"
    assert calls(session) == [("python", "2 + 2")]
    assert (messages[4].name, messages[4].tool_call_id) == ("python", "m3")
    assert messages[6].content == [{"content_type": "new_kind", "payload": {"deep": ["kept"]}}]


def test_claude_keeps_blocks_and_makes_artifacts_of_attachments(runtime: Runtime, tmp_path: Path) -> None:
    session = the_only(runtime, taken(runtime, tmp_path, [examples.claude()]), "claude")
    assert [role for role, _ in said(session)] == ["user", "assistant", "user"]
    first, second, third = session.messages()
    assert (first.content, third.content) == ("a haiku, please", "thanks")
    assert [block["type"] for block in second.content] == ["thinking", "text", "tool_use", "tool_result"]
    artifact = session.get_artifact("turn-0001-file-1-notes.txt")
    assert (artifact.content, artifact.info.mime_type) == (b"wet roofs", "text/plain")
    attachment = first.metadata["attachments"][0]
    assert attachment["extracted_content"] == "artifact:turn-0001-file-1-notes.txt"
    assert session.info().name == "A haiku"
    assert first.created_at.isoformat() == "2024-05-01T10:00:01+00:00"


def test_claude_with_parents_is_a_tree(runtime: Runtime, tmp_path: Path) -> None:
    root = "00000000-0000-4000-8000-000000000000"
    told = [("m1", root, "human"), ("m2", "m1", "assistant"), ("m3", "m1", "assistant"), ("m4", "m2", "human")]
    messages = [
        {"uuid": uuid, "parent_message_uuid": parent, "sender": sender, "text": uuid, "created_at": examples.iso(at)}
        for at, (uuid, parent, sender) in enumerate(told)
    ]
    report = taken(runtime, tmp_path, examples.claude(chat_messages=messages))
    assert [text for _, text in said(the_only(runtime, report, "claude"))] == ["m1", "m2", "m4"]
    assert [said(runtime.session(each)) for each in report.branch_ids] == [[("user", "m1"), ("assistant", "m3")]]
    shown = taken(runtime, tmp_path, examples.claude(chat_messages=messages, current_leaf_message_uuid="m3"))
    assert [text for _, text in said(the_only(runtime, shown, "claude"))] == ["m1", "m3"]


def test_claude_code_is_one_session_a_file(runtime: Runtime, tmp_path: Path) -> None:
    report = taken(runtime, tmp_path, examples.claude_code(), "1f.jsonl")
    session = the_only(runtime, report, "claude-code")
    assert said(session) == [
        ("user", "the tests fail"),
        ("assistant", "look first"),
        ("user", "1 failed"),
        ("assistant", ""),
        ("user", "in a.py"),
        ("system", "hooks ran"),
        ("assistant", "Mended."),
    ]
    uses = [
        block["name"]
        for m in session.messages()
        if isinstance(m.content, list)
        for block in m.content
        if "name" in block
    ]
    assert uses == ["Bash", "Task"]
    info = session.info()
    assert info.name == "Mend the tests"
    assert info.custom_metadata["source_record"]["cwd"] == "/home/ada/app"
    assert info.custom_metadata["source_position"] == "document"
    assert [said(runtime.session(each)) for each in report.branch_ids] == [
        [("user", "fix it"), ("assistant", "Which one?")],
        [("user", "find it"), ("assistant", "in a.py")],
    ]
    assert [each.artifact_type for each in session.list_artifacts()].count("tool_result") == 2


def test_sessions_that_follow_each_other_in_a_stream(runtime: Runtime, tmp_path: Path) -> None:
    lines = [examples.line("u1", None, "user", "one", 1), examples.line("a1", "u1", "assistant", "1", 2)]
    again = [{**line, "sessionId": "s-2"} for line in lines]
    report = taken(runtime, tmp_path, lines + again, "both.jsonl")
    assert (report.sessions, report.skipped) == (2, [])
    other = examples.codex()
    other[0]["payload"]["id"] = "x-2"
    report = taken(runtime, tmp_path, [*examples.codex(), *other], "rollouts.jsonl")
    assert (report.sessions, report.skipped) == (2, [])


def test_claude_code_of_a_sub_agent_after_compaction_and_with_a_lost_parent(runtime: Runtime, tmp_path: Path) -> None:
    aside = [
        examples.line("x1", None, "user", "find it", 1, isSidechain=True, agentId="a1"),
        examples.line("x2", "x1", "assistant", [{"type": "text", "text": "found"}], 2, isSidechain=True, agentId="a1"),
    ]
    session = the_only(runtime, taken(runtime, tmp_path, aside, "agent-a1.jsonl"), "claude-code")
    assert said(session) == [("user", "find it"), ("assistant", "found")]
    boundary = {
        "type": "system",
        "subtype": "compact_boundary",
        "content": "compacted",
        "uuid": "b",
        "parentUuid": None,
        "logicalParentUuid": "a1",
        "sessionId": "s-3",
        "timestamp": examples.iso(3),
    }
    lines = [
        examples.line("u1", None, "user", "one", 1),
        examples.line("a1", "u1", "assistant", "two", 2),
        boundary,
        examples.line("u2", "b", "user", "three", 4),
        examples.line("a2", "gone", "assistant", "four", 5),
    ]
    lines = [{**line, "sessionId": "s-3"} for line in lines]
    report = taken(runtime, tmp_path, [*lines, lines[-1]], "compacted.jsonl")
    session = the_only(runtime, report, "claude-code")
    assert [text for _, text in said(session)] == ["one", "two", "compacted", "three", "four"]
    assert report.branches == 0
    assert report.repaired_count >= 2  # the parent that is not there, and the line that is there twice


def test_codex_items_are_the_conversation_and_events_are_kept(runtime: Runtime, tmp_path: Path) -> None:
    session = the_only(runtime, taken(runtime, tmp_path, examples.codex(), "rollout-1.jsonl"), "codex")
    assert said(session) == [
        ("user", "list the files"),
        ("assistant", "run ls"),
        ("assistant", ""),
        ("tool", '{"output": "a.py"}'),
        ("assistant", ""),
        ("tool", "done"),
        ("assistant", "There is a.py."),
    ]
    assert calls(session) == [("shell", '{"command": ["ls"]}'), ("apply_patch", "*** Begin Patch")]
    assert [message.tool_call_id for message in session.messages() if message.role == "tool"] == ["c1", "c2"]
    record = session.info().custom_metadata["source_record"]
    assert record["session_meta"]["cwd"] == "/srv"
    assert [line["type"] for line in record["records"]] == ["event_msg", "turn_context", "event_msg"]


def test_codex_of_early_versions_and_of_events_alone(runtime: Runtime, tmp_path: Path) -> None:
    early = [
        {"id": "x-0", "timestamp": examples.iso(0), "instructions": None, "git": {}},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c1"},
    ]
    session = the_only(runtime, taken(runtime, tmp_path, early, "early.jsonl"), "codex")
    assert (said(session), calls(session)) == ([("user", "hi"), ("assistant", "")], [("shell", "{}")])
    events = [line for line in examples.codex() if line["type"] != "response_item"]
    assert said(the_only(runtime, taken(runtime, tmp_path, events, "events.jsonl"), "codex")) == [
        ("user", "list the files")
    ]


@pytest.mark.parametrize("flat", [False, True], ids=["tree", "flat"])
def test_librechat_tree_and_flat_list(flat: bool, runtime: Runtime, tmp_path: Path) -> None:
    export = examples.librechat()
    if flat:
        (root,) = export["messages"]
        export |= {"messages": [{**root, "children": []}, *root["children"]], "recursive": False}
    report = taken(runtime, tmp_path, export)
    session = the_only(runtime, report, "librechat")
    assert said(session) == [("user", "which tea?"), ("assistant", "Green tea."), ("tool", "green")]
    assert calls(session) == [("search", '{"q": "tea"}')]
    assert session.info().name == "Tea"
    assert session.info().custom_metadata["source_record"]["options"] == {"model": "gpt-x", "temperature": 1}
    assert [said(runtime.session(each)) for each in report.branch_ids] == [
        [("user", "which tea?"), ("assistant", "Black tea.")]
    ]


def test_open_webui_tree_list_and_chat_without_envelope(runtime: Runtime, tmp_path: Path) -> None:
    report = taken(runtime, tmp_path, [examples.open_webui()])
    session = the_only(runtime, report, "open-webui")
    assert said(session) == [("system", "be polite"), ("user", "hello"), ("assistant", "good day")]
    (branch,) = (runtime.session(each) for each in report.branch_ids)
    assert said(branch) == [("system", "be polite"), ("user", "hello"), ("assistant", "hi")]
    assert session.info().name == "Greetings"
    bare = taken(runtime, tmp_path, examples.open_webui()["chat"])
    assert said(the_only(runtime, bare, "open-webui")) == said(session)
    flat = examples.open_webui()
    del flat["chat"]["history"]
    flat["id"] = "w-2"
    assert said(the_only(runtime, taken(runtime, tmp_path, flat), "open-webui")) == said(session)


def test_gemini_request_with_its_response(runtime: Runtime, tmp_path: Path) -> None:
    session = the_only(runtime, taken(runtime, tmp_path, examples.gemini()), "gemini")
    assert said(session) == [
        ("system", "be nice"),
        ("user", "weather?"),
        ("assistant", ""),
        ("tool", '{"sky": "blue"}'),
        ("assistant", "Blue."),
    ]
    messages = session.messages()
    assert messages[2].content[0]["functionCall"]["name"] == "weather"
    image = session.get_artifact("turn-0002-file-1.png")
    assert image.info.mime_type == "image/png"
    assert image.content.startswith(b"\x89PNG")
    assert messages[1].content[1]["inlineData"]["data"] == "artifact:turn-0002-file-1.png"


def test_what_ai_studio_saves(runtime: Runtime, tmp_path: Path) -> None:
    session = the_only(runtime, taken(runtime, tmp_path, examples.ai_studio()), "ai-studio")
    assert said(session) == [
        ("system", "be nice"),
        ("user", "a joke"),
        ("assistant", "find one"),
        ("assistant", "Knock, knock."),
    ]
    assert session.messages()[2].content[0]["type"] == "thinking"


def test_takeout_is_a_question_and_its_answer(runtime: Runtime, tmp_path: Path) -> None:
    session = the_only(runtime, taken(runtime, tmp_path, [examples.takeout()]), "gemini-takeout")
    assert said(session) == [("user", "how old is Rome?"), ("assistant", "Very old.\nSince 753\xa0BC.")]
    assert session.info().created_at.isoformat() == "2024-05-01T10:00:01+00:00"


def test_tau_bench_and_openhands(runtime: Runtime, tmp_path: Path) -> None:
    session = the_only(runtime, taken(runtime, tmp_path, [examples.tau_bench()]), "tau-bench")
    assert [role for role, _ in said(session)] == ["system", "user", "assistant", "tool", "assistant"]
    assert session.info().custom_metadata["source_record"]["reward"] == 1.0
    for value in (
        examples.openhands(),
        {"history": examples.openhands(), "id": 1},
        {"trajectory": examples.openhands()},
    ):
        session = the_only(runtime, taken(runtime, tmp_path, value), "openhands")
        assert said(session) == [
            ("system", "You are"),
            ("user", "fix"),
            ("assistant", "look"),
            ("tool", "a.py"),
            ("assistant", "It works."),
        ]
        assert calls(session) == [("execute_bash", '{"command": "ls"}'), ("finish", '{"outputs": {}}')]
        assert session.messages()[3].tool_call_id == "c1"
        assert session.info().custom_metadata["source_record"]["events"][0]["id"] == 2


def test_one_message_a_line(runtime: Runtime, tmp_path: Path) -> None:
    lines = [
        *('{"role": "user", "content": "a"}', '{"role": "assistant", "content": "b"}', ""),
        *('{"role": "user", "content": "c"}', '{"messages": [{"role": "user", "content": "d"}]}'),
        *('{"role": "user", "content": "e", "session_id": "1"}', '{"role": "user", "content": "f", "session_id": "2"}'),
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    report = ingest(runtime, tmp_path / "log.jsonl")
    assert report.skipped == []
    texts = ["".join(text for _, text in said(runtime.session(each))) for each in report.session_ids]
    assert texts == ["ab", "c", "d", "e", "f"]
    positions = [runtime.session(each).info().custom_metadata["source_position"] for each in report.session_ids]
    assert positions == ["lines 1-2", "line 4", "line 5", "line 6", "line 7"]
    (tmp_path / "whole.jsonl").write_text("\n".join(lines[:2]))
    whole = runtime.session(ingest(runtime, tmp_path / "whole.jsonl").duplicates[0].reason.split()[3])
    assert whole.id == report.session_ids[0]


def test_a_broken_line_costs_the_whole_conversation_and_only_that(runtime: Runtime, tmp_path: Path) -> None:
    message = '{"role": "user", "content": "a"}'
    (tmp_path / "log.jsonl").write_text("\n".join([message, message[:-4], message, "", message, message]))
    report = ingest(runtime, tmp_path / "log.jsonl")
    assert [item.position for item in report.skipped] == ["line 2", "lines 1-3"]
    assert [len(said(runtime.session(each))) for each in report.session_ids] == [2]
    (tmp_path / "log.jsonl").write_text("\n".join([message, message[:-4], "", message, message, message]))
    report = ingest(runtime, tmp_path / "log.jsonl")
    assert [item.position for item in report.skipped] == ["line 2", "lines 1-2"]
    assert [len(said(runtime.session(each))) for each in report.session_ids] == [3]
    (tmp_path / "log.jsonl").write_text("\n".join([message, message[:-4]] * 5))
    report = ingest(runtime, tmp_path / "log.jsonl")
    assert (report.sessions, bool(report.skipped)) == (0, True)
    lines = [json.dumps(line) for line in examples.claude_code()]
    (tmp_path / "s.jsonl").write_text("\n".join(lines)[:-9])
    report = ingest(runtime, tmp_path / "s.jsonl")
    assert (report.sessions, len(report.skipped)) == (0, 2)
    (tmp_path / "s.jsonl").write_text("{oops\n" + "\n".join(lines))
    assert ingest(runtime, tmp_path / "s.jsonl").sessions == 0


def test_batches_of_anthropic_and_single_responses(runtime: Runtime, tmp_path: Path) -> None:
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "four"}],
        "usage": {"output_tokens": 1},
    }
    asked = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "two and two?"}]}
    lines = [
        {"custom_id": "r1", "params": asked},
        {"custom_id": "r1", "result": {"type": "succeeded", "message": answer}},
        answer,
        {"request": asked, "response": answer},
    ]
    report = taken(runtime, tmp_path, lines, "batch.jsonl")
    assert report.skipped == []
    assert ["".join(text for _, text in said(runtime.session(each))) for each in report.session_ids] == [
        *("two and two?", "four", "four", "two and two?four"),
    ]


def test_a_whole_conversation_is_no_line_of_one(runtime: Runtime, tmp_path: Path) -> None:
    early = {
        "id": "x",
        "timestamp": examples.iso(0),
        "instructions": "be brief",
        "input": [{"role": "user", "content": "a"}],
    }
    session = the_only(runtime, taken(runtime, tmp_path, early), "openai-responses")
    assert said(session) == [("system", "be brief"), ("user", "a")]


# -- broken examples

_TREES: dict[str, tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], dict[str, Any]], str, str]] = {
    "chatgpt": (examples.chatgpt, lambda value: value["mapping"], "parent", "current_node"),
    "open-webui": (examples.open_webui, lambda value: value["chat"]["history"]["messages"], "parentId", "currentId"),
}


@pytest.mark.parametrize("form", _TREES)
def test_a_circle_costs_the_conversation_and_no_other(form: str, runtime: Runtime, tmp_path: Path) -> None:
    make, nodes_of, parent, _ = _TREES[form]
    circle = make()
    nodes = list(nodes_of(circle).values())
    nodes[0][parent] = nodes[-1]["id"]
    for each in nodes[1:]:
        each[parent] = nodes[0]["id"]
    report = taken(runtime, tmp_path, [circle, make()])
    assert report.sessions == 1
    assert [item.position for item in report.skipped] == ["index 0"]
    assert "circle" in report.skipped[0].reason


def test_a_circle_beside_the_shown_path_is_kept_as_it_is(runtime: Runtime, tmp_path: Path) -> None:
    value = examples.chatgpt()
    for id, parent in (("z1", "z2"), ("z2", "z1")):
        value["mapping"][id] = examples.node(id, parent, examples.said(id, "user", f"text of {id}"))
    report = taken(runtime, tmp_path, value)
    session = the_only(runtime, report, "chatgpt")
    assert "text of z2" in json.dumps(session.info().custom_metadata)
    assert report.branches == 2


@pytest.mark.parametrize("node", [None, "nobody", 7])
@pytest.mark.parametrize("form", _TREES)
def test_a_missing_last_node_is_the_newest(form: str, node: Any, runtime: Runtime, tmp_path: Path) -> None:
    make, _, _, key = _TREES[form]
    wanted = said(the_only(runtime, taken(runtime, tmp_path, make()), form))
    value = make()
    holder = value if key in value else value["chat"]["history"]
    holder[key] = node
    assert said(the_only(runtime, taken(runtime, tmp_path, value), form)) == wanted


@pytest.mark.parametrize("form", ["chatgpt", "claude", "librechat", "open-webui"])
def test_no_messages_are_no_conversation(form: str, runtime: Runtime, tmp_path: Path) -> None:
    empty: dict[str, Any] = {
        "chatgpt": {"mapping": {"a": {"id": "a", "message": None, "parent": None, "children": []}}},
        "claude": {"chat_messages": []},
        "librechat": {"conversationId": "x", "messagesTree": []},
        "open-webui": {"chat": {"history": {"messages": {}}}},
    }
    report = taken(runtime, tmp_path, empty[form])
    assert (report.sessions, len(report.skipped)) == (0, 1)
    assert "no messages" in report.skipped[0].reason


def test_a_node_that_is_there_twice(runtime: Runtime, tmp_path: Path) -> None:
    export = examples.librechat()
    (root,) = export["messages"]
    again = {**root["children"][0], "text": "Mint tea."}
    root["children"] += [copy.deepcopy(root["children"][0]), again]
    report = taken(runtime, tmp_path, export)
    assert report.sessions == 1
    assert sorted(said(runtime.session(each))[-1][1] for each in report.branch_ids) == ["Black tea.", "Mint tea."]
    assert report.repaired_count == 2


_LINES = ("claude_code", "codex")


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_an_example_cut_anywhere_leaves_no_half_conversation(name: str, runtime: Runtime, tmp_path: Path) -> None:
    value = examples.EXAMPLES[name]()
    text = "\n".join(map(json.dumps, value)) if name in _LINES else json.dumps([value, value])
    for part in range(1, 12):
        (tmp_path / "cut").write_text(text[: len(text) * part // 12])
        report = ingest(runtime, tmp_path / "cut")
        assert report.skipped
        for session_id in [*report.session_ids, *report.branch_ids]:
            runtime.delete_session(session_id)
        assert report.sessions <= (name not in _LINES)


def _changed(value: Any, at: int, new: Any) -> tuple[Any, int]:
    """Return a value with its `at`-th inner value replaced, and how many inner values it has."""
    count = 0

    def walk(inner: Any) -> Any:
        nonlocal count
        count += 1
        if count - 1 == at:
            return new
        if isinstance(inner, dict):
            return {key: walk(item) for key, item in inner.items()}
        return [walk(item) for item in inner] if isinstance(inner, list) else inner

    return walk(value), count


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_wrong_types_anywhere_cost_no_more_than_the_conversation(name: str, runtime: Runtime, tmp_path: Path) -> None:
    value = examples.EXAMPLES[name]()
    rows = value if isinstance(value, list) else [value]
    reasons: list[str] = []
    count = _changed(rows, -1, None)[1]
    good = json.dumps({"messages": [{"role": "user", "content": "good"}]})
    for new in (None, 7, "x", [], {}):
        texts = []
        for at in range(2 if name not in _LINES else 1, count):
            changed = _changed(rows, at, new)[0]
            if name in _LINES:
                (tmp_path / "lines").write_text("\n".join(json.dumps(row) for row in changed) + "\n" + good)
                report = ingest(None, tmp_path / "lines", dry_run=True)
                assert report.sessions >= 1
                reasons += [item.reason for item in report.skipped]
            else:
                texts.append(json.dumps(changed if name == "openhands" else changed[0]))
        if texts:
            (tmp_path / "records").write_text("\n".join([*texts, good]))
            report = ingest(runtime, tmp_path / "records")
            assert report.sessions + report.duplicate_count + report.skipped_count >= len(texts)
            assert report.duplicate_count or said(runtime.session(report.session_ids[-1])) == [("user", "good")]
            reasons += [item.reason for item in report.skipped]
    assert not [reason for reason in reasons if UNEXPECTED in reason]  # each form knows what to do
