"""The model of an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from greenroom.storage.codec.records import Json, Value
from greenroom.storage.common.checked_call import checked

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

    @checked
    def matches(self, text: str | None = None, *, model: str | None = None, tool: str | None = None) -> bool:
        """Return whether every word of `text` is in the name or the system prompt (ignoring case), whether it has this
        model, or one below this prefix, and whether it may call the tool."""
        shown = f"{self.name} {self.system_prompt or ''}".lower()
        return (
            all(word in shown for word in (text or "").lower().split())
            and (model is None or self.model == model or self.model.startswith(f"{model.rstrip('/')}/"))
            and (tool is None or tool in self.tools)
        )

    def to_dict(self) -> dict[str, Value]:
        return {
            "name": self.name,
            "model": self.model,
            "system_prompt": self.system_prompt,
            "tools": list(self.tools),
            "parameters": dict(self.parameters),
        }
