"""What script engines are built on: beside the request of a run and its result, what a running script needs."""

from __future__ import annotations

from typing import Any

from greenroom.actors.hooks.guard import Breaker
from greenroom.actors.scheduling.operation import CURRENT, Lease, changed
from greenroom.actors.scheduling.threads import Elastic
from greenroom.runtime.core import Background
from greenroom.runtime.handles.replies import reply_as
from greenroom.runtime.model.script import ScriptDifference
from greenroom.runtime.scripts.residence import Residence
from greenroom.runtime.scripts.transcript import ScriptReplaying, Transcript
from greenroom.storage.artifacts.query import ArtifactCriteria
from greenroom.storage.common.metering import going_on, metered, timed, weight_of
from greenroom.storage.common.times import iso_time
from greenroom.storage.common.validation import nearest
from greenroom.storage.concurrency.waiting import Flag, Promise
from greenroom.storage.events.query import EventQuery

__all__ = [
    "CURRENT",
    "ArtifactCriteria",
    "Breaker",
    "Elastic",
    "EventQuery",
    "Flag",
    "Lease",
    "Promise",
    "Residence",
    "ScriptDifference",
    "ScriptReplaying",
    "Transcript",
    "changed",
    "close_with",
    "comparison",
    "going_on",
    "iso_time",
    "metered",
    "nearest",
    "reply_as",
    "timed",
    "weight_of",
]


def close_with(runtime: Any, background: Background) -> None:
    """Have something of an engine end when a `Runtime` closes. Raises RuntimeClosed if that has happened."""
    runtime.core.background.append(background)
    runtime.core.check_open()


def comparison(recorded: Any, replayed: Any) -> dict[str, Any]:
    """Return how two values differ: see `debugging.values.comparison`, which few scripts need."""
    from greenroom.runtime.handles.debugging import values

    return values.comparison(recorded, replayed)
