"""The hooks of a runtime: register and call them."""

from __future__ import annotations

import itertools
import operator
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Unpack

from greenroom.actors import messages as m
from greenroom.actors.hooks.interception.around import around, settled
from greenroom.actors.hooks.interception.batches import HookedBatch
from greenroom.actors.hooks.interception.interceptor import HookedMessage
from greenroom.actors.scheduling.operation import in_own_realm, operation_in
from greenroom.actors.scheduling.threads import Elastic
from greenroom.storage.common.checked_call import checked
from greenroom.storage.errors import InvalidOperation, ResourceLimitExceeded, ValidationError

from .call import Call
from .chain import AFTER_CHANGE, AFTER_READ, ALONE, ALONE_AFTER, Phase, ask
from .hook import (
    DEFAULT_TIMEOUT,
    Hook,
    HookFunction,
    HookInfo,
    HookOptions,
    KeywordOptions,
    checked_options,
    priority_of,
)
from .points import (
    AFTER,
    CONFLICT,
    CREATE,
    CREATION,
    CUSTOM,
    LIMIT,
    OPERATION,
    POINTS,
    can_veto,
    chain_of,
    kinds_of,
    resolve,
    way_of,
)
from .result import Outcome
from .services import HookedDelivery, HookServices
from .subject import Checked, Plain

if TYPE_CHECKING:
    from greenroom.actors.session.services import SessionServices

__all__ = ["HookHandle", "Hooks"]

MAX_HOOKS: Final = 1000


