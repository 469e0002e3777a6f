"""The tokens and the money that agents have used, counted from the events of their returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .model import SessionState

__all__ = ["account", "cost_used", "returned_use", "tokens_used"]

_MOST: Final = 1 << 62


def returned_use(data: dict[str, Any]) -> tuple[int, int]:
    """Return the (tokens, micro-dollars) in the data of an `agent.returned` event."""
    usage = data.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    cost = data.get("cost_microusd")
    return (tokens if type(tokens) is int and tokens > 0 else 0), (cost if type(cost) is int and cost > 0 else 0)


def account(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold an `agent.returned` event."""
    tokens, cost = returned_use(data)
    usage = state.more.get("usage") or {"calls": 0, "tokens": 0, "cost": 0}
    state.more["usage"] = {
        "calls": usage["calls"] + 1,
        "tokens": min(usage["tokens"] + tokens, _MOST),
        "cost": min(usage["cost"] + cost, _MOST),
    }


def tokens_used(state: SessionState) -> int:
    usage = state.more.get("usage")
    return usage["tokens"] if usage is not None else 0


def cost_used(state: SessionState) -> int:
    """Return the cost of all calls in micro-dollars."""
    usage = state.more.get("usage")
    return usage["cost"] if usage is not None else 0
