"""A phase of an operation: the hooks of its points, called one after the other, highest priority first."""

from __future__ import annotations

import re
from time import monotonic
from typing import Any, Final, NamedTuple

from greenroom.actors.messages.core import Message, PendingEvent
from greenroom.actors.scheduling.operation import CURRENT, Operation
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.interrupts import by_signal
from greenroom.storage.errors import GreenroomError, HookCancelled, InvalidOperation, ValidationError

from .call import Call
from .context import CALLING, HookContext
from .guard import GuardsTaken, HookTimeout
from .hook import PASSED, SLOW_INLINE, Hook
from .result import CONTINUE, HookResult, NoResult, is_awaitable, result_of
from .subject import Subject, bounded, error_name, result_row

__all__ = [
    "AFTER_CHANGE",
    "AFTER_PART_CHANGE",
    "AFTER_PART_READ",
    "AFTER_READ",
    "ALONE",
    "ALONE_AFTER",
    "BEFORE",
    "BEFORE_PART",
    "FAILED",
    "FAILED_PART",
    "MAX_NESTING",
    "Phase",
    "Role",
    "ask",
]

logger = logger_of("hooks")

Phase = tuple[tuple[str, Hook], ...]
"""The hooks of a phase, each with the point at which it is called, in the order of calling."""

MAX_NESTING: Final = 16
"""How many hooks may be running above an operation."""


class Role(NamedTuple):
    """What the hooks of a phase may decide."""

    kinds: frozenset[str]
    repeats_hook: bool = False
    """Whether a retry calls the hook again. If not, it performs the operation again."""
    performed: bool = False
    """Whether the operation has been performed, so that a refusal concerns its reply."""
    closes: bool = False
    """Whether an invalid answer refuses the operation: it may have been meant as a veto."""


_ANY: Final = frozenset({"continue", "modified", "skipped", "fork", "replace"})

BEFORE: Final = Role(_ANY | {"cancel", "redirect", "retry", "cache"}, repeats_hook=True, closes=True)
BEFORE_PART: Final = Role(_ANY | {"cancel", "retry"}, repeats_hook=True, closes=True)
"""For one part of an operation that is performed as a whole."""
AFTER_READ: Final = Role(_ANY | {"cancel", "retry"}, performed=True)
AFTER_CHANGE: Final = Role(_ANY | {"retry"}, performed=True)
"""For a point at which it is too late to refuse."""
AFTER_PART_READ: Final = Role(_ANY | {"cancel"}, performed=True)
AFTER_PART_CHANGE: Final = Role(_ANY, performed=True)
FAILED: Final = Role(_ANY | {"cancel", "redirect", "retry"})
FAILED_PART: Final = Role(frozenset({"continue", "modified", "skipped", "fork"}))
"""For the failure of an operation that is performed as a part of a whole."""
ALONE: Final = Role(_ANY | {"cancel", "redirect", "retry"}, repeats_hook=True, closes=True)
"""For a point of its own, before something that has not happened yet."""
ALONE_AFTER: Final = Role(ALONE.kinds, repeats_hook=True)
"""For a point of its own that reports something that has happened."""