class Hooks:
    """Holds the hooks of a runtime by id, and by the points and messages at which they are called.

    Example:
        ```py
        def veto(context):
            if context.data["name"].endswith(".exe"):
                return HookResult.cancel("no programs here")

        handle = rt.hooks.register("BeforeArtifactStore", veto, priority="high")
        handle.unregister()
        ```
    """

    def __init__(
        self, delivery: HookedDelivery, services: SessionServices, elastic: Elastic, wait_limit: float
    ) -> None:
        self.services = HookServices(delivery, services, elastic, wait_limit)
        self._delivery = delivery
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._hooks: dict[str, Hook] = {}
        self._at: dict[str, list[Hook]] = {}
        """All hooks by point, in the order of their registration."""
        self._chains: dict[str, Phase] = {}
        """The enabled hooks by point, in the order of calling. A table is never changed, only replaced."""

    def __repr__(self) -> str:
        return f"<Hooks {len(self._hooks)} registered>"

    # -- registered hooks

    @checked
    def register(
        self,
        point: str,
        fn: HookFunction,
        name: str | None = None,
        priority: str | int = "normal",
        replayable: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        tags: Iterable[str] = (),
        **options: Unpack[KeywordOptions],
    ) -> HookHandle:
        """Register `fn(context)` to be called at a point. docs/control/hooks.md has the points and all answers.

        `priority` is "highest", "high", "normal", "low", "lowest" or a whole number: hooks with a higher one are called
        first, equal ones in the order of registration. `replayable`: each call is journaled with its data and result.
        `timeout`: seconds after which the caller goes on without the hook. `required`: a failure of the hook refuses
        the operation, after `retries` more tries, `retry_delay` seconds apart. `session_id`, `component` (a glob such
        as "tool:*") and `filter` select the operations for which it is called. `inline`: False always runs it on a
        guard thread, True always on its caller's thread (then no timeout can free the caller), None on the caller's
        once it has proved quick. After `failure_threshold` failures or calls slower than `slow_after` seconds (default:
        half the timeout) in a row, or after one timeout, the hook is skipped for `cooldown` seconds.

        `fn` may be an `async def`; it then runs in an event loop of its own. A hook that a session's code registers
        acts for that session, and is called for what that session can access. Raises ValidationError, and
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
            **options,
        )

    def register_at(
        self, points: tuple[str, ...], fn: HookFunction, *, thread: int | None = None, **options: Unpack[HookOptions]
    ) -> HookHandle:
        """Register a function at resolved points; with `thread`, for calls on that thread only."""
        checked = checked_options(fn, options)
        current = operation_in(self._delivery.security)
        number = next(self._numbers)
        hook = Hook(
            id=f"hook-{number}",
            number=number,
            points=points,
            fn=fn,
            principal=current.principal if current is not None else None,
            realm=self._delivery.security,
            clock=self.services.clock.monotonic,
            thread=thread,
            language=(current.language if current is not None else None) or "python",
            **checked,
        )
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
        """Remove a hook, given by its handle or id, and return whether it was registered. A running call of it may
        end."""
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
        self.services.cache.forget(lambda key: key[0] == found.id)
        return True

    def enable(self, hook: HookHandle | str) -> None:
        """Enable a hook again and close its breaker. Raises InvalidOperation if it is not registered."""
        self._switch(hook, True)

    def disable(self, hook: HookHandle | str) -> None:
        """Skip a hook until it is enabled again. Raises InvalidOperation if it is not registered."""
        self._switch(hook, False)

    def _switch(self, hook: HookHandle | str, enabled: bool) -> None:
        with self._lock:
            found = self._present(hook)
            found.enabled = enabled
            if enabled:
                found.breaker.reset()
            self._rebuild(found)

    def info(self, hook: HookHandle | str) -> HookInfo:
        """Return the options and figures of a hook. Raises InvalidOperation if it is not registered."""
        with self._lock:
            return self._present(hook).info()

    @checked
    def list(
        self,
        point: str | None = None,
        tag: str | None = None,
        name: str | None = None,
        enabled: bool | None = None,
        session_id: str | None = None,
        language: str | None = None,
        priority: str | int | None = None,
    ) -> list[HookInfo]:
        """Return the hooks that match all given criteria, in the order of calling. Code of a session sees only its
        own."""
        level = priority_of(priority) if priority is not None else None
        points = resolve(point) if point is not None else None
        own = self._delivery.security.principal()
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
            and (language is None or hook.language == language)
            and (level is None or hook.priority == level)
        ]

    @checked
    def _own(self, hook: HookHandle | str) -> Hook | None:
        """Return a hook that the running code may change, or None. Code of a session cannot see others' hooks. The
        caller holds the lock."""
        found = self._hooks.get(hook.id if isinstance(hook, HookHandle) else hook)
        own = self._delivery.security.principal()
        return found if found is not None and own in (None, found.principal) else None

    def _present(self, hook: HookHandle | str) -> Hook:
        found = self._own(hook)
        if found is None:
            raise InvalidOperation("there is no such hook; it may have been unregistered")
        return found

    def _rebuild(self, changed: Hook) -> None:
        """Replace the tables that calls look into, each in one assignment. The caller holds the lock."""
        chains = dict(self._chains)
        for point in changed.points:
            there = sorted((each for each in self._at.get(point, ()) if each.enabled), key=_order)
            if there:
                chains[point] = tuple((point, hook) for hook in there)
            else:
                chains.pop(point, None)
        self._chains = chains
        hooked = dict(self._delivery.hooked)
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
                hooked[kind] = HookedMessage(self.services, kind, before, after, conflict, limit)
            else:
                hooked.pop(kind, None)
        hooked.pop(m.Batch, None)
        if hooked:
            hooked[m.Batch] = HookedBatch(self.services, hooked)
        self._delivery.hooked = hooked

    def _phase(self, *points: str | None) -> Phase:
        """Return the hooks of these points, one after the other."""
        phase: Phase = ()
        for point in points:
            if point is not None:
                phase += self._chains.get(point, ())
        return phase

    def at(self, point: str) -> Phase | None:
        """Return the enabled hooks of a point, or None. This is one look into a table."""
        return self._chains.get(point)

    @property
    def has_shared(self) -> bool:
        """Whether there are hooks that are not a script's alone."""
        return not all(hook.thread is not None for hook in [*self._hooks.values()])

    def any(self, *points: str | None) -> bool:
        """Return whether there is an enabled hook at one of these points."""
        chains = self._chains
        return bool(chains) and any(point in chains for point in points)

    # -- operations with hooks around them

    @property
    def _realm(self) -> object:
        return self._delivery.security

    @in_own_realm
    def fire(
        self,
        point: str,
        data: Mapping[str, Any],
        *,
        session_id: str | None = None,
        component: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        operation: str | None = None,
    ) -> Outcome:
        """Call the hooks of a point that stands alone, such as one of your own ("custom:deploy"). `operation` is the
        operation's name in the context; by default it is the point.

        Raises HookCancelled if one of them cancels or a required one fails. Code of a session may fire custom points,
        for sessions that it can access.
        """
        point = _one(point)
        self._require(point, session_id)
        phase = self._chains.get(point)
        if phase is None:
            return Outcome(dict(data))
        call, subject = self._call(operation or point, data, session_id, component, metadata, timeout)
        try:
            left: Any = ask(phase, call, subject, ALONE if can_veto(point) else ALONE_AFTER)
        finally:
            call.journal()
        decision = call.decision
        if decision is None or decision.kind == "retry":
            return Outcome(left.data)
        return Outcome(left.data, decision.kind, decision.value, decision.target)

    @in_own_realm
    def around(
        self,
        data: Mapping[str, Any],
        perform: Callable[[dict[str, Any], str | None], Any],
        *,
        before: str | None = None,
        after: str | None = None,
        error: str | None = None,
        session_id: str | None = None,
        component: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        operation: str | None = None,
    ) -> Any:
        """Perform an operation of your own with hooks around it. Return its reply as they leave it.

        `perform(data, target)` is called with the data as the hooks before it leave them, and with the target to which
        one of them redirected, else None. Hooks after it see its reply as `result`, hooks at its failure its `error`.
        Raises the errors of `perform`, and HookCancelled.
        """
        before, after, error = (_one(each) if each is not None else None for each in (before, after, error))
        for point in (before, after, error):
            if point is not None:
                self._require(point, session_id)
        first, then, failed, limit = (self._phase(each) for each in (before, after, error, LIMIT))
        if not (first or then or failed or limit):
            return settled(perform(dict(data), None))
        name = operation or before or after or error or "operation"
        call, subject = self._call(name, data, session_id, component, metadata, timeout)

        def failures(error: BaseException) -> Phase:
            return failed + limit if isinstance(error, ResourceLimitExceeded) else failed

        return around(
            call, subject, first, then, failures, lambda _, left, target: perform(left.data, target), AFTER_READ
        )

    def creation(
        self,
        data: Mapping[str, Any],
        create: Callable[[dict[str, Any], str | None], Any],
        check: Callable[[dict[str, Any]], object],
    ) -> Any:
        """Create a session with the hooks and the middleware around it. `create` returns an object with its `id`;
        `check` raises an error if it refuses data that a hook has changed."""
        call, _ = self._call("CreateSession", data, None, None, None, self.services.wait_limit)
        subject = call.original = Checked(dict(data), check)
        limit = self._phase(LIMIT)

        def perform(call: Call, left: Any, target: str | None) -> Any:
            session = create(left.data, target)
            call.session_id = session.id
            return session

        return around(
            call,
            subject,
            self._phase(OPERATION, CREATE, "BeforeSessionCreated"),
            self._phase("SessionCreated", CREATE + AFTER, OPERATION + AFTER),
            lambda error: limit if isinstance(error, ResourceLimitExceeded) else (),
            perform,
            AFTER_CHANGE,
        )

    @property
    def creating(self) -> bool:
        """Whether there is a hook at the creation of sessions."""
        return bool(self._chains) and self.any(*CREATION)

    def _call(
        self,
        operation: str,
        data: Mapping[str, Any],
        session_id: str | None,
        component: str | None,
        metadata: Mapping[str, Any] | None,
        timeout: float | None,
    ) -> tuple[Call, Plain]:
        subject = Plain(dict(data))
        notes = {"operation": operation, **metadata} if metadata is not None else None
        return Call(self.services, subject, operation, session_id, timeout).with_facts(component, notes), subject

    def _require(self, point: str, session_id: str | None) -> None:
        principal = self._delivery.security.principal()
        if principal is None or session_id is None:
            return
        if point.startswith(CUSTOM):
            self._delivery.security.require(session_id, "hooks.fire", "write")

    def close(self) -> None:
        """End the waits of hooks that are about to be tried again. Running hooks are left to the elastic threads."""
        self.services.closing.set()


