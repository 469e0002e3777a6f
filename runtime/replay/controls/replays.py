"""`Replays`: starts replays, so many at once, and lists them."""

from __future__ import annotations

import builtins
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from greenroom.runtime.replay.queries import readable_session
from greenroom.storage.codec.records import pack_value
from greenroom.storage.common.arguments import as_items, as_number
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.session_ids import SessionHandle
from greenroom.storage.common.times import moment
from greenroom.storage.concurrency.forking import runtime_closed
from greenroom.storage.concurrency.waiting import Bell
from greenroom.storage.errors import GreenroomError, ReplayError, ResourceLimitExceeded, shown

from .breakpoints import MAX_BREAKPOINTS, Breakpoint, Breakpoints
from .progress import ReplayProgress, Reporter
from .replay import Replay
from .rules import rule_of
from .runner import ReplayStatus, Runner
from .schedule import ReplaySchedule, Schedules

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.replay.config import ReplayConfig

    from .track import Route

__all__ = ["Replays"]

_LATE: Final = {"ReplayConfig": "greenroom.runtime.replay.config"}
MAX_WAITING: Final = 1000
"""Replays that may wait for their turn."""
RETRY: Final = 1.0
"""Seconds until a thread is looked for again, if none was free."""
MAX_OWN_BYTES: Final = 256 << 10
MAX_OWN_COMPARISONS: Final = 100
"""Limits of a schedule that code acting for a session makes, whose configuration and results outlive that code."""
KEPT: Final = 8
"""The number of ended replays that are kept for `list` and `get`."""


class _Started(NamedTuple):
    """A replay that somebody has started."""

    replay: Replay
    runner: Runner
    context: Context
    """The context of who started it, in which it runs."""


