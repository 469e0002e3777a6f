"""What went wrong in a session: counted by kind, by whose it was, and in the order of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from greenroom.storage.codec.records import Json
from greenroom.storage.common.message_text import text_of
from greenroom.storage.common.times import iso_time
from greenroom.storage.events.model import Event, Origin, StoredEvent
from greenroom.storage.events.turns import ADDED

__all__ = ["ErrorAnalysis", "SessionError", "analysed", "failure_of", "may_tell"]

_MOST: Final = 10_000
_MARK: Final = "is_error"
"""What Anthropic's format, and others after it, mark the result of a failed tool with."""
_MARK_BYTES: Final = _MARK.encode()
_MAX_TEXT: Final = 200
_COMMON: Final = 10


@dataclass(frozen=True, slots=True)
class SessionError:
    """One thing that went wrong. `source` says whose it was ("tool:weather", "agent:writer", "hook:guard", "script:…",
    "workflow:…", "policy:rate", "session"), `code` what kind of error it was, and `call` the sequence of the event at
    which the failed call began."""

    sequence: int
    time: datetime
    source: str
    code: str
    message: str | None = None
    call: int | None = None

    def to_dict(self) -> dict[str, Json]:
        return {
            "sequence": self.sequence,
            "time": iso_time(self.time),
            "source": self.source,
            "code": self.code,
            "message": self.message,
            "call": self.call,
        }

    def __str__(self) -> str:
        told = f": {self.message}" if self.message else ""
        return f"{self.sequence:>7}  {self.source}  {self.code}{told}"


@dataclass(frozen=True, slots=True)
class ErrorAnalysis:
    """The errors of a session. `timeline` has the first 10 000 in order, `total` counts all. `attempts` is how many
    calls, hooks, scripts and stages there were, and `rate` the part of them that failed."""

    timeline: tuple[SessionError, ...]
    total: int
    attempts: int
    failed: int
    by_type: dict[str, int]
    by_source: dict[str, int]
    by_hook: dict[str, int]
    most_common: tuple[tuple[str, str, int], ...]
    """(source, code, how often), the most frequent first."""

    @property
    def rate(self) -> float:
        return self.failed / self.attempts if self.attempts else 0.0

    @property
    def first(self) -> SessionError | None:
        """The first error."""
        return self.timeline[0] if self.timeline else None

    def __bool__(self) -> bool:
        return self.total > 0

    def __repr__(self) -> str:
        return f"<ErrorAnalysis {self.total} errors>"

    def __str__(self) -> str:
        head = (
            f"{self.total} errors; {self.failed} of {self.attempts} calls, hooks and scripts failed ({self.rate:.0%})"
        )
        return "\n".join([head, *(f"  {count} x {source} {code}" for source, code, count in self.most_common)])

    def to_dict(self) -> dict[str, Json]:
        """Return everything by name as JSON values."""
        return {
            "total": self.total,
            "attempts": self.attempts,
            "failed": self.failed,
            "rate": self.rate,
            "by_type": dict(self.by_type),
            "by_source": dict(self.by_source),
            "by_hook": dict(self.by_hook),
            "most_common": [list(each) for each in self.most_common],
            "timeline": [each.to_dict() for each in self.timeline],
        }


def analysed(events: Iterable[Event]) -> ErrorAnalysis:
    """Return what went wrong in these events. Only what greenroom journaled counts, not what was published."""
    timeline: list[SessionError] = []
    sources: Counter[str] = Counter()
    types: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    attempts = failed = 0
    for event in events:
        if event.origin is not Origin.RUNTIME:
            continue
        counted = event.type in _ATTEMPTS
        attempts += counted
        found = failure_of(event)
        if found is None:
            continue
        failed += counted
        source, code, message = found
        sources[source] += 1
        types[code] += 1
        pairs[source, code] += 1
        if len(timeline) < _MOST:
            call = event.data.get("call")
            timeline.append(
                SessionError(
                    event.sequence,
                    event.timestamp,
                    source,
                    code,
                    message,
                    call if isinstance(call, int) else None,
                )
            )
    return ErrorAnalysis(
        timeline=tuple(timeline),
        total=sum(types.values()),
        attempts=attempts,
        failed=failed,
        by_type=dict(types.most_common()),
        by_source=dict(sources.most_common()),
        by_hook={source[5:]: count for source, count in sources.most_common() if source.startswith("hook:")},
        most_common=tuple((source, code, count) for (source, code), count in pairs.most_common(_COMMON)),
    )


_Found = tuple[str, str, str | None] | None


def failure_of(event: Event) -> _Found:
    """Return (source, code, message) of what went wrong, as in `SessionError`; None if the event tells of nothing, or
    was published."""
    read = _READERS.get(event.type)
    return read(event.data) if read is not None and event.origin is Origin.RUNTIME else None


def _returned(kind: str) -> Callable[[dict[str, Any]], _Found]:
    def read(data: dict[str, Any]) -> _Found:
        error = data.get("error") or data.get("recovered_from")
        if data.get("success") is True and not error:
            return None
        about = error if isinstance(error, dict) else {}
        return f"{kind}:{data.get('name')}", str(about.get("code", "unknown")), about.get("message")

    return read


def _hook(data: dict[str, Any]) -> _Found:
    error = data.get("error")
    return (f"hook:{data.get('hook')}", str(error), f"at {data.get('point')}") if error else None


def _finished(kind: str, name: str) -> Callable[[dict[str, Any]], _Found]:
    def read(data: dict[str, Any]) -> _Found:
        if data.get("success") is not False:
            return None
        error = data.get("error")
        if isinstance(error, dict):
            return f"{kind}:{data.get(name)}", str(error.get("code", "unknown")), error.get("message")
        return f"{kind}:{data.get(name)}", str(error or "unknown"), None

    return read


def _message(data: dict[str, Any]) -> _Found:
    """Read a message that came in from elsewhere with the result of a tool: formats mark those that failed."""
    name, content = data.get("name"), data.get("content")
    about = [data.get("metadata"), *(content if isinstance(content, list) else ())]
    for each in about:
        if isinstance(each, dict) and each.get(_MARK) is True:
            text = text_of(content)[:_MAX_TEXT]
            return f"tool:{name or data.get('tool_call_id') or 'unknown'}", _MARK, text or None
    return None


_READERS: Final[dict[str, Callable[[dict[str, Any]], _Found]]] = {
    "tool.returned": _returned("tool"),
    "agent.returned": _returned("agent"),
    "hook.executed": _hook,
    "script.finished": _finished("script", "script"),
    **dict.fromkeys(("workflow.stage", "workflow.rolled_back", "workflow.finished"), _finished("workflow", "workflow")),
    "session.failed": lambda data: ("session", "failed", data.get("reason")),
    "policy.violated": lambda data: (
        f"policy:{data.get('policy')}",
        str(data.get("kind") or data.get("resource")),
        None,
    ),
    ADDED: _message,
    "event.lost": lambda data: ("session", "event_lost", data.get("was")),
}


def may_tell(stored: StoredEvent) -> bool:
    """Return whether an event may tell of something that went wrong. Most messages are looked at no further."""
    if stored.type != ADDED:
        return stored.type in _READERS
    return any(
        isinstance(each, bytes) and _MARK_BYTES in each
        for each in (stored.data.get("content"), stored.data.get("metadata"))
    )


_ATTEMPTS: Final = frozenset({"tool.returned", "agent.returned", "hook.executed", "script.finished", "workflow.stage"})
