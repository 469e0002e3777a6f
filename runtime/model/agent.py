"""The model of an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from greenroom.storage.codec.records import Json, Value

__all__ = ["Agent"]


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent: a model with a system prompt, the names of the tools it may call, and other parameters such as
    temperature. Made by `Agents.create`; not durable."""

    name: str
    model: str
    system_prompt: str | None = None
    tools: tuple[str, ...] = ()
    parameters: Mapping[str, Json] = field(default_factory=dict)
    fn: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    """Answers in the place of the model's callable: that of a composite, or of a function."""

    def to_dict(self) -> dict[str, Value]:
        return {
            "name": self.name,
            "model": self.model,
            "system_prompt": self.system_prompt,
            "tools": list(self.tools),
            "parameters": dict(self.parameters),
        }
