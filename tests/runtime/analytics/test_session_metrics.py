from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    CallFailed,
    IntegrityError,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
)
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF

HOUR = 3600.0
NO_SAVES = {"auto_save_interval": None}
"""The timer that saves sessions runs by the real clock: a save would be one event more."""


@pytest.fixture
def rt(clock: Any) -> Iterator[Runtime]:
    with Runtime.open(clock=clock) as runtime:
        yield runtime


def failing() -> None:
    raise OSError("away")


def priced(input: str) -> dict[str, Any]:
    return {"text": "hi", "usage": {"input_tokens": 3, "output_tokens": 4}, "cost_usd": "0.25"}


def session_at_work(rt: Runtime, clock: Any) -> Session:
    """A session of known operations: two hours long, with an hour between the saves."""
    rt.tools.register("good", lambda: 1)
    rt.tools.register("bad", failing)
    rt.tools.collector = rt.agents.collector = None
    rt.agents.register("echo", priced)
    s = rt.create_session(name="work", created_by="ada")
    s.set("k", 1)
    s.set("k", 2)
    for _ in range(3):
        s.call_tool("good", {})
    with suppress(CallFailed):
        s.call_tool("bad", {})
    s.call_agent("echo", "hello")
    s.save()
    clock.advance(HOUR)
    s.add_message("user", "hello")
    s.add_message("assistant", "hi")
    s.add_message("user", "more")
    s.store_artifact("tool_result", "a.txt", b"x" * 100)
    kept = s.store_artifact("tool_result", "b.txt", b"y" * 50)
    s.delete_artifact(kept.id)
    s.save()
    clock.advance(HOUR)
    s.complete()
    return s


def test_metrics_of_known_operations_are_exact(rt: Runtime, clock: Any) -> None:
    s = session_at_work(rt, clock)
    found = rt.analytics.session(s)
    assert (found.session_id, found.status, found.created_by) == (s.id, "completed", "ada")
    assert found.by_type == {
        "tool.called": 4,
        "tool.returned": 4,
        "message.added": 3,
        "artifact.stored": 2,
        "session.saved": 2,
        "variable.set": 2,
        "agent.called": 1,
        "agent.returned": 1,
        "artifact.deleted": 1,
        "session.completed": 1,
        "session.created": 1,
    }
    assert found.by_family == {"tool": 8, "session": 4, "artifact": 3, "message": 3, "agent": 2, "variable": 2}
    assert found.events == found.operations == s.info().operation_count == 22
    assert found.duration == 2 * HOUR
    assert found.first_activity == found.created_at
    assert found.last_activity == found.ended_at == found.created_at + timedelta(hours=2)
    assert found.messages_by_role == {"user": 2, "assistant": 1}
    assert (found.artifacts, found.artifact_bytes) == (1, 100)
    use = found.resources
    assert (use.artifacts_stored, use.artifacts_deleted, use.bytes_stored) == (2, 1, 150)
    assert (use.input_tokens, use.output_tokens, use.tokens, use.cost_usd) == (3, 4, 7, 0.25)
    saves = found.checkpoints
    assert (saves.count, saves.per_hour, saves.mean_interval) == (2, 1.0, HOUR)
    assert found.activity.seconds == HOUR
    assert [count for _, count in found.activity.buckets] == [14, 7, 1]
    assert found.errors == {"CallFailed": 1}
    assert found.success_rate == 4 / 5


def test_durations_and_success_of_tools_are_those_that_the_journal_tells(rt: Runtime, clock: Any) -> None:
    s = session_at_work(rt, clock)
    tools = rt.analytics.session(s).tools
    took = [
        float(event.data["duration"])  # type: ignore[arg-type]
        for event in s.events()
        if event.type == "tool.returned" and event.data["name"] == "good"
    ]
    good, bad = tools.by_name["good"], tools.by_name["bad"]
    assert (good.calls, good.succeeded, good.failed, good.success_rate) == (3, 3, 0, 1.0)
    assert good.seconds.mean == pytest.approx(statistics.mean(took))
    assert (good.seconds.median, good.seconds.max) == (statistics.median(took), max(took))
    assert (bad.calls, bad.failed, bad.success_rate) == (1, 1, 0.0)
    assert (tools.total.calls, tools.total.success_rate) == (4, 0.75)


def test_agents_are_counted_by_name_and_by_model(rt: Runtime, clock: Any) -> None:
    s = session_at_work(rt, clock)
    found = rt.analytics.session(s)
    assert (found.agents.by_name["echo"].tokens, found.models.by_name["echo"].cost_usd) == (7, 0.25)


