"""A conversation is in the store whole or not at all, and once: whatever ends an ingest, however often it is run."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import HookResult, Runtime
from greenroom.runtime.hooks import HookContext
from greenroom.runtime.ingest import ingest

from ....warm import run_warm

TURNS = 12


def record(number: int) -> dict[str, Any]:
    # Short turns, turns that are contents of their own, and one that is written ahead in chunks.
    texts = [f"{number}-{turn} " + "y" * (0, 5_000, 200_000)[turn % 3 if turn < 6 else 0] for turn in range(TURNS)]
    return {"title": f"talk {number}", "messages": [{"role": "user", "content": text} for text in texts]}


def write(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps(record(number)) + "\n" for number in range(count)), encoding="utf-8")
    return path


def talks(runtime: Runtime) -> list[tuple[str | None, str, int, int]]:
    found = runtime.list_sessions(status=["active", "suspended", "completed", "failed"], sort_by="name")
    return [
        (info.name, str(info.status), len(runtime.session(info.id).messages()), info.artifact_count) for info in found
    ]


_DYING = """
import os, sys
from greenroom.actors.store import ArtifactStore
from greenroom.runtime import Runtime
from greenroom.runtime.ingest import ingest


left, when = int(sys.argv[3]), sys.argv[4]
handle = ArtifactStore._handle_receive
def dying(self, message):
    global left
    left -= 1
    if left == 0 and when == "before": os.kill(os.getpid(), 9)
    answer = handle(self, message)
    if left == 0: os.kill(os.getpid(), 9)
    return answer
with Runtime.open(sys.argv[1]) as runtime:
    ArtifactStore._handle_receive = dying
    ingest(runtime, sys.argv[2])
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("writes", [1, 2, 3, 5, 7, 10])
def test_a_killed_ingest_leaves_whole_conversations_and_the_next_run_brings_the_rest(
    tmp_path: Path, writes: int, when: str
) -> None:
    """Killed before or after the n-th thing that the one writer does, which chunks written ahead are too."""
    path = write(tmp_path / "talks.jsonl", 3)
    store = tmp_path / "store"
    command = [sys.executable, "-c", _DYING, str(store), str(path), str(writes), when]
    assert run_warm(command, timeout=60).returncode == -9
    whole = [(f"talk {number}", "completed", TURNS, TURNS) for number in range(3)]
    with Runtime.open(store) as runtime:
        before = talks(runtime)
        assert before == whole[: len(before)]
        assert runtime.verify().ok
        report = ingest(runtime, path)
        assert (report.sessions, report.duplicate_count) == (3 - len(before), len(before))
        assert talks(runtime) == whole
        assert ingest(runtime, path).sessions == 0
        assert talks(runtime) == whole
        assert runtime.verify().ok


def test_what_is_there_is_known_by_what_it_says(tmp_path: Path) -> None:
    one = {"id": 1, "messages": [{"role": "user", "content": "x"}]}
    (tmp_path / "a.json").write_text(json.dumps(one))
    (tmp_path / "b.jsonl").write_text(json.dumps({"messages": [{"content": "x", "role": "user"}], "id": 1}, indent=4))
    (tmp_path / "other.json").write_text(json.dumps(one | {"id": 2}))
    with Runtime.open(tmp_path / "store") as runtime:
        first = ingest(runtime, tmp_path / "a.json").session_ids[0]
        again = ingest(runtime, tmp_path / "b.jsonl")
        assert (again.sessions, again.duplicate_count, again.whole) == (0, 1, True)
        assert first in again.duplicates[0].reason
        assert ingest(runtime, tmp_path / "other.json").sessions == 1
        runtime.session(first).archive()
        assert ingest(runtime, tmp_path / "b.jsonl").sessions == 0
        fork = runtime.session(first).fork()
        runtime.delete_session(first)
        assert ingest(runtime, tmp_path / "b.jsonl").sessions == 1  # a fork is not the conversation
        assert fork.messages()[0].content == "x"
        assert runtime.verify().ok


def test_what_comes_in_by_a_bundle_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "talks.jsonl", 1)
    with Runtime.open(tmp_path / "one") as runtime:
        runtime.export_session(ingest(runtime, path).session_ids[0], tmp_path / "s.bundle")
    with Runtime.open(tmp_path / "two") as runtime:
        runtime.import_bundle(tmp_path / "s.bundle", keep_ids=False)
        assert ingest(runtime, path).duplicate_count == 1


def test_a_source_that_has_a_conversation_twice_gives_two_and_not_four(tmp_path: Path) -> None:
    line = json.dumps(record(0)) + "\n"
    (tmp_path / "twice.jsonl").write_text(line * 2)
    (tmp_path / "thrice.jsonl").write_text(line * 3)
    with Runtime.open(tmp_path / "store") as runtime:
        assert ingest(runtime, tmp_path / "twice.jsonl").sessions == 2
        assert ingest(runtime, tmp_path / "twice.jsonl").sessions == 0
        report = ingest(runtime, tmp_path / "thrice.jsonl")
        assert (report.sessions, report.duplicate_count) == (1, 2)


