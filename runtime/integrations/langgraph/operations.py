"""The operations of a batch: checked, sorted, and as rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from langgraph.store.base import (
    GetOp,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchOp,
    get_text_at_path,
    validate_op_namespace,
)

from greenroom.runtime import ValidationError

from .found import MICRO, Row
from .items import Namespace, item_key
from .keys import shown

__all__ = ["Plan", "key_of", "namespace_of", "planned", "row_of"]


@dataclass(slots=True)
class Plan:
    """The operations of a batch, checked and sorted. Reads see what was there before the batch."""

    results: list[Result]
    reads: list[tuple[int, Op]] = field(default_factory=list)
    puts: dict[bytes, PutOp] = field(default_factory=dict)
    texts: dict[bytes, list[str]] = field(default_factory=dict)
    """The texts of items that are to be embedded, by the keys of the items."""
    queries: dict[str, Sequence[float]] = field(default_factory=dict)


def planned(ops: Iterable[Op], fields: Sequence[str] | None) -> Plan:
    """Return the plan of a batch. `fields` are those that are embedded, None if nothing is. Raises ValidationError for
    what is wrong with any operation, before anything is done."""
    plan = Plan([])
    for number, op in enumerate(ops):
        if not isinstance(op, GetOp | SearchOp | ListNamespacesOp | PutOp):
            raise ValidationError(f"ops: {type(op).__name__} is no operation of a store", field="ops")
        validate_op_namespace(op)
        plan.results.append(None)
        if not isinstance(op, PutOp):
            plan.reads.append((number, op))
            _check_read(op)
            if isinstance(op, SearchOp) and op.query and fields is not None:
                plan.queries[op.query] = ()
            continue
        key = item_key(namespace_of(op), key_of(op.key))
        if op.value is not None and not isinstance(op.value, Mapping):
            raise ValidationError(f"value: a dictionary is needed, not {type(op.value).__name__}", field="value")
        _check_ttl(op.ttl)
        plan.puts.pop(key, None)
        plan.puts[key] = op
        plan.texts.pop(key, None)
        if fields is not None and op.value is not None and op.index is not False:
            paths = fields if op.index is None else op.index
            plan.texts[key] = [text for path in paths for text in get_text_at_path(op.value, path)]
    return plan


def namespace_of(op: GetOp | PutOp) -> Namespace:
    if not op.namespace:
        raise ValidationError("namespace: at least one label is needed", field="namespace")
    return tuple(op.namespace)


def key_of(key: object) -> str:
    if not isinstance(key, str):
        raise ValidationError(f"key: a text is needed, not {type(key).__name__}", field="key")
    return key


def _check_read(op: Op) -> None:
    if isinstance(op, GetOp):
        item_key(namespace_of(op), key_of(op.key))
        return
    assert isinstance(op, SearchOp | ListNamespacesOp)
    for name in ("limit", "offset"):
        value = getattr(op, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValidationError(f"{name}: a whole number from 0 is needed", field=name)
    if isinstance(op, SearchOp):
        if op.filter is not None and not isinstance(op.filter, Mapping):
            raise ValidationError("filter: a dictionary or None is needed", field="filter")
        if op.query is not None and not isinstance(op.query, str):
            raise ValidationError("query: a text or None is needed", field="query")
    for condition in (op.match_conditions or ()) if isinstance(op, ListNamespacesOp) else ():
        if condition.match_type not in {"prefix", "suffix"}:
            raise ValidationError(
                f'match_type: "prefix" or "suffix", not {shown(condition.match_type)}', field="match_type"
            )


def _check_ttl(ttl: object) -> None:
    good = isinstance(ttl, int | float) and not isinstance(ttl, bool) and math.isfinite(ttl) and 0 <= ttl < 1e9
    if ttl is not None and not good:
        raise ValidationError("ttl: minutes are needed, a number from 0 below 10^9", field="ttl")


def row_of(op: PutOp, before: Row | None, now: int, *, has_vectors: bool) -> Row:
    """Return an item as it is stored."""
    row: Row = {"v": dict(op.value or {}), "c": before["c"] if before is not None else now, "u": now}
    if op.ttl is not None:
        row |= {"t": op.ttl, "x": now + int(op.ttl * 60 * MICRO)}
    if op.index is not None:
        row["f"] = op.index
    if has_vectors:
        row["e"] = True
    return row
