"""Agents answer for a model. `Runtime.agents` registers, creates and calls them; `echo` ships for tests."""

from __future__ import annotations

from greenroom.runtime.model.agent import Agent
from greenroom.runtime.model.reply import AgentReply, TokenUsage

from .context import AgentContext
from .echo import echo
from .registry import Agents

__all__ = ["Agent", "AgentContext", "AgentReply", "Agents", "TokenUsage", "echo"]
