"""Resources: budgets of tokens and money, alerts before a limit is reached, and reports of refusals.

Operations, artifacts and stored bytes are refused when commands are decided. Tokens and cost are known only when an
agent has returned, so the refusal concerns the next call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.internal import Consumption
from greenroom.storage.errors import ResourceLimitExceeded

from .collected import COLLECTED, held
from .limits import MICRO, UNLIMITED, Limits
from .records import kept
from .usage import cost_used, returned_use, tokens_used

if TYPE_CHECKING:
    from .model import SessionState

__all__ = [
    "AT_ONCE",
    "METERED",
    "NEVER",
    "Alarms",
    "alerted",
    "consumption",
    "first_alarms",
    "is_alert",
    "may_alert",
    "over_operation",
    "policy_notes",
    "require_budget",
]

METERED: Final = frozenset({"agent.returned"})
"""Events that use up tokens and money."""
_RESOURCES: Final = (
    "operations",
    "artifacts",
    "storage_bytes",
    "collected_artifacts",
    "collected_bytes",
    "tokens",
    "cost_usd",
)
_ENDS: Final = frozenset({"session.completed", "session.failed", "session.archived"})


def require_budget(state: SessionState, limits: Limits) -> None:
    """Raise ResourceLimitExceeded if the session's budget is used up, so that it may not call a model any more."""
    for resource, value, limit in _budgets(state, limits):
        if limit is not None and value >= limit:
            raise ResourceLimitExceeded(
                f"session {state.id} has used its budget of {_shown(resource, limit)}: "
                "raise the limit, or go on in a new session",
                resource=resource,
                limit=_in_unit(resource, limit),
                value=_in_unit(resource, value),
            )


def over_operation(session_id: str, limits: Limits, tokens: int) -> ResourceLimitExceeded | None:
    """Return the error for one call that has used more tokens than one call may; None if it has not."""
    limit = limits.max_tokens_per_operation
    if limit is None or tokens <= limit:
        return None
    return ResourceLimitExceeded(
        f"one call of session {session_id} may use {limit} tokens, this one has used {tokens}: ask for less at once",
        resource="tokens_per_operation",
        limit=limit,
        value=tokens,
    )


def consumption(state: SessionState, limits: Limits) -> dict[str, Consumption]:
    """Return how much of each resource a session has used."""
    has, records = held(state), kept(state)
    found = {
        resource: Consumption(value, None if limit >= UNLIMITED else limit)
        for resource, value, limit in (
            ("operations", state.operation_count, limits.max_operations),
            ("artifacts", has.artifacts, limits.max_artifacts),
            ("storage_bytes", has.bytes, limits.max_storage_bytes),
            ("collected_artifacts", has.collected, limits.max_collected_artifacts),
            ("collected_bytes", has.collected_bytes, limits.max_collected_bytes),
            ("records", records.records, limits.max_records),
            ("record_bytes", records.bytes, limits.max_record_bytes),
            ("state_bytes", state.variables_weight, limits.max_state_bytes),
        )
    }
    for resource, used, most in _budgets(state, limits):
        found[resource] = Consumption(_in_unit(resource, used), None if most is None else _in_unit(resource, most))
    return found


def _budgets(state: SessionState, limits: Limits) -> Iterator[tuple[str, int, int | None]]:
    yield "tokens", tokens_used(state), limits.max_tokens
    yield "cost_usd", cost_used(state), limits.max_cost


def _in_unit(resource: str, amount: int) -> float:
    return amount / MICRO if resource == "cost_usd" else amount


def _shown(resource: str, amount: int) -> str:
    return f"{amount / MICRO:g} USD" if resource == "cost_usd" else f"{amount} {resource}"


# -- what the journal is told


class Alarms(NamedTuple):
    """The amounts at which the next alerts may be due. Below all of them no check is needed."""

    operations: float
    artifacts: float
    bytes: float
    collected: float
    collected_bytes: float


AT_ONCE: Final = Alarms(0, 0, 0, 0, 0)
NEVER: Final = Alarms(math.inf, math.inf, math.inf, math.inf, math.inf)


