"""Retention, usage, diffs: what there is, what it takes, what may go."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from greenroom.runtime import ArtifactNotFound, ArtifactTooLarge, InvalidOperation, Runtime, ValidationError

DAY = 86_400


@pytest.fixture
def aged(clock: Any) -> Any:
    """A runtime whose time a test moves."""
    with Runtime.open(clock=clock) as runtime:
        yield runtime


def versions(s: Any, name: str) -> list[int]:
    return [info.version for info in s.artifact_versions(name)]


def test_only_the_newest_versions_of_each_name_stay(rt: Runtime) -> None:
    s = rt.create_session()
    for number in range(5):
        s.store_artifact("agent_output", "a", f"a {number}")
    s.store_artifact("agent_output", "b", "only")
    shown = rt.retention(keep_versions=2)
    assert shown.dry_run
    assert [(each.name, each.version) for each in shown.removed] == [("a", 1), ("a", 2), ("a", 3)]
    assert shown.bytes == 9
    assert versions(s, "a") == [1, 2, 3, 4, 5]
    done = rt.retention(keep_versions=2, dry_run=False)
    assert done.removed == shown.removed
    assert versions(s, "a") == [4, 5]
    assert versions(s, "b") == [1]
    assert rt.retention(keep_versions=2).removed == ()
    assert rt.verify().ok


def test_old_versions_go_by_age_but_never_the_latest(aged: Runtime, clock: Any) -> None:
    s = aged.create_session()
    s.store_artifact("agent_output", "a", "1")
    s.store_artifact("agent_output", "b", "1")
    clock.advance(5 * DAY)
    s.store_artifact("agent_output", "a", "2")
    s.store_artifact("agent_output", "a", "3")
    assert aged.retention(max_age_days=6).removed == ()
    report = aged.retention(max_age_days=5, dry_run=False)
    assert [(each.name, each.version) for each in report.removed] == [("a", 1)]
    assert versions(s, "a") == [2, 3]
    clock.advance(100 * DAY)
    aged.retention(max_age_days=5, dry_run=False)
    assert versions(s, "a") == [3]
    assert versions(s, "b") == [1]


def test_a_session_is_brought_down_to_a_size_from_its_oldest_versions(rt: Runtime) -> None:
    s = rt.create_session()
    for number in range(6):
        s.store_artifact("agent_output", "a", os.urandom(1000) + bytes([number]))
    report = rt.retention(max_session_bytes=3500, dry_run=False)
    assert [each.version for each in report.removed] == [1, 2, 3]
    assert s.info().total_artifact_size == 3 * 1001
    rt.retention(max_session_bytes=0, dry_run=False)
    assert versions(s, "a") == [6]


def test_sessions_that_ended_long_ago_go_whole(aged: Runtime, clock: Any) -> None:
    old, new, open_ = (aged.create_session(name) for name in ("old", "new", "open"))
    old.store_artifact("agent_output", "a", "1")
    old.complete()
    clock.advance(10 * DAY)
    new.complete()
    shown = aged.retention(ended_days=5)
    assert [(each.session_id, each.artifact, each.size) for each in shown.removed] == [(old.id, None, 1)]
    aged.retention(ended_days=5, dry_run=False)
    assert not aged.exists(old.id)
    assert aged.exists(new.id)
    assert aged.exists(open_.id)


def test_what_belongs_to_a_session_that_takes_no_writes_is_named_and_stays(rt: Runtime) -> None:
    s = rt.create_session()
    for number in range(3):
        s.store_artifact("agent_output", "a", f"{number}")
    s.complete()
    for dry_run in (True, False):
        report = rt.retention(keep_versions=1, dry_run=dry_run)
        assert report.removed == ()
        assert [each.version for each in report.skipped] == [1, 2]
    assert versions(s, "a") == [1, 2, 3]


@pytest.mark.parametrize("limits", [{"keep_versions": 0}, {"max_age_days": -1}, {"keep": 1}, {"ended_days": "x"}])
def test_an_impossible_policy_is_refused(rt: Runtime, limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rt.retention(limits)


def test_usage_says_who_takes_the_space(rt: Runtime) -> None:
    large, small = rt.create_session("large"), rt.create_session("small")
    shared = os.urandom(50_000)
    large.store_artifact("tool_result", "shared.bin", shared)
    small.store_artifact("user_input", "also.bin", shared)
    large.store_artifact("tool_result", "own.bin", os.urandom(100_000))
    small.store_artifact("user_input", "tiny.txt", "tiny")
    small.add_message("user", "x" * 20_000)
    usage = rt.usage()
    assert next(iter(usage.sessions)) == large.id
    assert usage.sessions[large.id].items == 2
    assert usage.sessions[large.id].logical_bytes == 150_000
    assert usage.sessions[large.id].unique_bytes == 100_000
    assert usage.sessions[small.id].logical_bytes == 50_000 + 4 + 20_000
    assert 4 < usage.sessions[small.id].unique_bytes < 10_000
    assert usage.sessions[small.id].journal_bytes > 0
    assert usage.types["tool_result"].unique_bytes == 100_000
    assert usage.names["own.bin"].unique_bytes == 100_000
    assert usage.names["shared.bin"].unique_bytes == 0
    assert usage.types["(messages)"].items == 1
    details = rt.stats(details=True)["usage"]
    assert details["sessions"][large.id]["unique_bytes"] == 100_000
    assert "usage" not in rt.stats()


def test_a_deleted_session_gives_its_own_bytes_back_to_the_disk(rt: Runtime) -> None:
    kept, gone = rt.create_session(), rt.create_session()
    shared = os.urandom(400_000)
    kept.store_artifact("user_input", "shared", shared)
    gone.store_artifact("user_input", "shared", shared)
    for number in range(3):
        gone.store_artifact("user_input", f"own {number}", os.urandom(2_000_000))
    for number in range(100):
        gone.set(f"k{number}", "x" * 2000)
    rt.compact()
    before = rt.stats()
    own = rt.usage().sessions[gone.id].unique_bytes
    assert 6_000_000 <= own <= 6_100_000
    gone.delete()
    rt.compact()
    after = rt.stats()
    assert before["artifacts"]["stored_bytes"] - after["artifacts"]["stored_bytes"] == own
    assert before["disk_bytes"] - after["disk_bytes"] > own * 0.97  # RocksDB's own log grows a little
    assert after["disk_bytes"] < 1_500_000
    assert kept.get_artifact("shared").content == shared


def test_a_diff_shows_what_changed_between_versions(rt: Runtime) -> None:
    s = rt.create_session()
    s.store_artifact("agent_output", "a.txt", "one\ntwo\nthree\n")
    s.store_artifact("agent_output", "a.txt", "one\n2\nthree\n")
    s.store_artifact("agent_output", "a.txt", "one\n2\nthree")
    assert s.diff_artifact("a.txt", 1, 2) == (
        "--- a.txt (version 1)\n+++ a.txt (version 2)\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    )
    assert s.diff_artifact("a.txt", 2).endswith("-three\n+three\n\\ No newline at end of file\n")
    assert s.diff_artifact("a.txt", 3, 3) == ""
    assert s.diff_artifact("a.txt", 1, 2, context=0).splitlines()[-2:] == ["-two", "+2"]
    with pytest.raises(ArtifactNotFound):
        s.diff_artifact("a.txt", 1, 9)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"text with \x00 in it", os.urandom(1000)])
def test_what_is_not_text_has_no_diff(rt: Runtime, content: bytes) -> None:
    s = rt.create_session()
    s.store_artifact("agent_output", "a", "text")
    s.store_artifact("agent_output", "a", content)
    with pytest.raises(InvalidOperation, match="version 2"):
        s.diff_artifact("a", 1, 2)
    with pytest.raises(InvalidOperation):
        s.diff_artifact("a", 2, 2)


def test_a_diff_of_too_much_is_refused_before_it_is_read(rt: Runtime) -> None:
    s = rt.create_session()
    s.store_artifact("agent_output", "bytes", "short")
    s.store_artifact("agent_output", "bytes", "x" * (5 << 20))
    s.store_artifact("agent_output", "lines", "short")
    s.store_artifact("agent_output", "lines", "\n" * 60_000)
    for name in ("bytes", "lines"):
        with pytest.raises(ArtifactTooLarge):
            s.diff_artifact(name, 1, 2)


def test_a_diff_of_two_long_texts_with_little_in_common_comes_back(rt: Runtime) -> None:
    s = rt.create_session()
    dice = random.Random(1)
    for _ in range(2):
        s.store_artifact("agent_output", "a", "\n".join(f"{dice.random()}" for _ in range(20_000)))
    assert s.diff_artifact("a", 1, 2).count("\n") > 20_000
