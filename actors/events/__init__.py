"""Events beyond the journal: subscriptions to them, events that hosts and scripts publish, and links between events."""

from __future__ import annotations

from greenroom.actors.messages.events import LINK_KINDS, LinkEvents, PublishEvent, RecordEvent

from .bus import Bus
from .subscription import Overflow, Subscription

__all__ = ["LINK_KINDS", "Bus", "LinkEvents", "Overflow", "PublishEvent", "RecordEvent", "Subscription"]
