"""LangGraph on greenroom: `GreenroomSaver` keeps the checkpoints of graphs, `GreenroomStore` their long-term memory.

Needs the extra `langgraph`: `pip install 'greenroom[langgraph]'`.
"""

from __future__ import annotations

try:
    import langgraph.checkpoint.base  # noqa: F401
except ImportError as error:
    raise ImportError(
        "greenroom.runtime.integrations.langgraph needs LangGraph: pip install 'greenroom[langgraph]'"
    ) from error

from .checkpoints.saver import GreenroomSaver
from .store import GreenroomStore

__all__ = ["GreenroomSaver", "GreenroomStore"]
