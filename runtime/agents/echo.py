"""The agent `echo`: answers with its input. For hosts, tests and demos to register."""

from __future__ import annotations

import json
from typing import Any

from greenroom.runtime.model.reply import AgentReply, TokenUsage

__all__ = ["echo"]


def echo(input: Any) -> AgentReply:
    """Return the input unchanged. Each word counts as one token; the cost is zero."""
    text = input if isinstance(input, str) else None
    if isinstance(input, dict):
        text = next(
            (input[key] for key in ("text", "prompt", "input", "content") if isinstance(input.get(key), str)), None
        )
    if text is None:
        text = json.dumps(input, ensure_ascii=False, default=lambda each: each.decode("utf-8", "replace"))
    words = len(text.split())
    return AgentReply(text, TokenUsage(words, words, 2 * words))
