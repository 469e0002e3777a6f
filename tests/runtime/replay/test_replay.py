"""`Runtime.replay`: the modes, and what the result tells."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    CallFailed,
    HookResult,
    ReplayConfig,
    ReplayError,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
)
from greenroom.runtime.replay.course import course_of


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as rt:
        yield rt


@pytest.fixture
def s(rt: Runtime) -> Session:
    """A session with a bit of everything."""
    rt.tools.register("weather", lambda city: {"city": city, "temp": 20})
    rt.agents.register("echo", lambda input, context: {"text": f"you said {input}"})
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.continue_(), name="watch", replayable=True)
    s = rt.create_session("trip", metadata={"team": "x"})
    s.set("model", "small")
    first = s.add_message("user", "Where is it warm?").sequence
    s.call_tool("weather", {"city": "Rome"})
    s.call_agent("echo", "hello")
    s.edit_message(first, content="Where is it warm today?")
    s.store_artifact("note", "a.txt", "one")
    s.store_artifact("note", "a.txt", "two")
    s.delete_artifact("a.txt", version=1)
    s.records.put(b"k", {"a": 1})
    with s.batch() as batch:
        batch.set("done", True)
        batch.add_message("assistant", "Rome")
    s.save()
    return s


def test_an_exact_replay_is_identical_and_says_so(rt: Runtime, s: Session) -> None:
    result = rt.replay(s.id, ReplayConfig(mode="exact"))
    last = s.info().sequence
    assert result.identical
    assert result.divergence is None
    assert result.errors == ()
    assert (result.first, result.last, result.events) == (1, last, last)
    assert result.digest == result.recorded_digest
    assert result.counts == {"equal": last}
    assert [each.sequence for each in result.comparisons] == list(range(1, last + 1))
    assert result.checks
    assert all(check.equal and check.snapshot == check.replayed for check in result.checks)
    assert result.variables == s.variables()
    assert result.info == s.info()
    assert result.stopped is None
    json.dumps(result.to_dict())


def test_a_session_or_its_id_and_a_mapping_or_no_configuration_are_taken(rt: Runtime, s: Session) -> None:
    assert rt.replay(s).identical
    assert rt.replay(s, {"mode": "exact"}).identical


def test_without_comparing_the_journal_is_only_folded(rt: Runtime, s: Session) -> None:
    result = rt.replay(s, ReplayConfig(compare_results=False))
    assert result.identical
    assert result.comparisons == ()
    assert result.checks
    assert result.events == s.info().sequence
    assert result.variables == s.variables()


def test_a_replay_goes_as_far_as_it_is_told(rt: Runtime, s: Session) -> None:
    result = rt.replay(s, {"target_sequence": 3})
    assert (result.last, result.identical) == (3, True)
    assert result.variables == {"model": "small"}
    at = list(s.events())[2].timestamp
    assert rt.replay(s, {"target_time": at}).last == 3


@pytest.mark.parametrize("target", [0, 10_000])
def test_a_target_outside_of_the_history_is_refused(rt: Runtime, s: Session, target: int) -> None:
    with pytest.raises((ReplayError, ValidationError)):
        rt.replay(s, {"target_sequence": target})


def test_modifications_change_what_they_name_and_nothing_else(rt: Runtime, s: Session) -> None:
    changes = {"variables.model": "large", "tools.weather.result.temp": 31}
    result = rt.replay(s, ReplayConfig(mode="modified", modifications=changes))
    assert not result.identical
    assert result.variables == {**s.variables(), "model": "large"}
    different = [each for each in result.comparisons if each.kind != "equal"]
    assert [(each.type, [d.path for d in each.differences]) for each in different] == [
        ("variable.set", ["data.value"]),
        ("tool.returned", ["data.result.temp"]),
    ]
    assert different[1].differences[0].replayed == 31
    assert result.divergence is not None
    assert result.divergence.sequence == different[0].sequence
    assert result.errors == result.unused == ()
    assert rt.replay(s).identical  # nothing of it was written


def test_a_call_with_another_input_is_answered_by_what_was_recorded_and_marked(rt: Runtime, s: Session) -> None:
    result = rt.replay(s, {"mode": "modified", "modifications": {"tools.weather.input.city": "Oslo"}})
    (answer,) = result.answers
    assert (answer.kind, answer.name, answer.match) == ("tool", "weather", "drifted")


def test_a_limit_that_is_changed_refuses_what_it_would_have_refused(rt: Runtime, s: Session) -> None:
    result = rt.replay(s, {"mode": "modified", "modifications": {"config.max_operations": 5}})
    assert result.errors
    assert result.errors[0].code == "ResourceLimitExceeded"
    assert result.info.operation_count == 5
    stopped = rt.replay(s, {"mode": "modified", "modifications": {"config.max_operations": 5}, "stop_on_error": True})
    assert (stopped.stopped, len(stopped.errors)) == ("error", 1)
    assert stopped.stopped_at == stopped.errors[0].sequence


def test_what_follows_a_missing_event_finds_its_place(rt: Runtime) -> None:
    s = rt.create_session()
    s.set("a", 1)
    s.add_message("user", "one")
    s.add_tag("t")
    kept = s.add_message("user", "two").sequence
    s.edit_message(kept, content="three")
    s.retract_message(kept)
    result = rt.replay(s, {"mode": "modified", "modifications": {"metadata.a": 1, "config.max_state_bytes": 10}})
    assert [each.code for each in result.errors] == ["ResourceLimitExceeded"]
    assert result.variables == {}
    assert result.info.operation_count == s.info().operation_count - 1
    assert {each.kind for each in result.comparisons if each.sequence and each.sequence > 3} <= {"moved", "changed"}


def test_a_modification_that_nothing_matches_is_told(rt: Runtime, s: Session) -> None:
    result = rt.replay(s, {"mode": "modified", "modifications": {"variables.other": 1}})
    assert result.unused == ("variables.other",)
    assert result.identical


@pytest.mark.parametrize(
    "path", ["", "variables", "variable.k", "tools.weather", "messages.x.content", "config.nothing", "events.3"]
)
def test_a_path_that_means_nothing_is_refused(rt: Runtime, s: Session, path: str) -> None:
    with pytest.raises(ValidationError):
        rt.replay(s, {"mode": "modified", "modifications": {path: 1}})


def test_modifications_need_the_mode_for_them() -> None:
    with pytest.raises(ValidationError, match="modified"):
        ReplayConfig(modifications={"variables.k": 1})


def test_debug_keeps_the_states_on_the_way_within_its_bound(rt: Runtime, s: Session) -> None:
    result = rt.replay(s, ReplayConfig(mode="debug"))
    assert result.identical
    assert result.captured.sequences[-1] == s.info().sequence
    assert result.captured.every == 1
    assert result.captured[3]["variables"] == {"model": "small"}
    small = rt.replay(s, ReplayConfig(mode="debug", max_captured_bytes=1000)).captured
    assert 0 < len(small) < len(result.captured)
    assert small.bytes <= 1000
    with pytest.raises(ReplayError):
        small[10_000]


def test_a_simulation_runs_what_has_no_side_effects_and_nothing_else(rt: Runtime) -> None:
    ran: list[str] = []

    def pure(n: int) -> int:
        ran.append("pure")
        if n < 0:
            raise ValueError("negative")
        return n * factor[0]

    def effect(n: int) -> int:
        ran.append("effect")
        return n

    factor = [2]
    rt.tools.register("pure", pure, side_effects=False)
    rt.tools.register("effect", effect)
    rt.agents.register("echo", lambda input, context: ran.append("agent") or "said")
    rt.hooks.register("BeforeToolExecution", lambda context: ran.append("hook"), name="h")
    s = rt.create_session()
    s.call_tool("pure", {"n": 2})
    s.call_tool("effect", {"n": 2})
    s.call_agent("echo", "hello")
    with contextlib.suppress(CallFailed):
        s.call_tool("pure", {"n": -1})
    s.call_tool("calculator", {"expression": "1 + 1"})
    last = s.info().sequence

    ran.clear()
    result = rt.replay(s, ReplayConfig(mode="simulate"))
    assert ran == ["pure", "pure"]
    assert result.identical
    assert [(each.name, each.match, each.equal) for each in result.answers] == [
        ("pure", "live", True),
        ("pure", "live", True),
        ("calculator", "live", True),
    ]
    factor[0] = 3
    changed = rt.replay(s, ReplayConfig(mode="simulate"))
    assert not changed.identical
    assert [each.equal for each in changed.answers] == [False, True, True]
    (different,) = [each for each in changed.comparisons if each.kind != "equal"]
    assert [(each.path, each.recorded, each.replayed) for each in different.differences] == [("data.result", 4, 6)]
    assert s.info().sequence == last
    rt.tools.unregister("pure")
    assert rt.replay(s, ReplayConfig(mode="simulate")).identical


def test_a_replay_stops_when_its_time_is_over(rt: Runtime) -> None:
    s = rt.create_session()
    s.add_messages([{"role": "user", "content": str(n)} for n in range(200)])
    for n in range(200):
        s.set("k", n)
    result = rt.replay(s, ReplayConfig(timeout=1e-9))
    assert (result.stopped, result.identical) == ("timeout", False)
    assert result.last < s.info().sequence


def test_large_inputs_and_results_are_replayed(rt: Runtime) -> None:
    rt.tools.register("large", lambda text: text + "more", side_effects=False)
    s = rt.create_session()
    s.call_tool("large", {"text": "x" * 300_000})
    for mode in ("exact", "simulate", "debug"):
        assert rt.replay(s, {"mode": mode}).identical
    assert [(each.match, each.equal) for each in rt.replay(s, {"mode": "simulate"}).answers] == [("live", True)]
    result = rt.replay(s, {"mode": "modified", "modifications": {"tools.large.result": "short"}})
    assert [each.type for each in result.comparisons if each.kind == "changed"] == ["tool.returned"]


def test_a_session_that_goes_on_is_replayed_as_far_as_it_was(rt: Runtime) -> None:
    s = rt.create_session()
    stop = threading.Event()
    to_write = threading.Semaphore(200)  # what is written meanwhile is bounded, however long the replays take

    def write() -> None:
        number = 0
        while to_write.acquire() and not stop.is_set():
            number += 1
            s.set("k", number)
            s.add_message("user", str(number))
            if number % 50 == 0:
                s.save()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ends = []
        for _ in range(20):
            result = rt.replay(s)
            assert result.identical, result.divergence
            ends.append(result.last)
            to_write.release(200)
    finally:
        stop.set()
        to_write.release()
        writer.join()
    assert ends == sorted(ends)
    assert s.get("k") is not None


def test_what_is_truncated_or_deleted_meanwhile_is_said(rt: Runtime) -> None:
    s = rt.create_session()
    for number in range(2000):
        s.set("k", number)
    truncated = course_of(rt, s, None).steps()
    next(truncated)
    rt.retention(max_journal_events=5, dry_run=False)
    with pytest.raises(ReplayError, match="again"):
        list(truncated)
    assert rt.replay(s).identical
    for number in range(2000):
        s.set("k", number)
    deleted = course_of(rt, s, None).steps()
    next(deleted)
    s.delete()
    with pytest.raises(SessionNotFound):
        list(deleted)


def test_a_session_that_may_not_be_replayed_says_why(rt: Runtime) -> None:
    s = rt.create_session(config={"enable_replay": False})
    assert rt.can_replay(s) is False
    assert "enable_replay" in str(rt.replay_metadata(s).reason)
    with pytest.raises(ReplayError, match="enable_replay"):
        rt.replay(s)
    assert s.id not in [info.id for info in rt.list_replayable()]
    s.update_config(enable_replay=True)
    assert rt.can_replay(s)
    assert rt.replay(s).identical
    assert s.id in [info.id for info in rt.list_replayable()]


def test_the_sessions_that_can_be_replayed_are_listed_in_pages(rt: Runtime) -> None:
    made = [rt.create_session(tags=["t"], config={"enable_replay": n % 2 == 0}).id for n in range(6)]
    page = rt.list_replayable(tags=["t"], limit=2, offset=1)
    assert [info.id for info in page] == [made[2], made[4]]
    assert page.total == 3


def test_metadata_tells_of_the_recording(rt: Runtime, s: Session) -> None:
    told = rt.replay_metadata(s)
    assert told.replayable
    assert (told.first, told.last, told.truncated) == (1, s.info().sequence, False)
    assert told.started_at == next(s.events()).timestamp
    assert told.snapshots
    json.dumps(told.to_dict())


def test_what_hooks_have_done_is_found(rt: Runtime, s: Session) -> None:
    found = rt.query_hooks(session_id=s, hook="wat*", failed=False)
    assert found.total == 2
    assert [each.point for each in found] == ["BeforeStateWrite"] * 2
    assert found[0].data == {"key": "model", "value": "small"}
    assert found[0].result == {"type": "continue"}
    assert rt.query_hooks({"kind": "continue"}, limit=1).total == 2
    assert rt.query_hooks(failed=True).total == 0
    json.dumps(found[0].to_dict())


def test_unknown_sessions_are_said_to_be_unknown(rt: Runtime) -> None:
    for call in (rt.replay, rt.can_replay, rt.replay_metadata):
        with pytest.raises(SessionNotFound):
            call("00000000-0000-4000-8000-000000000000")


def test_a_replay_writes_nothing(rt: Runtime, s: Session) -> None:
    before: Any = rt._store.engine.moment(), s.info()
    for mode in ("exact", "simulate", "debug", "modified"):
        rt.replay(s, {"mode": mode})
    assert (rt._store.engine.moment(), s.info()) == before
