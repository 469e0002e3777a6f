"""Everything behind a mailbox: the dispatcher, messages, the session actor, the supervisor, the one writer."""

from __future__ import annotations

from .conversation import Turn
from .dispatcher import Dispatcher, PooledActor
from .session import SessionActor
from .state import SessionState, evolve
from .store import ArtifactStore
from .supervisor import Supervisor

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
