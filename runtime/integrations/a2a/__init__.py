"""greenroom under the Agent2Agent SDK: `GreenroomTaskStore` keeps the tasks of an A2A server, and
`GreenroomPushNotificationConfigStore` where its clients want to be notified.

Example:
    ```py
    from greenroom.runtime.integrations.a2a import GreenroomPushNotificationConfigStore, GreenroomTaskStore

    handler = DefaultRequestHandler(
        agent_executor=executor,
        agent_card=card,
        task_store=GreenroomTaskStore("data"),
    )
    ```
"""

try:
    import a2a as _framework
except ImportError as error:  # pragma: no cover
    raise ImportError("greenroom.runtime.integrations.a2a needs a2a-sdk: pip install 'greenroom[a2a]'") from error

from .push import GreenroomPushNotificationConfigStore
from .tasks import GreenroomTaskStore

__all__ = ["GreenroomPushNotificationConfigStore", "GreenroomTaskStore"]

del _framework