class HookHandle:
    """A registered hook, for the code that registered it. As a context manager it unregisters the hook at the end."""

    __slots__ = ("_hooks", "id")

    def __init__(self, hooks: Hooks, hook_id: str) -> None:
        self._hooks = hooks
        self.id = hook_id

    def __repr__(self) -> str:
        return f"<HookHandle {self.id}>"

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def unregister(self) -> bool:
        """Unregister the hook, and return whether it was still registered."""
        return self._hooks.unregister(self)

    def enable(self) -> None:
        """Enable the hook again and close its breaker. Raises InvalidOperation if it was unregistered."""
        self._hooks.enable(self)

    def disable(self) -> None:
        """Skip the hook until it is enabled again. Raises InvalidOperation if it was unregistered."""
        self._hooks.disable(self)

    def info(self) -> HookInfo:
        """Return its options and figures. Raises InvalidOperation if it was unregistered."""
        return self._hooks.info(self)


def _one(point: str) -> str:
    """Return the one point that a name means, in any spelling. Raises ValidationError."""
    if point in POINTS or (isinstance(point, str) and point.startswith(CUSTOM)):
        return point
    found = resolve(point)
    if len(found) > 1:
        raise ValidationError(f"point: {point!r} means {' and '.join(found)}: name one of them", field="point")
    return found[0]


_order: Final = operator.attrgetter("order")
