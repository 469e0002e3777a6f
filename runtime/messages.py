"""The message-passing API: one class per command and query, to be sent with `Runtime.ask` and `Runtime.tell`.

Example:
    ```py
    rt.ask(session.id, messages.SetVariable("k", 1), timeout=1.0)
    rt.ask(session.id, messages.GetVariable("k"))  # 1
    rt.tell(session.id, messages.AddTag("seen"))   # no reply, no waiting
    ```
"""

from __future__ import annotations

from greenroom.actors.messages import *  # noqa: F403
from greenroom.actors.messages import __all__  # noqa: F401
