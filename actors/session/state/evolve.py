"""Evolve a state by events: one function for each type of event that changes more than the totals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.storage.events.index import APPROVAL_CLOSED, APPROVAL_REQUESTED
from greenroom.storage.events.journal import Run
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import ADDED, RETRACTED, STARTED
from greenroom.storage.records.model import RECORDS_CHANGED

from . import answers, approvals, collected, grants, records, schemas, shares
from .budgets import alerted
from .model import ACTIVE, ARCHIVED, COMPLETED, FAILED, GRANTS, SCOPES, SHARES, SUSPENDED, SessionState
from .timeout import restarted, warned
from .usage import account

__all__ = [
    "CONFIGURED",
    "DESCRIBED",
    "DROPPED_KEY",
    "NOT_INHERITED",
    "RENAMED",
    "Data",
    "configured",
    "evolve",
    "evolve_all",
]

Data = dict[str, Any]


def _created(state: SessionState, data: Data, time: int) -> None:
    state.name = data["name"]
    state.description = data["description"]
    state.created_by = data["created_by"]
    state.tags = data["tags"]
    state.metadata = data["metadata"]
    state.parent = data["parent"]
    state.config = data["config"]
    state.correlation_id = data["correlation_id"]
    state.key = data.get("key")
    state.created_at = time
    state.started_at = time


CONFIGURED: Final = "session.configured"

DROPPED_KEY: Final = "dropped_key"
"""The field of `session.imported` with the key that the session had elsewhere and that another one has here."""


def configured(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold a change of the configuration."""
    state.config = data["config"]


RENAMED: Final = "session.renamed"
DESCRIBED: Final = "session.described"


def _renamed(state: SessionState, data: Data, time: int) -> None:
    state.name = data["name"]


def _described(state: SessionState, data: Data, time: int) -> None:
    state.description = data["description"]


def _status(code: int, *, ends: bool = False) -> Callable[[SessionState, Data, int], None]:
    def change(state: SessionState, data: Data, time: int) -> None:
        state.status = code
        if ends:
            state.ended_at = time

    return change


def _resumed(state: SessionState, data: Data, time: int) -> None:
    state.status = ACTIVE
    restarted(state, data, time)


def _warned(state: SessionState, data: Data, time: int) -> None:
    (alerted if data["policy"] == "resources" else warned)(state, data, time)


def _failed(state: SessionState, data: Data, time: int) -> None:
    state.status = FAILED
    state.ended_at = time
    state.failure_reason = data["reason"]


NOT_INHERITED: Final[set[str]] = {"timeouts", GRANTS, SHARES, SCOPES, answers.ANSWERS, approvals.APPROVALS}

"""Names of entries in `SessionState.more` that belong to one session alone: a fork begins without them."""


def _forked(state: SessionState, data: Data, time: int) -> None:
    """Fold the event that follows a fork's copied events. The fork is a young session, whatever the original's
    status."""
    state.status = ACTIVE
    state.key = None
    state.parent = data["parent"]
    state.created_at = time
    state.started_at = time
    state.ended_at = None
    state.failure_reason = None
    for name in NOT_INHERITED:
        state.more.pop(name, None)


def _variable_set(state: SessionState, data: Data, time: int) -> None:
    key, value = data["key"], data["value"]
    old = state.variables.get(key)
    state.variables[key] = value
    state.variable_bytes += len(value) - len(old) if old is not None else len(key) + len(value)
    if state.more or len(data) > 2:
        schemas.set_with(state, data)
    if state.certain is not None:
        state.certain.add(key)


def _variable_deleted(state: SessionState, data: Data, time: int) -> None:
    old = state.variables.pop(data["key"], None)
    if old is not None:
        state.variable_bytes -= len(data["key"]) + len(old)
        if state.more:
            schemas.deleted(state, data["key"])
    if state.certain is not None:
        state.certain.add(data["key"])


def _metadata_updated(state: SessionState, data: Data, time: int) -> None:
    state.metadata = data["metadata"]


def _tags_changed(state: SessionState, data: Data, time: int) -> None:
    state.tags = data["tags"]


def _message_added(state: SessionState, data: Data, time: int) -> None:
    state.message_count += 1


def _message_retracted(state: SessionState, data: Data, time: int) -> None:
    state.message_count -= sum(last - first + 1 for first, last in data["turns"])


def _artifact_stored(state: SessionState, data: Data, time: int) -> None:
    state.last_artifact = data["sequence"]
    if collected.COLLECTED in data:
        collected.stored(state, data)
    types = state.artifact_types
    if types is not None:
        type_ = data["type"]
        types[type_] = types.get(type_, 0) + 1