def test_threads_that_ingest_the_same_write_it_once(tmp_path: Path) -> None:
    path = write(tmp_path / "talks.jsonl", 10)
    with Runtime.open(tmp_path / "store") as runtime:
        threads = [threading.Thread(target=ingest, args=(runtime, path)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [name for name, *_ in talks(runtime)] == [f"talk {number}" for number in range(10)]
        assert runtime.verify().ok


def test_rates_do_not_hold_up_an_ingest_and_are_not_used_up_by_it(tmp_path: Path) -> None:
    path = write(tmp_path / "talks.jsonl", 20)
    with Runtime.open(tmp_path / "store", config={"policies": {"rate": {"runtime": 6, "session": 6}}}) as runtime:
        report = ingest(runtime, path)
        assert (report.sessions, report.skipped) == (20, [])
        runtime.create_session().set("k", 1)


def test_the_quota_of_bytes_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "talks.jsonl", 3)
    with Runtime.open(tmp_path / "store", config={"max_store_bytes": 900_000}) as runtime:
        report = ingest(runtime, path)
        assert 0 < report.sessions < 3
        assert "ResourceLimitExceeded" in report.skipped[0].reason
        assert runtime.verify().ok


def test_hooks_see_and_change_what_is_ingested(tmp_path: Path) -> None:
    path = write(tmp_path / "talks.jsonl", 2)

    def tagged(context: HookContext) -> HookResult | None:
        if context.data["name"] == "talk 1":
            return HookResult.cancel("no talk 1")
        return HookResult.modified({**context.data, "tags": [*context.data["tags"], "checked"]})

    with Runtime.open(tmp_path / "store") as runtime:
        runtime.hooks.register("BeforeSessionCreated", tagged)
        stored: list[str] = []
        runtime.hooks.register("ArtifactStored", lambda context: stored.append(context.data["name"]))
        report = ingest(runtime, path)
        assert report.sessions == 1
        assert "no talk 1" in report.skipped[0].reason
        assert "checked" in runtime.session(report.session_ids[0]).info().tags
        assert len(stored) == TURNS
        assert runtime.verify().ok


def test_what_redaction_removes_is_nowhere_in_the_store(tmp_path: Path) -> None:
    secret = "sk-0123456789abcdef"
    path = tmp_path / "secret.json"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": f"my key is {secret}", "note": secret}]}))
    with Runtime.open(tmp_path / "store", config={"redact": ["sk-[0-9a-f]+"]}) as runtime:
        session = runtime.session(ingest(runtime, path).session_ids[0])
        assert secret not in session.messages()[0].text
    assert not [
        each for each in (tmp_path / "store").rglob("*") if each.is_file() and secret.encode() in each.read_bytes()
    ]


def test_who_listens_hears_of_a_conversation_once_it_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "talks.jsonl", 1)
    with Runtime.open(tmp_path / "store") as runtime:
        heard = runtime.events.subscribe("**")
        report = ingest(runtime, path)
        types = [heard.receive(timeout=5).type for _ in range(3 + 2 * TURNS)]  # type: ignore[union-attr]
        assert types.count("message.added") == TURNS
        assert types[-1] == "session.completed"
        assert next(event.type for event in runtime.session(report.session_ids[0]).events()) == "session.created"


def test_packed_files_and_folders_are_read(tmp_path: Path) -> None:
    lines = [json.dumps(record(number)) + "\n" for number in range(4)]
    folder = tmp_path / "folder" / "below"
    folder.mkdir(parents=True)
    (folder / "a.jsonl.gz").write_bytes(gzip.compress("".join(lines[:2]).encode()))
    with zipfile.ZipFile(folder.parent / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/c.json", lines[2])
        archive.writestr("x/picture.png", b"\x89PNG")
        archive.writestr("d.jsonl", lines[3] + "{oops")
    (folder / "cut.json.gz").write_bytes(gzip.compress(lines[0].encode())[:-20])
    (folder / "notes.txt").write_text("not a conversation")
    with Runtime.open(tmp_path / "store") as runtime:
        report = ingest(runtime, tmp_path / "folder")
        assert sorted(name or "" for name, *_ in talks(runtime)) == [f"talk {number}" for number in range(4)]
        assert len(report.skipped) == 2
        assert any(item.path.endswith("b.zip: d.jsonl") and item.position == "line 2" for item in report.skipped)
        assert any("damaged" in item.reason for item in report.skipped)


def test_a_file_name_that_is_no_utf8_is_shown_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.json"
    path.write_text(json.dumps([{"role": "user", "content": "x"}]))
    with Runtime.open(tmp_path / "store") as runtime:
        report = ingest(runtime, path)
        info = runtime.session(report.session_ids[0]).info()
        assert (info.name, info.custom_metadata["source_file"]) == ("caf\\xe9", "caf\\xe9.json")
