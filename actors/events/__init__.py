"""Events beyond the journal: who listens to them, what hosts and scripts add to them, how they are linked."""

from __future__ import annotations

from .bus import Bus
from .facts import LINK_KINDS, LinkEvents, PublishEvent, RecordEvent
from .subscription import Overflow, Subscription

__all__ = ["LINK_KINDS", "Bus", "LinkEvents", "Overflow", "PublishEvent", "RecordEvent", "Subscription"]
