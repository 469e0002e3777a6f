"""Hooks that come with greenroom. Make one with its options, and register it at the points where you want it."""

from __future__ import annotations

import collections
import fnmatch
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from greenroom.actors.hooks.context import HookContext
from greenroom.actors.hooks.result import CONTINUE, HookResult
from greenroom.actors.hooks.subject import plain, shortened
from greenroom.actors.scheduling.token_bucket import TokenBucket
from greenroom.storage.codec.keys import canonical_value
from greenroom.storage.codec.plain import MAX_DEPTH
from greenroom.storage.common.arguments import as_number
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.logs import one_line
from greenroom.storage.errors import ValidationError

if TYPE_CHECKING:
    from greenroom.actors.session.redaction import Rules

__all__ = [
    "CachingHook",
    "CostHook",
    "DebuggingHook",
    "LoggingHook",
    "MetricsHook",
    "RateLimitHook",
    "RedactHook",
    "RetryHook",
    "SecurityHook",
    "Spending",
]


_REMEMBERED: Final = 10_000
_SHOWN: Final = 4096


class LoggingHook:
    """Logs each operation: its point, name, component and correlation id; never its data."""

    @checked
    def __init__(self, logger: logging.Logger | str = "greenroom.operations", level: int = logging.INFO) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level

    def __call__(self, context: HookContext) -> HookResult:
        error = context.error
        self._logger.log(
            self._level,
            "%s %s %s correlation=%s after %.3f ms%s",
            one_line(context.point),
            one_line(context.operation),
            one_line(str(context.component_id)),
            one_line(str(context.correlation_id)),
            context.elapsed * 1e3,
            f" {type(error).__name__}" if error is not None else "",
        )
        return CONTINUE


class MetricsHook:
    """Counts operations by point and name, with the seconds from their beginning to that point."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], list[float]] = {}

    def __call__(self, context: HookContext) -> HookResult:
        elapsed = context.elapsed
        with self._lock:
            count = self._counts.setdefault((context.point, context.operation), [0, 0.0, 0.0])
            count[0] += 1
            count[1] += elapsed
            count[2] = max(count[2], elapsed)
        return CONTINUE

    def snapshot(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return `count`, `total`, `mean` and `longest` (in seconds) by point and operation."""
        with self._lock:
            rows: dict[str, dict[str, dict[str, float]]] = {}
            for (point, operation), (count, total, longest) in self._counts.items():
                row = {"count": int(count), "total": total, "mean": total / count, "longest": longest}
                rows.setdefault(point, {})[operation] = row
            return rows


class SecurityHook:
    """Refuses operations by globs over the data's `key`, `name`, `ref` and `target`, and over the component. Everything
    that matches `deny` is refused, and with `allow` also everything that does not match it."""

    _NAMES: Final = ("key", "name", "ref", "target", "prefix")

    @checked
    def __init__(self, *, deny: Iterable[str] = (), allow: Iterable[str] | None = None) -> None:
        self._deny = _globs("deny", deny)
        self._allow = _globs("allow", allow) if allow is not None else None

    def __call__(self, context: HookContext) -> HookResult:
        names = [name for each in self._NAMES if isinstance(name := context.data.get(each), str)]
        named = [*names, context.component_id or ""]
        if any(fnmatch.fnmatchcase(name, pattern) for name in named for pattern in self._deny):
            return HookResult.cancel("it is denied")
        if self._allow is not None and not any(
            fnmatch.fnmatchcase(name, pattern) for name in named for pattern in self._allow
        ):
            return HookResult.cancel("it is not allowed")
        return CONTINUE


class CachingHook:
    """Answers a repeated question from a cache for `ttl` seconds, at a point before an operation.

    `key(context)` identifies the question; by default by the operation's name, component and data. Only for questions:
    an operation that changes something must be performed each time.
    """

    @checked
    def __init__(self, ttl: float, key: Callable[[HookContext], str] | None = None) -> None:
        self._ttl = HookResult.cache("checked", ttl).ttl
        self._key = key if key is not None else _question

    def __call__(self, context: HookContext) -> HookResult:
        return HookResult.cache(self._key(context), self._ttl)


