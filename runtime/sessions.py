"""The sessions of a runtime: making, finding, saving and deleting them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from inspect import signature
from typing import Annotated, Any, Final

import pydantic
from annotated_types import MaxLen, MinLen

from greenroom.actors import messages as m
from greenroom.actors.messages.core import CREATION
from greenroom.actors.scheduling.operation import CURRENT, changed, in_own_realm
from greenroom.actors.session.decisions.decide import Draft, creation
from greenroom.actors.transfer.recording import Recording
from greenroom.runtime.config.config import SessionConfig, session_overrides
from greenroom.runtime.handles.handle import required_session_id, session_id_of
from greenroom.runtime.handles.session import Session
from greenroom.runtime.handles.templates import SCOPE as TEMPLATES
from greenroom.runtime.handles.templates import Templates
from greenroom.storage.catalog.model import SessionInfo, SessionQuery, SessionStatus
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.arguments import as_number, as_text
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import is_session_id, session_bytes
from greenroom.storage.common.session_ids import session_id_of as id_of_bytes
from greenroom.storage.common.validation import refusal, validated
from greenroom.storage.errors import (
    HookCancelled,
    IntegrityError,
    InvalidOperation,
    SessionNotFound,
    ValidationError,
    shown,
)

from .lifecycle import Lifecycle

__all__ = ["Sessions"]

DAY: Final = 86_400 * 1_000_000_000


class _NewSession(pydantic.BaseModel):
    """What outsiders may say of a new session."""

    model_config = pydantic.ConfigDict(strict=True)

    name: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None
    description: Annotated[str, MaxLen(m.MAX_TEXT)] | None
    created_by: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None
    correlation_id: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None


_check_new_session = _NewSession.__pydantic_validator__.validate_python


def _is_plain_name(name: object) -> bool:
    """Whether the model has nothing to find: the usual case, at a tenth of its cost."""
    return name is None or (type(name) is str and 0 < len(name) <= m.MAX_NAME and name.isascii())


class Sessions(Lifecycle):
    """What a runtime does with its sessions; with one of them, a handle does it."""

    @in_own_realm
    def create_session(
        self,
        name: str | None = None,
        description: str | None = None,
        created_by: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        parent: Session | str | None = None,
        config: SessionConfig | Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
    ) -> Session:
        """Make a durable session with an unpredictable id.

        name ≤ 255 characters, ≤ 64 tags of ≤ 64 characters, metadata ≤ 64 KiB of JSON. A template adds its name's
        prefix, its tags, metadata and settings; where both say something, the caller does.
        Raises ValidationError, or SessionNotFound if the parent does not exist.
        """
        if self.hooks.creating or self._supervisor.delivery.trace is not None:
            given: dict[str, Any] = {
                "name": name,
                "description": description,
                "created_by": created_by,
                "tags": list(tags) if isinstance(tags, Iterable) and not isinstance(tags, str) else tags,
                "metadata": metadata,
                "parent": parent.id if isinstance(parent, Session) else parent,
                "config": config.model_dump(exclude_unset=True) if isinstance(config, SessionConfig) else config,
                "correlation_id": correlation_id,
                "template": template,
            }
            with self._span("create_session", correlation_id=correlation_id) as noted:
                hooked = self.hooks.creating
                made = (
                    self._created(self.hooks.creation(given, self._create_hooked, _check_changed))
                    if hooked
                    else self._begun(self._first_event(**given))
                )
                if noted is not None:
                    noted.session(made.id)
                return made
        return self._begun(
            self._first_event(name, description, created_by, tags, metadata, parent, config, correlation_id, template)
        )

    def _create_hooked(self, data: dict[str, Any], target: str | None) -> Session:
        """Create a session with what the hooks before it have left, or take the one they redirect to."""
        if target is not None:
            return self.session(target)
        return self._begun(self._first_event(**data))

    def _created(self, answer: Any) -> Session:
        """The session that hooks have answered with, themselves or by its id."""
        if isinstance(answer, Session):
            return answer
        if isinstance(answer, str):
            return self.session(answer)
        raise InvalidOperation("a hook has answered the creation of a session with what is no session")

    def _begun(self, draft: Draft) -> Session:
        """Make the session of a first event, if the rates let one more be created."""
        self.policies.require(CREATION)
        return Session(self._runtime, self._supervisor.table.create(draft))

    def _recording(self, at: int, **options: Any) -> Recording:
        """Begin a session that comes in whole, created at `at` (ns since the epoch), past the rates of live work.

        `options` are those of `create_session`; the hooks around creation may change them, but not redirect it.
        """
        self._check_open()
        self._require_host("ingest", "write")
        recording = Recording(self._supervisor.table, self._supervisor.delivery.hooks, at)

        def begin(data: dict[str, Any], target: str | None) -> Recording:
            if target is not None:
                raise InvalidOperation("a hook has redirected the creation of a session that comes in whole")
            first: Draft = self._first_event(**data)
            recording.begin(first)
            return recording

        try:
            if not self.hooks.creating:
                return begin(options, None)
            given = {name: each.default for name, each in _PARAMETERS.items()} | options
            answer: object = self.hooks.creation(given, begin, _check_changed)
            if answer is not recording:
                raise InvalidOperation("a hook has answered the creation of a session that comes in whole")
        except BaseException:
            recording.abandon()
            raise
        return recording

    def _first_event(
        self,
        name: str | None = None,
        description: str | None = None,
        created_by: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        parent: Session | str | None = None,
        config: SessionConfig | Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
    ) -> Draft:
        """Check what a session is to be made of; the draft of its first event."""
        if template is not None:
            around = CURRENT.get()
            try:
                CURRENT.set(changed(around, {"principal": None}))  # presets are the host's, for everybody to use
                preset = self.templates.get(template)
            finally:
                CURRENT.set(around)
            name = preset.named(name)
            tags, metadata, config = preset.tagged(tags), preset.described(metadata), preset.configured(config)
        if not (_is_plain_name(name) and description is created_by is correlation_id is None):
            try:
                _check_new_session(
                    {
                        "name": name,
                        "description": description,
                        "created_by": created_by,
                        "correlation_id": correlation_id,
                    }
                )
            except pydantic.ValidationError as error:
                raise refusal(error, _NewSession) from None
            name, description, created_by, correlation_id = (
                str.__str__(each) if each is not None else None
                for each in (name, description, created_by, correlation_id)
            )
        principal = self._security.principal()
        parent_id = principal  # what a session makes is its child: that is how it may reach it
        if parent is not None:
            parent_id = session_id_of(parent, "parent")
            self._security.require(parent_id or "", "create_session", "write")
        if parent_id is not None and not self.exists(parent_id):
            raise SessionNotFound("the parent session does not exist", session_id=str(parent_id)[:64])
        overrides = session_overrides(config) if config is not None else None
        if principal is not None:
            overrides = self.policies.for_child(overrides or {}, principal)
        return creation(
            name,
            description,
            created_by,
            m.tag_list(tags),
            m.metadata_bytes(metadata) if metadata is not None else m.EMPTY_METADATA,
            parent_id,
            overrides,
            correlation_id,
        )

    def session(self, session_id: str) -> Session:
        """A handle on an existing session. Raises SessionNotFound."""
        session_id = required_session_id(session_id)
        self._security.require(session_id, "session")
        if not self.exists(session_id):
            raise SessionNotFound(f"there is no session {shown(session_id)}", session_id=session_id[:64])
        return Session(self._runtime, session_id)

    def exists(self, session_id: str) -> bool:
        """Whether there is a session with exactly this id, as far as the running code may know."""
        self._check_open()
        if type(session_id) is not str:
            session_id = required_session_id(session_id)
        principal = self._security.principal()
        if principal is not None and not self._security.can_access(principal, session_id):
            return False
        return is_session_id(session_id) and self._store.catalog.row(session_bytes(session_id)) is not None

    def list_sessions(self, **query: Any) -> Page[SessionInfo]:
        """The sessions that match, as a page with the `total` before pagination.

        Keys: status (one or several; default active and suspended), created_by, tags (all of), parent, created_after,
        created_before, search (in name and description, case-insensitive), metadata (equality per key), sort_by
        (created_at, updated_at, name, artifact_count, operation_count), descending, limit, offset.
        """
        self._check_open()
        if type(query.get("tags")) is str:
            raise ValidationError("tags: a list of texts is needed, not one text", field="tags")
        wanted = validated(SessionQuery, query)
        if wanted.parent is not None and not is_session_id(wanted.parent):
            raise ValidationError("parent: a session id is needed", field="parent")
        principal = self._security.principal()
        if principal is None:
            return self._store.catalog.query(wanted)
        if wanted.parent is not None:
            self._security.require(wanted.parent, "list_sessions", "list")
        return self._store.catalog.query(wanted, self._family(principal))

    def _family(self, principal: str) -> Iterator[bytes]:
        """What code that acts for a session sees of all sessions: its own, and those below it."""
        return self._store.catalog.below(session_bytes(principal)) if is_session_id(principal) else iter(())

    def count_sessions(self, **query: Any) -> int:
        """How many sessions match."""
        return self.list_sessions(**{**query, "limit": 0, "offset": 0}).total

    def find_sessions(self, id_prefix: str, limit: int = 10) -> list[str]:
        """Ids that begin with these hex digits, at most `limit`. Raises ValidationError."""
        digits = as_text("id_prefix", id_prefix, m.MAX_NAME).replace("-", "").lower()
        limit = as_number("limit", limit)
        if not 1 <= len(digits) <= 32 or any(each not in "0123456789abcdef" for each in digits):
            raise ValidationError("a session id consists of hex digits and hyphens", field="session_id")
        self._check_open()
        principal = self._security.principal()
        if principal is None:
            return self._store.catalog.with_prefix(digits, limit)
        own = sorted(map(id_of_bytes, self._family(principal)))
        return [each for each in own if each.replace("-", "").startswith(digits)][:limit]

    def delete_session(self, session_id: str) -> None:
        """Remove a session with everything that belongs to it, also a damaged one. Raises SessionNotFound."""
        session_id = required_session_id(session_id)
        if not is_session_id(session_id):
            raise SessionNotFound(f"there is no session {shown(session_id)}", session_id=session_id[:64])
        Session(self._runtime, session_id).delete()

    def save_all(self) -> int:
        """Snapshot every session in memory that has unsaved events, and put everything on disk; how many."""
        self._check_open()
        self._require_host("save_all")
        saved = 0
        for actor in self._supervisor.table.residents():
            if actor.unsaved:
                try:
                    self._supervisor.ask(actor.actor_urn, m.SaveSession(sync=False), self.config.ask_timeout)
                    saved += 1
                except (SessionNotFound, HookCancelled):
                    pass  # deleted meanwhile, or a hook is against it
        self._store.sync()
        return saved

    def restore_recent(self, n: int = 10) -> list[Session]:
        """Bring the `n` most recently changed open sessions into memory, newest first."""
        self._require_host("restore_recent")
        recent = self.list_sessions(sort_by="updated_at", descending=True, limit=n)
        sessions = []
        for info in recent:
            session = Session(self._runtime, info.id)
            try:
                session.load()
            except (SessionNotFound, IntegrityError, HookCancelled):
                continue  # deleted meanwhile, damaged, or refused by a hook: the others come back all the same
            sessions.append(session)
        return sessions

    def cleanup(self, retention_days: float | None = None) -> int:
        """Delete sessions that ended longer ago than `retention_days` (default: each one's own, where it has one); how
        many."""
        self._check_open()
        self._require_host("cleanup", "delete")
        if retention_days is not None and (type(retention_days) not in (int, float) or not 0 <= retention_days < 1e9):
            raise ValidationError("retention_days: a number from 0 is needed", field="retention_days")
        now = self._clock.time_ns()
        ended = (SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.ARCHIVED)
        default = SessionConfig().retention_days
        deleted = 0
        for session, row in self._store.catalog.rows(ended):
            days = retention_days
            if days is None:
                days = unpack_value(row.config).get("retention_days", default) if row.config else default
            if days is not None and row.ended_at is not None and now - row.ended_at >= days * DAY:
                try:
                    self.delete_session(id_of_bytes(session))
                    deleted += 1
                except (SessionNotFound, HookCancelled):
                    pass  # somebody else deleted it, or a hook keeps it
        return deleted

    @property
    def templates(self) -> Templates:
        """Presets for new sessions: `save`, `get`, `list`, `delete`."""
        self._require_host("templates")
        return Templates(lambda: self._runtime.state_scope(TEMPLATES))


_PARAMETERS: Final = {
    name: each for name, each in signature(Sessions.create_session).parameters.items() if name != "self"
}
_OPTIONS: Final = frozenset(_PARAMETERS)


def _check_changed(data: dict[str, Any]) -> None:
    """Raises ValidationError for what a hook cannot make of the options of a new session."""
    if data.keys() != _OPTIONS:
        raise ValidationError("create_session: a hook has added or removed an option of a session")
    try:
        _check_new_session(data)
    except pydantic.ValidationError as error:
        raise refusal(error, _NewSession) from None
    if data["tags"]:
        m.tag_list(data["tags"])
    if data["metadata"] is not None:
        m.metadata_bytes(data["metadata"])
    if data["config"] is not None:
        session_overrides(data["config"])
