"""Tests of adapters run where their framework is installed: `.ci/integrations` makes such environments."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

FRAMEWORKS: Final = {
    "a2a": "a2a",
    "adk": "google.adk",
    "agent_framework": "agent_framework",
    "chainlit": "chainlit",
    "crewai": "crewai",
    "fastapi": "fastapi",
    "langchain": "langchain_core",
    "langgraph": "langgraph",
    "llama_index": "llama_index.core",
    "mcp": "mcp",
    "openai_agents": "agents",
    "opentelemetry": "opentelemetry.exporter.otlp.proto.http",
    "pydantic_ai": "pydantic_ai",
    "strands": "strands",
}
"""The package of each folder's framework."""


def is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


collect_ignore = [
    folder.name
    for folder in Path(__file__).parent.iterdir()
    if folder.name in FRAMEWORKS and not is_installed(FRAMEWORKS[folder.name])
]
