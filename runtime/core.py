"""The parts of a runtime that its rooms share, and the checks at the beginning of operations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakValueDictionary

from greenroom.actors import messages as m
from greenroom.actors.access.audit_trail import AuditTrail
from greenroom.actors.access.security import Security
from greenroom.actors.clock import Clock
from greenroom.actors.hooks import Hooks
from greenroom.actors.messages.core import Reply
from greenroom.actors.scheduling.threads import Elastic
from greenroom.actors.scheduling.timers import Timers
from greenroom.actors.session.redaction import Redaction
from greenroom.actors.store import ArtifactStore
from greenroom.actors.supervisor.supervisor import Supervisor
from greenroom.storage.common.session_ids import is_session_id, session_bytes
from greenroom.storage.concurrency.forking import runtime_closed
from greenroom.storage.errors import InvalidOperation
from greenroom.storage.events.bodies import BodyMemory

from .owed import Owed

if TYPE_CHECKING:
    from greenroom.actors.supervisor.delivery import Noted
    from greenroom.runtime.config.config import RuntimeConfig

__all__ = ["RECORDINGS", "Background", "Lifetime", "RuntimeCore", "backups_beside", "has_recordings"]


RECORDINGS: Final = "recordings"
"""The folder, in that of a store, of what is recorded and not in the store yet."""


def has_recordings(store: Path) -> bool:
    """Return whether something was recorded that may not be in a store yet."""
    return next((store / RECORDINGS).glob("*"), None) is not None


def backups_beside(store: Path) -> Path:
    """Return the directory in which a store keeps backups of state, unless its configuration names another one."""
    return store.with_name(f"{store.name}.state-backups")


class Background(Protocol):
    """Work of a room above that goes on by itself, and ends with the runtime."""

    def begin_to_close(self) -> None:
        """Begin nothing more, and have what is under way end soon."""

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for what is under way."""


class Lifetime:
    """Tells whether a runtime is still open."""

    __slots__ = ("closed",)

    def __init__(self) -> None:
        self.closed = False


@dataclass(frozen=True, slots=True)
class RuntimeCore:
    """The parts of a runtime that all its rooms use. They do not change while it is open."""

    path: Path
    config: RuntimeConfig
    read_only: bool
    clock: Clock
    store: ArtifactStore
    trail: AuditTrail
    security: Security
    redaction: Redaction | None
    """Removes secrets from journaled content; None if redaction is off."""
    supervisor: Supervisor
    hooks: Hooks
    elastic: Elastic
    """Threads for callables of the host that may block or hang."""
    timers: Timers
    lifetime: Lifetime = field(default_factory=Lifetime)
    background: list[Background] = field(default_factory=list)
    """What goes on by itself in the rooms above, and ends with the runtime."""
    streams: WeakValueDictionary[tuple[str, int], Any] = field(default_factory=WeakValueDictionary)
    """The streams that write to a message and have an idempotency key, by session and turn."""
    bodies: BodyMemory = field(default_factory=BodyMemory)
    """The newest bodies that recordings have journaled."""
    owed: Owed = field(default_factory=Owed)
    """What recordings tell that have just ended, and nobody has read yet."""

    # -- checks

    def check_open(self) -> None:
        """Raise RuntimeClosed if the runtime is closed."""
        if self.lifetime.closed:
            raise runtime_closed()

    def check_writable(self, purpose: str) -> None:
        """Raise InvalidOperation if the runtime is read-only. `purpose` completes the message, such as "to repair
        it"."""
        if self.read_only:
            raise InvalidOperation(f"this runtime is open for reading only: open it without read_only {purpose}")

    def require_host(self, operation: str, access: str = "read") -> None:
        """Raise AccessDenied if the running code acts for a session: only the host may do this operation."""
        self.security.require_host(operation, access)

    # -- sessions

    def ask(self, session_id: str, message: m.Message[Reply]) -> Reply:
        """Ask a session, within `ask_timeout`. Raises what the session raises."""
        return self.supervisor.ask(session_id, message, self.config.ask_timeout)

    def ask_settled(self, session_id: str, message: m.Message[Reply], timeout: float) -> Reply:
        """Ask a session that has all that it is owed. Raises what the session raises."""
        if self.owed.sessions or self.owed.standing:
            self.owed.settle(session_id)
        return self.supervisor.ask(session_id, message, timeout)

    def settle(self, session_id: str | None = None) -> None:
        """Have a session, or all of them, get what they are owed, before they are read."""
        if self.owed.sessions or self.owed.standing:
            self.owed.settle(session_id)

    def exists(self, session_id: str) -> bool:
        """Return whether a session with exactly this id exists and is visible to the running code."""
        self.check_open()
        principal = self.security.principal()
        if principal is not None and not self.security.can_read(principal, session_id):
            return False
        return is_session_id(session_id) and self.store.catalog.row(session_bytes(session_id)) is not None

    def family(self, principal: str) -> Iterator[bytes]:
        """Yield the sessions visible to code that acts for a session: this session and its descendants."""
        return self.store.catalog.below(session_bytes(principal)) if is_session_id(principal) else iter(())

    # -- traces

    def span(
        self,
        operation: str,
        name: str | None = None,
        session_id: str | None = None,
        correlation_id: str | None = None,
    ) -> AbstractContextManager[Noted | None]:
        """Return the span of an operation that is not a message to a session. Does nothing while tracing is off."""
        trace = self.supervisor.delivery.trace
        if trace is None:
            return contextlib.nullcontext()
        return trace.span(operation, name, session_id, correlation_id)

    def figures(self) -> dict[str, Any]:
        """Return figures of the store and of memory. Their cost does not depend on the size of the store."""
        self.check_open()
        from greenroom.actors.maintenance.usage import store_figures

        table = self.supervisor.table
        return {
            "sessions": self.store.catalog.counts(),
            "resident": len(table.actors),
            "resident_bytes": table.bytes,
            "activations": table.activations,
            **store_figures(self.store),
        }
