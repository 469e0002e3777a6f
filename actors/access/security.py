"""Decide which sessions the running code can access. The host can access every session. Code that acts for a session
can access that session, its descendants, and the artifacts that others share with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.events import LinkEvents
from greenroom.actors.messages.lifecycle import UpdateConfig
from greenroom.actors.messages.permissions import AccessAttempt
from greenroom.actors.scheduling.operation import Operation, operation_in
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.codec.keys import is_session_id, session_bytes
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import AccessDenied, GreenroomError, IntegrityError, SchemaTooNew

if TYPE_CHECKING:
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


class Security:
    """Holds the one check that every path asks, and the one place that denies."""

    def __init__(self, catalog: Catalog, trail: AuditTrail) -> None:
        self._catalog = catalog
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

    def forget_families(self) -> None:
        """Forget which sessions are descendants of which. Needed when sessions were deleted, since an ancestor loses
        access to their descendants, or imported, since a deleted one may come back with another parent."""
        self._below.clear()

    # -- what they may

    def authorize(self, principal: str, session_id: str, message: Any) -> str:
        """Return the session to ask when code that acts for `principal` sends a message to another session.

        That is the other session itself if the principal can access it. If the message names an artifact of that
        session, it is the principal: from there the message goes as far as grants allow. Otherwise raise AccessDenied.
        """
        if message.__class__ is UpdateConfig:
            raise self._deny_configuring(principal, session_id)
        if message.__class__ is LinkEvents and self.can_access(principal, session_id):
            # The event at the other end of the link may belong to any session.
            self.require(message.to_id.partition("/")[0], "events.link", "write", principal=principal)
        if session_id == principal:
            return session_id
        operation = type(message).__name__
        if self.can_access(principal, session_id):
            if message.about_artifacts:
                access, artifact = message.access, message.artifact()
                named = str(artifact) if artifact is not None else None
                self.trail.record(AccessAttempt(principal, session_id, named, access, True, _ABOVE, operation))
            return session_id
        if message.owner() == session_id:
            return principal
        raise self.deny(principal, session_id, operation, message.access)

    def require(self, session_id: str, operation: str, access: str = "read", *, principal: str | None = None) -> None:
        """Raise AccessDenied unless the running code (or the given principal) can access a session."""
        principal = principal if principal is not None else self.principal()
        if principal is not None and not self.can_access(principal, session_id):
            raise self.deny(principal, session_id, operation, access)

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

    def _deny_configuring(self, principal: str, session_id: str) -> AccessDenied:
        """Return the error for a session that tries to set limits, its own or others'. Record the attempt."""
        owner = session_id if is_session_id(session_id) else None
        self._violated(AccessAttempt(principal, owner, None, "write", False, "for the host only", "UpdateConfig"))
        return AccessDenied(
            f"the configuration of session {str(session_id)[:64]} is the host's to change,"
            f" and this code acts for session {principal[:64]}",
            operation="UpdateConfig",
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