def first_alarms(state: SessionState, limits: Limits) -> Alarms:
    """Return the amounts at which the next alerts are due."""
    return Alarms(
        _alarm(state, limits, "operations", limits.max_operations),
        _alarm(state, limits, "artifacts", limits.max_artifacts),
        _alarm(state, limits, "storage_bytes", limits.max_storage_bytes),
        _alarm(state, limits, "collected_artifacts", limits.max_collected_artifacts),
        _alarm(state, limits, "collected_bytes", limits.max_collected_bytes),
    )


def may_alert(state: SessionState, alarms: Alarms, drafts: Sequence[PendingEvent]) -> bool:
    """Return whether events may use up so much that an alert or a violation is due."""
    if len(drafts) > 1:
        return any(artifacts or type_ in METERED for type_, _, artifacts, _ in drafts)
    type_, data, artifacts, size = drafts[0]
    if not artifacts:
        return type_ in METERED
    has = held(state)
    if COLLECTED in data:
        return has.collected + artifacts >= alarms.collected or has.collected_bytes + size >= alarms.collected_bytes
    return has.artifacts + artifacts >= alarms.artifacts or has.bytes + size >= alarms.bytes


def _alarm(state: SessionState, limits: Limits, resource: str, limit: int) -> float:
    given = _given(state, resource, limit)
    due = [each for each in limits.alert_thresholds if each > given]
    return math.ceil(limit * min(due) / 100) if due else math.inf


def policy_notes(
    state: SessionState,
    limits: Limits,
    drafts: Sequence[PendingEvent],
    operations: int,
    refused: dict[str, list[Any]] | None,
) -> list[PendingEvent]:
    """Return the events that a commit of these drafts brings with it: alerts for the thresholds that it crosses,
    violations of budgets that it overdraws, and reports of earlier refusals."""
    notes: list[PendingEvent] = []
    ends = any(each.type in _ENDS for each in drafts)  # nobody need be warned of something that is over
    tokens, cost = tokens_used(state), cost_used(state)
    more_tokens = more_cost = 0
    artifacts, size, outputs, output_size = held(state)
    for type_, data, more_artifacts, more_bytes in drafts:
        if COLLECTED in data:
            outputs += more_artifacts
            output_size += more_bytes
        else:
            artifacts += more_artifacts
            size += more_bytes
        if type_ in METERED:
            used = returned_use(data)
            more_tokens += used[0]
            more_cost += used[1]
    for resource, value, limit, more in (
        ("operations", operations, limits.max_operations, 0),
        ("artifacts", artifacts, limits.max_artifacts, 0),
        ("storage_bytes", size, limits.max_storage_bytes, 0),
        ("collected_artifacts", outputs, limits.max_collected_artifacts, 0),
        ("collected_bytes", output_size, limits.max_collected_bytes, 0),
        ("tokens", tokens + more_tokens, limits.max_tokens, more_tokens),
        ("cost_usd", cost + more_cost, limits.max_cost, more_cost),
    ):
        if not limit or limit >= UNLIMITED:
            continue
        shown = {"resource": resource, "value": _in_unit(resource, value), "limit": _in_unit(resource, limit)}
        given = _given(state, resource, limit)
        crossed = max((each for each in limits.alert_thresholds if value * 100 >= each * limit), default=0)
        if crossed > given and not ends:
            notes.append(PendingEvent("policy.warning", {"policy": "resources", "threshold": crossed, **shown}))
        if value - more <= limit < value and more:
            notes.append(PendingEvent("policy.violated", {"policy": "resources", **shown}))
    for resource, (policy, refused_limit, times) in (refused or {}).items():
        data = {"policy": policy, "resource": resource, "limit": refused_limit, "refused": times}
        notes.append(PendingEvent("policy.violated", data))
    return notes


def _given(state: SessionState, resource: str, limit: int) -> float:
    """Return the highest threshold of the present limit for which a warning was given."""
    alert = state.more.get("alerts", {}).get(resource)
    return alert[0] if alert is not None and alert[1] == _in_unit(resource, limit) else 0


def is_alert(data: dict[str, Any]) -> bool:
    """Return whether the data of a `policy.warning` from outside have the form of a warning about a resource."""
    numbers = (data.get("threshold"), data.get("limit"))
    return data.get("resource") in _RESOURCES and all(type(each) in (int, float) for each in numbers)


def alerted(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold a `policy.warning` about a resource."""
    alerts = state.more.setdefault("alerts", {})
    alerts[data["resource"]] = [data["threshold"], data["limit"]]
