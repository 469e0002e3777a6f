"""Route messages that concern other sessions than the one they are sent to: each goes to the owner of the artifact that
it names, on behalf of the session that was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import Condition, idempotency_key
from greenroom.actors.messages.permissions import NAMES, PERMISSIONS, AccessAttempt, SessionShare
from greenroom.actors.scheduling.futures import OperationEnvelope
from greenroom.actors.scheduling.operation import CURRENT
from greenroom.actors.session.delegated import DelegatedMessage, MayWrite, Refused, Shared
from greenroom.actors.session.directory import Directory, Way
from greenroom.actors.session.preparation import Preparation
from greenroom.actors.session.session_sharing import VisitingMessage
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.keys import INDEX_SHARED, after_prefix, is_session_id, session_bytes, session_id_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import (
    AccessDenied,
    GreenroomError,
    IntegrityError,
    OperationTimeout,
    RuntimeClosed,
    SchemaTooNew,
    SessionNotFound,
    ValidationError,
)

if TYPE_CHECKING:
    from greenroom.actors.scheduling.futures import TellReceipt
    from greenroom.actors.session.actor import SessionActor
    from greenroom.storage.artifacts.model import ArtifactInfo

    from .security import Security

__all__ = ["CrossSessionRouter"]

logger = logger_of("crossing")

_CHANGES: Final = (m.StoreArtifact, m.DeleteArtifact, m.ShareArtifact, m.RevokeArtifact)
_WITH_PARENTS: Final = (m.StoreArtifact, m.StoreMany)
_RECORDED: Final = (*_CHANGES, m.GetPredecessor, m.CheckAccess)
"""Messages that the owner itself records: with their change, as a part of one, or as a question that reads nothing."""


class _Delegate:
    """Stands for an owner's actor, and sends it messages on behalf of another session."""

    def __init__(
        self, actor: SessionActor, principal: str, *, family: bool, kind: type[DelegatedMessage] = DelegatedMessage
    ) -> None:
        self.actor_urn = actor.actor_urn
        self.limits = actor.limits
        self.name_limit = actor.name_limit
        self._actor = actor
        self._principal = principal
        self._family = family
        self._kind = kind
        self.refused = actor.refused

    def ask(self, message: Any, timeout: float) -> Any:
        return self._actor.ask(self._kind(self._principal, message, family=self._family), timeout)

    def tell(self, message: Any, receipt: TellReceipt | None) -> None:
        asked = self._kind(self._principal, message, family=self._family, sent=True)
        if receipt is None:
            self._actor.tell(asked)
        else:
            receipt.message = asked
            self._actor.put(OperationEnvelope(asked, receipt))


