"""Decide which sessions the running code can access. The host can access every session. Code that acts for a session
can access that session, its descendants, what others share with it, and the scopes that the host lets it use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.batch import Batch
from greenroom.actors.messages.core import Query
from greenroom.actors.messages.events import LinkEvents
from greenroom.actors.messages.permissions import NAMES, AccessAttempt
from greenroom.actors.scheduling.operation import Operation, operation_in
from greenroom.actors.session.state.shares import Reach, reach_key, stored_reach
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.codec.keys import is_session_id, session_bytes
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.session_ids import scope_bytes, session_id_of
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.errors import AccessDenied, GreenroomError, IntegrityError, SchemaTooNew

if TYPE_CHECKING:
    from greenroom.actors.clock import Clock

    from .audit_trail import AuditTrail

__all__ = ["Security"]

logger = logger_of("security")

_MAX_DEPTH: Final = 256
_REMEMBERED: Final = 10_000
_ABOVE: Final = "above the owner"
_VERBS: Final = {
    "read": "read",
    "write": "store a version of",
    "delete": "delete",
    "list": "read the info of",
    "share": "share",
    "change_permissions": "change the permissions on",
}


def _why(reach: Reach) -> str:
    """Return why a session has access, for the audit log."""
    return f"{NAMES[reach.level]} permission on the {'session' if reach.scope is None else f'scope {reach.scope}'}"


class Security:
    """Holds the one check that every path asks, and the one place that denies."""

    def __init__(self, engine: Engine, catalog: Catalog, trail: AuditTrail, clock: Clock) -> None:
        self._engine = engine
        self._catalog = catalog
        self._clock = clock
        self.trail = trail
        trail.family_of = self._family_of
        trail.realm = self
        self.on_violation: Callable[[AccessAttempt], None] | None = None
        """Called with each denied attempt, on the thread that made it."""
        self._below: dict[tuple[str, str], None] = {}
        """Pairs of a session and one of its descendants. A parent never changes, so a pair that was found stays
        true."""

    # -- who is who

    def principal(self) -> str | None:
        """Return the session of this runtime for which the running code acts; None for the host."""
        operation = operation_in(self)
        if operation is None:
            return None
        if operation.lent:
            self.require_call(operation)
        return operation.principal

    def require_call(self, operation: Operation) -> None:
        """Raise AccessDenied for a thread that a session's code started in a call which is over: it acts for nobody any
        more, whoever gave it the work."""
        if operation.lease is None or not operation.lease.over or operation.principal is None:
            return
        self._violated(AccessAttempt(operation.principal, None, None, "read", False, "its call is over", "thread"))
        raise AccessDenied(
            f"this thread was started in a call of session {operation.principal[:64]} which is over, so it acts for "
            "nobody: start a pool that is to outlive a call before the call, or one in each call",
            operation="thread",
        )

    def ancestors(self, session_id: str) -> list[str]:
        """Return the ancestors of a session, its parent first."""
        found: list[str] = []
        each: str | None = session_id
        for _ in range(_MAX_DEPTH):
            row = self._catalog.row(session_bytes(each)) if is_session_id(each) and each is not None else None
            each = row.parent if row is not None else None
            if each is None:
                break
            found.append(each)
        return found

    def _family_of(self, session_id: str) -> str:
        """Return the topmost ancestor of a session, or the session itself."""
        try:
            return (self.ancestors(session_id) or [session_id])[-1]
        except (IntegrityError, SchemaTooNew):
            return session_id

    def can_access(self, principal: str, session_id: str) -> bool:
        """Return whether a session is the principal itself or a descendant of it."""
        if session_id == principal or (principal, session_id) in self._below:
            return True
        if not is_session_id(session_id):
            return False
        try:
            reached = principal in self.ancestors(session_id)
        except (IntegrityError, SchemaTooNew):
            return False  # a damaged family proves nothing
        if reached:
            if len(self._below) >= _REMEMBERED:
                self._below.clear()
            self._below[principal, session_id] = None
        return reached

    def reach(self, principal: str, session_id: str) -> Reach | None:
        """Return how far a session reaches into another session that is shared with it, or a scope that it may use.

        None if it has no permission now. It is looked up each time, so no revoked permission is remembered.
        """
        try:
            target = session_bytes(session_id)
            if len(target) != 16 or not is_session_id(principal):
                return None
            key = reach_key(principal, target, scope=not is_session_id(session_id))
            value = self._engine.get(CF.INDEX, key)
            reach = stored_reach(key, value) if value is not None else None
        except (ValueError, IntegrityError, SchemaTooNew):
            return None  # no id, or a damaged entry, which proves nothing
        expired = reach is not None and reach.expires_at is not None and reach.expires_at <= self._clock.time_ns()
        return None if expired else reach

    def can_read(self, principal: str, session_id: str) -> bool:
        """Return whether a session may read all of another one: it is its own, a descendant, or shared with it."""
        return self.can_access(principal, session_id) or self.reach(principal, session_id) is not None

    def forget_families(self) -> None:
        """Forget which sessions are descendants of which. Needed when sessions were deleted, since an ancestor loses
        access to their descendants, or imported, since a deleted one may come back with another parent."""
        self._below.clear()

    # -- what they may

    def authorize(self, principal: str, session_id: str, message: Any) -> tuple[str, bool]:
        """Return the session to ask when code that acts for `principal` sends a message to another session, and whether
        it goes there by a permission on the whole session or scope, which holds only if it still does in its turn.

        That is the other session itself if the principal can access it. If the message names an artifact of that
        session, it is the principal: from there the message goes as far as grants allow. Otherwise raise AccessDenied.
        """
        if message.__class__ is Batch:
            return self._authorize_batch(principal, session_id, message)
        if message.host_only:
            raise self._deny_hosts_own(principal, session_id, message)
        if message.__class__ is LinkEvents and self.can_access(principal, session_id):
            # The event at the other end of the link may belong to any session.
            self.require(message.to_id.partition("/")[0], "events.link", "write", principal=principal)
        if session_id == principal:
            return session_id, False
        operation = type(message).__name__
        if self.can_access(principal, session_id):
            if message.about_artifacts:
                access, artifact = message.access, message.artifact()
                named = str(artifact) if artifact is not None else None
                self.trail.record(AccessAttempt(principal, session_id, named, access, True, _ABOVE, operation))
            return session_id, False
        if message.owner() == session_id:
            return principal, False
        reach = self.reach(principal, session_id)
        if reach is None:
            raise self.deny(principal, session_id, operation, message.access)
        # A message that goes on to a third session would act there for the session that is shared.
        if not 0 < message.whole <= reach.level or (message.may_cross and message.crosses(session_id)):
            raise self.deny_whole(principal, session_id, message, reach.level)
        if isinstance(message, Query):  # a change is recorded with its event
            attempt = AccessAttempt(principal, session_id, None, message.access, True, _why(reach), operation)
            self.trail.record(attempt)
        return session_id, True

    def _authorize_batch(self, principal: str, session_id: str, batch: Batch) -> tuple[str, bool]:
        """Authorize each command of a batch for the actor that it is for. A permission on all of a session or scope is
        looked at again in its turn."""
        reach = None if self.can_access(principal, session_id) else self.reach(principal, session_id) or Reach(0)
        if reach is not None and reach.level < batch.whole:
            raise self.deny_whole(principal, session_id, batch, reach.level)
        for target, command in zip(batch.targets, batch.commands, strict=True):
            to = target or session_id
            if self.authorize(principal, to, command)[0] != to:
                raise self.deny(principal, to, "Batch", "write")
        return session_id, False

    def require(self, session_id: str, operation: str, access: str = "read", *, principal: str | None = None) -> None:
        """Raise AccessDenied unless the running code (or the given principal) can access a session."""
        principal = principal if principal is not None else self.principal()
        if principal is not None and not self.can_access(principal, session_id):
            raise self.deny(principal, session_id, operation, access)

    def require_reading(self, session_id: str, operation: str) -> None:
        """Raise AccessDenied unless the running code may read all of a session. Record the use of a share."""
        principal = self.principal()
        if principal is None or self.can_access(principal, session_id):
            return
        reach = self.reach(principal, session_id)
        if reach is None:
            raise self.deny(principal, session_id, operation, "read")
        self.trail.record(AccessAttempt(principal, session_id, None, "read", True, _why(reach), operation))

    def require_scope(self, name: str, operation: str) -> None:
        """Raise AccessDenied if the running code acts for a session that may not read the scope of this name."""
        principal = self.principal()
        if principal is None or self.reach(principal, session_id_of(scope_bytes(name))) is None:
            self.require_host(operation)

    def require_artifacts(self, session_id: str, operation: str) -> None:
        """Check access as `require` does, for reading all artifacts of a session. A granted access is recorded too."""
        self.require(session_id, operation)
        principal = self.principal()
        if principal is not None and principal != session_id:
            self.trail.record(AccessAttempt(principal, session_id, None, "read", True, _ABOVE, operation))

    def require_host(self, operation: str, access: str = "read") -> None:
        """Raise AccessDenied if the running code acts for a session: the operation concerns all sessions."""
        principal = self.principal()
        if principal is None:
            return
        self._violated(AccessAttempt(principal, None, None, access, False, "for the host only", operation))
        raise AccessDenied(
            f"{operation} is for the host, and this code acts for session {principal[:64]}: the operation"
            " concerns all sessions",
            operation=operation,
        )

    # -- denying

    def deny(self, principal: str, session_id: str, operation: str, access: str) -> AccessDenied:
        """Return the error for a session out of reach and record the attempt. The words are the same whether the
        session exists: nobody learns which sessions there are."""
        named = str(session_id)[:64]
        owner = named if is_session_id(session_id) else None
        self._violated(AccessAttempt(principal, owner, None, access, False, "out of reach", operation))
        return AccessDenied(
            f"session {principal[:64]} may not access session {named!r}:"
            " it is neither that session nor a descendant of it",
            session_id=named,
        )

    def deny_whole(self, principal: str, session_id: str, message: Any, level: int) -> AccessDenied:
        """Return the error for a message that a permission on a whole session or scope does not cover, or does not
        cover any more. Record the attempt."""
        operation = type(message).__name__
        if not level:
            return self.deny(principal, session_id, operation, message.access)
        reason = f"{NAMES[level]} is not enough"
        self._violated(AccessAttempt(principal, session_id, None, message.access, False, reason, operation))
        needed = f"{NAMES[message.whole]} is needed" if message.whole > level else "only its owner and the host may"
        return AccessDenied(
            f"session {principal[:64]} may not send {operation} to {str(session_id)[:64]}: its permission is"
            f" {NAMES[level]}, and {needed}",
            session_id=str(session_id)[:64],
        )

    def _deny_hosts_own(self, principal: str, session_id: str, message: Any) -> AccessDenied:
        """Return the error for a session that tries to change limits or scopes, its own or others'. Record the
        attempt."""
        operation = type(message).__name__
        owner = session_id if is_session_id(session_id) else None
        self._violated(AccessAttempt(principal, owner, None, message.access, False, "for the host only", operation))
        return AccessDenied(
            f"the limits and scopes of session {str(session_id)[:64]} are the host's to change ({operation}),"
            f" and this code acts for session {principal[:64]}",
            operation=operation,
        )

    def deny_creator(self, principal: str) -> AccessDenied:
        """Return the error for a session that makes one of another creator, where quotas hold. Record the attempt."""
        self._violated(AccessAttempt(principal, None, None, "write", False, "another creator", "create_session"))
        return AccessDenied(
            f"created_by: session {principal[:64]} makes sessions of its own creator, because creators have quotas",
            operation="create_session",
        )

    def deny_artifact(self, attempt: AccessAttempt, needed: str, has: str | None) -> AccessDenied:
        """Return the error for an artifact of another session, in the same words whether it exists. Record the
        attempt."""
        self._violated(attempt)
        why = (
            f"its permission is {has}, {needed} is needed"
            if has is not None
            else "it does not exist, or nobody shares it with that session now"
        )
        return AccessDenied(
            f"session {str(attempt.session)[:64]} may not {_VERBS[attempt.access]} artifact {attempt.artifact}: {why}",
            artifact=attempt.artifact,
        )

    def _violated(self, attempt: AccessAttempt) -> None:
        self.trail.record(attempt)
        if self.on_violation is not None:
            try:
                self.on_violation(attempt)
            except GreenroomError as error:
                logger.warning("the callback for access violations failed: %s", error)
