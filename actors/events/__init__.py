"""Events beyond the journal: who listens to them, what hosts and scripts add to them, how they are linked."""

from __future__ import annotations

from greenroom.actors.messages.events import LINK_KINDS, LinkEvents, PublishEvent, RecordEvent

from .bus import Bus
from .subscription import Overflow, Subscription

__all__ = ["LINK_KINDS", "Bus", "LinkEvents", "Overflow", "PublishEvent", "RecordEvent", "Subscription"]
