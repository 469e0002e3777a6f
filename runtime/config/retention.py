"""What retention deletes, and when it does so by itself."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypedDict

import pydantic
from annotated_types import Ge, Gt

from greenroom.storage.common.validation import Checked

from .policies import NONE

__all__ = ["RetentionKeywords", "RetentionPolicy", "RetentionSchedule"]


class RetentionPolicy(Checked):
    """The limits of retention. None sets no limit. Whatever exceeds any limit is deleted."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    keep_versions: Annotated[Annotated[int, Ge(1)] | None, NONE] = None
    """The number of newest versions to keep of each artifact name."""
    max_age_days: Annotated[Annotated[float, Ge(0)] | None, NONE] = None
    """Delete older versions, except the latest of their name."""
    max_session_bytes: Annotated[Annotated[int, Ge(0)] | None, NONE] = None
    """Bytes of artifacts per session. Above it, delete the oldest versions, except the latest of their name."""
    ended_days: Annotated[Annotated[float, Ge(0)] | None, NONE] = None
    """Delete sessions that ended longer ago than this, with everything."""
    keep_journal_days: Annotated[Annotated[float, Ge(0)] | None, NONE] = None
    """Truncate journals before this age: earlier values of variables, tags and metadata, suspensions and deleted
    artifacts are removed. The conversation, existing artifacts and calls of tools and agents stay."""
    max_journal_events: Annotated[Annotated[int, Ge(1)] | None, NONE] = None
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

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        """Read a text, as from an environment variable: JSON."""
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except (ValueError, RecursionError):
            raise ValueError("an object is needed, or none") from None