def ask(phase: Phase, call: Call, subject: Subject, role: Role) -> Subject:
    """Call the hooks of a phase, and return the subject as they leave it. Their decision is in `call.decision`.

    Raises HookCancelled if one of them cancels or a required one fails, and OperationTimeout if the operation has no
    time left.
    """
    call.decision = None
    current, outer = CURRENT.get(), CALLING.get()
    within = current.within if current is not None else ()
    if len(within) >= MAX_NESTING:
        raise InvalidOperation(f"hooks are nested deeper than {MAX_NESTING}: they call for each other without end")
    services = call.services
    assert services is not None
    for point, hook in phase:
        if hook.id in within:
            continue
        if not hook.everywhere and not hook.concerns(call, services.can_access, current):
            continue
        breaker = hook.breaker
        if breaker.opened and not breaker.admits():
            if hook.required:
                raise _required(hook, point, call, role, "is skipped after its failures")
            continue
        if not hook.guarded:
            # The fast path of a quick hook that decides nothing: `_call_inline`, without the call.
            context = HookContext(call, point, subject, 1, outer)
            inner = hook.alone if current is None else hook.operation(current)
            answer, error, begun = None, None, monotonic()
            try:
                CALLING.set(context)
                CURRENT.set(inner)
                answer = hook.run(context)
            except (Exception, SystemExit) as failure:
                error = failure
            except BaseException:
                breaker.release()
                raise
            finally:
                CURRENT.set(current)  # first of all: see `greenroom.actors.operation.changed`
                CALLING.set(outer)
            seconds = monotonic() - begun
            hook.total_time += seconds
            if seconds > SLOW_INLINE:
                hook.took_long()
            if answer is None and error is None and not hook.replayable and seconds <= hook.slow_after:
                hook.calls += 1
                if breaker.troubled:
                    breaker.good()
                if context.untouched:
                    continue
                hook.calls -= 1
            if answer is PASSED:
                breaker.release()
                continue
            first = context, answer, seconds, error
            subject, result = _ask_one(hook, point, call, subject, role, current, first)
        else:
            subject, result = _ask_one(hook, point, call, subject, role, current, None)
        kind = result.kind
        if kind == "continue":
            continue
        if kind == "cancel":
            raise _cancelled(hook, point, call, role, result.reason)
        if kind == "fork":
            _fork(result.operations, call, hook, point, current)
        elif kind in ("redirect", "cache"):
            if kind == "redirect" and hook.principal is not None and _SESSION.fullmatch(str(result.target)):
                # Whoever's operation this is, a session's hook may redirect it only to what that session can access.
                security = services.delivery.security
                security.require(str(result.target), f"hook:{hook.name}", "write", principal=hook.principal)
            # The hooks after it are still called, for instance to refuse.
            call.decision, call.decider = result, hook.id
        elif kind in ("replace", "retry"):
            call.decision, call.decider = result, hook.id
            break
    return subject


_SESSION: Final = re.compile(r"[^-]{8}(-[^-]{4}){3}-[^-]{12}")
"""Matches what could be the id of a session, or of the state of a scope. Other targets are names of tools and
agents."""

_First = tuple[HookContext, Any, float, BaseException | None]


def _ask_one(
    hook: Hook,
    point: str,
    call: Call,
    subject: Subject,
    role: Role,
    current: Operation | None,
    first: _First | None,
) -> tuple[Subject, HookResult]:
    """Call one hook, again if it asks for that, or fails and may be retried. Return the subject as it leaves it, and
    its result: `continue` if it has failed and the operation goes on. `first`: the outcome of a call already made."""
    attempt = repeats = retries = 0
    while True:
        attempt += 1
        if first is not None:
            context, answer, seconds, error = first
            first = None
        else:
            context = HookContext(call, point, subject, attempt, CALLING.get())
            if hook.guarded:
                answer, seconds, error = _call_guarded(hook, context, call, current)
            else:
                answer, seconds, error = _call_inline(hook, context, current)
        if answer is PASSED:
            hook.breaker.release()
            return subject, CONTINUE
        if error is None and is_awaitable(answer):
            # A plain function returned an awaitable: from now on it is called on a thread with a loop.
            hook.waits()
            answer, seconds, error = _call_guarded(hook, context, call, current, answering=answer)
        if error is None:
            try:
                result = result_of(answer)
                if result.kind not in role.kinds:
                    raise NoResult(f"it answered {result.kind!r}, which has no meaning at {point}", field="type")
                changed = _adopted(context, subject, result)
            except Exception as refused:
                if by_signal(refused):
                    raise
                error = refused
        if error is None:
            _went_well(hook, point, call, context, subject, changed, result, seconds)
            if result.kind != "retry" or not role.repeats_hook:
                return changed, result
            repeats += 1
            if repeats > result.max_attempts:
                return changed, HookResult("cancel", reason=f"not ready after {result.max_attempts} retries")
            subject = changed
            call.pause(result.delay)
            continue
        # The breaker must not skip a hook whose answer refuses the operation each time: then the operation would go on.
        refuses = role.closes and isinstance(error, NoResult)
        _failed(hook, point, call, subject, attempt, seconds, error, counts=not refuses)
        if isinstance(error, HookTimeout) and call.is_late():
            raise call.late() from error
        retries += 1
        if retries <= hook.retries and hook.breaker.admits():
            call.pause(hook.retry_delay)
            continue
        if refuses:
            raise _no_result(hook, point, call, error) from error
        if hook.required:
            raise _required(hook, point, call, role, f"failed ({error_name(error)})") from error
        return subject, CONTINUE


