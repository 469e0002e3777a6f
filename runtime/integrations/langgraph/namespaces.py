"""Which namespaces have items."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph.store.base import ListNamespacesOp, MatchCondition

from greenroom.runtime import Session

from .items import Namespace, after_items_of, namespace_key, place_of

__all__ = ["namespaces_in"]


def namespaces_in(session: Session, op: ListNamespacesOp) -> list[Namespace]:
    """Return the namespaces that have items and match the conditions. Reads one key of each namespace."""
    conditions = op.match_conditions or ()
    prefix = namespace_key(_literal_prefix(conditions))
    found: dict[Namespace, None] = {}
    after: bytes | None = None
    while keys := session.records.keys(prefix, after=after, limit=1):
        namespace, _ = place_of(keys[0])
        after = after_items_of(namespace)
        if all(_fits(condition, namespace) for condition in conditions):
            found[namespace[: op.max_depth]] = None
    return sorted(found)[op.offset : op.offset + op.limit]


def _literal_prefix(conditions: Sequence[MatchCondition]) -> Namespace:
    """Return the labels with which all namespaces begin that match, as far as conditions say them."""
    longest: Namespace = ()
    for condition in conditions:
        path = tuple(condition.path)
        literal = path[: path.index("*")] if "*" in path else path
        if condition.match_type == "prefix" and len(literal) > len(longest):
            longest = literal
    return longest


def _fits(condition: MatchCondition, namespace: Namespace) -> bool:
    path = tuple(condition.path)
    if len(path) > len(namespace):
        return False
    labels = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(want in {"*", label} for want, label in zip(path, labels, strict=True))
