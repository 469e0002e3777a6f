"""The functions of `Session` that replay sessions, and the global `Replay`, which makes what they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import (
    Modification,
    Replay,
    ReplayConfig,
    ReplaySchedule,
    SessionQuery,
)
from greenroom.runtime.scripts import comparison, iso_time
from greenroom.scripting.conversions import Text
from greenroom.scripting.export import export
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import UNDEFINED, defined, filled, options, session_row, without_nothing

__all__ = ["ReplayGlobal", "SessionReplays"]

_CONFIG: Final = frozenset((*ReplayConfig.model_fields, "schedule"))
_SCHEDULE: Final = frozenset(("once", "interval", "cron", "timezone", "until", "limit"))
_QUERY: Final = SessionQuery.model_fields
_SAME: Final = {"parent_session_id": "parent", "search_text": "search", "sort_desc": "descending"}


class SessionReplays:
    """Replays sessions, at once or at set times."""

    def __init__(self, principal: ScriptContext) -> None:
        self._principal = principal

    @export("canReplay", on_session=True)
    def can_replay(self, session: Any) -> bool:
        return self._principal.runtime.can_replay(self._principal.session(session))

    @export("replay", on_session=True, counted=True)
    def replay(self, session: Any, config: Any = UNDEFINED) -> dict[str, Any]:
        """Replay a session and return the result; with a `schedule`, return the schedule, and replay later."""
        principal = self._principal
        wanted = options(config, "Session.replay", _CONFIG)
        handle = principal.session(session)
        if "schedule" in wanted:
            times = options(wanted.pop("schedule"), "Session.replay: schedule", _SCHEDULE)
            return _schedule_row(principal.runtime.replays.schedule(handle, wanted, **times))
        left = max(0.001, principal.remaining())
        wanted["timeout"] = min(left, wanted["timeout"]) if "timeout" in wanted else left
        result: dict[str, Any] = without_nothing(principal.runtime.replay(handle, wanted).to_dict())
        return result

    @export("getReplayMetadata", on_session=True)
    def get_replay_metadata(self, session: Any) -> dict[str, Any]:
        return filled(self._principal.runtime.replay_metadata(self._principal.session(session)).to_dict())

    @export("getReplayStatus", on_session=True)
    def get_replay_status(self, session: Any) -> Any:
        """Return what the newest replay of a session in the background does, and its schedules; nil without any."""
        replays = self._principal.runtime.replays
        handle = self._principal.session(session)
        found, schedules = replays.list(handle), replays.schedules(handle)
        if not found and not schedules:
            return UNDEFINED
        row: dict[str, Any] = _replay_row(found[-1]) if found else {"status": "scheduled"}
        return {**row, "schedules": [_schedule_row(each) for each in schedules]}

    @export("stopReplay", on_session=True)
    def stop_replay(self, session: Any) -> bool:
        """Stop the replays of a session in the background and cancel its schedules. Return whether there were any."""
        replays = self._principal.runtime.replays
        handle = self._principal.session(session)
        running = [each for each in replays.list(handle) if not each.status.ended]
        schedules = [each for each in replays.schedules(handle) if each.active]
        for schedule in schedules:
            schedule.cancel()
        for each in running:
            each.stop(timeout=max(0.001, self._principal.remaining()))
        return bool(running or schedules)

    @export("listReplayable", counted=True)
    def list_replayable(self, query: Any = UNDEFINED) -> dict[str, Any]:
        """Return a page of the sessions that can be replayed."""
        page = self._principal.runtime.list_replayable(**options(query, "Session.listReplayable", _QUERY, _SAME))
        return {"rows": [session_row(each) for each in page], "total": page.total, "has_more": page.has_more}


def _replay_row(replay: Replay) -> dict[str, Any]:
    progress, pause = replay.progress, replay.pause_reason
    return filled(
        {
            "id": replay.id,
            "session_id": replay.session_id,
            "status": replay.status.value,
            "position": progress.position,
            "last": progress.last,
            "percentage": progress.percentage,
            "time_left": progress.time_left,
            "time": iso_time(replay.time),
            "pause": filled({"reason": pause.reason, "sequence": pause.sequence}) if pause is not None else None,
        }
    )


def _schedule_row(schedule: ReplaySchedule) -> dict[str, Any]:
    runs = [
        filled(
            {
                "due": iso_time(run.due),
                "finished_at": iso_time(run.finished_at),
                "identical": run.result.identical if run.result is not None else None,
                "error": str(run.error) if run.error is not None else None,
            }
        )
        for run in schedule.runs
    ]
    return filled(
        {
            "id": schedule.id,
            "session_id": schedule.session_id,
            "rule": schedule.rule,
            "active": schedule.active,
            "next_run": iso_time(schedule.next_run),
            "runs": runs,
        }
    )


class ReplayGlobal:
    """Makes configurations, modifications and schedules for `Session.replay`. The script library adds `modes`,
    `schedules` and comparators."""

    @export("create_config")
    def create_config(self, mode: Any = "exact", given: Any = UNDEFINED) -> dict[str, Any]:
        """Return a checked configuration: create_config(mode [, options]) or create_config{mode, …}."""
        if isinstance(mode, Mapping):
            wanted = options(mode, "Replay.create_config", _CONFIG)
        else:
            wanted = {"mode": defined(mode, "exact"), **options(given, "Replay.create_config", _CONFIG)}
        schedule = wanted.pop("schedule", None)
        ReplayConfig.model_validate(wanted)
        return filled({**wanted, "schedule": schedule})

    @export("create_modification")
    def create_modification(self, path: Text, value: Any = None) -> dict[str, Any]:
        Modification(path=path, value=defined(value))
        return {"path": path, "value": defined(value)}

    @export("compare_json")
    def compare_json(self, recorded: Any = UNDEFINED, replayed: Any = UNDEFINED) -> dict[str, Any]:
        """Return how similar two values are (`similarity`, 0 to 1), whether they are `equal`, and their `differences`
        by path."""
        return comparison(defined(recorded), defined(replayed))
