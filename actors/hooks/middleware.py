"""Middleware: chains of hooks around what is done with sessions, whatever the message that does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.storage.errors import ValidationError

from .composition import parallel, sequential, voting
from .context import HookContext
from .hook import HookHandle
from .tables import AFTER, CREATE, DELETE, OPERATION, READ, UPDATE

if TYPE_CHECKING:
    from .hooks import Hooks

__all__ = ["Middleware"]

_POINTS: Final = {"create": CREATE, "read": READ, "update": UPDATE, "delete": DELETE, "operation": OPERATION}
_WHEN: Final = {"before": "", "after": AFTER}


class Middleware:
    """The chains of a runtime, around the hooks of single points.

    `create`: the creation of a session. `read`: every query. `update`: every command but deleting. `delete`: the
    deletion of a session. `operation`: all of them.

    Example:
        ```py
        rt.middleware.use("update", check_quota, check_hours)
        rt.middleware.use("delete", alice, bob, carol, pattern="voting", threshold=2)
        rt.middleware.use("operation", LoggingHook(), when="after")
        ```
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def use(
        self,
        chain: str,
        *members: Callable[[HookContext], Any],
        pattern: str = "sequential",
        threshold: float = 0.5,
        when: str = "before",
        name: str | None = None,
        **options: Any,
    ) -> HookHandle:
        """Add hooks to a chain: "create", "read", "update", "delete" or "operation".

        `pattern`: "sequential", "parallel" or "voting" (with `threshold`), see the compositions of those names.
        `when`: "before" or "after" the operation. `options` are those of `Hooks.register`. Raises ValidationError.
        """
        if chain not in _POINTS:
            raise ValidationError(f"chain: one of {', '.join(_POINTS)}", field="chain")
        if when not in _WHEN:
            raise ValidationError("when: before or after", field="when")
        title = name or f"{chain} middleware"
        match pattern:
            case "sequential":
                hook: Callable[[HookContext], Any] = sequential(members, title)
            case "parallel":
                hook = parallel(members, title)
            case "voting":
                hook = voting(members, threshold, title)
            case _:
                raise ValidationError("pattern: sequential, parallel or voting", field="pattern")
        return self._hooks.register_at((_POINTS[chain] + _WHEN[when],), hook, name=title, **options)
