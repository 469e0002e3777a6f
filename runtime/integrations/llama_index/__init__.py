"""LlamaIndex on greenroom: chat stores whose keys are sessions and whose messages are turns.

Example:
    ```py
    memory = ChatMemoryBuffer.from_defaults(chat_store=GreenroomChatStore("data"), chat_store_key="user-7")
    ```
"""

from __future__ import annotations

try:
    import llama_index.core as _framework  # noqa: F401
except ImportError as error:
    raise ImportError("LlamaIndex is needed: pip install 'greenroom[llama-index]'") from error

from .async_store import GreenroomAsyncChatStore
from .store import GreenroomChatStore

__all__ = ["GreenroomAsyncChatStore", "GreenroomChatStore"]
