"""What the hooks of a point have decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `Hooks.fire` returns. A cancelled operation has no outcome: HookCancelled is raised."""

    data: dict[str, Any]
    """The operation's data as the hooks left it."""
    kind: str = "continue"
    """"continue"; "replace": what follows is not to be done, its result is `value`; "redirect": do it on `target`."""
    value: Any = None
    target: str | None = None
