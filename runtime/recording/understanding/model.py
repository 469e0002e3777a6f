"""What was understood of one call of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from greenroom.runtime.ingest.records import Turn

from .parts import ToolCall, calls_in, reasoning_in, said_in

__all__ = ["Answered", "Asked", "ModelCall", "ModelError", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of a call. Whatever the provider's way of counting: `input` has the cached ones in it, `output` the
    reasoning, and `total` is all. None: the provider did not say."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cached: int | None = None
    """Read from the provider's cache."""
    cache_written: int | None = None
    cache_written_hour: int | None = None
    """Of `cache_written`, what was written to be kept for an hour, which costs more."""
    reasoning: int | None = None
    cost_microusd: int | None = None
    """The cost, where the answer itself tells it (OpenRouter)."""

    def to_dict(self) -> dict[str, int]:
        """Return what is known, by the names that the journal has."""
        named = {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "total_tokens": self.total,
            "cached_tokens": self.cached,
            "cache_written_tokens": self.cache_written,
            "reasoning_tokens": self.reasoning,
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ModelError:
    """Why there is no answer. `status` is None if there was no response, or if the error came within a stream."""

    message: str
    type: str | None = None
    code: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    model: str | None = None
    system: str | None = None
    messages: tuple[Turn, ...] = ()
    tools: tuple[Any, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    previous: str | None = None
    """The response whose conversation this one goes on with, where the provider keeps it."""
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What a response says."""

    model: str | None = None
    id: str | None = None
    reply: tuple[Turn, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    error: ModelError | None = None


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model, read from the bytes that went over the wire.

    Turns have the provider's own content, and the usual names of roles. What could not be read is told in `problems`.
    """

    provider: str
    """Who was asked: "openai", "azure", "anthropic", "gemini", "bedrock", "openrouter" …; for a host that is not known,
    whose API it speaks."""
    api: str
    """"chat", "responses", "completions", "messages", "generate", "converse" or "invoke"."""
    model: str | None = None
    """The model that was asked for."""
    model_answered: str | None = None
    system: str | None = None
    """The text of the system's instructions: from beside the messages, or from the messages that begin them."""
    messages: tuple[Turn, ...] = ()
    """What was given after the system's instructions."""
    tools: tuple[Any, ...] = ()
    """The tools that were offered, as the provider takes them."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """temperature, max_tokens …, under the provider's own names."""
    previous: str | None = None
    reply: tuple[Turn, ...] = ()
    """The model's reply: one turn, or several from APIs whose answer is a list of items."""
    finish_reason: str | None = None
    usage: Usage | None = None
    cost_microusd: int | None = None
    """None: not known."""
    error: ModelError | None = None
    response_id: str | None = None
    streamed: bool = False
    complete: bool = True
    """Whether the answer came to its end."""
    first_chunk: int | None = None
    """Nanoseconds until the first bytes of the answer's body."""
    problems: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text of the reply, without its reasoning."""
        return "".join(said_in(turn) for turn in self.reply)

    @property
    def reasoning(self) -> str | None:
        """The reasoning that the reply shows; None if it shows none."""
        return "".join(reasoning_in(turn) for turn in self.reply) or None

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls of tools that the reply asks for."""
        return [each for turn in self.reply for each in calls_in(turn)]

    @property
    def tool_names(self) -> list[str]:
        """The names of the tools that were offered."""
        return [name for tool in self.tools for name in _names(tool)]


def _names(tool: Any) -> list[str]:
    """Return the names in the declaration of a tool: Gemini's declares several."""
    if not isinstance(tool, dict):
        return []
    many = tool.get("functionDeclarations", tool.get("function_declarations"))
    if isinstance(many, list):
        return [name for each in many for name in _names(each)]
    inner = next((tool[key] for key in ("function", "custom", "toolSpec") if isinstance(tool.get(key), dict)), tool)
    name = inner.get("name", tool.get("type"))
    if isinstance(name, str) and name:
        return [name]
    return [key for key in tool if isinstance(key, str)][:1]  # Gemini's own tools: {"googleSearch": {}}
