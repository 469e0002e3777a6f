"""What script engines are built on: beside the request of a run and its result, what a running script needs."""

from __future__ import annotations

from greenroom.actors.scheduling.operation import CURRENT, Lease, changed
from greenroom.actors.scheduling.threads import Elastic
from greenroom.runtime.handles.replies import reply_as
from greenroom.storage.common.metering import metered
from greenroom.storage.concurrency.waiting import Flag

__all__ = ["CURRENT", "Elastic", "Flag", "Lease", "changed", "metered", "reply_as"]