class CrossSessionRouter:
    """Takes messages across the border of a session as far as a grant or the family allows, or denies them."""

    def __init__(self, directory: Directory, home: Way, preparation: Preparation, security: Security) -> None:
        self._directory = directory
        self._home = home
        self._preparation = preparation
        self._security = security

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Ask a message that concerns other sessions, on behalf of this one. Raises AccessDenied."""
        if message.__class__ is m.DeleteSession:
            return self._delete(session_id, message, timeout)
        self._require(session_id)
        if message.__class__ is m.GetArtifacts:
            return self._many(session_id, message, timeout)
        owner = message.owner()
        if message.__class__ in _WITH_PARENTS:
            self._require_parents(session_id, owner, message, timeout)
            if owner is None or owner == session_id:
                return self._home.ask(session_id, message, timeout)
        assert owner is not None, "only what names an artifact of another session crosses"
        return self._ask(session_id, owner, _for_owner(session_id, message), timeout)

    def tell(self, session_id: str, message: Any, timeout: float, receipt: TellReceipt | None = None) -> None:
        """Tell a message that concerns other sessions, on behalf of this one. `receipt` is notified when it has been
        handled. Raises AccessDenied, which is checked before anything is sent."""
        if message.__class__ is m.DeleteSession:
            self._delete_telling(session_id, message, receipt)
            return
        self._require(session_id)
        owner = message.owner()
        if message.__class__ in _WITH_PARENTS:
            self._require_parents(session_id, owner, message, timeout)
            if owner is None or owner == session_id:
                self._home.tell(session_id, message, receipt)
                return
        if owner is None or message.__class__ not in _CHANGES:
            if receipt is not None:
                receipt.set(None)
            return  # a query without anybody who waits for its answer
        message = _for_owner(session_id, message)
        delegate = self._delegate(session_id, owner, message)
        level = NAMES[message.permission]
        allowed = delegate.ask(m.CheckAccess(message.artifact() or "", level), timeout)
        if not allowed:
            raise self._refusal(session_id, owner, message, Refused("", reason="no grant", needed=level, has=None))
        if message.__class__ is m.StoreArtifact:
            message = self._preparation.prepare(delegate, message, known=False)
        delegate.tell(message, receipt)

    def visit(self, session_id: str, message: Any, timeout: float) -> Any:
        """Ask a session or scope a message that a permission on all of it covers. Raises AccessDenied if the permission
        does not hold any more."""
        principal, delegate = self._visitor(session_id)
        try:
            if message.preparation == "content":
                return self._preparation.ask(delegate, message, timeout)
            return delegate.ask(message, timeout)
        except Refused as refused:
            has = PERMISSIONS.get(refused.fields["has"], 0)
            raise self._security.deny_whole(principal, session_id, message, has) from None
        except (OperationTimeout, RuntimeClosed):
            raise
        except GreenroomError as error:
            if not isinstance(message, m.Query):  # a change that was made is recorded with its event
                reason, kind = f"allowed; it failed with {error.code}", type(message).__name__
                self._security.trail.record(
                    AccessAttempt(principal, session_id, None, message.access, True, reason, kind)
                )
            raise

    def visit_telling(self, session_id: str, message: Any, receipt: TellReceipt | None) -> None:
        """Tell a session or scope a message that a permission on all of it covers."""
        _, delegate = self._visitor(session_id)
        if message.preparation == "content":
            message = self._preparation.prepare(delegate, message, known=False)
        delegate.tell(message, receipt)

    def _visitor(self, session_id: str) -> tuple[str, _Delegate]:
        operation = CURRENT.get()
        principal = operation.principal if operation is not None else None
        assert principal is not None, "only a session visits"
        family = self._security.can_access(principal, session_id)
        return principal, _Delegate(self._directory.actor(session_id), principal, family=family, kind=VisitingMessage)

    def shared_with(self, session_id: str, timeout: float) -> list[ArtifactInfo]:
        """Return the artifacts that other sessions let a session read now, oldest first."""
        wanted: dict[str, set[int]] = {}
        for grantee in (session_id, *self._security.ancestors(session_id)):
            for owner, numbers in self._index(grantee).items():
                wanted.setdefault(owner, set()).update(numbers - {0})
        found: list[ArtifactInfo] = []
        for owner, numbers in wanted.items():
            if not numbers:
                continue  # all of it is shared, and no artifact by itself
            # The index says where to look. Only the session that gave a grant knows whether it still holds.
            try:
                asked = DelegatedMessage(session_id, Shared(sorted(numbers)), family=False)
                infos = self._directory.actor(owner).ask(asked, timeout)
            except (SessionNotFound, IntegrityError, SchemaTooNew) as error:
                logger.warning("skipped among the artifacts shared with session %s: %s", session_id, error)
                continue
            if infos:
                attempt = AccessAttempt(session_id, owner, None, "list", True, "allowed", "shared_with_me")
                self._security.trail.record(attempt)
                found += infos
        return sorted(found, key=lambda info: (info.created_at, str(info.id)))

    def sessions_shared_with(self, session_id: str) -> list[SessionShare]:
        """Return the shares by which this session may use all of another one now, by the other one's id."""
        found: list[SessionShare] = []
        for owner in sorted(owner for owner, numbers in self._index(session_id).items() if 0 in numbers):
            try:
                shares = self._directory.actor(owner).ask(m.ListShares(), self._directory.services.store_timeout)
            except (SessionNotFound, IntegrityError, SchemaTooNew) as error:
                logger.warning("skipped among the sessions shared with session %s: %s", session_id, error)
                continue
            now = [each for each in shares if each.with_session == session_id and not each.expired]
            if now:
                attempt = AccessAttempt(session_id, owner, None, "list", True, "allowed", "shared_sessions")
                self._security.trail.record(attempt)
                found += now
        return found

    def _index(self, grantee: str) -> dict[str, set[int]]:
        """Return the sessions that share with this one: owner → numbers of the shared artifacts."""
        found: dict[str, set[int]] = {}
        if is_session_id(grantee):
            prefix = INDEX_SHARED + session_bytes(grantee)
            for key, _ in self._directory.services.store.engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
                found.setdefault(session_id_of(key[17:33]), set()).add(int.from_bytes(key[33:], "big"))
        return found

    # -- one artifact

    def _ask(self, principal: str, owner: str, message: Any, timeout: float) -> Any:
        if message.__class__ is m.CheckAccess and message.who in (None, principal) and not self._is_there(owner):
            return False  # the same answer as for an artifact that exists
        try:
            delegate = self._delegate(principal, owner, message)
            if message.__class__ is m.StoreArtifact:
                # Check the permission before content is written ahead.
                assert message.version_of is not None, "one without stays where it was sent"
                delegate.ask(MayWrite(message.version_of), timeout)
                return self._preparation.ask(delegate, message, timeout)
            reply = delegate.ask(message, timeout)
        except Refused as refused:
            raise self._refusal(principal, owner, message, refused) from None
        except (OperationTimeout, RuntimeClosed):
            raise
        except GreenroomError as error:
            if not isinstance(error, (AccessDenied, ValidationError)):
                self._note(principal, owner, message, f"allowed; it failed with {error.code}")
            raise
        if message.__class__ not in _RECORDED:
            self._note(principal, owner, message, "allowed")
        return reply

    def _delegate(self, principal: str, owner: str, message: Any) -> _Delegate:
        """Return the owner's actor. Refuse a missing or damaged owner in the same way as a missing grant."""
        try:
            actor = self._directory.actor(owner)
        except (SessionNotFound, IntegrityError, SchemaTooNew) as error:
            raise self._refusal(
                principal, owner, message, Refused("", reason=f"the owner: {error.code}", needed="", has=None)
            ) from None
        return _Delegate(actor, principal, family=self._security.can_access(principal, owner))

    def _is_there(self, session_id: str) -> bool:
        catalog = self._directory.services.store.catalog
        return is_session_id(session_id) and catalog.row(session_bytes(session_id)) is not None

    def _require(self, session_id: str) -> None:
        """Raise SessionNotFound if the asking session does not exist."""
        if not self._is_there(session_id):
            raise SessionNotFound(f"there is no session {str(session_id)[:64]!r}", session_id=str(session_id)[:64])

    def _refusal(self, principal: str, owner: str, message: Any, refused: Refused) -> GreenroomError:
        attempt = self._attempt(principal, owner, message, refused.fields["reason"], granted=False)
        return self._security.deny_artifact(attempt, refused.fields["needed"], refused.fields["has"])

    def _note(self, principal: str, owner: str, message: Any, reason: str) -> None:
        self._security.trail.record(self._attempt(principal, owner, message, reason, granted=True))

    @staticmethod
    def _attempt(principal: str, owner: str, message: Any, reason: str, *, granted: bool) -> AccessAttempt:
        artifact = str(message.artifact())
        return AccessAttempt(principal, owner, artifact, message.access, granted, reason, type(message).__name__)

    def _require_parents(self, session_id: str, owner: str | None, message: Any, timeout: float) -> None:
        """Raise unless the session may read the parents, in other sessions, of the artifacts that it stores."""
        for parent in message.parents(session_id):
            self._ask(session_id, parent.session_id, m.GetArtifactInfo(parent), timeout)
        parent = message.parent_artifact if owner not in (None, session_id) else None
        if parent is None:
            return
        # The session that stores the version cannot see whether its author may read the parent.
        if ArtifactId.named_by(parent) is None:
            raise ValidationError(
                "parent_artifact: for a version of another session's artifact, name it by its id",
                field="parent_artifact",
            )
        if not message.parents(session_id):
            self._home.ask(session_id, m.GetArtifactInfo(parent), timeout)

    # -- several artifacts

    def _many(self, session_id: str, message: m.GetArtifacts, timeout: float) -> Any:
        """Ask each owner for its artifacts. A refused one becomes an error under its reference."""
        results: dict[Any, Any] = {}
        errors: dict[Any, GreenroomError] = {}
        own: list[ArtifactId | str] = []
        for ref in message.refs:
            identity = ArtifactId.named_by(ref)
            if identity is None or identity.session_id == session_id:
                own.append(ref)
                continue
            try:
                results[ref] = self._ask(session_id, identity.session_id, m.GetArtifact(identity), timeout)
            except (OperationTimeout, RuntimeClosed):
                raise
            except GreenroomError as error:
                errors[ref] = error
        if own:
            found, missing = self._home.ask(session_id, m.GetArtifacts(own), timeout)
            results.update(found)
            errors.update(missing)
        return {ref: results[ref] for ref in message.refs if ref in results}, errors

    # -- the end of a session

    def _delete(self, session_id: str, message: m.DeleteSession, timeout: float) -> Any:
        """Revoke what was shared with a session, then delete it: if the process ends in between, no grant outlives its
        grantee."""
        try:
            self._require_expected(session_id, message)
            for owner in self._index(session_id):
                try:
                    self._home.ask(owner, m.ForgetGrantee(session_id), timeout)
                except GreenroomError as error:
                    self._still_shared(owner, session_id, error)
            return self._home.ask(session_id, message, timeout)
        except SessionNotFound:
            if not _is_once(session_id, message):
                raise
            return None

    def _delete_telling(self, session_id: str, message: m.DeleteSession, receipt: TellReceipt | None) -> None:
        try:
            self._require_expected(session_id, message)
            for owner in self._index(session_id):
                try:
                    self._directory.actor(owner).tell(m.ForgetGrantee(session_id))
                except GreenroomError as error:
                    self._still_shared(owner, session_id, error)
            self._home.tell(session_id, message, receipt)
        except SessionNotFound:
            if not _is_once(session_id, message):
                raise
            if receipt is not None:
                receipt.set(None)

    def _require_expected(self, session_id: str, message: m.DeleteSession) -> None:
        """Raise Conflict if the session has another sequence than expected. It is asked again in the session's turn."""
        if message.condition is not None and message.condition.expected_sequence is not None:
            self._directory.actor(session_id).require(message.condition)

    @staticmethod
    def _still_shared(owner: str, session_id: str, error: GreenroomError) -> None:
        logger.warning("session %s still shares with the deleted %s: %s", owner, session_id, error)


def _is_once(session_id: str, message: m.DeleteSession) -> bool:
    """Return whether a session that is not there counts as deleted: the message has an idempotency key, and may have
    deleted it before."""
    return idempotency_key(message) is not None and is_session_id(session_id)


def _for_owner(session_id: str, message: Any) -> Any:
    """Return the message as it goes to another session. That one remembers the answer to an idempotency key as a key of
    the asking session. Raises ValidationError for what is expected of the asking session, which does not change."""
    condition = message.condition if isinstance(message, m.Command) else None
    if condition is None:
        return message
    if condition.expected_sequence is not None:
        raise ValidationError(
            "expected_sequence: an artifact of another session cannot be changed under a condition",
            field="expected_sequence",
        )
    twin = message.copy()
    twin.condition = Condition(None, f"{session_id} {condition.idempotency_key}")
    return twin
