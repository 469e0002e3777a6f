"""Figures about sessions: metrics read from their journals, Prometheus metrics and traces."""

from __future__ import annotations

from .aggregate import AggregateMetrics, Ranked
from .analytics import Analytics
from .counts import Activity, CallMetrics, CallTable, Distribution
from .metrics import Checkpoints, Figures, ResourceUse, SessionMetrics

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
