"""One registered hook: its function, its options, its figures, and the handle and the row that users have of it."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.scheduling.operation import Operation
from greenroom.storage.errors import ValidationError

from .context import HookContext
from .guard import Breaker
from .result import waits

if TYPE_CHECKING:
    from .context import Call
    from .registry import Registry

__all__ = ["PRIORITIES", "SLOW_INLINE", "Hook", "HookHandle", "HookInfo", "priority_of"]

HookFunction = Callable[[HookContext], Any]

PRIORITIES: Final = {"highest": 1000, "high": 500, "normal": 0, "low": -500, "lowest": -1000}
_QUICK: Final = 100e-6
SLOW_INLINE: Final = 1e-3
_PROBATION: Final = 16
PASSED: Final = object()
"""The answer of a hook whose filter has said no."""


def priority_of(priority: str | int) -> int:
    """The number of a priority: higher ones are called first. Raises ValidationError."""
    if isinstance(priority, str) and priority.lower() in PRIORITIES:
        return PRIORITIES[priority.lower()]
    if type(priority) is int:
        return priority
    raise ValidationError(f"priority: a whole number, or one of {', '.join(PRIORITIES)}", field="priority")


@dataclass(frozen=True, slots=True)
class HookInfo:
    """What is known of a hook. Times are in seconds."""

    id: str
    name: str
    points: tuple[str, ...]
    priority: int
    enabled: bool
    replayable: bool
    required: bool
    timeout: float
    tags: tuple[str, ...]
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

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, of JSON values."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__}
        row["points"], row["tags"] = list(self.points), list(self.tags)
        return row


@dataclass(slots=True, eq=False)
class Hook:
    """A hook with its options, as `Hooks.register` has checked them."""

    id: str
    order: tuple[int, int]
    """By which hooks are sorted: the highest priority first, then the first registered."""
    name: str
    points: tuple[str, ...]
    fn: HookFunction
    priority: int
    replayable: bool
    required: bool
    timeout: float
    retries: int
    retry_delay: float
    slow_after: float
    tags: frozenset[str]
    session_id: str | None
    component: str | None
    filter: Callable[[HookContext], bool] | None
    inline: bool | None
    breaker: Breaker
    principal: str | None
    realm: object
    """The runtime whose hook it is, see `Operation`."""
    """The session that registered it: it acts for that session and sees only what that session reaches."""
    thread: int | None
    """The only thread that it may run on: that of its script."""
    enabled: bool = True
    calls: int = 0
    failures: int = 0
    timeouts: int = 0
    total_time: float = 0.0
    last_error: str | None = None
    guarded: bool = True
    """Whether it runs on a guard thread now, where a call that hangs holds nobody."""
    run: HookFunction = field(init=False)
    """What is called: the function behind its filter."""
    everywhere: bool = field(init=False)
    """Whether it is for every operation at its points."""
    alone: Operation = field(init=False)
    """The operation that it runs as where no other is current."""
    _quick: int = 0
    _asynchronous: bool = field(init=False)

    def __post_init__(self) -> None:
        self._asynchronous = waits(self.fn)
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
        """It has answered with an awaitable: never call it on its caller's thread again, which may run a loop."""
        self._asynchronous = self.guarded = True

    @property
    def asynchronous(self) -> bool:
        return self._asynchronous

    def operation(self, current: Operation | None) -> Operation:
        """As what it runs, called within `current`."""
        if current is None:
            return self.alone
        return Operation(
            self.principal,
            current.correlation_id,
            current.causation_id,
            current.root_id,
            self.alone.source,
            None,
            (*current.within, self.id),
            self.realm,
            current.outer,
        )

    def concerns(self, call: Call, reaches: Callable[[str, str], bool], current: Operation | None) -> bool:
        """Whether it is for this operation, as far as its options tell; its filter is asked as a part of it."""
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
        """After a call on a guard thread: once the last ones were all quick, it runs on its caller's."""
        self.total_time += seconds
        if self.inline is not None or self._asynchronous:
            return
        self._quick = self._quick + 1 if seconds < _QUICK else 0
        if self._quick >= _PROBATION:
            self.guarded = False

    def took_long(self) -> None:
        """After a call on its caller's thread that was not quick: back to the guard threads."""
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


class HookHandle:
    """A registered hook in the hands of who registered it. As a context manager it is taken away at the end."""

    __slots__ = ("_hooks", "id")

    def __init__(self, hooks: Registry, hook_id: str) -> None:
        self._hooks = hooks
        self.id = hook_id

    def __repr__(self) -> str:
        return f"<HookHandle {self.id}>"

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def unregister(self) -> bool:
        """Take the hook away; whether it was still there."""
        return self._hooks.unregister(self)

    def enable(self) -> None:
        """Call it again, its breaker closed. Raises InvalidOperation if it was taken away."""
        self._hooks.enable(self)

    def disable(self) -> None:
        """Do not call it until it is enabled again. Raises InvalidOperation if it was taken away."""
        self._hooks.disable(self)

    def info(self) -> HookInfo:
        """Its options and figures. Raises InvalidOperation if it was taken away."""
        return self._hooks.info(self)