class Replays:
    """Replays that run beside everything else: on threads of their own, and only reading. At most
    `max_concurrent_replays` are under way at once, paused ones included; others wait for their turn in order.

    Example:
        ```py
        replay = rt.replays.start(session, on_progress=lambda progress: print(progress.percentage))
        replay.wait(timeout=60).identical
        nightly = rt.replays.schedule(session, cron="0 3 * * *", timezone="Europe/Berlin")
        ```
    """

    def __init__(self, core: RuntimeCore, route_of: Callable[[SessionHandle | str, Any], Route]) -> None:
        """`route_of` checks a session and a configuration, and returns what a replay goes through."""
        self._core = core
        self._route_of = route_of
        self._lock = threading.Lock()
        self._bell = Bell()
        self._under_way: dict[str, _Started] = {}
        self._waiting: deque[_Started] = deque()
        self._kept: deque[Replay] = deque(maxlen=KEPT)
        self._closing = False
        self._schedules = Schedules(core.clock, core.timers)

    @checked
    def start(
        self,
        session: SessionHandle | str,
        config: ReplayConfig | Mapping[str, object] | None = None,
        *,
        on_progress: Callable[[ReplayProgress], object] | None = None,
        breakpoints: Iterable[Breakpoint | Mapping[str, object]] = (),
        paused: bool = False,
    ) -> Replay:
        """Start to replay a session, and return what controls the replay. Begins paused if `paused`.

        `config` says how to replay: see `ReplayConfig`; its `speed` is that of the replay. `on_progress` is called on
        another thread for each percent; it harms nothing if it raises or takes long. Raises SessionNotFound,
        ReplayError if the session cannot be replayed, ValidationError, ResourceLimitExceeded if too many replays wait,
        and AccessDenied.
        """
        return self._start(
            session,
            config,
            reporter=Reporter(self._core.elastic, on_progress) if on_progress is not None else None,
            breakpoints=as_items("breakpoints", breakpoints, MAX_BREAKPOINTS, "a list of breakpoints"),
            paused=paused,
        )

    def _start(
        self,
        session: SessionHandle | str,
        config: ReplayConfig | Mapping[str, object] | None,
        then: Callable[[Runner], object] | None = None,
        *,
        reporter: Reporter | None = None,
        breakpoints: Sequence[Any] = (),
        paused: bool = False,
    ) -> Replay:
        """Start to replay a session. `then` is called at the end."""
        core = self._core
        core.check_open()
        self._check_open()
        route = self._route_of(session, config)
        placed = Breakpoints(breakpoints)

        def ended() -> None:
            self._has_ended(started)
            if then is not None:
                then(runner)

        runner = Runner(
            route,
            placed,
            core.clock,
            check_open=core.check_open,
            others=self._running,
            ended=ended,
            reporter=reporter,
            speed=route.config.speed,
            paused=paused,
        )
        started = _Started(Replay(str(uuid4()), runner, placed, core.config.ask_timeout), runner, copy_context())
        if self._takes_turn(started):
            try:
                self._begin(started)
            except BaseException:
                self._under_way.pop(started.replay.id, None)
                self._advance()
                raise
        return started.replay

    @checked
    def list(self, session: SessionHandle | str | None = None) -> list[Replay]:
        """Return the replays that run, are paused or wait, and the newest 8 that have ended, oldest first: those of
        one session, or all, which is for the host. Raises AccessDenied, SessionNotFound."""
        found = [*self._kept, *(each.replay for each in [*self._under_way.values(), *self._waiting])]
        wanted = self._admitted(session, "replays.list")
        return found if wanted is None else [each for each in found if each.session_id == wanted]

    @checked
    def get(self, id: str) -> Replay:
        """Return the replay with this id. Raises ReplayError if there is none, or if it has ended long ago."""
        self._core.check_open()
        for each in [*self._kept, *(each.replay for each in [*self._under_way.values(), *self._waiting])]:
            if each.id == id:
                self._core.security.require_reading(each.session_id, "replays.get")
                return each
        raise ReplayError(f"there is no replay {shown(id)}: it may have ended long ago")

    def _admitted(self, session: SessionHandle | str | None, operation: str) -> str | None:
        """Return the id of a session that the running code may read; None for all, if the host asks."""
        self._core.check_open()
        if session is None:
            self._core.require_host(operation)
            return None
        return readable_session(self._core, session, operation)

    @checked
    def schedule(
        self,
        session: SessionHandle | str,
        config: ReplayConfig | Mapping[str, object] | None = None,
        *,
        once: datetime | str | float | None = None,
        interval: float | None = None,
        cron: str | None = None,
        timezone: str = "UTC",
        until: datetime | str | float | None = None,
        limit: int | None = None,
    ) -> ReplaySchedule:
        """Replay a session at a time (`once`), every `interval` seconds, or at the times of a `cron` expression.

        Give one of the three. A cron expression has five fields, or six with seconds first; its times are those of
        `timezone` ("Europe/Berlin"). The schedule ends after `limit` runs or at the time `until`, and with the runtime.
        Times are datetimes, RFC 3339 texts or epoch seconds. A run that is due while the last one is under way is
        skipped. Code that acts for a session can have 10 schedules, each run at most once a minute and for as long as a
        script, with 256 KiB of modifications. Raises ValidationError, ResourceLimitExceeded, and what `start` raises.
        """
        self._core.check_open()
        rule = rule_of(once, interval, cron, timezone)
        last = moment(until, "until")
        runs = as_number("limit", limit, 1) if limit is not None else None
        route = self._route_of(session, config)
        owner = self._core.security.principal()
        config = route.config if owner is None else _bounded(route.config, self._core.config.script_timeout)
        start = partial(self._start, route.session_id, config)
        return self._schedules.add(route.session_id, rule, start, until=last, limit=runs, owner=owner)

    @checked
    def schedules(self, session: SessionHandle | str | None = None) -> builtins.list[ReplaySchedule]:
        """Return the schedules with runs ahead or under way: those of one session, or all, which is for the host.
        Raises AccessDenied, SessionNotFound."""
        wanted = self._admitted(session, "replays.schedules")
        found = self._schedules.list()
        return found if wanted is None else [each for each in found if each.session_id == wanted]

    # -- turns

    def _check_open(self) -> None:
        if self._closing:
            raise runtime_closed("closed or closing")

    def _running(self) -> int:
        """Return how many replays run beside the one that asks."""
        running = [each for each in list(self._under_way.values()) if each.runner.status is ReplayStatus.RUNNING]
        return max(0, len(running) - 1)

    def _takes_turn(self, started: _Started) -> bool:
        """Return whether it is a replay's turn; otherwise it waits now. Raises ResourceLimitExceeded."""
        with self._lock:
            self._check_open()
            if not self._waiting and len(self._under_way) < self._core.config.max_concurrent_replays:
                self._under_way[started.replay.id] = started
                return True
            if len(self._waiting) >= MAX_WAITING:
                raise ResourceLimitExceeded(
                    f"{MAX_WAITING} replays wait for their turn: wait until some have ended, stop some, or raise"
                    " max_concurrent_replays",
                    resource="waiting_replays",
                    limit=MAX_WAITING,
                    value=len(self._waiting),
                )
            self._waiting.append(started)
            return False

    def _begin(self, started: _Started) -> None:
        elastic = self._core.elastic
        started.context.run(elastic.submit, started.runner.run, spare=elastic.spare)
        started.runner.begin()

    def _has_ended(self, started: _Started) -> None:
        with self._lock:
            if self._under_way.pop(started.replay.id, None) is None:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(started)
            self._kept.append(started.replay)
        self._advance()
        self._bell.ring()

    def _advance(self) -> None:
        """Begin the replays whose turn has come."""
        while True:
            with self._lock:
                full = len(self._under_way) >= self._core.config.max_concurrent_replays
                if self._closing or full or not self._waiting:
                    return
                following = self._waiting.popleft()
                self._under_way[following.replay.id] = following
            try:
                self._begin(following)
            except GreenroomError:  # no thread is free
                with self._lock:
                    del self._under_way[following.replay.id]
                    self._waiting.appendleft(following)
                self._core.timers.once(RETRY, self._advance)
                return

    # -- the end of the runtime

    def begin_to_close(self) -> None:
        """Start nothing more, and have all replays end soon."""
        self._schedules.close()
        with self._lock:
            self._closing = True
            ending = [*self._waiting, *self._under_way.values()]
        for each in ending:
            each.runner.end(runtime_closed("closed or closing"))

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until all replays have ended. Nobody waits any longer for those that hang."""
        self._bell.wait_for(lambda: not self._under_way, timeout)
        for each in list(self._under_way.values()):
            each.runner.abandon(runtime_closed("closed or closing"))


def _bounded(config: ReplayConfig, longest: float) -> ReplayConfig:
    """Return the configuration of a replay that outlives the code of the session that wants it. Raises
    ResourceLimitExceeded if it takes too much memory."""
    size = sum(len(pack_value(each.value, "modifications")) for each in config.modifications)
    if size > MAX_OWN_BYTES:
        raise ResourceLimitExceeded(
            f"modifications: at most {MAX_OWN_BYTES} bytes for a schedule, these have {size}",
            resource="replay_modifications",
            limit=MAX_OWN_BYTES,
            value=size,
        )
    timeout = longest if config.timeout is None else min(config.timeout, longest)
    kept = min(config.max_comparisons, MAX_OWN_COMPARISONS)
    return config.model_copy(update={"timeout": timeout, "max_comparisons": kept})
