"""One registered hook: its options, its figures, and its info."""

from __future__ import annotations

import fnmatch
import inspect
import threading
from collections.abc import Callable, Iterable
from dataclasses import InitVar, dataclass, field
from typing import Any, Final, TypedDict

from greenroom.actors.scheduling.callables import require_callable
from greenroom.actors.scheduling.operation import Operation
from greenroom.storage.codec.keys import is_session_id
from greenroom.storage.errors import ValidationError

from .call import Call
from .context import HookContext
from .guard import Breaker
from .result import waits

__all__ = [
    "DEFAULT_TIMEOUT",
    "PASSED",
    "SLOW_INLINE",
    "Hook",
    "HookFunction",
    "HookInfo",
    "HookOptions",
    "KeywordOptions",
    "UnnamedOptions",
    "checked_options",
    "priority_of",
]

HookFunction = Callable[[HookContext], Any]

DEFAULT_TIMEOUT: Final = 5.0
_PRIORITIES: Final = {"highest": 1000, "high": 500, "normal": 0, "low": -500, "lowest": -1000}
_MAX_NAME: Final = 128
_MAX_TAGS: Final = 64
_QUICK: Final = 100e-6
SLOW_INLINE: Final = 1e-3
_PROBATION: Final = 16
PASSED: Final = object()
"""Stands for the answer of a hook whose filter excluded the operation."""


class KeywordOptions(TypedDict, total=False):
    """The options of a hook that are given by name only. `Hooks.register` explains them."""

    required: bool
    retries: int
    retry_delay: float
    session_id: str | None
    component: str | None
    filter: Callable[[HookContext], bool] | None
    inline: bool | None
    failure_threshold: int
    slow_after: float | None
    cooldown: float


class UnnamedOptions(KeywordOptions, total=False):
    """The options of a hook but for its name."""

    priority: str | int
    replayable: bool
    timeout: float
    tags: Iterable[str]


class HookOptions(UnnamedOptions, total=False):
    """All options of a hook."""

    name: str | None


def checked_options(fn: HookFunction, options: HookOptions) -> dict[str, Any]:
    """Return the options of a hook as `Hook` takes them. Raises ValidationError for an invalid value."""
    require_callable("fn", fn, "a context")
    name, timeout, tags = options.get("name"), options.get("timeout", DEFAULT_TIMEOUT), options.get("tags", ())
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= _MAX_NAME):
        raise ValidationError(f"name: 1 to {_MAX_NAME} characters", field="name")
    if isinstance(tags, str):
        raise ValidationError("tags: a list of texts is needed, not one text", field="tags")
    marks = frozenset(tags)
    if len(marks) > _MAX_TAGS or not all(isinstance(each, str) for each in marks):
        raise ValidationError(f"tags: at most {_MAX_TAGS} texts", field="tags")
    slow_after = options.get("slow_after")
    if slow_after is None:
        slow_after = timeout / 2 if _is_number(timeout) else 0.0
    seconds = {"timeout": timeout, "retry_delay": 0.0, "slow_after": slow_after, "cooldown": 30.0}
    counts = {"retries": 0, "failure_threshold": 5}
    given: dict[str, Any] = {**seconds, **counts, **options, "slow_after": slow_after}
    for field_ in seconds:
        least = 1e-6 if field_ == "timeout" else 0.0
        if not _is_number(given[field_]) or not least <= given[field_] <= 3600:
            raise ValidationError(f"{field_}: seconds, at most 3600, are needed", field=field_)
        given[field_] = float(given[field_])
    for field_, fewest in (("retries", 0), ("failure_threshold", 1)):
        if type(given[field_]) is not int or not fewest <= given[field_] <= 1000:
            raise ValidationError(f"{field_}: a whole number from {fewest} to 1000", field=field_)
    session_id, only_if = options.get("session_id"), options.get("filter")
    if session_id is not None and not is_session_id(session_id):
        raise ValidationError("session_id: the id of a session is needed", field="session_id")
    if only_if is not None:
        require_callable("filter", only_if, "a context")
        if inspect.iscoroutinefunction(only_if):
            raise ValidationError(
                "filter: an async function answers with a coroutine, which is always true", field="filter"
            )
    given["priority"] = priority_of(options.get("priority", "normal"))
    if options.get("inline") and waits(fn):
        raise ValidationError("inline: an async hook runs on a thread of its own", field="inline")
    given["name"] = (name or getattr(fn, "__name__", None) or type(fn).__name__)[:_MAX_NAME]
    return {**given, "tags": marks}


def priority_of(priority: str | int) -> int:
    """Return the number of a priority: higher ones are called first. Raises ValidationError."""
    if isinstance(priority, str) and priority.lower() in _PRIORITIES:
        return _PRIORITIES[priority.lower()]
    if type(priority) is int:
        return priority
    raise ValidationError(f"priority: a whole number, or one of {', '.join(_PRIORITIES)}", field="priority")


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


