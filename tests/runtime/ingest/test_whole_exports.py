"""Exports as people have them: archives, folders, again and again, dry runs, kills; nothing half, nothing twice."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.ingest import IngestReport, ingest, sources

from ...warm import run_warm
from . import examples


def names(runtime: Runtime, report: IngestReport) -> list[str | None]:
    return [runtime.session(each).info().name for each in report.session_ids]


def numbered(count: int, begin: int = 0) -> list[dict[str, Any]]:
    return [
        examples.chatgpt(title=f"talk {number}", conversation_id=f"c-{number}", id=f"c-{number}")
        for number in range(begin, begin + count)
    ]


def test_a_folder_is_read_in_order_and_what_is_hidden_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    for name, title in (
        ("b.json", "3"),
        ("a/z.json", "4"),
        ("a.json.gz", "1"),
        (".old/x.json", "no"),
        (".b.json", "no"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([examples.claude(name=title, uuid=title)])
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    with zipfile.ZipFile(folder / "aa.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/conversations.json", json.dumps([examples.claude(name="2", uuid="2")]))
        archive.writestr("__MACOSX/export/conversations.json", "\0\0")
        archive.writestr("export/.hidden.json", "{oops")
    with Runtime.open(tmp_path / "store") as runtime:
        report = ingest(runtime, folder)
        assert (names(runtime, report), report.skipped) == (["1", "2", "3", "4"], [])


def test_what_cannot_be_read_in_a_folder_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for name, title in (("a.json", "1"), ("d.json", "2"), ("f.json", "3")):
        (folder / name).write_text(json.dumps([examples.claude(name=title, uuid=title)]))
    (folder / "b.json").symlink_to(tmp_path / "nothing")
    (folder / "c.json.gz").write_bytes(gzip.compress(json.dumps(numbered(1)).encode())[:-20])
    (folder / "e.zip").write_bytes(b"PK")
    with zipfile.ZipFile(folder / "e2.zip", "w") as archive:
        archive.writestr("picture.png", b"")
    with Runtime.open(tmp_path / "store") as runtime:
        report = ingest(runtime, folder)
        assert names(runtime, report) == ["1", "2", "3"]
        assert [Path(each.path).name for each in report.skipped] == ["b.json", "c.json.gz", "e.zip", "e2.zip"]


def test_an_archive_in_an_archive_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.json", json.dumps(examples.claude()))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
        archive.writestr("b.json", json.dumps(examples.chatgpt()))
    with Runtime.open(tmp_path / "store") as runtime:
        report = ingest(runtime, tmp_path / "x.zip")
        assert names(runtime, report) == ["A trip"]
        assert "inner.zip" in report.skipped[0].reason


@pytest.mark.parametrize("ending", [".zip", ".json.gz"])
def test_what_unpacks_to_too_much_is_refused(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_FREE_UNPACKED", 1 << 20)
    bomb = b'{"messages": [' + b" " * (8 << 20)
    path = tmp_path / f"bomb{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb.json", bomb)
    else:
        path.write_bytes(gzip.compress(bomb))
    with Runtime.open(tmp_path / "store") as runtime:
        report = ingest(runtime, path)
        assert "it unpacks to more than" in report.skipped[-1].reason
        assert report.bytes_read <= path.stat().st_size


def fingerprint(store: Path) -> dict[str, str]:
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.rglob("*")
        if path.is_file() and not path.name.startswith("LOG")
    }


def test_a_dry_run_says_what_the_run_does_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([*numbered(3), {"no": "conversation"}]))
    (tmp_path / "b.json").write_text(json.dumps(numbered(3, begin=2)))
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    store = tmp_path / "store"
    with Runtime.open(store) as runtime:
        ingest(runtime, tmp_path / "b.json")
    before = fingerprint(store)
    with Runtime.open(store, read_only=True) as runtime:
        dry = ingest(runtime, paths, dry_run=True)
    assert fingerprint(store) == before
    empty = ingest(None, paths, dry_run=True)
    assert (empty.sessions, empty.branches, empty.duplicate_count, empty.session_ids) == (5, 10, 1, [])
    with Runtime.open(store) as runtime:
        again = ingest(runtime, paths, dry_run=True)
        assert len(runtime.list_sessions(status="completed")) == 9
        wet = ingest(runtime, paths)
    for other in (dry, again):
        for field in ("sessions", "branches", "messages", "artifacts", "duplicate_count", "skipped_count"):
            assert getattr(other, field) == getattr(wet, field), field
    assert (wet.sessions, wet.branches, wet.duplicate_count, wet.skipped_count) == (2, 4, 4, 1)
    with pytest.raises(ValidationError, match="dry run"):
        ingest(None, paths)


def test_a_file_that_has_grown_brings_the_new_ones_and_a_conversation_that_has_grown_both_states(
    tmp_path: Path,
) -> None:
    path = tmp_path / "conversations.json"
    with Runtime.open(tmp_path / "store") as runtime:
        path.write_text(json.dumps(numbered(2)))
        first = ingest(runtime, path)
        grown = numbered(3)
        grown[1]["mapping"]["a3"]["children"] = ["q3"]
        grown[1]["mapping"]["q3"] = examples.node("q3", "a3", examples.said("q3", "user", "thanks", examples.T + 20))
        grown[1]["current_node"] = "q3"
        path.write_text(json.dumps(grown))
        second = ingest(runtime, path)
        assert (second.sessions, second.duplicate_count, second.grown_count) == (2, 1, 1)
        assert names(runtime, second) == ["talk 1", "talk 2"]
        assert first.session_ids[1] in second.grown[0].reason
        now, before = runtime.session(second.session_ids[0]), runtime.session(first.session_ids[1])
        assert now.info().custom_metadata["source_earlier"] == before.id
        assert [len(each.messages()) for each in (before, now)] == [4, 5]
        assert ingest(runtime, path).sessions == 0


_DYING = """
import os, sys
from greenroom.actors.store import ArtifactStore
from greenroom.runtime import Runtime
from greenroom.runtime.ingest import ingest