def _call_inline(
    hook: Hook, context: HookContext, current: Operation | None
) -> tuple[Any, float, BaseException | None]:
    """Call the function on this thread. Return its answer, the seconds it took, and the error it raised."""
    inner = hook.alone if current is None else hook.operation(current)
    answer, error = None, None
    begun = monotonic()
    outer = context.outer
    try:
        CALLING.set(context)
        CURRENT.set(inner)
        answer = hook.run(context)
    except BaseException as failure:
        if not isinstance(failure, (Exception, SystemExit)) or by_signal(failure):
            hook.breaker.release()
            raise
        error = failure
    finally:
        CURRENT.set(current)
        CALLING.set(outer)
    seconds = monotonic() - begun
    hook.total_time += seconds
    if seconds > SLOW_INLINE:
        hook.took_long()
    return answer, seconds, error


def _call_guarded(
    hook: Hook, context: HookContext, call: Call, current: Operation | None, answering: Any = None
) -> tuple[Any, float, BaseException | None]:
    """Call the function on a guard thread, for at most the hook's timeout and the time that the operation has left.
    With `answering`, an awaitable that the function has returned, await that instead."""
    run = hook.run if answering is None else lambda _: answering
    assert call.services is not None
    left = call.remaining()
    timeout = hook.timeout if left is None else min(hook.timeout, max(0.0, left))
    call.allowed = timeout
    inner = hook.operation(current)
    begun = monotonic()
    try:
        CALLING.set(context)
        CURRENT.set(inner)
        answer, seconds = call.services.guard.call(run, context, timeout)
    except BaseException as error:
        if not isinstance(error, (Exception, SystemExit)) or by_signal(error):
            hook.breaker.release()
            raise
        return None, monotonic() - begun, error
    finally:
        CURRENT.set(current)
        CALLING.set(context.outer)
    hook.took(seconds)
    return answer, seconds, None


def _adopted(context: HookContext, subject: Subject, result: HookResult) -> Subject:
    """Return the subject with the hook's changes to the data. Raises NoResult if the operation refuses them."""
    if result.kind != "modified" and context.untouched:
        return subject
    try:
        if result.kind == "modified":
            assert result.data is not None
            return subject.changed({**context.data, **result.data})
        data = context.data
        return subject.changed(data) if data != subject.view() else subject
    except Exception as error:
        if by_signal(error):
            raise
        why = str(error) if isinstance(error, GreenroomError) else type(error).__name__
        raise NoResult(f"its change of the data is refused: {why}", field="data") from error


def _went_well(
    hook: Hook,
    point: str,
    call: Call,
    context: HookContext,
    subject: Subject,
    changed: Subject,
    result: HookResult,
    seconds: float,
) -> None:
    hook.calls += 1
    if seconds <= hook.slow_after:
        hook.breaker.good()
    elif hook.breaker.bad():
        logger.warning("hook %s at %s is skipped for a while: it is slow", hook.name, point)
    if hook.replayable:
        if changed is not subject and result.kind == "continue":
            result = HookResult("modified", data=context.data)
        call.record(execution(hook, point, call.operation, context.attempt, subject.view(), result, seconds, None))


