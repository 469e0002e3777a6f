"""What retention deletes, and when it does so by itself."""

from __future__ import annotations

from typing import Annotated, TypedDict

import pydantic
from annotated_types import Ge, Gt

from greenroom.storage.common.validation import Checked

__all__ = ["RetentionKeywords", "RetentionPolicy", "RetentionSchedule"]


class RetentionPolicy(Checked):
    """The limits of retention. None sets no limit. Whatever exceeds any limit is deleted."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    keep_versions: Annotated[int, Ge(1)] | None = None
    """The number of newest versions to keep of each artifact name."""
    max_age_days: Annotated[float, Ge(0)] | None = None
    """Delete older versions, except the latest of their name."""
    max_session_bytes: Annotated[int, Ge(0)] | None = None
    """Bytes of artifacts per session. Above it, delete the oldest versions, except the latest of their name."""
    ended_days: Annotated[float, Ge(0)] | None = None
    """Delete sessions that ended longer ago than this, with everything."""
    keep_journal_days: Annotated[float, Ge(0)] | None = None
    """Truncate journals before this age: earlier values of variables, tags and metadata, suspensions and deleted
    artifacts are removed. The conversation, existing artifacts and calls of tools and agents stay."""
    max_journal_events: Annotated[int, Ge(1)] | None = None
    """Truncate journals in the same way to this many newest events of a session."""
    lifetimes: bool = False
    """Delete sessions that are over their own `retention_days` or `delete_after_idle_days`."""


class RetentionKeywords(TypedDict, total=False):
    """The limits of a `RetentionPolicy`, for type checkers and editors."""

    keep_versions: int | None
    max_age_days: float | None
    max_session_bytes: int | None
    ended_days: float | None
    keep_journal_days: float | None
    max_journal_events: int | None
    lifetimes: bool


class RetentionSchedule(RetentionPolicy):
    """Retention that the runtime does by itself."""

    every: Annotated[float, Gt(0)] = 86_400.0
    """Seconds from one run to the next."""
    lifetimes: bool = True
