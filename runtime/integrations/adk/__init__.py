"""Sessions, artifacts and memory of Google's Agent Development Kit in a greenroom store.

Example:
    ```py
    from greenroom.runtime.integrations.adk import GreenroomSessionService

    runner = Runner(agent=agent, app_name="app", session_service=GreenroomSessionService("data"))
    ```
"""

from __future__ import annotations

try:
    import google.adk as google_adk  # noqa: F401
except ImportError as error:
    raise ImportError("Google ADK is needed: pip install 'greenroom[adk]'") from error

from .artifacts import GreenroomArtifactService
from .memory import GreenroomMemoryService
from .sessions import GreenroomSessionService

__all__ = ["GreenroomArtifactService", "GreenroomMemoryService", "GreenroomSessionService"]