def _question(context: HookContext) -> str:
    data = canonical_value(plain(context.data, MAX_DEPTH))
    return f"{context.operation}:{context.component_id}:{blake3(data).hexdigest()}"


class RateLimitHook:
    """Refuses operations that come faster than `rate` a second, after a burst of `burst` (default: one second's worth).

    `per` is "session", "component", or "runtime" for all together. Time is the runtime's clock.
    """

    @checked
    def __init__(self, rate: float, burst: int | None = None, per: str = "session") -> None:
        if type(rate) not in (int, float) or not rate > 0:
            raise ValidationError("rate: operations a second, above 0, are needed", field="rate")
        if burst is not None and (type(burst) is not int or burst < 1):
            raise ValidationError("burst: a whole number from 1 is needed", field="burst")
        if per not in ("session", "component", "runtime"):
            raise ValidationError("per: session, component or runtime", field="per")
        self._rate = rate
        self._burst = burst if burst is not None else max(1, rate)
        self._per = per
        self._lock = threading.Lock()
        self._buckets: collections.OrderedDict[str, TokenBucket] = collections.OrderedDict()

    def __call__(self, context: HookContext) -> HookResult:
        of = {"session": context.session_id, "component": context.component_id}.get(self._per) or ""
        now = context.now
        with self._lock:
            bucket = self._buckets.pop(of, None) or TokenBucket(self._rate, self._burst, now)
            self._buckets[of] = bucket
            if len(self._buckets) > _REMEMBERED:
                self._buckets.popitem(last=False)
            if bucket.admits(now):
                return CONTINUE
            wait = bucket.wait(1, now)
        return HookResult.cancel(f"too fast: try again in {wait:.3g} s")


class RetryHook:
    """Has a failed operation performed again, at a point for failures (ToolError, AgentError, StateConflict, …).

    `on` are the names of the error classes to retry (default: all). The first retry comes after `delay` seconds, and
    each further delay is `backoff` times longer.
    """

    @checked
    def __init__(
        self, max_attempts: int = 3, delay: float = 0.0, backoff: float = 2.0, on: Iterable[str] | None = None
    ) -> None:
        self._result = HookResult.retry(delay, max_attempts)
        if type(backoff) not in (int, float) or not backoff >= 1:
            raise ValidationError("backoff: a number from 1 is needed", field="backoff")
        self._backoff = backoff
        self._on = frozenset(on) if on is not None else None

    def __call__(self, context: HookContext) -> HookResult:
        error = context.error
        code = context.data.get("error", {}).get("code") if error is not None else None
        if error is None or (self._on is not None and code not in self._on):
            return CONTINUE
        notes = context.metadata
        tried = notes["retries"] = notes.get("retries", 0) + 1
        first = self._result
        return HookResult.retry(min(60.0, first.delay * self._backoff ** (tried - 1)), first.max_attempts)


