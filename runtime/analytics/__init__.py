"""Figures about sessions: readings of their journals, for Prometheus, and traces."""

from __future__ import annotations

from .activity import Activity
from .aggregate import AggregateMetrics, Ranked
from .analytics import Analytics
from .calls import CallMetrics, CallTable
from .durations import Distribution
from .metrics import Checkpoints, Figures, ResourceUse
from .session_metrics import SessionMetrics

__all__ = [
    "Activity",
    "AggregateMetrics",
    "Analytics",
    "CallMetrics",
    "CallTable",
    "Checkpoints",
    "Distribution",
    "Figures",
    "Ranked",
    "ResourceUse",
    "SessionMetrics",
]
