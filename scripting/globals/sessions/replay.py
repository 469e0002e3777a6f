"""The functions of `Session` that replay sessions, and the global `Replay`, which makes what they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from greenroom.runtime import (
    Modification,
    Replay,
    ReplayConfig,
    ReplaySchedule,
    SessionQuery,
    ValidationError,
)
from greenroom.runtime.scripts import comparison, iso_time
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import DICT, FLAG, Maybe, Object, Page
from greenroom.scripting.definition.types import Json, Text
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import SESSION
from greenroom.scripting.globals.rows import filled, options, session_row, without_nothing

__all__ = ["ReplayGlobal", "SessionReplays"]

_CONFIG: Final = frozenset((*ReplayConfig.model_fields, "schedule"))
_SCHEDULE: Final = frozenset(("once", "interval", "cron", "timezone", "until", "limit"))
_TIMES: Final = frozenset(("timezone", "until", "limit"))
_QUERY: Final = SessionQuery.model_fields
_SAME: Final = {"parent_session_id": "parent", "search_text": "search", "sort_desc": "descending"}


COMPARATOR: Final = Object("comparator", methods={"compare_json": "Replay.compare_json"}, itself=None)


class SessionReplays:
    """Replays sessions, at once or at set times."""

    NAME = "Session"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    @export("canReplay", returns=FLAG, on=SESSION)
    def can_replay(self, session: Any) -> bool:
        return self._context.runtime.can_replay(self._context.session(session))

    @export("replay", returns=DICT, on=SESSION, counted=True)
    def replay(self, session: Any, config: Any = UNDEFINED) -> dict[str, Any]:
        """Replay a session and return the result; with a `schedule`, return the schedule, and replay later."""
        context = self._context
        wanted = options(config, "Session.replay", _CONFIG)
        handle = context.session(session)
        if "schedule" in wanted:
            times = options(wanted.pop("schedule"), "Session.replay: schedule", _SCHEDULE)
            return _schedule_row(context.runtime.replays.schedule(handle, wanted, **times))
        left = max(0.001, context.remaining())
        wanted["timeout"] = min(left, wanted["timeout"]) if "timeout" in wanted else left
        result: dict[str, Any] = without_nothing(context.runtime.replay(handle, wanted).to_dict())
        return result

    @export("getReplayMetadata", returns=DICT, on=SESSION)
    def get_replay_metadata(self, session: Any) -> dict[str, Any]:
        return filled(self._context.runtime.replay_metadata(self._context.session(session)).to_dict())

    @export("getReplayStatus", returns=Maybe(DICT), on=SESSION)
    def get_replay_status(self, session: Any) -> Any:
        """Return what the newest replay of a session in the background does, and its schedules; nil without any."""
        replays = self._context.runtime.replays
        handle = self._context.session(session)
        found, schedules = replays.list(handle), replays.schedules(handle)
        if not found and not schedules:
            return UNDEFINED
        row: dict[str, Any] = _replay_row(found[-1]) if found else {"status": "scheduled"}
        return {**row, "schedules": [_schedule_row(each) for each in schedules]}

    @export("stopReplay", returns=FLAG, on=SESSION)
    def stop_replay(self, session: Any) -> bool:
        """Stop the replays of a session in the background and cancel its schedules. Return whether there were any."""
        replays = self._context.runtime.replays
        handle = self._context.session(session)
        running = [each for each in replays.list(handle) if not each.status.ended]
        schedules = [each for each in replays.schedules(handle) if each.active]
        for schedule in schedules:
            schedule.cancel()
        for each in running:
            each.stop(timeout=max(0.001, self._context.remaining()))
        return bool(running or schedules)

    @export("listReplayable", returns=Page(SESSION), counted=True)
    def list_replayable(self, query: Any = UNDEFINED) -> dict[str, Any]:
        """Return a page of the sessions that can be replayed."""
        page = self._context.runtime.list_replayable(**options(query, "Session.listReplayable", _QUERY, _SAME))
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
    """Makes configurations, modifications and schedules for `Session.replay`, and compares values."""

    NAME = "Replay"
    CONSTANTS: ClassVar[dict[str, Any]] = {"modes": {mode: mode for mode in ("exact", "modified", "simulate", "debug")}}

    def __init__(self, context: ScriptContext) -> None:
        pass

    @export("create_config", returns=DICT)
    def create_config(self, mode: Any = "exact", given: Any = UNDEFINED) -> dict[str, Any]:
        """Return a checked configuration: create_config(mode [, options]) or create_config{mode, …}."""
        if isinstance(mode, Mapping):
            wanted = options(mode, "Replay.create_config", _CONFIG)
        else:
            wanted = {"mode": defined(mode, "exact"), **options(given, "Replay.create_config", _CONFIG)}
        schedule = wanted.pop("schedule", None)
        ReplayConfig.model_validate(wanted)
        return filled({**wanted, "schedule": schedule})

    @export("create_modification", returns=DICT)
    def create_modification(self, path: Text, value: Any = None) -> dict[str, Any]:
        Modification(path=path, value=defined(value))
        return {"path": path, "value": defined(value)}

    @export("schedules.once", returns=DICT)
    def once(self, time: Json, given: Any = UNDEFINED) -> dict[str, Any]:
        """Return a schedule for one replay at a time."""
        return _schedule("once", time, given)

    @export("schedules.interval", returns=DICT)
    def interval(self, seconds: Json, given: Any = UNDEFINED) -> dict[str, Any]:
        """Return a schedule for a replay every so many seconds."""
        return _schedule("interval", seconds, given)

    @export("schedules.cron", returns=DICT)
    def cron(self, expression: Json, given: Any = UNDEFINED) -> dict[str, Any]:
        """Return a schedule for replays at the times of a cron expression."""
        return _schedule("cron", expression, given)

    @export("create_comparator", returns=COMPARATOR)
    def create_comparator(self) -> dict[str, Any]:
        """Return a comparator: `comparator:compare_json(recorded, replayed)`."""
        return {}

    @export("compare_json", returns=DICT)
    def compare_json(self, recorded: Any = UNDEFINED, replayed: Any = UNDEFINED) -> dict[str, Any]:
        """Return how similar two values are (`similarity`, 0 to 1), whether they are `equal`, and their `differences`
        by path."""
        return comparison(defined(recorded), defined(replayed))


def _schedule(kind: str, value: Any, given: Any) -> dict[str, Any]:
    if value is UNDEFINED or value is None:
        raise ValidationError(f"Replay.schedules.{kind} takes when to replay", field=kind)
    return {kind: value, **options(given, f"Replay.schedules.{kind}", _TIMES)}