def test_hooks_are_counted_where_their_executions_are_journaled(rt: Runtime) -> None:
    s = rt.create_session()
    rt.hooks.register("BeforeStateWrite", lambda context: None, name="look", replayable=True)
    s.set("k", 1)
    s.set("k", 2)
    hooks = rt.analytics.session(s).hooks.by_name["look"]
    assert (hooks.calls, hooks.succeeded, hooks.seconds.count) == (2, 2, 2)
    assert hooks.seconds.max is not None
    assert hooks.seconds.max < 60


def test_a_call_without_a_return_is_unanswered(rt: Runtime) -> None:
    s = rt.create_session()
    seen = []
    rt.tools.register("look", lambda context: seen.append(rt.analytics.session(s.id).tools.by_name["look"]))
    s.call_tool("look", {})
    assert (seen[0].calls, seen[0].unanswered, seen[0].success_rate) == (1, 1, None)
    assert rt.analytics.session(s).tools.by_name["look"].unanswered == 0


def test_scripts_are_counted(rt: Runtime) -> None:
    s = rt.create_session()
    rt.run_script("State.set('k', 1)", session=s, name="fine")
    with suppress(Exception):
        rt.run_script("error('no')", session=s, name="broken")
    scripts = rt.analytics.session(s).scripts
    assert (scripts.by_name["fine"].succeeded, scripts.by_name["broken"].failed) == (1, 1)
    assert rt.analytics.session(s).errors == {"ScriptError": 1}


def test_the_window_is_from_since_on_and_before_until(rt: Runtime, clock: Any) -> None:
    s = session_at_work(rt, clock)
    created = s.info().created_at
    hour = timedelta(hours=1)
    middle = rt.analytics.session(s, since=created + hour, until=created + 2 * hour)
    assert middle.events == 7
    assert middle.tools.total.calls == 0
    assert middle.checkpoints.count == 1
    assert rt.analytics.session(s, until=created + hour).events == 14
    assert rt.analytics.session(s, since=(created + 2 * hour).isoformat()).by_type == {"session.completed": 1}
    assert rt.analytics.session(s, since=created.timestamp() + 3 * HOUR).events == 0
    assert rt.analytics.session(s, since=created + hour, until=created).events == 0


def test_in_a_long_journal_the_window_is_the_same_as_in_a_short_one(rt: Runtime, clock: Any) -> None:
    s = rt.create_session()
    for number in range(600):
        clock.advance(0.1)
        s.set("k", number)
    begin = s.info().created_at
    for tenths in (0, 1, 2, 300, 599, 600, 601):
        found = rt.analytics.session(s, since=begin + timedelta(seconds=tenths / 10))
        assert found.by_type.get("variable.set", 0) == 600 - max(0, tenths - 1)


def test_events_that_retention_has_cut_are_not_counted_and_do_no_harm(rt: Runtime, clock: Any) -> None:
    s = rt.create_session()
    for number in range(700):
        clock.advance(0.1)
        s.set("k", number)
    rt.retention(max_journal_events=600, dry_run=False)
    found = rt.analytics.session(s)
    assert found.by_type["variable.set"] == 600
    begin = s.info().created_at
    assert rt.analytics.session(s, since=begin + timedelta(seconds=5)).by_type == {"variable.set": 600}
    assert rt.analytics.session(s, since=begin + timedelta(seconds=69.1)).by_type == {"variable.set": 10}


def test_only_what_is_recent_enough_counts_under_a_retention(clock: Any, store_path: Path) -> None:
    with Runtime.open(store_path, clock=clock, config={"analytics_retention_days": 1}) as rt:
        s = rt.create_session(config=NO_SAVES)
        s.set("k", 1)
        clock.advance(20 * HOUR)
        s.set("k", 2)
        assert rt.analytics.session(s).by_type == {"variable.set": 2, "session.created": 1}
        clock.advance(5 * HOUR)
        assert rt.analytics.session(s).by_type == {"variable.set": 1}
        assert rt.analytics.session(s, since=s.info().created_at).by_type == {"variable.set": 1}
        assert rt.analytics.aggregate().events == 1