@dataclass(frozen=True, slots=True)
class Spending:
    """How much agents and tools have used."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    """USD."""


class CostHook:
    """Adds up tokens and cost, in total and by session, at AfterAgentExecution (or AfterToolExecution).

    Reads `usage.total_tokens` and `cost_usd` (or `cost`) of the result. If the result has no cost, `prices` gives it:
    USD for a million tokens, by model (globs), where the model is the result's `model` or the operation's.
    """

    @checked
    def __init__(self, prices: Mapping[str, float] | None = None) -> None:
        self._prices = dict(prices or {})
        self._lock = threading.Lock()
        self._total = Spending()
        self._sessions: collections.OrderedDict[str, Spending] = collections.OrderedDict()

    @property
    def total(self) -> Spending:
        return self._total

    @checked
    def of(self, session_id: str) -> Spending:
        """Return how much one session has used. Only the 10 000 most recently active sessions are remembered."""
        with self._lock:
            return self._sessions.get(session_id, Spending())

    def __call__(self, context: HookContext) -> HookResult:
        result = plain(context.data.get("result"))
        facts: dict[str, Any] = result if isinstance(result, dict) else {}
        usage = facts.get("usage")
        used: dict[str, Any] = usage if isinstance(usage, dict) else {}
        tokens = _amount(used.get("total_tokens"))
        if not tokens:
            tokens = _amount(used.get("input_tokens")) + _amount(used.get("output_tokens"))
        cost = _price(facts)
        if cost is None:
            model = str(facts.get("model") or context.data.get("model") or "")
            price = next((each for glob, each in self._prices.items() if fnmatch.fnmatchcase(model, glob)), 0.0)
            cost = tokens * price / 1e6
        with self._lock:
            self._total = _more(self._total, tokens, cost)
            session_id = context.session_id
            if session_id is not None:
                self._sessions[session_id] = _more(self._sessions.pop(session_id, Spending()), tokens, cost)
                if len(self._sessions) > _REMEMBERED:
                    self._sessions.popitem(last=False)
        return CONTINUE


def _more(spent: Spending, tokens: int, cost: float) -> Spending:
    return Spending(spent.calls + 1, spent.tokens + tokens, spent.cost + cost)


def _price(facts: dict[str, Any]) -> float | None:
    for name in ("cost_usd", "cost"):
        cost = facts.get(name)
        if isinstance(cost, (int, float, Decimal)) and not isinstance(cost, bool):
            return float(cost)
    return None


def _amount(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


class DebuggingHook:
    """Keeps the latest operations with their data, for inspection. Long texts, bytes and lists are truncated."""

    @checked
    def __init__(self, capacity: int = 1000) -> None:
        self._entries: collections.deque[dict[str, Any]] = collections.deque(maxlen=as_number("capacity", capacity))

    def __call__(self, context: HookContext) -> HookResult:
        self._entries.append(
            {
                "point": context.point,
                "operation": context.operation,
                "component": context.component_id,
                "session_id": context.session_id,
                "correlation_id": context.correlation_id,
                "attempt": context.attempt,
                "elapsed": context.elapsed,
                "data": shortened(context.data, _SHOWN),
            }
        )
        return CONTINUE

    def entries(self) -> list[dict[str, Any]]:
        """Return the kept operations, oldest first."""
        return list(self._entries)

    def clear(self) -> None:
        self._entries.clear()


def _globs(field: str, patterns: Iterable[str]) -> tuple[str, ...]:
    if isinstance(patterns, str):
        raise ValidationError(f"{field}: a list of globs is needed, not one text", field=field)
    return tuple(patterns)


class RedactHook:
    """Removes secrets from the data of an operation by regular expressions, whose matches become "[redacted]", or by a
    function from text to text.

    Before an operation, the tool gets, and the journal keeps, the cleaned input. After a tool or an agent, both the
    caller and the journal get the cleaned result. A failure of the hook refuses the operation. To clean everything in a
    runtime without changing what tools get and return, use `RuntimeConfig.redact`.

    Example:
        ```py
        rt.hooks.register("AfterToolExecution", hooks.RedactHook([r"sk-[A-Za-z0-9]+"]))
        ```
    """

    def __init__(self, rules: Rules) -> None:
        """Compile the rules. Raises ValidationError."""
        from greenroom.actors.session.redaction import Redaction

        self._redaction = Redaction(rules)

    def __call__(self, context: HookContext) -> HookResult:
        data = context.data
        cleaned = self._redaction.parameters(data)
        changes = {name: value for name, value in cleaned.items() if name not in data or value != data[name]}
        return HookResult.modified(changes) if changes else CONTINUE
