"""Change the configuration of an existing session: the messages, the decision, and the fold.

Settings that the session itself has are kept; all others follow the runtime. Only the host changes the configuration: a
session has no say in its own limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.lifecycle import GetConfig, UpdateConfig
from greenroom.actors.session.state.evolve import CONFIGURED
from greenroom.actors.session.state.limits import Limits, merged
from greenroom.storage.codec.records import pack_value, unpack_value

if TYPE_CHECKING:
    from greenroom.actors.session.live import LiveSession
    from greenroom.actors.session.state.model import SessionState

    from .draft import Lookup

__all__ = ["CONFIG_DECIDERS", "CONFIG_REPLIES", "get_config"]


def _update(state: SessionState, command: UpdateConfig, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    after = merged(_own(state), command.changes)
    packed = pack_value(after, "config") if after else None
    return [PendingEvent(CONFIGURED, {"config": packed})] if packed != state.config else []


def _own(state: SessionState) -> dict[str, Any]:
    return unpack_value(state.config) if state.config is not None else {}


def get_config(actor: LiveSession, query: GetConfig) -> dict[str, Any]:
    """Reply to `GetConfig`."""
    return _own(actor.state)


def _updated(actor: LiveSession, command: UpdateConfig) -> dict[str, Any]:
    actor.follow_config()
    return _own(actor.state)


CONFIG_DECIDERS: Final[
    dict[type[m.Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]
] = {UpdateConfig: _update}
CONFIG_REPLIES: Final[dict[type[Any], Callable[[Any, Any], Any]]] = {UpdateConfig: _updated}
