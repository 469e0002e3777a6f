"""A whole operation with its hooks: before it, after it, and at its failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .call import Call
from .chain import BEFORE, FAILED, Phase, Role, ask
from .result import MAX_ATTEMPTS, HookResult
from .subject import Failure, Reply, Subject

__all__ = ["Answered", "around", "conclude", "go_on", "prepare"]

Perform = Callable[[Call, Any, str | None], Any]
Failures = Callable[[BaseException], Phase]


class Answered(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def prepare(
    call: Call, subject: Subject, before: Phase, role: Role = BEFORE
) -> tuple[Subject, str | None, HookResult | None]:
    """Ask the hooks before an operation: what is to be performed, on which other target, and how to keep its reply.

    Raises `Answered` with the reply when nothing is to be performed, HookCancelled, OperationTimeout.
    """
    subject = ask(before, call, subject, role)
    if call.decision is None:
        return subject, None, None
    return subject, *_decided(call, call.decision)


def _decided(call: Call, decision: HookResult) -> tuple[str | None, HookResult | None]:
    if decision.kind == "replace":
        raise Answered(decision.value)
    if decision.kind == "redirect":
        return decision.target, None
    assert call.hooks is not None
    found, reply = call.hooks.cache.get(_cache_key(call, decision))
    if found:
        raise Answered(reply)
    return None, decision


def _cache_key(call: Call, decision: HookResult) -> tuple[Any, ...]:
    assert call.decider is not None
    return call.decider.id, call.session_id, call.operation, call.component, decision.key


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
    """Perform an operation and ask the hooks after it, or at its failure; again when they say so."""
    decider = call.decider
    tries = 0
    while True:
        try:
            reply = perform(call, subject, target)
        except Exception as error:
            phase = failures(error)
            if not phase:
                raise
            subject = ask(phase, call, Failure(subject, error), FAILED).source  # type: ignore[attr-defined]
            decision = call.decision
            if decision is None:
                raise
            if decision.kind == "replace":
                return decision.value
            if decision.kind == "redirect":
                if tries >= MAX_ATTEMPTS:
                    raise
                target = decision.target
            elif tries >= decision.max_attempts:
                raise
            else:
                call.pause(decision.delay)
            tries += 1
            continue
        if after:
            reply = ask(after, call, Reply(subject, reply), role).reply  # type: ignore[attr-defined]
            decision = call.decision
            if decision is not None:
                if decision.kind == "replace":
                    reply = decision.value
                elif decision.kind == "retry" and tries < decision.max_attempts:
                    tries += 1
                    call.pause(decision.delay)
                    continue
        break
    if keep is not None:
        assert call.hooks is not None
        call.decider = decider
        call.hooks.cache.keep(_cache_key(call, keep), keep.ttl, reply)
    return reply


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
    """What follows when the hooks before an operation have been asked; its reply."""
    target = keep = None
    if call.decision is not None:
        try:
            target, keep = _decided(call, call.decision)
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
    """The whole of it; the reply of the operation."""
    try:
        if before:
            subject = ask(before, call, subject, BEFORE)
        return go_on(call, subject, perform, role, after, failures)
    finally:
        if call.records is not None:
            assert call.hooks is not None
            call.hooks.journal(call)
