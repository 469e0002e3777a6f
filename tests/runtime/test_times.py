"""A time without a zone may mean any moment: it is refused wherever a time is taken, with advice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from greenroom.runtime import ArtifactQuery, GreenroomError, Runtime, Session, ValidationError, messages

_Given = Callable[[Runtime, Session, Any], Any]
_WHERE: dict[str, _Given] = {
    "sessions after": lambda rt, s, when: rt.list_sessions(created_after=when),
    "sessions before": lambda rt, s, when: rt.list_sessions(created_before=when),
    "artifacts of a session": lambda rt, s, when: s.query_artifacts(created_after=when),
    "artifacts by a query": lambda rt, s, when: s.query_artifacts(ArtifactQuery().created_before(when)),
    "artifacts by a message": lambda rt, s, when: rt.ask(s.id, messages.QueryArtifacts(created_before=when)),
    "artifacts of all": lambda rt, s, when: rt.query_artifacts(created_after=when),
    "events": lambda rt, s, when: rt.events.query(session_id=s.id, after=when),
    "events before": lambda rt, s, when: rt.events.query(session_id=s.id, before=when),
    "events exported": lambda rt, s, when: rt.events.export(rt.path / "events.jsonl", after=when),
    "grants": lambda rt, s, when: s.share("a", rt.create_session().id, expires_at=when),
    "audit": lambda rt, s, when: rt.audit(after=when),
    "audit before": lambda rt, s, when: rt.audit(before=when),
    "analytics": lambda rt, s, when: rt.analytics.aggregate(since=when),
}


@pytest.fixture
def session(rt: Runtime) -> Session:
    s = rt.create_session()
    s.store_artifact("tool_result", "a", "a")
    return s


@pytest.mark.parametrize("where", _WHERE)
@pytest.mark.parametrize("when", [datetime(2030, 1, 1), "2030-01-01T00:00:00", "2030-01-01", date(2030, 1, 1)])
def test_a_naive_time_is_refused_with_advice(rt: Runtime, session: Session, where: str, when: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        _WHERE[where](rt, session, when)
    if not isinstance(when, date) or isinstance(when, datetime):
        assert "timezone.utc" in str(refused.value)
        assert "+02:00" in str(refused.value)


@pytest.mark.parametrize("where", _WHERE)
@pytest.mark.parametrize(
    "when",
    [
        datetime(2030, 1, 1, tzinfo=UTC),
        datetime.now().astimezone() + timedelta(days=1),
        datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=-5))),
        "2030-01-01T00:00:00Z",
        "2030-01-01T00:00:00+02:00",
        1893456000,
        1893456000.5,
    ],
)
def test_a_time_that_means_one_moment_is_taken(rt: Runtime, session: Session, where: str, when: Any) -> None:
    _WHERE[where](rt, session, when)


def test_scripts_are_told_the_same(rt: Runtime) -> None:
    with pytest.raises(GreenroomError, match="zone"):
        rt.run_script("return Session.list({created_after = '2030-01-01T00:00:00'})")
    assert rt.run_script("return #Session.list({created_after = '2030-01-01T00:00:00Z'})").value == 0
    assert rt.run_script("return #Session.list({created_after = 1893456000})").value == 0


def test_local_time_means_the_moment_that_it_is(rt: Runtime) -> None:
    s = rt.create_session()
    an_hour_ago = datetime.now(timezone(timedelta(hours=-5))) - timedelta(hours=1)
    assert [each.id for each in rt.list_sessions(created_after=an_hour_ago)] == [s.id]
    assert not rt.list_sessions(created_before=an_hour_ago)
