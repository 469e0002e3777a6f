"""Everything behind a mailbox: the dispatcher, messages, the session actor, the supervisor, the one writer."""

from __future__ import annotations

from greenroom.actors.messages.conversation import Turn
from greenroom.actors.scheduling.dispatcher import Dispatcher, PooledActor
from greenroom.actors.session.actor import SessionActor
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.supervisor.supervisor import Supervisor

from .store import ArtifactStore

__all__ = [
    "ArtifactStore",
    "Dispatcher",
    "PooledActor",
    "SessionActor",
    "SessionState",
    "Supervisor",
    "Turn",
    "evolve",
]
