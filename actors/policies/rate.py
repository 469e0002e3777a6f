"""Rates: token buckets for the runtime, for each session, and for each kind of operation.

A bucket holds at most `rate * burst` operations and refills at `rate` per minute, by the runtime's clock. An operation
takes one from each bucket that applies to it, or is refused and takes none.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors.messages.core import CREATION, READ_RATE
from greenroom.actors.scheduling.token_bucket import TokenBucket
from greenroom.actors.session.state.limits import RateLimits
from greenroom.storage.errors import RateLimited

if TYPE_CHECKING:
    from greenroom.actors.clock import Clock

__all__ = ["Demand", "Rates"]

_MAX_SESSIONS: Final = 100_000


class Demand(NamedTuple):
    """So many operations of a kind in a session."""

    kind: str
    session_id: str | None
    number: float


class _SessionBuckets:
    """The buckets of one session: one for all its operations, and one for each kind that its own configuration
    limits."""

    __slots__ = ("all", "kinds", "limits")

    def __init__(self) -> None:
        self.limits: RateLimits | None = None
        self.all: TokenBucket | None = None
        self.kinds: dict[str, TokenBucket | None] | None = None

    def follow(self, limits: RateLimits, overrides: Mapping[str, Any], now: float) -> None:
        burst = overrides.get("burst") or limits.burst
        self.limits = limits
        self.all = _resized(self.all, overrides.get("session", limits.session), burst, now)
        kinds = overrides.get("kinds")
        if kinds:
            old = self.kinds or {}
            self.kinds = {kind: _resized(old.get(kind), rate, burst, now) for kind, rate in kinds.items()}
        else:
            self.kinds = None


def _resized(bucket: TokenBucket | None, rate: float | None, burst: float, now: float) -> TokenBucket | None:
    """Return a bucket that refills at `rate` a minute and holds `burst` minutes' worth; None for no limit."""
    if rate is None:
        return None
    per_second, capacity = rate / 60, max(1.0, rate * burst)
    if bucket is None:
        return TokenBucket(per_second, capacity, now)
    bucket.resize(per_second, capacity, now)
    return bucket


class Rates:
    """Holds all buckets of a runtime. Those of sessions are kept apart from their actors: leaving memory refills none.

    Example:
        ```py
        rates = Rates(clock, RateLimits(session=100), overrides=lambda session_id: {})
        rates.take("state_update", session_id)  # raises RateLimited with retry_after
        ```
    """

    def __init__(self, clock: Clock, limits: RateLimits, overrides: Callable[[str], Mapping[str, Any] | None]) -> None:
        """`overrides` returns what a session's configuration sets (session, kinds, burst); None if there is no such
        session."""
        self._clock = clock
        self._overrides = overrides
        self._lock = threading.Lock()
        self._limits = limits
        self._runtime: TokenBucket | None = None
        self._kinds: dict[str, TokenBucket | None] = {}
        self._sessions: collections.OrderedDict[str, _SessionBuckets] = collections.OrderedDict()
        self.change(limits)

    def change(self, limits: RateLimits) -> None:
        """Set other rates from now on. Operations already counted stay counted."""
        with self._lock:
            now = self._clock.monotonic()
            self._limits = limits
            self._runtime = _resized(self._runtime, limits.runtime, limits.burst, now)
            self._kinds = {
                kind: _resized(self._kinds.get(kind), rate, limits.burst, now) for kind, rate in limits.kinds.items()
            }

    def forget(self, session_id: str) -> None:
        """Read again which rates a session sets. Operations already counted stay counted."""
        with self._lock:
            buckets = self._sessions.get(session_id)
            if buckets is not None:
                buckets.limits = None

    def take(self, kind: str, session_id: str | None, count: float = 1) -> None:
        """Count so many operations of a kind. Raises RateLimited and then counts none."""
        if count == 1:
            with self._lock:  # does the same as `refusal`, in less time
                now = self._clock.monotonic()
                held = self._buckets(kind, session_id, now)
                for _, bucket in held:
                    if bucket.fill(now) < 1.0:
                        break
                else:
                    for _, bucket in held:
                        bucket.level -= 1.0
                    return
        error = self.refusal([Demand(kind, session_id, count)], taking=True)
        if error is not None:
            raise error

    def refusal(self, demands: Sequence[Demand], *, taking: bool) -> RateLimited | None:
        """Return the error that refuses these operations; None if all of them may pass. With `taking`, count them if
        they pass."""
        with self._lock:
            now = self._clock.monotonic()
            wanted: dict[TokenBucket, float] = {}
            longest = 0.0
            for demand in demands:
                for scope, bucket in self._buckets(demand.kind, demand.session_id, now):
                    count = wanted[bucket] = wanted.get(bucket, 0.0) + demand.number
                    wait = bucket.wait(count, now)
                    if wait > longest:
                        longest, narrowest, tightest = wait, scope, bucket
                        kind, session_id = demand.kind, demand.session_id
            if not longest:
                if taking:
                    for bucket, count in wanted.items():
                        bucket.take(count)
                return None
        rate = tightest.rate * 60
        return RateLimited(
            f"{_WHOSE[narrowest].format(kind=kind, session=session_id)} may make {rate:g} operations a minute: "
            f"try again in {longest:.3g} s",
            retry_after=longest,
            kind=kind,
            scope=narrowest,
            limit=rate,
        )

    def _buckets(self, kind: str, session_id: str | None, now: float) -> list[tuple[str, TokenBucket]]:
        """Return the buckets that apply to an operation. The caller holds the lock."""
        counted = kind != READ_RATE
        held: list[tuple[str, TokenBucket]] = []
        if self._runtime is not None and counted:
            held.append(("runtime", self._runtime))
        of_kind = self._kinds.get(kind)
        if (
            session_id is not None and session_id[14:15] == "4" and kind != CREATION
        ):  # the state of a scope belongs to no session
            buckets = self._sessions.get(session_id)
            if buckets is None or buckets.limits is not self._limits:
                buckets = self._followed(session_id, buckets, now)
            else:
                self._sessions.move_to_end(session_id)
            if buckets is not None:
                if buckets.all is not None and counted:
                    held.append(("session", buckets.all))
                if buckets.kinds is not None and kind in buckets.kinds:
                    of_kind = None
                    own = buckets.kinds[kind]
                    if own is not None:
                        held.append(("session kind", own))
        if of_kind is not None:
            held.append(("kind", of_kind))
        return held

    def _followed(self, session_id: str, buckets: _SessionBuckets | None, now: float) -> _SessionBuckets | None:
        overrides = self._overrides(session_id)
        if overrides is None:
            return None
        if buckets is None:
            buckets = self._sessions[session_id] = _SessionBuckets()
            while len(self._sessions) > _MAX_SESSIONS:
                self._sessions.popitem(last=False)
        buckets.follow(self._limits, overrides, now)
        return buckets


_WHOSE: Final = {
    "runtime": "all sessions together",
    "session": "session {session}",
    "kind": "all sessions together, of the kind {kind},",
    "session kind": "session {session}, of the kind {kind},",
}
