"""The replies of agents: text, token usage and cost, read from the return values of callables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from greenroom.storage.codec.plain import plain_result
from greenroom.storage.codec.records import Json
from greenroom.storage.common.checked_call import checked_fields
from greenroom.storage.common.message_text import text_of
from greenroom.storage.errors import ValidationError

__all__ = ["AgentReply", "TokenUsage"]

_INPUT: Final = ("input_tokens", "prompt_tokens")
_OUTPUT: Final = ("output_tokens", "completion_tokens")
_MAX_COUNT: Final = 1 << 62
_TAKEN: Final = frozenset({"text", "content", "usage", "cost_usd", "model", "provider", "data"})


@checked_fields
@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The tokens that a call has used. The total defaults to the sum of the parts."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0

    def __post_init__(self) -> None:
        if not self.total_tokens:
            object.__setattr__(self, "total_tokens", self.input_tokens + self.output_tokens)

    @classmethod
    def of(cls, value: Any) -> TokenUsage | None:
        """Return the usage in a mapping or object with these names, or with prompt_tokens and completion_tokens."""
        if value is None:
            return None
        given = _count(value, _INPUT)
        made = _count(value, _OUTPUT)
        total = _count(value, ("total_tokens",))
        return cls(given or 0, made or 0, total or 0)

    def to_dict(self) -> dict[str, int]:
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
        }


@dataclass(frozen=True, slots=True)
class AgentReply:
    """The reply of an agent. `usage` and `cost_usd` are None if the agent did not report them; `data` holds further
    fields."""

    text: str
    usage: TokenUsage | None = None
    cost_usd: Decimal | None = None
    model: str | None = None
    provider: str | None = None
    data: dict[str, Json] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<AgentReply {len(self.text)} characters from {self.model}>"

    @property
    def cost_microusd(self) -> int | None:
        """The cost in millionths of a dollar."""
        return int((self.cost_usd * 1_000_000).to_integral_value()) if self.cost_usd is not None else None

    def to_dict(self) -> dict[str, Json]:
        """Return every field that has a value, by name, as JSON values."""
        return {
            "text": self.text,
            **({"usage": {**self.usage.to_dict()}} if self.usage is not None else {}),
            **({"cost_usd": float(self.cost_usd)} if self.cost_usd is not None else {}),
            **({"model": self.model} if self.model is not None else {}),
            **({"provider": self.provider} if self.provider is not None else {}),
            **({"data": self.data} if self.data else {}),
        }

    @classmethod
    def of(cls, value: Any, model: str, provider: str) -> AgentReply:
        """Convert a callable's return value to a reply. It may be an AgentReply, text, or a mapping (or pydantic model)
        with `text` or `content`, and optionally `usage`, `cost_usd` and other fields. Raises ValidationError."""
        if isinstance(value, cls):
            data = plain_result(value.data)
            if not isinstance(data, dict):
                raise ValidationError("result: the `data` of an agent's reply is an object", field="result")
            return cls(
                _text(value.text),
                TokenUsage.of(value.usage),
                _cost(value.cost_usd),
                value.model if isinstance(value.model, str) else model,
                value.provider if isinstance(value.provider, str) else provider,
                data,
            )
        if isinstance(value, str):
            return cls(str.__str__(value), model=model, provider=provider)
        row = plain_result(value)
        if not isinstance(row, Mapping):
            raise ValidationError(
                "result: an agent returns text, an AgentReply, or a dict with text, usage, cost_usd", field="result"
            )
        text = row.get("text", row.get("content"))
        if isinstance(text, (list, dict)):
            text = text_of(text)  # parts, as models give them
        inner = row.get("data")
        data = {**(inner if isinstance(inner, dict) else {}), **{k: v for k, v in row.items() if k not in _TAKEN}}
        return cls(
            _text(text),
            TokenUsage.of(row.get("usage")),
            _cost(row.get("cost_usd")),
            row["model"] if isinstance(row.get("model"), str) else model,
            row["provider"] if isinstance(row.get("provider"), str) else provider,
            data,
        )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValidationError("result: the `text` of an agent's reply is missing, or no text", field="result")
    return str.__str__(value)


def _count(usage: Any, names: tuple[str, ...]) -> int | None:
    for name in names:
        value = usage.get(name) if isinstance(usage, Mapping) else getattr(usage, name, None)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MAX_COUNT:
            raise ValidationError(f"result: usage.{name} is no number of tokens", field="result")
        return int(value)
    return None


def _cost(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        cost = Decimal(str(value)) if not isinstance(value, bool) else None
    except (InvalidOperation, ValueError):
        cost = None
    if cost is None or not cost.is_finite() or not 0 <= cost < 1_000_000_000:
        raise ValidationError("result: cost_usd is no amount of dollars", field="result")
    return cost
