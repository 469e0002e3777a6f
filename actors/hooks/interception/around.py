"""Run a whole operation with its hooks: those before it, after it, and at its failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from greenroom.actors.hooks.call import Call
from greenroom.actors.hooks.chain import BEFORE, FAILED, Phase, Role, ask
from greenroom.actors.hooks.result import MAX_ATTEMPTS, HookResult
from greenroom.actors.hooks.subject import Failure, Reply, Subject
from greenroom.actors.messages.artifacts import StoreArtifact, StoreMany
from greenroom.actors.messages.parameters import MessageSubject

__all__ = ["Answered", "Performed", "around", "conclude", "go_on", "prepare", "settled"]


Perform = Callable[[Call, Any, str | None], Any]
Failures = Callable[[BaseException], Phase]


class Answered(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def prepare(
    call: Call, subject: Subject, before: Phase, role: Role = BEFORE
) -> tuple[Subject, str | None, HookResult | None]:
    """Call the hooks before an operation. Return its subject as they leave it, another target if one redirects it, and
    the result that says how to keep its reply.

    Raises `Answered` with the reply if a hook has answered instead, HookCancelled, OperationTimeout.
    """
    subject = ask(before, call, subject, role)
    if call.decision is None:
        return subject, None, None
    return subject, *_decided(call, subject, call.decision)


def _decided(call: Call, subject: Subject, decision: HookResult) -> tuple[str | None, HookResult | None]:
    if decision.kind == "replace":
        raise Answered(decision.value)
    if decision.kind == "redirect":
        return decision.target, None
    if isinstance(subject, MessageSubject) and subject.crosses(call.recipient or ""):
        return None, None  # the owner is asked each time: it may have revoked the grant
    assert call.services is not None
    found, reply = call.services.cache.get(_cache_key(call, decision))
    if found:
        raise Answered(reply)
    return None, decision


def _cache_key(call: Call, decision: HookResult) -> tuple[Any, ...]:
    assert call.decider is not None
    return call.decider, call.session_id, call.operation, call.component, decision.key


Settle = Callable[[Any, BaseException | None], Any]


class Performed(NamedTuple):
    """An operation that was performed and is not journaled yet: the hooks after it, or at its failure, come first.

    `settle(reply, error)` journals the outcome: the reply as the hooks leave it, or an error. It returns the caller's
    reply.
    """

    reply: Any
    error: Exception | None
    settle: Settle


def settled(reply: Any) -> Any:
    """Return the reply of an operation without hooks after it, once it is journaled. Raises its error."""
    if reply.__class__ is not Performed:
        return reply
    if reply.error is not None:
        reply.settle(None, reply.error)
        raise reply.error
    return reply.settle(reply.reply, None)


def _concluded(
    call: Call, subject: Any, reply: Any, settle: Settle | None, after: Phase, role: Role
) -> tuple[Any, bool]:
    """Call the hooks after an operation. Return the reply as they leave it, and whether to perform the operation
    again."""
    if not after:
        return reply, False
    try:
        reply = ask(after, call, Reply(subject, reply), role).reply  # type: ignore[attr-defined]
    except BaseException as error:  # the reply is withheld, from the journal too
        if settle is not None:
            settle(None, error)
        raise
    decision = call.decision
    if decision is not None and decision.kind == "replace":
        return decision.value, False
    return reply, decision is not None and decision.kind == "retry"


def conclude(
    call: Call,
    subject: Any,
    target: str | None,
    keep: HookResult | None,
    perform: Perform,
    after: Phase,
    failures: Failures,
    role: Role,
) -> Any:
    """Perform an operation and call the hooks after it, or at its failure; repeat it when they say so. The outcome is
    journaled after the hooks."""
    decider = call.decider
    tries = 0
    source = _source(subject)
    while True:
        settle: Settle | None = None
        failure: Exception | None = None
        again = False
        try:
            reply = perform(call, subject, target)
            if reply.__class__ is Performed:
                settle, failure, reply = reply.settle, reply.error, reply.reply
        except Exception as error:
            failure = error
        if failure is None:
            reply, again = _concluded(call, subject, reply, settle, after, role)
            if settle is not None:
                try:
                    reply = settle(reply, None)
                except Exception as error:
                    failure, settle = error, None
        if failure is None:
            decision = call.decision if after else None
            if not again or decision is None or tries >= decision.max_attempts:
                break
            source = _rewound(source, subject)
            if source is _SPENT:
                break
            tries += 1
            call.pause(decision.delay)
            continue
        phase = failures(failure)
        try:
            if not phase:
                raise failure
            subject = ask(phase, call, Failure(subject, failure), FAILED).source  # type: ignore[attr-defined]
        except BaseException as error:
            if settle is not None:
                settle(None, error)
            raise
        decision = call.decision
        if decision is not None and decision.kind == "replace":
            return settle(decision.value, None) if settle is not None else decision.value
        if settle is not None:
            settle(None, failure)
        if decision is None:
            raise failure
        source = _rewound(source, subject)
        if source is _SPENT or tries >= (MAX_ATTEMPTS if decision.kind == "redirect" else decision.max_attempts):
            raise failure
        if decision.kind == "redirect":
            target = decision.target
        else:
            call.pause(decision.delay)
        tries += 1
    if keep is not None:
        assert call.services is not None
        call.decider = decider
        call.services.cache.keep(_cache_key(call, keep), keep.ttl, reply)
    return reply


_Source = tuple[Any, int] | None
"""A file that an operation reads, and the position at which it begins; -1 if the file cannot be rewound."""
_SPENT: Final = (None, -1)


def _source(subject: Any) -> _Source:
    kind = subject.message.__class__ if isinstance(subject, MessageSubject) else None
    if kind is StoreMany:
        return next(((item.content, -1) for item in subject.message.items if hasattr(item.content, "read")), None)
    file = subject.message.content if kind is StoreArtifact else None
    if file is None or not hasattr(file, "read"):
        return None
    try:
        return file, file.tell() if file.seekable() else -1
    except (AttributeError, OSError, ValueError):
        return file, -1


def _rewound(source: _Source, subject: Any) -> _Source:
    """Return the source of an operation that is performed again, rewound to its beginning; `_SPENT` if it cannot be
    rewound."""
    now = _source(subject)
    if now is None or source is None or now[0] is not source[0]:
        return now
    try:
        if source[1] >= 0:
            source[0].seek(source[1])
            return source
    except (OSError, ValueError):
        pass
    return _SPENT


def _nothing(error: BaseException) -> Phase:
    return ()


def go_on(
    call: Call,
    subject: Subject,
    perform: Perform,
    role: Role,
    after: Phase = (),
    failures: Failures = _nothing,
) -> Any:
    """Perform an operation after the hooks before it were called, with everything that follows. Return its reply."""
    target = keep = None
    if call.decision is not None:
        try:
            target, keep = _decided(call, subject, call.decision)
        except Answered as answered:
            return answered.value
    return conclude(call, subject, target, keep, perform, after, failures, role)


def around(
    call: Call,
    subject: Subject,
    before: Phase,
    after: Phase,
    failures: Failures,
    perform: Perform,
    role: Role,
) -> Any:
    """Perform an operation with all of its hooks. Return its reply."""
    try:
        if before:
            subject = ask(before, call, subject, BEFORE)
        return go_on(call, subject, perform, role, after, failures)
    finally:
        if call.records is not None:
            call.journal()