@dataclass(frozen=True, slots=True)
class HookInfo:
    """The options and figures of a hook. Times are in seconds."""

    id: str
    name: str
    points: tuple[str, ...]
    priority: int
    enabled: bool
    replayable: bool
    required: bool
    timeout: float
    tags: tuple[str, ...]
    language: str
    """The language of its function: "python", or that of the script that has registered it."""
    session_id: str | None
    component: str | None
    calls: int
    failures: int
    timeouts: int
    total_time: float
    mean_time: float
    breaker: str
    last_error: str | None
    """The class of the last error."""

    @property
    def level(self) -> str | None:
        """The name of its priority, such as "high"; None for a number between the named ones."""
        return next((name for name, number in _PRIORITIES.items() if number == self.priority), None)

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name, as JSON values."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__}
        row["points"], row["tags"] = list(self.points), list(self.tags)
        return row


@dataclass(slots=True, eq=False, kw_only=True)
class Hook:
    """A hook with its options, as `checked_options` returns them."""

    id: str
    number: int
    """The number of its registration, from 1."""
    points: tuple[str, ...]
    fn: HookFunction
    principal: str | None
    """The session that registered it: the hook acts for that session, and sees only what that session can access."""
    realm: object
    """The runtime that it belongs to, see `Operation`."""
    clock: InitVar[Callable[[], float]]
    thread: int | None
    """The only thread that it may run on: that of its script."""
    language: str

    name: str
    priority: int
    timeout: float
    retries: int
    retry_delay: float
    slow_after: float
    tags: frozenset[str]
    failure_threshold: InitVar[int]
    cooldown: InitVar[float]
    replayable: bool = False
    required: bool = False
    session_id: str | None = None
    component: str | None = None
    filter: Callable[[HookContext], bool] | None = None
    inline: bool | None = None

    breaker: Breaker = field(init=False)
    enabled: bool = field(init=False, default=True)
    calls: int = field(init=False, default=0)
    failures: int = field(init=False, default=0)
    timeouts: int = field(init=False, default=0)
    total_time: float = field(init=False, default=0.0)
    last_error: str | None = field(init=False, default=None)
    guarded: bool = field(init=False)
    """Whether it runs on a guard thread now, where a hanging call blocks nobody."""
    run: HookFunction = field(init=False)
    """The function to call: the hook's own behind its filter."""
    everywhere: bool = field(init=False)
    """Whether it is called for every operation at its points."""
    alone: Operation = field(init=False)
    """The operation in which it runs if there is no current one."""
    asynchronous: bool = field(init=False)
    _quick: int = field(init=False, default=0)

    def __post_init__(self, clock: Callable[[], float], failure_threshold: int, cooldown: float) -> None:
        self.replayable, self.required = bool(self.replayable), bool(self.required)
        self.breaker = Breaker(failure_threshold, cooldown, clock)
        self.asynchronous = waits(self.fn)
        self.run = self.fn if self.filter is None else self._filtered
        self.guarded = self.inline is not True
        self.everywhere = (
            self.session_id is None and self.component is None and self.principal is None and self.thread is None
        )
        self.alone = Operation(
            principal=self.principal, source=f"hook:{self.name}", within=(self.id,), realm=self.realm
        )

    def _filtered(self, context: HookContext) -> Any:
        assert self.filter is not None
        return self.fn(context) if self.filter(context) else PASSED

    def waits(self) -> None:
        """Record that it has returned an awaitable: from now on it is not called on a thread that may run a loop."""
        self.asynchronous = self.guarded = True

    @property
    def order(self) -> tuple[int, int]:
        """The sort key of hooks: highest priority first, then first registered."""
        return -self.priority, self.number

    def operation(self, current: Operation | None) -> Operation:
        """Return the operation in which its function runs when it is called within `current`."""
        if current is None:
            return self.alone
        return Operation(
            self.principal,
            current.correlation_id,
            current.causation_id,
            current.root_id,
            self.alone.source,
            current.language,
            (*current.within, self.id),
            self.realm,
            current.outer,
        )

    def concerns(self, call: Call, reaches: Callable[[str, str], bool], current: Operation | None) -> bool:
        """Return whether the options of the hook include this operation. Its filter is asked when it is called."""
        if self.thread is not None and threading.get_ident() != self.thread:
            return False
        if self.session_id is not None and call.session_id != self.session_id:
            return False
        if self.component is not None and not fnmatch.fnmatchcase(call.about or "", self.component):
            return False
        if self.principal is not None:
            if call.session_id is None:
                return current is not None and current.principal == self.principal
            return reaches(self.principal, call.session_id)
        return True

    def took(self, seconds: float) -> None:
        """Record a call on a guard thread. After several quick calls in a row, the hook runs on its caller's thread."""
        self.total_time += seconds
        if self.inline is not None or self.asynchronous:
            return
        self._quick = self._quick + 1 if seconds < _QUICK else 0
        if self._quick >= _PROBATION:
            self.guarded = False

    def took_long(self) -> None:
        """Record a slow call on its caller's thread: the hook goes back to the guard threads."""
        if self.inline is None:
            self.guarded, self._quick = True, 0

    def info(self) -> HookInfo:
        return HookInfo(
            id=self.id,
            name=self.name,
            points=self.points,
            priority=self.priority,
            enabled=self.enabled,
            replayable=self.replayable,
            required=self.required,
            timeout=self.timeout,
            tags=tuple(sorted(self.tags)),
            language=self.language,
            session_id=self.session_id,
            component=self.component,
            calls=self.calls,
            failures=self.failures,
            timeouts=self.timeouts,
            total_time=self.total_time,
            mean_time=self.total_time / self.calls if self.calls else 0.0,
            breaker=self.breaker.state,
            last_error=self.last_error,
        )
