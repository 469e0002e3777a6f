"""Messages about the configuration of a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from greenroom.storage.codec.records import Value
from greenroom.storage.common.arguments import as_mapping
from greenroom.storage.engine.engine import Durability

from .core import Command, Points, Query

__all__ = ["GetConfig", "UpdateConfig"]


class GetConfig(Query[Mapping[str, Any]]):
    """Replies what the session itself sets of its configuration, as a dict. All else follows the runtime."""

    __slots__ = ()


def _as_given(changes: Mapping[str, Any]) -> dict[str, Any]:
    return dict(changes)


class UpdateConfig(Command[Mapping[str, Any]]):
    """Change settings of the session's configuration, in any status; None means no limit. For the host only.

    `changes` are settings of SessionConfig by name; of `policies`, what is to change in its sections. Replies what the
    session itself sets then, as a dict.
    """

    __slots__ = ("changes",)
    rate = None
    points = Points("ConfigurationChange", None)

    checked: ClassVar[Callable[[Mapping[str, Any]], dict[str, Any]]] = _as_given
    """Checks settings, and replies them as they are stored. Given by the floor above, which knows them."""

    def __init__(self, changes: Mapping[str, Value], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.changes = type(self).checked(as_mapping("changes", changes))
