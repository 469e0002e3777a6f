from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session, ValidationError
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.engine.engine import CF


@pytest.fixture(scope="module")
def rt() -> Iterator[Runtime]:
    """Three sessions: `small` sets 1 variable, `large` 5 and has the only artifact, the calls of `failed` fail."""
    with Runtime.open() as runtime:
        runtime.tools.collector = None
        runtime.tools.register("bad", lambda: 1 / 0)
        runtime.tools.register("good", lambda: 1)
        small = runtime.create_session(name="small", created_by="ada", tags=["red"])
        small.set("k", 1)
        small.call_tool("good", {})
        large = runtime.create_session(name="large", created_by="ada", tags=["red", "blue"])
        for number in range(5):
            large.set("k", number)
        large.store_artifact("tool_result", "a", b"x" * 1000)
        failed = runtime.create_session(name="failed", created_by="bob")
        for _ in range(2):
            with suppress(Exception):
                failed.call_tool("bad", {})
        failed.fail("no more")
        yield runtime


@pytest.fixture(scope="module")
def ids(rt: Runtime) -> dict[str, str]:
    return {info.name or "": info.id for info in rt.list_sessions(status=["active", "failed"])}


def test_sessions_of_every_status_add_up(rt: Runtime) -> None:
    found = rt.analytics.aggregate()
    assert (found.sessions, found.active_sessions) == (3, 3)
    assert found.by_status == {"active": 2, "failed": 1}
    assert found.by_creator == {"ada": 2, "bob": 1}
    assert found.by_type == {
        "variable.set": 6,
        "session.created": 3,
        "tool.called": 3,
        "tool.returned": 3,
        "artifact.stored": 1,
        "session.failed": 1,
    }
    assert found.events == found.operations == 17
    assert (found.artifacts, found.artifact_bytes) == (1, 1000)
    assert (found.tools.total.calls, found.tools.by_name["bad"].success_rate) == (3, 0.0)
    assert found.errors == {"CallFailed": 2}
    assert found.success_rate == 1 / 3
    assert (found.since, found.until, found.damaged) == (None, None, 0)


def test_distributions_are_over_sessions(rt: Runtime) -> None:
    found = rt.analytics.aggregate()
    each = found.operations_per_session
    assert (each.count, each.total, each.median, each.max) == (3, 17.0, 6.0, 7.0)
    states = [rt.analytics.session(info.id).state_bytes for info in rt.list_sessions(status=["active", "failed"])]
    assert (found.state_bytes.total, found.state_bytes.max) == (sum(states), max(states))


def test_the_sessions_that_stand_out_are_ranked(rt: Runtime, ids: dict[str, str]) -> None:
    top = rt.analytics.aggregate().top
    assert [(each.session_id, each.value) for each in top["operations"]] == [
        (ids["large"], 7),
        (ids["failed"], 6),
        (ids["small"], 4),
    ]
    assert [(each.session_id, each.value) for each in top["bytes"]] == [(ids["large"], 1000)]
    assert [(each.session_id, each.value) for each in top["errors"]] == [(ids["failed"], 2)]
    assert top["cost"] == ()
    assert [each.session_id for each in rt.analytics.aggregate(top=1).top["operations"]] == [ids["large"]]
    assert rt.analytics.aggregate(top=0).top["operations"] == ()


@pytest.mark.parametrize(
    ("query", "sessions"),
    [
        ({"tags": ["red"]}, 2),
        ({"tags": ["red", "blue"]}, 1),
        ({"created_by": "bob"}, 1),
        ({"status": "active"}, 2),
        ({"search": "FAIL"}, 1),
        ({"created_before": "2001-01-01T00:00:00Z"}, 0),
        ({"created_by": "nobody"}, 0),
    ],
)
def test_a_query_chooses_the_sessions(rt: Runtime, query: dict[str, Any], sessions: int) -> None:
    assert rt.analytics.aggregate(**query).sessions == sessions


def test_nothing_found_is_no_error(rt: Runtime) -> None:
    found = rt.analytics.aggregate(created_by="nobody")
    assert found.events == 0
    assert found.durations.mean is None
    assert found.first_activity is None
    assert json.loads(json.dumps(found.to_dict()))["sessions"] == 0


@pytest.mark.parametrize(
    "arguments", [{"limit": 5}, {"sort_by": "name"}, {"colour": "red"}, {"top": -1}, {"tags": "red"}, {"parent": "x"}]
)
def test_what_is_no_question_is_refused(rt: Runtime, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rt.analytics.aggregate(**arguments)


def test_progress_is_told_while_many_sessions_are_read(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        for _ in range(130):
            rt.create_session()
        told: list[tuple[str, int]] = []
        found = rt.analytics.aggregate(on_progress=lambda phase, count: told.append((phase, count)))
        assert told == [("sessions", 64), ("sessions", 128)]
        assert found.sessions == 130


def test_sessions_outside_the_window_are_there_but_not_active(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        old: Session = rt.create_session()
        old.set("k", 1)
        clock.advance(86400)
        new = rt.create_session()
        new.set("k", 1)
        since = new.info().created_at
        recent = rt.analytics.aggregate(since=since)
        assert (recent.sessions, recent.active_sessions, recent.by_type) == (
            2,
            1,
            {"session.created": 1, "variable.set": 1},
        )
        assert recent.since == since
        before = rt.analytics.aggregate(until=since - timedelta(seconds=1))
        assert (before.active_sessions, before.events) == (1, 2)


def test_a_session_whose_row_is_damaged_is_counted_as_damaged(store_path: Path, on_disk: Any) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session()
        rt.create_session()
    key = session_bytes(s.id)
    with on_disk() as engine:
        record = engine.get(CF.SESSIONS, key)
        engine.write([(CF.SESSIONS, key, record[:-1] + bytes([record[-1] ^ 1]))])
    with Runtime.open(store_path, read_only=True) as rt:
        found = rt.analytics.aggregate()
        assert (found.sessions, found.damaged, found.damaged_sessions) == (1, 1, (s.id,))