def test_a_fork_counts_what_it_did_itself(rt: Runtime, clock: Any) -> None:
    s = session_at_work(rt, clock)
    fork = s.fork()
    fork.set("own", 1)
    found = rt.analytics.session(fork)
    assert found.by_type == {"session.forked": 1, "variable.set": 1}
    assert found.resources.cost_usd == 0
    assert found.artifacts == 1
    again = fork.fork()
    assert rt.analytics.session(again).by_type == {"session.forked": 1}
    assert rt.analytics.aggregate().resources.cost_usd == 0.25


def test_the_state_size_is_that_of_what_a_snapshot_keeps(rt: Runtime) -> None:
    s = rt.create_session()
    before = rt.analytics.session(s).state_bytes
    s.set("k", b"x" * 5000)
    assert 5000 <= rt.analytics.session(s).state_bytes - before < 5050


def test_activity_widens_its_buckets_rather_than_having_too_many(rt: Runtime, clock: Any) -> None:
    s = rt.create_session(config=NO_SAVES)
    for _ in range(1200):
        clock.advance(0.5)
        s.set("k", 1)
    activity = rt.analytics.session(s, bucket=0.25).activity
    assert activity.seconds == 1.0
    assert len(activity.buckets) <= 1000
    assert sum(count for _, count in activity.buckets) == 1201
    assert all(begin.microsecond == 0 for begin, _ in activity.buckets)


def test_a_session_of_its_own_kind_of_events_takes_no_more_names_than_are_kept(rt: Runtime) -> None:
    s = rt.create_session()
    for number in range(510):
        rt.events.publish(f"custom.n{number}", session=s)
    by_type = rt.analytics.session(s).by_type
    assert len(by_type) == 501
    assert by_type["(other)"] == 11


def test_unknown_sessions_and_impossible_arguments_are_refused(rt: Runtime) -> None:
    s = rt.create_session()
    for unknown in ("", "nobody", "00000000-0000-4000-8000-000000000000", s.id.upper()):
        with pytest.raises(SessionNotFound):
            rt.analytics.session(unknown)
    for arguments in ({"bucket": 0}, {"since": "yesterday"}, {"privacy": "yes"}, {"bucket": float("nan")}):
        with pytest.raises(ValidationError):
            rt.analytics.session(s, **arguments)  # type: ignore[arg-type]


def test_a_damaged_journal_is_named(store_path: Path, on_disk: Any) -> None:
    with Runtime.open(store_path) as rt:
        s, other = rt.create_session(), rt.create_session()
        s.set("k", 1)
        s.set("k", 2)
    key = sequence_key(session_bytes(s.id), 2)
    with on_disk() as engine:
        record = engine.get(CF.JOURNAL, key)
        engine.write([(CF.JOURNAL, key, record[:-1] + bytes([record[-1] ^ 1]))])
    with Runtime.open(store_path) as rt:
        with pytest.raises(IntegrityError, match=s.id):
            rt.analytics.session(s.id)
        found = rt.analytics.aggregate()
        assert (found.damaged, found.damaged_sessions, found.sessions) == (1, (s.id,), 1)
        assert rt.analytics.session(other.id).events >= 1


def test_a_session_sees_itself_and_those_below_it(rt: Runtime) -> None:
    s, stranger = rt.create_session(), rt.create_session()
    child = rt.create_session(parent=s)
    seen: dict[str, Any] = {}

    def look() -> None:
        seen["own"] = rt.analytics.session(s.id).session_id
        seen["child"] = rt.analytics.session(child.id).session_id
        seen["all"] = rt.analytics.aggregate().sessions
        for name, call in (
            ("stranger", lambda: rt.analytics.session(stranger.id)),
            ("prometheus", rt.analytics.prometheus),
            ("count_events", rt.analytics.count_events),
            ("trace", rt.trace),
        ):
            with pytest.raises(AccessDenied):
                call()
            seen[name] = "denied"

    rt.tools.register("look", look)
    s.call_tool("look", {})
    assert (seen["own"], seen["child"], seen["all"]) == (s.id, child.id, 2)
    assert [seen[name] for name in ("stranger", "prometheus", "count_events", "trace")] == ["denied"] * 4


def test_metrics_are_json_values(rt: Runtime, clock: Any) -> None:
    import json

    s = session_at_work(rt, clock)
    row = json.loads(json.dumps(rt.analytics.session(s).to_dict()))
    assert row["session_id"] == s.id
    assert row["created_at"].endswith("Z")
    assert row["tools"]["by_name"]["good"]["seconds"]["count"] == 3
    assert row["activity"]["buckets"][0]["events"] == 14
    assert datetime.fromisoformat(row["first_activity"]).tzinfo == UTC