def _artifact_deleted(state: SessionState, data: Data, time: int) -> None:
    grants.artifact_gone(state, data["sequence"])
    if collected.COLLECTED in data:
        collected.deleted(state, data)
    types = state.artifact_types
    type_ = data.get("type")  # events of format 1 have no type
    if types is None or type_ not in types:
        state.artifact_types = None
    elif types[type_] == 1:
        del types[type_]
    else:
        types[type_] -= 1


def _lost(state: SessionState, data: Data, time: int) -> None:
    """Fold the event that stands for one that damage has destroyed, with the facts that its witnesses have kept."""
    row = data.get("row")
    if row is not None:
        (
            state.status,
            state.name,
            state.description,
            state.created_by,
            state.tags,
            state.parent,
            state.metadata,
            state.created_at,
            state.started_at,
            state.ended_at,
            state.correlation_id,
            state.failure_reason,
            state.config,
            *key,
        ) = row
        state.key = key[0] if key else None
    if data.get("was") in (ADDED, STARTED):
        state.message_count += 1
    if data.get("was") in (RECORDS_CHANGED, None):
        records.lost(state, data, time)
    if data.get("was") is None:
        grants.forget(state)  # the lost event may have revoked one
        state.more.pop(approvals.APPROVALS, None)  # and it may have been an answer
        shares.forget(state)
        state.certain = set()
        state.more.pop(schemas.SCHEMAS, None)
        state.artifact_types = None


def _imported(state: SessionState, data: Data, time: int) -> None:
    restarted(state, data, time)
    if DROPPED_KEY in data:
        state.key = None
    grants.forget(state)  # sessions of another store, or of another time, mean nothing here
    shares.forget(state)
    answers.forget(state)


def _accepted(state: SessionState, data: Data, time: int) -> None:
    state.certain = None


EVOLVE: Final[dict[str, Callable[[SessionState, Data, int], None]]] = {
    "session.created": _created,
    "session.suspended": _status(SUSPENDED),
    "session.resumed": _resumed,
    "session.imported": _imported,
    "session.completed": _status(COMPLETED, ends=True),
    "session.failed": _failed,
    "session.archived": _status(ARCHIVED),
    "session.forked": _forked,
    CONFIGURED: configured,
    RENAMED: _renamed,
    DESCRIBED: _described,
    "variable.set": _variable_set,
    "variable.deleted": _variable_deleted,
    "metadata.updated": _metadata_updated,
    "tags.changed": _tags_changed,
    ADDED: _message_added,
    STARTED: _message_added,
    RETRACTED: _message_retracted,
    "artifact.stored": _artifact_stored,
    "artifact.deleted": _artifact_deleted,
    "artifact.shared": grants.shared,
    "artifact.revoked": grants.revoked,
    "session.shared": shares.shared,
    "session.unshared": shares.unshared,
    "scope.granted": shares.scope_granted,
    "scope.revoked": shares.scope_revoked,
    APPROVAL_REQUESTED: approvals.requested,
    **dict.fromkeys(APPROVAL_CLOSED, approvals.closed),
    "event.lost": _lost,
    "losses.accepted": _accepted,
    answers.ANSWERED: answers.answered,
    "agent.returned": account,
    RECORDS_CHANGED: records.changed,
    "policy.warning": _warned,
}


def evolve(state: SessionState, sequence: int, stored: StoredEvent | list[Any]) -> None:
    """Bring the state from `sequence - 1` to `sequence`. It depends on nothing but state and event. Events of unknown
    types only change the totals, so that a newer journal still folds."""
    # Fields are read by position, in the order of `StoredEvent`: a long fold costs little else, and lists need not be
    # turned into events.
    change = EVOLVE.get(stored[0])
    if change is not None:
        change(state, stored[2], stored[1])
    state.sequence = sequence
    state.updated_at = stored[1]
    state.operation_count = stored[3]
    state.artifact_count = stored[4]
    state.artifact_bytes = stored[5]


def evolve_all(state: SessionState, run: Run) -> None:
    """Bring the state to the last event of a run, as `evolve` does event by event, at less cost: only the last totals
    count."""
    change_of = EVOLVE.get
    for sequence, stored in zip(run.sequences, run.events, strict=True):
        change = change_of(stored[0])
        if change is not None:
            state.sequence = sequence - 1
            change(state, stored[2], stored[1])
    if run.events:
        state.sequence = run.sequences[-1]
        _, state.updated_at, _, state.operation_count, state.artifact_count, state.artifact_bytes = run.events[-1][:6]
