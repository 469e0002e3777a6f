"""The functions of `Session` that replay sessions, and the global `Replay`, which makes what they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from greenroom.runtime import (
    Modification,
    Replay,
    ReplayConfig,
    ReplaySchedule,
    ValidationError,
)
from greenroom.runtime.scripts import comparison, iso_time
from greenroom.scripting.definition.examples import call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import DICT, FLAG, Maybe, Object, Page
from greenroom.scripting.definition.types import ANYTHING, TABLE, TEXT, WHOLE, Json, SessionRef, Text
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import QUERY
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import SESSION
from greenroom.scripting.globals.rows import filled, session_row, without_nothing
from greenroom.scripting.globals.samples import SESSION as A_SESSION

__all__ = ["ReplayGlobal", "SessionReplays"]

_CONFIG: Final = Options.of(ReplayConfig, modifications=ANYTHING, schedule=TABLE)
_TIMES: Final = Options({"timezone": TEXT, "until": ANYTHING, "limit": WHOLE})
_SCHEDULE: Final = Options({"once": ANYTHING, "interval": ANYTHING, "cron": TEXT}) | _TIMES
_SCHEDULED: Final = call("Session.replay", A_SESSION, {"schedule": {"interval": 3600}})


COMPARATOR: Final = Object("comparator", methods={"compare_json": "Replay.compare_json"}, itself=None)


class SessionReplays:
    """Replays sessions, at once or at set times."""

    NAME = "Session"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    @export("canReplay", returns=FLAG, on=SESSION, example=example(A_SESSION))
    def can_replay(self, session: SessionRef) -> bool:
        """Return whether a session can be replayed."""
        return self._context.runtime.can_replay(self._context.session(session))

    @export(
        "replay",
        returns=DICT,
        on=SESSION,
        counted=True,
        options={"config": _CONFIG},
        example=example(A_SESSION, {"mode": "exact"}),
    )
    def replay(self, session: SessionRef, config: Any = UNDEFINED) -> dict[str, Any]:
        """Replay a session and return the result; with a `schedule`, return the schedule, and replay later."""
        context = self._context
        handle = context.session(session)
        if "schedule" in config:
            times = _SCHEDULE.read(config.pop("schedule"), "Session.replay: schedule")
            return _schedule_row(context.runtime.replays.schedule(handle, config, **times))
        left = max(0.001, context.remaining())
        config["timeout"] = min(left, config["timeout"]) if "timeout" in config else left
        result: dict[str, Any] = without_nothing(context.runtime.replay(handle, config).to_dict())
        return result

    @export("getReplayMetadata", returns=DICT, on=SESSION, example=example(A_SESSION))
    def get_replay_metadata(self, session: SessionRef) -> dict[str, Any]:
        """Return what can be replayed of a session, and if nothing can, why."""
        row = self._context.runtime.replay_metadata(self._context.session(session)).to_dict()
        counts = {"event_count": row["last"] - row["first"] + 1, "checkpoint_count": len(row["snapshots"])}
        return filled({**row, **counts, "time_range": f"{row['started_at']} to {row['ended_at']}"})

    @export("getReplayStatus", returns=Maybe(DICT), on=SESSION, example=example(A_SESSION, before=[_SCHEDULED]))
    def get_replay_status(self, session: SessionRef) -> Any:
        """Return what the newest replay of a session in the background does, and its schedules; nil without any."""
        replays = self._context.runtime.replays
        handle = self._context.session(session)
        found, schedules = replays.list(handle), replays.schedules(handle)
        if not found and not schedules:
            return UNDEFINED
        row: dict[str, Any] = _replay_row(found[-1]) if found else {"status": "scheduled"}
        return {**row, "schedules": [_schedule_row(each) for each in schedules]}

    @export("stopReplay", returns=FLAG, on=SESSION, example=example(A_SESSION, before=[_SCHEDULED]))
    def stop_replay(self, session: SessionRef) -> bool:
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

    @export(
        "listReplayable",
        returns=Page(SESSION),
        counted=True,
        options={"query": QUERY},
        example=example({"limit": 10}, before=[A_SESSION]),
    )
    def list_replayable(self, query: Any = UNDEFINED) -> dict[str, Any]:
        """Return a page of the sessions that can be replayed."""
        page = self._context.runtime.list_replayable(**query)
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

    @export(
        "create_config",
        returns=DICT,
        forms=("create_config(mode [, options])", "create_config(options)"),
        options={"options": _CONFIG},
        example=example("simulate", {"stop_on_error": True}),
        read=False,
    )
    def create_config(self, mode: Json = "exact", options: Json = UNDEFINED) -> dict[str, Any]:
        """Return a checked configuration for `Session.replay`."""
        if isinstance(mode, Mapping):
            wanted = _CONFIG.read(mode, "Replay.create_config")
        else:
            wanted = {"mode": defined(mode, "exact"), **_CONFIG.read(options, "Replay.create_config")}
        schedule = wanted.pop("schedule", None)
        ReplayConfig.model_validate(wanted)
        return filled({**wanted, "schedule": schedule})

    @export("create_modification", returns=DICT, example=example("variables.model", "large"))
    def create_modification(self, path: Text, value: Json = UNDEFINED) -> dict[str, Any]:
        """Return a modification: what stands at a path is another value in the replay."""
        Modification(path=path, value=defined(value))
        return {"path": path, "value": defined(value)}

    @export(
        "schedules.once",
        returns=DICT,
        options={"options": _TIMES},
        example=example("2100-01-01T00:00:00Z", {"timezone": "Europe/Berlin"}),
    )
    def once(self, time: Json, options: Any = UNDEFINED) -> dict[str, Any]:
        """Return a schedule for one replay at a time."""
        return _schedule("once", time, options)

    @export("schedules.interval", returns=DICT, options={"options": _TIMES}, example=example(3600, {"limit": 3}))
    def interval(self, seconds: Json, options: Any = UNDEFINED) -> dict[str, Any]:
        """Return a schedule for a replay every so many seconds."""
        return _schedule("interval", seconds, options)

    @export("schedules.cron", returns=DICT, options={"options": _TIMES}, example=example("0 3 * * *"))
    def cron(self, expression: Text, options: Any = UNDEFINED) -> dict[str, Any]:
        """Return a schedule for replays at the times of a cron expression."""
        return _schedule("cron", expression, options)

    @export("create_comparator", returns=COMPARATOR, example=example())
    def create_comparator(self) -> dict[str, Any]:
        """Return a comparator: `comparator:compare_json(recorded, replayed)`."""
        return {}

    @export("compare_json", returns=DICT, example=example({"a": 1}, {"a": 2}))
    def compare_json(self, recorded: Json = UNDEFINED, replayed: Json = UNDEFINED) -> dict[str, Any]:
        """Return how similar two values are (`similarity`, 0 to 1), whether they are `equal`, and their `differences`
        by path."""
        return comparison(defined(recorded), defined(replayed))


def _schedule(kind: str, value: Any, options: dict[str, Any]) -> dict[str, Any]:
    if value is UNDEFINED or value is None:
        raise ValidationError(f"Replay.schedules.{kind} takes when to replay", field=kind)
    return {kind: value, **options}
