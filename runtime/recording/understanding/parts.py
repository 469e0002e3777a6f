"""What stands in a turn: what is said, the reasoning, the calls of tools and their results, in any provider's form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from greenroom.runtime.ingest.records import Turn
from greenroom.storage.common.message_text import text_of

from .bodies import json_of, text_or_none

__all__ = ["ToolCall", "ToolResult", "calls_in", "decoded", "is_reasoning", "reasoning_in", "results_in", "said_in"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that a model asks for. `arguments` are decoded; a text, if they are no JSON."""

    name: str
    arguments: Any = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool has returned, as the model was given it. `name` is known where the provider's format has it."""

    content: Any
    call_id: str | None = None
    name: str | None = None
    error: bool = False


_THINKING: Final = ("thinking", "redacted_thinking", "reasoning", "reasoningContent")


def is_reasoning(part: Any) -> bool:
    """Return whether a part is what the model thinks, in any provider's form."""
    return isinstance(part, dict) and (
        part.get("type") in _THINKING or "reasoningContent" in part or part.get("thought") is True
    )


def said_in(turn: Turn) -> str:
    """Return the text of a turn without reasoning and results of tools."""
    content = turn.content
    if isinstance(content, list):
        return text_of([part for part in content if not is_reasoning(part) and not _results(part)])
    refusal = turn.metadata.get("refusal")
    return content or (refusal if isinstance(refusal, str) else "")


def reasoning_in(turn: Turn) -> str:
    """Return the reasoning that a turn shows."""
    beside = next((text for key in ("reasoning_content", "reasoning") if (text := text_of(turn.metadata.get(key)))), "")
    if isinstance(turn.content, list):
        return beside + "".join(text_of(part) for part in turn.content if is_reasoning(part))
    return beside


def calls_in(turn: Turn) -> list[ToolCall]:
    """Return the calls of tools in a turn, whatever the provider's form."""
    found = [call for each in turn.tool_calls or () if (call := _of_openai(each)) is not None]
    old = turn.metadata.get("function_call")
    if isinstance(old, dict) and (call := _of_openai({"function": old})) is not None:
        found.append(call)
    if isinstance(turn.content, list):
        found += [call for part in turn.content if (call := _of_part(part)) is not None]
    return found


def results_in(turn: Turn) -> list[ToolResult]:
    """Return the results of tools in a turn, whatever the provider's form."""
    content = turn.content
    inside = [result for part in content for result in _results(part)] if isinstance(content, list) else []
    if inside or turn.role != "tool":
        return inside
    return [ToolResult(content, turn.tool_call_id, turn.name, turn.metadata.get("is_error") is True)]


def _of_openai(call: Any) -> ToolCall | None:
    if not isinstance(call, dict):
        return None
    inner = call.get("function") or call.get("custom")
    function = inner if isinstance(inner, dict) else call
    name = function.get("name")
    arguments = function.get("arguments", function.get("input"))
    return ToolCall(name, decoded(arguments), text_or_none(call.get("id"))) if isinstance(name, str) and name else None


def _of_part(part: Any) -> ToolCall | None:
    if not isinstance(part, dict):
        return None
    kind = part.get("type")
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        return _named(part.get("name"), part.get("input"), part.get("id"))
    if isinstance(kind, str) and kind.endswith("_call") and "call_id" in part:  # an item of OpenAI's
        arguments = next((part[key] for key in ("arguments", "input", "action", "operation") if key in part), None)
        return _named(part.get("name") or kind.removesuffix("_call"), arguments, part["call_id"])
    if isinstance(use := part.get("toolUse"), dict):  # Bedrock
        return _named(use.get("name"), use.get("input"), use.get("toolUseId"))
    if isinstance(call := part.get("functionCall", part.get("function_call")), dict):  # Gemini
        return _named(call.get("name"), call.get("args"), call.get("id"))
    return None


def _named(name: Any, arguments: Any, id_: Any) -> ToolCall | None:
    return ToolCall(name, decoded(arguments), text_or_none(id_)) if isinstance(name, str) and name else None


def _results(part: Any) -> list[ToolResult]:
    if not isinstance(part, dict):
        return []
    kind = part.get("type")
    if isinstance(kind, str) and kind.endswith("tool_result"):
        return [
            ToolResult(part.get("content"), text_or_none(part.get("tool_use_id")), None, part.get("is_error") is True)
        ]
    if isinstance(kind, str) and kind.endswith("_call_output"):  # an item of OpenAI's
        return [ToolResult(part.get("output"), text_or_none(part.get("call_id")))]
    if isinstance(result := part.get("toolResult"), dict):  # Bedrock
        failed = result.get("status") == "error"
        return [ToolResult(result.get("content"), text_or_none(result.get("toolUseId")), None, failed)]
    if isinstance(result := part.get("functionResponse", part.get("function_response")), dict):  # Gemini
        return [ToolResult(result.get("response"), text_or_none(result.get("id")), text_or_none(result.get("name")))]
    return []


def decoded(arguments: Any) -> Any:
    """Return arguments that are the text of a JSON value as that value."""
    if not isinstance(arguments, str):
        return arguments
    value = json_of(arguments) if arguments else {}
    return value if isinstance(value, dict | list) else arguments
