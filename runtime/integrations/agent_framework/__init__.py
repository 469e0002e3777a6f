"""Microsoft Agent Framework on greenroom: histories of agents, and checkpoints of workflows.

Example:
    ```py
    agent = Agent(client=client, context_providers=[GreenroomHistoryProvider("data")])
    await agent.run("Hello", session=AgentSession(session_id="7"))
    ```
"""

from __future__ import annotations

try:
    import agent_framework as _framework  # noqa: F401
except ImportError as error:
    raise ImportError("Microsoft Agent Framework is needed: pip install 'greenroom[agent-framework]'") from error

from .checkpoints import GreenroomCheckpointStorage
from .history import GreenroomHistoryProvider

__all__ = ["GreenroomCheckpointStorage", "GreenroomHistoryProvider"]
