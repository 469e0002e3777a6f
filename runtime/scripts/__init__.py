"""What script engines are built on: beside the request of a run and its result, what a running script needs."""

from __future__ import annotations

from greenroom.actors.scheduling.operation import CURRENT, Lease, changed
from greenroom.actors.scheduling.threads import Elastic
from greenroom.runtime.handles.debugging.values import comparison
from greenroom.runtime.handles.replies import reply_as
from greenroom.storage.artifacts.query import ArtifactCriteria
from greenroom.storage.common.metering import metered
from greenroom.storage.common.times import iso_time
from greenroom.storage.common.validation import nearest
from greenroom.storage.concurrency.waiting import Flag
from greenroom.storage.events.query import EventQuery

__all__ = [
    "CURRENT",
    "ArtifactCriteria",
    "Elastic",
    "EventQuery",
    "Flag",
    "Lease",
    "changed",
    "comparison",
    "iso_time",
    "metered",
    "nearest",
    "reply_as",
]