def _failed(
    hook: Hook,
    point: str,
    call: Call,
    subject: Subject,
    attempt: int,
    seconds: float,
    error: BaseException,
    *,
    counts: bool,
) -> None:
    """Record that a hook has failed; with `counts`, count it for its breaker too."""
    timed_out = isinstance(error, HookTimeout)
    hook.calls += 1
    hook.failures += 1
    hook.timeouts += timed_out
    hook.last_error = error_name(error)
    if timed_out:
        hook.total_time += seconds
    if isinstance(error, GuardsTaken) or not counts:
        hook.breaker.release()
        opened = False
    else:
        opened = hook.breaker.bad(at_once=timed_out)
    logger.warning(
        "hook %s failed at %s%s: %s%s",
        hook.name,
        point,
        f" of {call.about}" if call.about is not None else "",
        error,
        "; it is skipped for a while" if opened else "",
        exc_info=None if isinstance(error, GreenroomError) else error,
    )
    data = subject.view() if hook.replayable else {}
    call.record(execution(hook, point, call.operation, attempt, data, None, seconds, error))


def _cancelled(hook: Hook, point: str, call: Call, role: Role, reason: str) -> HookCancelled:
    what = call.operation or point
    return HookCancelled(
        (f"the reply of {what} is withheld" if role.performed else f"{what} was refused")
        + f" by hook {hook.name!r} at {point}"
        + (f": {reason}" if reason else ""),
        hook=hook.name,
        point=point,
        reason=reason,
    )


def _no_result(hook: Hook, point: str, call: Call, error: BaseException) -> HookCancelled:
    return HookCancelled(
        f"{call.operation or point} was refused: the answer of hook {hook.name!r} at {point} is no result; {error}",
        hook=hook.name,
        point=point,
        reason=str(error),
    )


def _required(hook: Hook, point: str, call: Call, role: Role, why: str) -> HookCancelled:
    what = call.operation or point
    done = f"{what} was performed, but" if role.performed else f"{what} was refused:"
    return HookCancelled(
        f"{done} hook {hook.name!r} at {point} is required and {why}", hook=hook.name, point=point, reason=why
    )


def execution(
    hook: Hook,
    point: str,
    operation: str | None,
    attempt: int,
    data: dict[str, Any],
    result: HookResult | None,
    seconds: float,
    error: BaseException | None,
) -> PendingEvent:
    """Return the event of one execution. `duration` is in microseconds; `error` is the class of the error that failed
    it."""
    facts: dict[str, Any] = {
        "hook": hook.name,
        "hook_id": hook.id,
        "point": point,
        "operation": operation,
        "attempt": attempt,
        "duration": int(seconds * 1e6),
        "replayable": hook.replayable,
        "error": error_name(error) if error is not None else None,
        "data": None,
        "result": None,
    }
    if hook.replayable:
        facts["data"], cut = bounded(data)
        if result is not None:
            facts["result"], cut_too = bounded(result_row(result))
            cut = cut or cut_too
        if cut:
            facts["cut"] = True
    return PendingEvent("hook.executed", facts)


def _fork(operations: tuple[Any, ...], call: Call, hook: Hook, point: str, current: Operation | None) -> None:
    """Run the operations of a hook's `fork` in the background, with the hook's permissions."""
    services = call.services
    assert services is not None

    def attempt(operation: Any) -> None:
        try:
            if callable(operation):
                operation()
                return
            session_id, message = operation if isinstance(operation, tuple) else (call.recipient, operation)
            if not isinstance(message, Message) or session_id is None:
                raise ValidationError("fork: messages, pairs (session id, message) and callables are operations")
            services.delivery.ask(session_id, message, services.wait_limit)
        except Exception as error:
            logger.error("an operation forked by hook %s at %s failed: %s", hook.name, point, type(error).__name__)
            call_of_fork = Call(services, call.original, call.operation, call.session_id)
            call_of_fork.address = call.address
            call_of_fork.record(execution(hook, f"{point}:fork", call.operation, 1, {}, None, 0.0, error))
            call_of_fork.journal()

    inner = hook.operation(current)
    try:
        CURRENT.set(inner)
        for operation in operations:
            services.besides(lambda each=operation: attempt(each), f"an operation forked by hook {hook.name}")  # type: ignore[misc]
    finally:
        CURRENT.set(current)
