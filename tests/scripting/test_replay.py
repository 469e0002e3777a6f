"""Replays in scripts."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError


@pytest.fixture
def recorded(runtime: Runtime) -> str:
    session = runtime.create_session("recorded")
    for number in range(10):
        session.set("k", number)
    session.add_message("user", "hello")
    return session.id


def test_a_script_replays_a_session(lua: Any, recorded: str) -> None:
    assert lua(
        """
      local id = ...
      local s = Session.get(id)
      local result = s:replay()
      local changed = Session.replay(id, Replay.create_config {
        mode = Replay.modes.modified,
        modifications = { Replay.create_modification("variables.k", "other") },
      })
      local known = Session.getReplayMetadata(id)
      return { Session.canReplay(id), result.identical, result.divergence == nil, changed.identical,
               changed.divergence.sequence, known.last, known.replayable, Session.listReplayable()[1].id == id,
               Session.getReplayStatus(id) == nil, Session.stopReplay(id) }
    """,
        args=[recorded],
    ) == [True, True, True, False, 2, 12, True, True, True, False]


def test_a_session_that_is_not_replayed_says_why(lua: Any, runtime: Runtime, recorded: str) -> None:
    runtime.session(recorded).update_config(enable_replay=False)
    assert lua(
        """
      local id = ...
      local ok, e = pcall(Session.replay, id)
      return { Session.canReplay(id), ok, e.code, Session.getReplayMetadata(id).reason ~= nil }
    """,
        args=[recorded],
    ) == [False, False, "ReplayError", True]


def test_schedules_are_made_shown_and_stopped(lua: Any, runtime: Runtime, recorded: str) -> None:
    rows = lua(
        """
      local id = ...
      local berlin = { timezone = "Europe/Berlin" }
      local nightly = Session.replay(id, { schedule = Replay.schedules.cron("0 3 * * *", berlin) })
      local hourly = Session.replay(id, { mode = "debug", schedule = Replay.schedules.interval(3600, { limit = 3 }) })
      local once = Session.replay(id, { schedule = Replay.schedules.once(os.time() + 100) })
      local status = Session.getReplayStatus(id)
      local found = { nightly.rule, hourly.rule, once.active, status.status, #status.schedules }
      found[#found + 1] = Session.stopReplay(id)
      found[#found + 1] = Session.getReplayStatus(id) == nil
      return found
    """,
        args=[recorded],
    )
    assert rows == ["cron 0 3 * * * (Europe/Berlin)", "every 3600 s", True, "scheduled", 3, True, True]
    assert runtime.replays.schedules() == []


def test_the_status_of_a_replay_of_the_host(lua: Any, runtime: Runtime, recorded: str) -> None:
    replay = runtime.replays.start(recorded, breakpoints=[{"sequence": 6}])
    replay.wait_paused(60)
    status = lua("return Session.getReplayStatus(...)", args=[recorded])
    assert (status["status"], status["position"], status["last"], status["percentage"]) == ("paused", 6, 12, 50)
    assert status["pause"] == {"reason": "breakpoint", "sequence": 6}
    assert lua("return { Session.stopReplay(...), Session.getReplayStatus(...).status }", args=[recorded]) == [
        True,
        "stopped",
    ]
    assert replay.status == "stopped"


def test_values_are_compared(lua: Any) -> None:
    assert lua("""
      local comparator = Replay.create_comparator()
      local same = comparator:compare_json({ a = 1 }, { a = 1 })
      local other = comparator.compare_json({ a = 1, b = { 1, 2 } }, { a = 2, b = { 1, 2 } })
      return { same.equal, same.similarity, #same.differences, other.equal, other.similarity > 0.5,
               other.differences[1].place, other.differences[1].before, other.differences[1].after }
    """) == [True, 1.0, 0, False, True, "a", 1, 2]


@pytest.mark.parametrize(
    "call",
    [
        "Replay.create_config('wrong')",
        "Replay.create_config { mod = 'exact' }",
        "Replay.create_modification('', 1)",
        "Replay.schedules.once()",
        "Session.replay(..., { schedule = {} })",
        "Session.replay(..., { schedule = { cron = '* *' } })",
        "Session.replay(..., { schedule = Replay.schedules.interval(60, { limti = 1 }) })",
        "Session.replay(..., { target_sequence = 0 })",
    ],
)
def test_what_means_nothing_is_refused(lua: Any, recorded: str, call: str) -> None:
    with pytest.raises(ScriptError, match="ValidationError"):
        lua(f"return {call}", args=[recorded])
