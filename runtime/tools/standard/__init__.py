"""The standard tools: small and safe, without access to files, network or code. Created on first use."""

from __future__ import annotations

from functools import cache

from greenroom.runtime.tools.tool import Tool

from .base64_tool import base64_tool
from .calculator import calculator
from .datetime_tool import datetime_tool
from .hash_calculator import hash_calculator
from .json_processor import json_processor
from .template_engine import template_engine
from .text_stats import text_stats
from .uuid_generator import uuid_generator

__all__ = ["standard_tools"]


@cache
def standard_tools() -> dict[str, Tool]:
    """Return the standard tools by name."""
    tools = (
        Tool("base64", base64_tool, category="encoding", side_effects=False),
        Tool("calculator", calculator, category="math", side_effects=False),
        Tool("datetime", datetime_tool, category="time"),
        Tool("hash_calculator", hash_calculator, category="encoding", side_effects=False),
        Tool("json_processor", json_processor, category="data", side_effects=False),
        Tool("template_engine", template_engine, category="text", side_effects=False),
        Tool("text_stats", text_stats, category="text", side_effects=False),
        Tool("uuid_generator", uuid_generator, category="data"),
    )
    return {each.name: each for each in tools}
