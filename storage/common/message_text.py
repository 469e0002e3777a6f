"""The text of a message in any provider's shape, and the roles that chat formats know.

Ingest, `Message.text`, collectors and the command line all read messages through these functions, so that all of them
see the same text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["is_tool_result", "role_of", "text_of", "text_of_message"]

_ROLES: Final[dict[str, str]] = {
    **dict.fromkeys(("user", "human", "customer", "end_user", "prompter"), "user"),
    **dict.fromkeys(
        (
            "assistant",
            "ai",
            "aimessagechunk",
            "agent",
            "bot",
            "chatbot",
            "chatgpt",
            "gpt",
            "gpt4",
            "claude",
            "gemini",
            "bard",
            "bing",
            "llm",
            "model",
            "function_call",
            "tool_call",
        ),
        "assistant",
    ),
    **dict.fromkeys(("system", "developer", "system_prompt"), "system"),
    **dict.fromkeys(
        (
            "tool",
            "function",
            "tool_result",
            "tool_response",
            "function_response",
            "function_result",
            "observation",
            "ipython",
        ),
        "tool",
    ),
}

_TEXTS: Final = (
    "text",  # OpenAI, Anthropic, Bedrock, Gemini, MCP; an object with `value` from OpenAI's assistants
    "value",
    "refusal",
    "thinking",  # Anthropic
    "reasoning",
    "reasoningContent",  # Bedrock, with `reasoningText` within
    "reasoningText",
    "transcript",  # spoken words
    "toolResult",  # Bedrock, with `content` within
    "functionResponse",  # Gemini, with `response` within
    "function_response",
    "content",  # Anthropic's tool_result, and whatever nests parts
    "parts",
    "summary",  # OpenAI's reasoning items
    "output",  # OpenAI's function_call_output
    "resource",  # MCP
    "audio",
)
"""The keys under which a part has its text, or further parts, in order of precedence."""

_VALUES: Final = ("json", "response")
"""The keys under which a tool's result is a JSON value: its text is the JSON."""

_BESIDE: Final = ("refusal", "audio", "reasoning_content", "reasoning", "thinking", "thought")
"""The fields of a message that hold its text if its content has none, in order of precedence."""

_TOOL_RESULTS: Final = ("tool_result", "function_call_output", "mcp_tool_result", "web_search_tool_result")
_MAX_DEPTH: Final = 100


def role_of(name: str) -> str | None:
    """Return the usual name of a role: user, assistant, system or tool. None for an unknown role."""
    return _ROLES.get(name.strip().lower().replace("-", "_").replace(" ", "_"))


def text_of(content: Any, depth: int = _MAX_DEPTH) -> str:
    """Return the text of a message's content: a text itself, or the texts of its parts joined without separators.

    A part without text (an image, a tool call) adds nothing.
    """
    if isinstance(content, str):
        return content
    if depth == 0:
        return ""
    if isinstance(content, list):
        return "".join([part if isinstance(part, str) else text_of(part, depth - 1) for part in content])
    if not isinstance(content, dict):
        return ""
    for key in _TEXTS:
        if key in content and (text := text_of(content[key], depth - 1)):
            return text
    for key in _VALUES:
        if key in content:
            value = content[key]
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    source = content.get("source")  # Anthropic's documents
    if isinstance(source, dict) and source.get("type") in ("text", "content"):
        return text_of(source.get("data") or source.get("content"), depth - 1)
    return ""


def text_of_message(content: Any, fields: Mapping[str, Any]) -> str:
    """Return the text of a message: that of its content, or else of its refusal, its spoken words or its reasoning.

    `fields` are the message's other fields.
    """
    text = text_of(content)
    if not text and fields:
        for key in _BESIDE:
            if key in fields and (text := text_of(fields[key])):
                break
    return text


def is_tool_result(part: Any) -> bool:
    """Return whether a part is the result of a tool, whatever the role of its message."""
    return isinstance(part, dict) and (
        part.get("type") in _TOOL_RESULTS
        or "toolResult" in part
        or "functionResponse" in part
        or "function_response" in part
    )
