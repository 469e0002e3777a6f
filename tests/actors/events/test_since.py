"""Queries for what has happened since a time look at the sessions that have changed since, and find the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.runtime import Runtime
from greenroom.storage.common.session_ids import session_bytes
from greenroom.storage.events import search
from tests.conftest import DrivenClock


def _lead_lives(rt: Runtime, clock: DrivenClock, folder: Path) -> None:
    """Sessions in every status, a fork, an import, one deleted, and one that is used again much later."""
    sessions = []
    for number in range(8):
        clock.advance(0.4 * number)
        session = rt.create_session(name=f"s{number}")
        session.set("k", number)
        sessions.append(session)
    clock.advance(100)
    sessions[0].complete()
    sessions[1].suspend()
    sessions[2].fork().set("k", 9)
    sessions[3].delete()
    clock.advance(0.3)
    sessions[4].fail("no reason")
    sessions[4].archive()
    rt.export_session(sessions[5].id, folder / "s.bundle")
    clock.advance(100)
    rt.import_bundle(folder / "s.bundle", keep_ids=False)
    sessions[6].set("k", 10)


@pytest.mark.parametrize("most", [100_000, 2], ids=["by the index", "by all sessions"])
def test_the_same_events_are_found_from_any_time_on(
    clock: DrivenClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(search, "_MOST_CHANGED", most)
    with Runtime.open(tmp_path / "store", clock=clock) as rt:
        _lead_lives(rt, clock, tmp_path)
        every = rt.events.query().items
        moments = sorted({event.timestamp for event in every})
        assert len(moments) > 8
        for moment in moments:
            later = [(event.session_id, event.sequence) for event in every if event.timestamp >= moment]
            assert [(event.session_id, event.sequence) for event in rt.events.query(after=moment)] == later
            rt.events.export(tmp_path / "lines", after=moment)
            assert len((tmp_path / "lines").read_text().splitlines()) == len(later)
        assert rt.events.query(after=clock.now_ns / 1e9 + 10).total == 0


def test_only_sessions_that_have_changed_are_looked_at(clock: DrivenClock) -> None:
    with Runtime.open(clock=clock) as rt:
        sessions = [rt.create_session() for _ in range(20)]
        clock.advance(100)
        now = clock.now_ns
        sessions[7].set("k", 1)
        sessions[3].complete()
        looked_at = [*rt.core.store.events._sessions(b"", now)]
        assert looked_at == sorted(session_bytes(sessions[number].id) for number in (3, 7))
        assert [*rt.core.store.events._sessions(looked_at[1], now)] == looked_at[1:]
        assert len([*rt.core.store.events._sessions(b"", 0)]) == 20
