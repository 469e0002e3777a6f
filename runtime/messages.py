"""The message-passing API: one class per command and query, to be sent with `Runtime.ask` and `Runtime.tell`.

Example:
    ```py
    rt.ask(session.id, messages.SetVariable("k", 1), timeout=1.0)
    rt.ask(session.id, messages.GetVariable("k"))  # 1
    rt.tell(session.id, messages.AddTag("seen"))   # no reply, no waiting
    ```
"""

from __future__ import annotations

from greenroom.actors.calls import CallAgent, CallTool
from greenroom.actors.configuring import GetConfig, UpdateConfig
from greenroom.actors.events.facts import LinkEvents, PublishEvent
from greenroom.actors.messages import *  # noqa: F403
from greenroom.actors.messages import __all__ as _basic
from greenroom.actors.sharing import CheckAccess, ListPermissions, RevokeArtifact, ShareArtifact

__all__ = [  # noqa: PLE0604
    *_basic,
    "CallAgent",
    "CallTool",
    "CheckAccess",
    "GetConfig",
    "LinkEvents",
    "ListPermissions",
    "PublishEvent",
    "RevokeArtifact",
    "ShareArtifact",
    "UpdateConfig",
]
