"""Changing the configuration of a session that is there: the messages, the decision, and the fold.

What a session sets itself is kept; what it does not set follows the runtime. The configuration is the host's: a session
has no say in its own limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from greenroom.storage.arguments import as_mapping
from greenroom.storage.engine import Durability
from greenroom.storage.records import Value, pack_value, unpack_value

from . import messages as m
from .policies.limits import Limits, merged

if TYPE_CHECKING:
    from .draft import Draft, Lookup
    from .session import SessionActor
    from .state import SessionState

__all__ = ["CONFIGURED", "CONFIG_DECIDERS", "CONFIG_REPLIES", "GetConfig", "UpdateConfig", "configured", "get_config"]

CONFIGURED: Final = "session.configured"


class GetConfig(m.Query):
    """Replies what the session itself sets of its configuration, as a dict. All else follows the runtime."""

    __slots__ = ()


def _as_given(changes: Mapping[str, Any]) -> dict[str, Any]:
    return dict(changes)


class UpdateConfig(m.Command):
    """Change settings of the session's configuration, in any status; None means no limit. For the host only.

    `changes` are settings of SessionConfig by name; of `policies`, what is to change in its sections. Replies what the
    session itself sets then, as a dict.
    """

    __slots__ = ("changes",)

    checked: ClassVar[Callable[[Mapping[str, Any]], dict[str, Any]]] = _as_given
    """Checks settings, and replies them as they are stored. Given by the floor above, which knows them."""

    def __init__(self, changes: Mapping[str, Value], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.changes = type(self).checked(as_mapping("changes", changes))


def _update(state: SessionState, command: UpdateConfig, limits: Limits, lookup: Lookup) -> list[Draft]:
    after = merged(_own(state), command.changes)
    packed = pack_value(after, "config") if after else None
    return [(CONFIGURED, {"config": packed}, 0, 0)] if packed != state.config else []


def _own(state: SessionState) -> dict[str, Any]:
    return unpack_value(state.config) if state.config is not None else {}


def configured(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold a change of the configuration."""
    state.config = data["config"]


def get_config(actor: SessionActor, query: GetConfig) -> dict[str, Any]:
    """Reply to `GetConfig`."""
    return _own(actor.state)


def _updated(actor: SessionActor, command: UpdateConfig) -> dict[str, Any]:
    actor.follow_config()
    return _own(actor.state)


CONFIG_DECIDERS: Final[dict[type[m.Command], Callable[[SessionState, Any, Limits, Lookup], list[Draft]]]] = {
    UpdateConfig: _update
}
CONFIG_REPLIES: Final[dict[type[Any], Callable[[Any, Any], Any]]] = {UpdateConfig: _updated}
