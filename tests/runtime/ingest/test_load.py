"""Conversations in a runtime: what is stored, what is skipped, what a second time costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import HookResult, Runtime, RuntimeClosed
from greenroom.runtime.hooks import HookContext
from greenroom.runtime.ingest import IngestProgress, Turn, ingest, sample_paths

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "data" / "trajectories"
TYPES = {"user": "user_input", "assistant": "agent_output", "tool": "tool_result"}


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as opened:
        yield opened


def write(path: Path, *records: Any) -> Path:
    path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def chat(*texts: str) -> dict[str, Any]:
    roles = ["user", "assistant"] * len(texts)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]}


def recorded_runs() -> list[Any]:
    if not RECORDED.is_dir():
        skip = pytest.mark.skip(reason="the recorded runs (../shared/data/trajectories) are not here")
        return [pytest.param(Path("recorded.traj"), marks=skip)]
    return [pytest.param(path, id=path.stem) for path in sorted(RECORDED.glob("*.traj"))]


@pytest.mark.parametrize("path", recorded_runs())
def test_a_recorded_run_comes_out_as_it_went_in(runtime: Runtime, path: Path) -> None:
    recorded = json.loads(path.read_text(encoding="utf-8"))
    history, steps = recorded["history"], recorded.get("trajectory")
    if steps and history[-1]["role"] == "assistant":
        answer = next(m["role"] for b, m in zip(history[-4:], history[-3:], strict=False) if b["role"] == "assistant")
        history = [*history, {"role": answer, "content": steps[-1]["observation"]}]
    report = ingest(runtime, path)
    assert (report.sessions, report.messages, report.skipped) == (1, len(history), [])

    session = runtime.session(report.session_ids[0])
    messages = session.messages()
    assert [(m.role, m.content) for m in messages] == [(h["role"], h["content"]) for h in history]
    assert [m.tool_calls for m in messages] == [h.get("tool_calls") for h in history]
    assert [m.tool_call_id for m in messages] == [(h.get("tool_call_ids") or [None])[0] for h in history]

    expected = []
    for number, turn in enumerate(history, start=1):
        text = Turn(turn["role"], turn["content"]).text
        if turn["role"] in TYPES and text:
            expected.append((f"turn-{number:04d}-{turn['role']}.txt", TYPES[turn["role"]], text.encode()))
    infos = [info for info in session.list_artifacts() if info.artifact_type != "system_generated"]
    stored = [(info.name, info.artifact_type, session.get_artifact(info.id).content) for info in infos]
    assert stored == expected
    assert report.artifacts == session.info().artifact_count
    assert session.info().custom_metadata["source_file"] == path.name
    assert session.info().custom_metadata["source_format"] == "swe-agent"
    assert runtime.verify().ok


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded runs (../shared/data/trajectories) are not here")
def test_recorded_runs_a_second_time_add_nothing(runtime: Runtime) -> None:
    paths = sorted(RECORDED.glob("*.traj"))
    first = ingest(runtime, paths)
    before = runtime.stats()["artifacts"]
    second = ingest(runtime, paths)
    assert (first.sessions, first.duplicate_count) == (len(paths), 0)
    assert (second.sessions, second.duplicate_count) == (0, len(paths))
    assert runtime.stats()["artifacts"] == before


def test_the_samples_go_in_whole_and_a_second_time_add_no_content(runtime: Runtime) -> None:
    report = ingest(runtime, sample_paths(), created_by="me")
    assert (report.sessions, report.messages, report.skipped_count, report.failed_paths) == (9, 72, 0, [])
    before = runtime.stats()["artifacts"]
    assert before["unique_bytes"] < before["logical_bytes"]
    again = ingest(runtime, sample_paths())
    assert (again.sessions, again.duplicate_count, again.whole, again.failed_paths) == (0, 9, True, [])
    assert runtime.stats()["artifacts"] == before
    assert runtime.count_sessions(created_by="me", status="completed") == 9


def test_a_session_says_where_it_came_from(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path / "talks.jsonl", chat("a"), "\n", chat("b") | {"id": "x7"})
    ingest(runtime, path)
    second = next(info for info in runtime.list_sessions(status="completed") if info.name == "talks line 3")
    metadata = second.custom_metadata
    assert len(metadata.pop("source_digest")) == 64
    assert metadata == {
        "source_file": "talks.jsonl",
        "source_position": "line 3",
        "source_format": "openai-chat",
        "source_record": {"id": "x7"},
    }
    assert list(second.tags) == ["ingested", "openai-chat"]
    assert runtime.list_sessions(tags=["openai-chat"], status="completed").total == 2


def test_messages_keep_every_field(runtime: Runtime, tmp_path: Path) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    parts = [
        {"type": "text", "text": "see "},
        {"type": "image_url", "image_url": {"url": "u"}},
        {"type": "text", "text": "this"},
    ]
    record = {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": parts, "name": "ada", "weight": 1},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "", "tool_call_id": "c1"},
        ]
    }
    report = ingest(runtime, write(tmp_path / "a.json", record))
    session = runtime.session(report.session_ids[0])
    system, user, assistant, tool = session.messages()
    assert (system.role, system.content) == ("system", "be brief")
    assert (user.content, user.name, user.metadata) == (parts, "ada", {"weight": 1})
    assert (assistant.content, assistant.tool_calls) == (None, calls)
    assert (tool.content, tool.tool_call_id) == ("", "c1")
    # The system turn is no artifact, nor are turns without text.
    (info,) = session.list_artifacts()
    assert (info.name, info.artifact_type, info.mime_type) == (
        "turn-0002-user.txt",
        "user_input",
        "text/plain",
    )
    assert session.get_artifact(info.id).content == b"see this"
    assert (info.custom["message_sequence"], info.custom["name"]) == (user.sequence, "ada")


def test_what_is_broken_is_named_by_file_and_place_and_the_rest_goes_in(runtime: Runtime, tmp_path: Path) -> None:
    good = write(tmp_path / "good.jsonl", chat("a"), "{broken\n", {"other": 1}, chat("b"))
    empty = write(tmp_path / "empty.json")
    missing = tmp_path / "missing.json"
    folder = tmp_path / "folder"
    folder.mkdir()
    report = ingest(runtime, [good, empty, missing, folder, write(tmp_path / "last.json", chat("c"))])
    assert report.sessions == 3
    assert [(Path(item.path).name, item.position) for item in report.skipped] == [
        ("good.jsonl", "line 2"),
        ("good.jsonl", "line 3"),
        ("empty.json", "document"),
        ("missing.json", "document"),
        ("folder", "document"),
    ]
    assert "No such file" in report.skipped[3].reason
    assert report.failed_paths == [str(empty), str(missing), str(folder)]
    assert str(report.skipped[0]).startswith(f"{good}: line 2: it is not valid JSON")


def test_a_conversation_that_the_runtime_refuses_leaves_nothing(runtime: Runtime, tmp_path: Path) -> None:
    def veto(context: HookContext) -> HookResult | None:
        return HookResult.cancel("not this one") if context.data["name"] == "turn-0003-user.txt" else None

    runtime.hooks.register("BeforeArtifactStore", veto)
    report = ingest(runtime, write(tmp_path / "a.jsonl", chat("a"), chat("b", "x" * 500_000, "c"), chat("d")))
    assert report.sessions == 2
    ((position, reason),) = [(item.position, item.reason) for item in report.skipped]
    assert position == "line 2"
    assert "not this one" in reason
    assert runtime.count_sessions(status="completed") == 2
    assert runtime.stats()["artifacts"]["count"] == 2
    assert runtime.verify().ok


def test_texts_of_every_kind_come_back_unchanged(runtime: Runtime, tmp_path: Path) -> None:
    texts = ["CR\r\nLF\n", "tab\tNUL\0", "\ufeff mark", "𝄞 é e\u0301", " ", "\n", "x" * 300_000, '"\\u0041"']
    report = ingest(runtime, write(tmp_path / "a.jsonl", chat(*texts)))
    session = runtime.session(report.session_ids[0])
    assert [message.content for message in session.messages()] == texts
    assert [session.get_artifact(info.id).content.decode() for info in session.list_artifacts()] == texts


def test_half_surrogate_pairs_go_in_replaced_and_reported(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path / "cut.json", '{"messages": [{"role": "user", "content": "cut \\ud83d"}]}')
    report = ingest(runtime, path)
    assert (report.sessions, report.skipped) == (1, [])
    ((position, reason),) = [(item.position, item.reason) for item in report.repaired]
    assert (position, reason) == ("line 1", "1 half surrogate pair(s) replaced by U+FFFD")
    session = runtime.session(report.session_ids[0])
    assert session.get_artifact("turn-0001-user.txt").content.decode() == "cut \ufffd"


def test_a_conversation_longer_than_the_usual_limits_goes_in_whole(runtime: Runtime, tmp_path: Path) -> None:
    report = ingest(runtime, write(tmp_path / "long.json", chat(*(f"turn {n}" for n in range(1500)))))
    assert (report.sessions, report.messages, report.artifacts) == (1, 1500, 1500)
    assert len(runtime.session(report.session_ids[0]).messages()) == 1500


def test_large_fields_become_artifacts_that_the_metadata_names(runtime: Runtime, tmp_path: Path) -> None:
    message = {"role": "user", "content": "x", "thought": "t" * 100_000, "agent": "main", "artifacts": ["mine"]}
    extra = {"dump": {"small": 1, "large": ["d" * 100_000]}, "id": 7}
    report = ingest(runtime, write(tmp_path / "a.json", {"messages": [message], **extra}))
    session = runtime.session(report.session_ids[0])
    assert session.messages()[0].metadata == {
        "agent": "main",
        "artifacts": ["mine"],
        "artifacts_": {"thought": "turn-0001-thought.txt"},
    }
    metadata = session.info().custom_metadata
    assert metadata["source_record"] == {"dump": {"small": 1}, "id": 7}
    assert metadata["source_artifacts"] == {"dump.large": "source-dump.large.json"}
    assert session.get_artifact("turn-0001-thought.txt").content.decode() == "t" * 100_000
    moved = session.get_artifact(metadata["source_artifacts"]["dump.large"])
    assert json.loads(moved.content) == ["d" * 100_000]
    assert report.whole
    assert [(item.field, item.position) for item in report.moved] == [
        ("message 0.thought", "line 1"),
        ("dump.large", "line 1"),
    ]


def test_progress_ends_with_everything_read(runtime: Runtime) -> None:
    seen: list[IngestProgress] = []
    ingest(runtime, sample_paths(), on_progress=seen.append)
    assert seen[-1].bytes_read == seen[-1].bytes_total == sum(path.stat().st_size for path in sample_paths())
    assert (seen[-1].sessions, seen[-1].messages) == (9, 72)
    assert [state.bytes_read for state in seen] == sorted(state.bytes_read for state in seen)


def test_a_closed_runtime_is_an_error_not_a_list_of_skipped_records(tmp_path: Path) -> None:
    runtime = Runtime.open(tmp_path / "store")
    runtime.close()
    with pytest.raises(RuntimeClosed):
        ingest(runtime, sample_paths())
