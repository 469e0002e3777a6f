"""The registry of a runtime's hooks."""

from __future__ import annotations

import inspect
import itertools
import operator
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

from greenroom.actors import messages as m
from greenroom.actors.scheduling.callables import require_callable
from greenroom.actors.scheduling.clock import Clock
from greenroom.actors.scheduling.operation import operation_in
from greenroom.storage.codec.keys import is_session_id
from greenroom.storage.errors import InvalidOperation, ResourceLimitExceeded, ValidationError

from .around import ReplyCache
from .chain import Phase
from .context import HookContext
from .guard import Breaker
from .hook import Hook, HookFunction, HookHandle, HookInfo, priority_of
from .interceptor import HookedMessage
from .points import AFTER, CONFLICT, LIMIT, OPERATION, chain_of, kinds_of, resolve, way_of

if TYPE_CHECKING:
    from .hooks import Hooks
    from .interceptor import HookedDelivery

__all__ = ["Registry"]

DEFAULT_TIMEOUT: Final = 5.0
MAX_HOOKS: Final = 1000
_MAX_NAME: Final = 128
_MAX_TAGS: Final = 64
_SCOPES_REMEMBERED: Final = 1000


class Registry:
    """The hooks of a runtime by id, and by the points and messages that they are called for."""

    def __init__(self, delivery: HookedDelivery, clock: Clock) -> None:
        self.delivery = delivery
        self.clock = clock
        self.cache = ReplyCache(clock.monotonic)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._hooks: dict[str, Hook] = {}
        self._at: dict[str, list[Hook]] = {}
        """All hooks by point, in the order of their registration."""
        self._chains: dict[str, Phase] = {}
        """The enabled ones by point, in the order of calling. Never changed, only made anew."""

    def register(
        self,
        point: str,
        fn: HookFunction,
        name: str | None = None,
        priority: str | int = "normal",
        replayable: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        tags: Iterable[str] = (),
        *,
        required: bool = False,
        retries: int = 0,
        retry_delay: float = 0.0,
        session_id: str | None = None,
        component: str | None = None,
        filter: Callable[[HookContext], bool] | None = None,
        inline: bool | None = None,
        failure_threshold: int = 5,
        slow_after: float | None = None,
        cooldown: float = 30.0,
    ) -> HookHandle:
        """Have `fn(context)` called at a point; see docs/hooks.md for the points and for what it may answer.

        `priority`: "highest", "high", "normal", "low", "lowest" or a whole number; higher ones are called first, of
        equals the one registered first. `replayable`: each call is journaled with its data and result. `timeout`:
        seconds after which its caller is freed. `required`: its failure refuses the operation; it is tried `retries`
        times more, `retry_delay` seconds apart. `session_id`, `component` (a glob such as "tool:*") and `filter` say
        for which operations it is called. `inline`: False runs it on a guard thread always, True on its caller's
        thread always (then no timeout can free the caller), None on the caller's once it has proved quick.
        `failure_threshold` failures in a row, or calls slower than `slow_after` seconds (default: half the timeout),
        or one timeout, leave it out for `cooldown` seconds.

        `fn` may be an `async def`; it then runs in an event loop of its own. A hook that code of a session registers
        acts for that session and is called for what that session reaches. Raises ValidationError, and
        ResourceLimitExceeded for more than 1000 hooks.
        """
        return self.register_at(
            resolve(point),
            fn,
            name=name,
            priority=priority,
            replayable=replayable,
            timeout=timeout,
            tags=tags,
            required=required,
            retries=retries,
            retry_delay=retry_delay,
            session_id=session_id,
            component=component,
            filter=filter,
            inline=inline,
            failure_threshold=failure_threshold,
            slow_after=slow_after,
            cooldown=cooldown,
        )

    def register_at(
        self,
        points: tuple[str, ...],
        fn: HookFunction,
        *,
        name: str | None = None,
        priority: str | int = "normal",
        replayable: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        tags: Iterable[str] = (),
        required: bool = False,
        retries: int = 0,
        retry_delay: float = 0.0,
        session_id: str | None = None,
        component: str | None = None,
        filter: Callable[[HookContext], bool] | None = None,
        inline: bool | None = None,
        failure_threshold: int = 5,
        slow_after: float | None = None,
        cooldown: float = 30.0,
        thread: int | None = None,
    ) -> HookHandle:
        """`register` for points that have been resolved; on `thread` alone, if one is given."""
        require_callable("fn", fn, "a context")
        if name is not None and not (isinstance(name, str) and 0 < len(name) <= _MAX_NAME):
            raise ValidationError(f"name: 1 to {_MAX_NAME} characters", field="name")
        if isinstance(tags, str):
            raise ValidationError("tags: a list of texts is needed, not one text", field="tags")
        marks = frozenset(tags)
        if len(marks) > _MAX_TAGS or not all(isinstance(each, str) for each in marks):
            raise ValidationError(f"tags: at most {_MAX_TAGS} texts", field="tags")
        for field, seconds, least in (
            ("timeout", timeout, 1e-6),
            ("retry_delay", retry_delay, 0.0),
            ("slow_after", slow_after if slow_after is not None else timeout / 2 if _number(timeout) else 0.0, 0.0),
            ("cooldown", cooldown, 0.0),
        ):
            if not _number(seconds) or not least <= seconds <= 3600:
                raise ValidationError(f"{field}: seconds, at most 3600, are needed", field=field)
        for field, count, fewest in (("retries", retries, 0), ("failure_threshold", failure_threshold, 1)):
            if type(count) is not int or not fewest <= count <= 1000:
                raise ValidationError(f"{field}: a whole number from {fewest} to 1000", field=field)
        if session_id is not None and not is_session_id(session_id):
            raise ValidationError("session_id: the id of a session is needed", field="session_id")
        if filter is not None:
            require_callable("filter", filter, "a context")
            if inspect.iscoroutinefunction(filter):
                raise ValidationError(
                    "filter: an async function answers with a coroutine, which is always true", field="filter"
                )
        current = operation_in(self.delivery.security)
        number, rank = next(self._numbers), priority_of(priority)
        hook = Hook(
            id=f"hook-{number}",
            order=(-rank, number),
            name=(name or getattr(fn, "__name__", None) or type(fn).__name__)[:_MAX_NAME],
            points=points,
            fn=fn,
            priority=rank,
            replayable=bool(replayable),
            required=bool(required),
            timeout=float(timeout),
            retries=retries,
            retry_delay=float(retry_delay),
            slow_after=float(slow_after if slow_after is not None else timeout / 2),
            tags=marks,
            session_id=session_id,
            component=component,
            filter=filter,
            inline=inline,
            breaker=Breaker(failure_threshold, float(cooldown), self.clock.monotonic),
            principal=current.principal if current is not None else None,
            realm=self.delivery.security,
            thread=thread,
        )
        if hook.asynchronous and inline:
            raise ValidationError("inline: an async hook runs on a thread of its own", field="inline")
        with self._lock:
            if len(self._hooks) >= MAX_HOOKS:
                raise ResourceLimitExceeded(
                    f"a runtime has at most {MAX_HOOKS} hooks: unregister those that are not needed",
                    resource="hooks",
                    limit=MAX_HOOKS,
                    value=len(self._hooks),
                )
            self._hooks[hook.id] = hook
            for point in points:
                self._at.setdefault(point, []).append(hook)
            self._rebuild(hook)
        return HookHandle(self, hook.id)

    def unregister(self, hook: HookHandle | str) -> bool:
        """Take a hook away, by its handle or id; whether it was there. A call of it that runs is let end."""
        with self._lock:
            found = self._own(hook)
            if found is None:
                return False
            del self._hooks[found.id]
            for point in found.points:
                self._at[point].remove(found)
                if not self._at[point]:
                    del self._at[point]
            self._rebuild(found)
        self.cache.forget(lambda key: key[0] == found.id)
        return True

    def enable(self, hook: HookHandle | str) -> None:
        """Call a hook again, its breaker closed. Raises InvalidOperation if there is none."""
        self._switch(hook, True)

    def disable(self, hook: HookHandle | str) -> None:
        """Leave a hook out until it is enabled again. Raises InvalidOperation if there is none."""
        self._switch(hook, False)

    def _switch(self, hook: HookHandle | str, enabled: bool) -> None:
        with self._lock:
            found = self._present(hook)
            found.enabled = enabled
            if enabled:
                found.breaker.reset()
            self._rebuild(found)

    def info(self, hook: HookHandle | str) -> HookInfo:
        """The options and figures of a hook. Raises InvalidOperation if there is none."""
        with self._lock:
            return self._present(hook).info()

    def list(
        self,
        point: str | None = None,
        tag: str | None = None,
        name: str | None = None,
        enabled: bool | None = None,
        session_id: str | None = None,
    ) -> list[HookInfo]:
        """The hooks that match all that is given, in the order of calling. Code of a session sees its own."""
        points = resolve(point) if point is not None else None
        own = self.delivery.security.principal()
        with self._lock:
            hooks = sorted(self._hooks.values(), key=_order)
        return [
            hook.info()
            for hook in hooks
            if own in (None, hook.principal)
            and (points is None or any(each in points for each in hook.points))
            and (tag is None or tag in hook.tags)
            and (name is None or hook.name == name)
            and (enabled is None or hook.enabled == enabled)
            and (session_id is None or hook.session_id == session_id)
        ]

    def _own(self, hook: HookHandle | str) -> Hook | None:
        """A hook that the running code may touch. Code of a session is not told of others. Holds the lock."""
        found = self._hooks.get(hook.id if isinstance(hook, HookHandle) else hook)
        own = self.delivery.security.principal()
        return found if found is not None and own in (None, found.principal) else None

    def _present(self, hook: HookHandle | str) -> Hook:
        found = self._own(hook)
        if found is None:
            raise InvalidOperation("there is no such hook; it may have been unregistered")
        return found

    def _rebuild(self, changed: Hook) -> None:
        """Make the tables that calls look into anew, each in one assignment. The caller holds the lock."""
        chains = dict(self._chains)
        for point in changed.points:
            there = sorted((each for each in self._at.get(point, ()) if each.enabled), key=_order)
            if there:
                chains[point] = tuple((point, hook) for hook in there)
            else:
                chains.pop(point, None)
        self._chains = chains
        hooked = dict(self.delivery.hooked)
        for kind in kinds_of(m.Message):
            way = way_of(kind)
            if way.isdisjoint(changed.points):
                continue
            points = kind.points
            outer = chain_of(kind)
            before = self._phase(OPERATION, outer, points.before)
            after = self._phase(points.after, outer + AFTER, OPERATION + AFTER)
            conflict = self._phase(CONFLICT if CONFLICT in way else None)
            limit = self._phase(LIMIT)
            if before or after or conflict or limit:
                hooked[kind] = HookedMessage(cast("Hooks", self), kind, before, after, conflict, limit)
            else:
                hooked.pop(kind, None)
        self.delivery.hooked = hooked

    def _phase(self, *points: str | None) -> Phase:
        """The hooks of these points, one after the other."""
        phase: Phase = ()
        for point in points:
            if point is not None:
                phase += self._chains.get(point, ())
        return phase

    def at(self, point: str) -> Phase | None:
        """The enabled hooks of a point, or None: one lookup."""
        return self._chains.get(point)

    def any(self, *points: str | None) -> bool:
        """Whether there is an enabled hook at one of these points."""
        chains = self._chains
        return bool(chains) and any(point in chains for point in points)


def _number(value: object) -> bool:
    return type(value) in (int, float)


_order: Final = operator.attrgetter("order")
