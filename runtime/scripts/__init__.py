"""What script engines are built on: beside the request of a run and its result, what a running script needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.hooks.guard import Breaker
from greenroom.actors.scheduling.operation import CURRENT, Lease, changed
from greenroom.actors.scheduling.threads import Elastic
from greenroom.runtime.core import Background
from greenroom.runtime.handles.replies import reply_as
from greenroom.runtime.model.script import ScriptDifference
from greenroom.runtime.scripts.residence import Residence
from greenroom.runtime.scripts.transcript import ScriptReplaying, Transcript
from greenroom.storage.common.metering import going_on, metered, timed, weight_of
from greenroom.storage.common.times import iso_time
from greenroom.storage.concurrency.waiting import Flag, Promise

if TYPE_CHECKING:
    from greenroom.storage.artifacts.query import ArtifactCriteria
    from greenroom.storage.common.validation import nearest
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

_CHECKED: Final = {
    "ArtifactCriteria": "greenroom.storage.artifacts.query",
    "EventQuery": "greenroom.storage.events.query",
    "nearest": "greenroom.storage.common.validation",
}
"""Names whose modules import pydantic, which a runtime that is not open has no need of."""


def __getattr__(name: str) -> Any:
    if name not in _CHECKED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_CHECKED[name]), name)
    return value


def close_with(runtime: Any, background: Background) -> None:
    """Have something of an engine end when a `Runtime` closes. Raises RuntimeClosed if that has happened."""
    runtime.core.background.append(background)
    runtime.core.check_open()


def comparison(recorded: Any, replayed: Any) -> dict[str, Any]:
    """Return how two values differ: see `debugging.values.comparison`, which few scripts need."""
    from greenroom.runtime.handles.debugging import values

    return values.comparison(recorded, replayed)
