"""What agents have used up: tokens and money, counted from the events that tell of their returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .model import SessionState

__all__ = ["account", "cost_used", "returned_use", "tokens_used"]

_MOST: Final = 1 << 62


def returned_use(data: dict[str, Any]) -> tuple[int, int]:
    """(tokens, micro-dollars) that the data of an `agent.returned` event tells of."""
    usage = data.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    cost = data.get("cost_microusd")
    return (tokens if type(tokens) is int and tokens > 0 else 0), (cost if type(cost) is int and cost > 0 else 0)


def account(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold an `agent.returned`."""
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
    """In micro-dollars."""
    usage = state.more.get("usage")
    return usage["cost"] if usage is not None else 0
