"""The host's own policies, and how to combine several into one.

A policy is a function that is asked about an operation before it is done. It allows the operation by returning None or
True, and refuses it by raising a GreenroomError or returning False. It runs on the caller's thread, so it must be
quick.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import AccessDenied, GreenroomError, InvalidOperation, ValidationError

__all__ = ["Policy", "Request", "parallel", "refusal_of", "refusals_of", "sequential", "voting"]

logger = logger_of("policies")


@dataclass(frozen=True, slots=True)
class Request:
    """The operation that a policy is asked about."""

    kind: str
    """llm_call, tool_execution, state_update, artifact_store, message, read, session_create, …"""
    session_id: str | None
    """The session that it concerns; None for creating one."""
    message: str
    """The class name of the message."""
    principal: str | None
    """The session for which the code acts; None: the host."""


Policy = Callable[[Request], Any]


def refusal_of(policy: Policy, request: Request) -> GreenroomError | None:
    """Return the error with which a policy refuses an operation; None if it allows it. A policy that fails refuses."""
    try:
        answer = policy(request)
        if answer is None or answer is True:
            return None
        if isinstance(answer, Coroutine):
            answer.close()
    except GreenroomError as error:
        return error
    except Exception as error:
        logger.exception("policy %s failed", _name(policy))
        return InvalidOperation(
            f"policy {_name(policy)} failed with {type(error).__name__}, so it lets nothing pass: mend or remove it",
            policy=_name(policy),
        )
    why = "" if answer is False else f": it answers None, True or False, and has answered with {type(answer).__name__}"
    return AccessDenied(
        f"policy {_name(policy)} does not let this {request.kind} pass{why}", policy=_name(policy), kind=request.kind
    )


def refusals_of(policies: Iterable[Policy], request: Request) -> list[GreenroomError]:
    return [error for policy in policies if (error := refusal_of(policy, request)) is not None]


@checked
def sequential(policies: Iterable[Policy]) -> Policy:
    """Ask one policy after the other; the first refusal holds, and the rest is not asked."""
    each_of = tuple(policies)

    def policy(request: Request) -> None:
        for each in each_of:
            error = refusal_of(each, request)
            if error is not None:
                raise error

    return policy


@checked
def parallel(policies: Iterable[Policy]) -> Policy:
    """Ask all policies, whatever the others say; the strictest refusal holds (see `strictest`)."""
    each_of = tuple(policies)

    def policy(request: Request) -> None:
        refusals = refusals_of(each_of, request)
        if refusals:
            raise strictest(refusals)

    return policy


@checked
def voting(policies: Iterable[Policy], threshold: float = 0.5) -> Policy:
    """Ask all policies; refuse if more than this share of them does (0: one is enough; 0.5: the majority)."""
    if not 0 <= threshold < 1:
        raise ValidationError("threshold: from 0 to less than 1", field="threshold")
    each_of = tuple(policies)

    def policy(request: Request) -> None:
        refusals = refusals_of(each_of, request)
        if refusals and len(refusals) > threshold * len(each_of):
            raise strictest(refusals)

    return policy


def strictest(refusals: list[GreenroomError]) -> GreenroomError:
    """Return the refusal that lasts longest: one without a time before those with one, then the longest wait first."""
    return max(refusals, key=lambda error: error.fields.get("retry_after", float("inf")))


def _name(policy: Policy) -> str:
    return str(getattr(policy, "__name__", type(policy).__name__))[:64]
