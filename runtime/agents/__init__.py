"""Agents: what answers for a model. `Runtime.agents` registers, makes and calls them; `echo` ships for tests."""

from __future__ import annotations

from .agent import Agent, AgentContext
from .echo import echo
from .registry import Agents
from .reply import AgentReply, TokenUsage

__all__ = ["Agent", "AgentContext", "AgentReply", "Agents", "TokenUsage", "echo"]
