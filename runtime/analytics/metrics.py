"""The figures that metrics of one session and of many have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from greenroom.storage.common.times import iso_time, utc_time

from .activity import Activity
from .calls import CallMetrics, CallTable
from .pseudonyms import Pseudonyms
from .tally import Tally

__all__ = ["Checkpoints", "Figures", "ResourceUse", "as_json", "figures_of"]

_SECOND: Final = 1_000_000_000
_MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What was used: artifacts stored and deleted, bytes stored (each artifact counted whole, before compression),
    tokens and money that agents told of."""

    artifacts_stored: int = 0
    artifacts_deleted: int = 0
    bytes_stored: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """How often state was saved: `count` of saves, how many that is an hour of time covered, and the mean distance of
    one from the next, in seconds. None where there is nothing to divide by."""

    count: int = 0
    per_hour: float | None = None
    mean_interval: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the events that were looked at tell. Nothing here is content: names, counts, sizes and times only.

    events: how many; operations: changes that were journaled, of one or more events each. by_type counts events by
    their type, by_family by what is before the first dot. success_rate is that of tools, agents and scripts together.
    errors counts the codes of what failed. Calls are by name; models are the calls of agents by their model.
    """

    events: int
    operations: int
    by_family: dict[str, int]
    by_type: dict[str, int]
    tools: CallTable
    agents: CallTable
    models: CallTable
    hooks: CallTable
    scripts: CallTable
    success_rate: float | None
    errors: dict[str, int]
    resources: ResourceUse
    checkpoints: Checkpoints
    messages_by_role: dict[str, int]
    activity: Activity
    first_activity: datetime | None
    last_activity: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, as JSON values; times in RFC 3339."""
        names = [name for each in type(self).__mro__ for name in getattr(each, "__dataclass_fields__", {})]
        return {name: as_json(getattr(self, name)) for name in dict.fromkeys(names)}


def as_json(value: Any) -> Any:
    """A part of metrics as JSON values."""
    if isinstance(value, datetime):
        return iso_time(value)
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [as_json(each) for each in value]
    to_dict = getattr(value, "to_dict", None)
    if to_dict is not None:
        return to_dict()
    if hasattr(value, "__dataclass_fields__"):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    return value


def figures_of(tally: Tally, seconds: float, pseudonyms: Pseudonyms | None) -> dict[str, Any]:
    """The fields of `Figures`. `seconds` are those that the tally covers, of all of its sessions together."""
    types, roles, errors = tally.types, tally.roles, tally.errors
    if pseudonyms is not None:
        errors = _renamed(errors, pseudonyms.text)
        types = _renamed(types, pseudonyms.event_type)
        roles = _renamed(roles, pseudonyms.role)
    families: dict[str, int] = {}
    for type_, count in types.items():
        family = type_.partition(".")[0]
        families[family] = families.get(family, 0) + count
    return {
        "events": tally.events,
        "operations": tally.operations,
        "by_family": _most_first(families),
        "by_type": _most_first(types),
        **{
            name: _named(getattr(tally, name).table(), pseudonyms)
            for name in ("tools", "agents", "models", "hooks", "scripts")
        },
        "success_rate": _success_rate(tally),
        "errors": _most_first(errors),
        "resources": ResourceUse(
            tally.stored_artifacts,
            tally.deleted_artifacts,
            tally.stored_bytes,
            tally.tokens[0],
            tally.tokens[1],
            tally.tokens[2],
            tally.cost / _MICRO,
        ),
        "checkpoints": Checkpoints(
            tally.saves,
            tally.saves * 3600 / seconds if seconds > 0 else None,
            tally.save_distance / tally.save_intervals / _SECOND if tally.save_intervals else None,
        ),
        "messages_by_role": _most_first(roles),
        "activity": tally.activity.activity(),
        "first_activity": utc_time(tally.first) if tally.first is not None else None,
        "last_activity": utc_time(tally.last) if tally.last is not None else None,
    }


def _success_rate(tally: Tally) -> float | None:
    totals = [table.total() for table in (tally.tools, tally.agents, tally.scripts)]
    return CallMetrics(
        succeeded=sum(each.succeeded for each in totals), failed=sum(each.failed for each in totals)
    ).success_rate


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def _renamed(counts: dict[str, int], name: Any) -> dict[str, int]:
    renamed: dict[str, int] = {}
    for each, count in counts.items():
        renamed[name(each)] = renamed.get(name(each), 0) + count
    return renamed


def _named(table: CallTable, pseudonyms: Pseudonyms | None) -> CallTable:
    if pseudonyms is None:
        return table
    return CallTable(table.total, {pseudonyms.text(name): each for name, each in table.by_name.items()})