left = int(sys.argv[3])
handle = ArtifactStore._handle_receive
def dying(self, message):
    global left
    left -= 1
    if left == 0: os.kill(os.getpid(), 9)
    return handle(self, message)
with Runtime.open(sys.argv[1]) as runtime:
    ArtifactStore._handle_receive = dying
    ingest(runtime, sys.argv[2])
"""


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_killed_in_the_middle_a_conversation_is_there_with_its_branches_or_not_at_all(
    writes: int, tmp_path: Path
) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps(numbered(3)))
    command = [sys.executable, "-c", _DYING, str(tmp_path / "store"), str(path), str(writes)]
    assert run_warm(command, timeout=60).returncode == -9
    with Runtime.open(tmp_path / "store") as runtime:
        before = runtime.list_sessions(status="completed")
        assert len(before) == 3 * (writes - 1)
        report = ingest(runtime, path)
        assert (report.sessions, report.branches) == (4 - writes, 2 * (4 - writes))
        assert len(runtime.list_sessions(status="completed")) == 9
        assert runtime.verify().ok


def test_a_hook_that_refuses_a_branch_refuses_the_conversation(tmp_path: Path) -> None:
    from greenroom.runtime import HookResult
    from greenroom.runtime.hooks import HookContext

    (tmp_path / "a.json").write_text(json.dumps([examples.chatgpt(), examples.claude()]))

    def refuse(context: HookContext) -> HookResult | None:
        return HookResult.cancel("no trains") if "train" in str(context.data) else None

    with Runtime.open(tmp_path / "store") as runtime:
        runtime.hooks.register("BeforeMessageAdd", refuse)
        report = ingest(runtime, tmp_path / "a.json")
        assert names(runtime, report) == ["A haiku"]
        assert [item.position for item in report.skipped] == ["index 0"]
        assert len(runtime.list_sessions(status=["active", "completed"])) == 1
        assert runtime.verify().ok


def test_times_that_cannot_be_are_said_in_the_metadata(tmp_path: Path) -> None:
    value = examples.chatgpt()
    value["mapping"]["q1"]["message"]["create_time"] = -86_400.0
    value["mapping"]["a2"]["message"]["create_time"] = 4_000_000_000.0
    value["mapping"]["a3"]["message"]["create_time"] = examples.T + 1
    (tmp_path / "a.json").write_text(json.dumps(value))
    with Runtime.open(tmp_path / "store") as runtime:
        session = runtime.session(ingest(runtime, tmp_path / "a.json").session_ids[0])
        times = [message.created_at for message in session.messages()]
        assert times == sorted(times)
        assert [time.timestamp() - examples.T for time in times] == [0.5, 0.5, 8, 8]
        told = session.info().custom_metadata["source_repaired"]
        assert ["message 0" in each or "message 1" in each or "message 3" in each for each in told[:3]] == [True] * 3
        assert session.messages()[0].metadata["create_time"] == -86_400.0  # what the source says is kept


def test_what_an_export_has_beside_its_conversations_is_ignored_and_said(tmp_path: Path) -> None:
    beside = {
        "user.json": {"id": "u", "email": "ada@example.org", "chatgpt_plus_user": False},
        "message_feedback.json": [{"id": "f", "conversation_id": "c-1", "rating": "thumbsUp", "content": "{}"}],
        "shared_conversations.json": [],
        "users.json": [{"uuid": "u", "full_name": "Ada", "email_address": "ada@example.org"}],
        "projects.json": [{"uuid": "p", "name": "x", "prompt_template": "", "docs": []}],
        "memories.json": [{"conversations_memory": "likes tea", "account_uuid": "u"}],
    }
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("conversations.json", json.dumps([examples.chatgpt(), examples.claude()]))
        archive.writestr("chat.html", "<html>")
        for name, value in beside.items():
            archive.writestr(name, json.dumps(value))
    with Runtime.open(tmp_path / "store") as runtime:
        report = ingest(runtime, tmp_path / "export.zip")
        assert (report.sessions, report.skipped, report.whole) == (2, [], True)
        assert sorted(item.path.rpartition(": ")[2] for item in report.ignored) == sorted(beside)
