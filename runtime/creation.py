"""Creates sessions: combines the caller's options, a template and the changes of hooks into the first event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import CREATION
from greenroom.actors.scheduling.operation import CURRENT, changed
from greenroom.actors.session.decisions.decide import PendingEvent, creation
from greenroom.actors.store import key_taken
from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.session import Session, created_session, find_session, session_id_of
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.session_ids import session_bytes
from greenroom.storage.common.session_ids import session_id_of as id_of_bytes
from greenroom.storage.errors import InvalidOperation, SessionNotFound, ValidationError, shown

from .policies import Policies

if TYPE_CHECKING:
    from greenroom.actors.transfer.recording import Recording
    from greenroom.runtime.config.config import SessionConfig
    from greenroom.runtime.handles.templates import Templates

__all__ = ["Creation"]


def _is_plain_name(name: object) -> bool:
    """Return whether `check_new_session` would accept this name unchanged. It is the usual case, checked at a tenth of
    the cost."""
    return name is None or (type(name) is str and 0 < len(name) <= m.MAX_NAME and name.isascii())


class Creation:
    """Creates the sessions of a runtime."""

    def __init__(self, host: Host, policies: Policies, templates: Callable[[], Templates]) -> None:
        self._host = host
        self._core = host.core
        self._policies = policies
        self._templates = templates

    def create(self, options: tuple[Any, ...]) -> Session:
        """Create a session; `options` are those of `Runtime.create_session`, in order. The caller has claimed the
        key."""
        core = self._core
        hooked = core.hooks.creating
        if not hooked and core.supervisor.delivery.trace is None:
            return self._begun(self._first_event(*options))
        from greenroom.runtime.config.config import SessionConfig

        given: dict[str, Any] = {**_DEFAULTS, **dict(zip(_DEFAULTS, options, strict=False))}
        tags, metadata, parent, config = (given[name] for name in ("tags", "metadata", "parent", "config"))
        given |= {
            "tags": list(tags) if isinstance(tags, Iterable) and not isinstance(tags, str) else tags,
            "metadata": unpack_value(m.metadata_bytes(metadata)) if metadata is not None else None,
            "parent": parent.id if isinstance(parent, Session) else parent,
            "config": config.model_dump(exclude_unset=True) if isinstance(config, SessionConfig) else config,
        }
        check = partial(_check_changed, key=given["key"])
        with core.span("create_session", correlation_id=given["correlation_id"]) as noted:
            if hooked:
                answer = core.hooks.creation(given, self._create_hooked, check)
                made = created_session(self._host, answer)
            else:
                made = self._begun(self._first_event(**given))
            if noted is not None:
                noted.session(made.id)
            return made

    def create_keyed(self, key: str, options: tuple[Any, ...]) -> Session:
        """Create a session with a key of the host; `options` are those of `create` before it. Raises
        SessionAlreadyExists."""
        self._core.require_host("create_session with a key", "write")
        store = self._core.store
        key = m.session_key(key)
        with store.session_keys.claimed((key,), self._core.config.ask_timeout):
            there = store.session_with_key(key)
            if there is not None:
                raise key_taken(key, id_of_bytes(there), "get_or_create returns it, or choose another key")
            return self.create((*options, key))

    def get_or_create(self, key: str, options: tuple[Any, ...]) -> Session:
        """Return the session with this key; create it with these `options` if there is none."""
        key = m.session_key(key)
        found = self.with_key(key)
        if found is not None:
            return found
        self._core.require_host("get_or_create", "write")
        with self._core.store.session_keys.claimed((key,), self._core.config.ask_timeout):
            found = self.with_key(key)
            return found if found is not None else self.create((*options, key))

    def session_with_key(self, key: str, session_id: str | None = None) -> Session:
        """Return the session with this key. Raises SessionNotFound, ValidationError if an id is given too."""
        if session_id is not None:
            raise ValidationError("session: give the id of a session or its key, not both", field="key")
        key = m.session_key(key)
        found = self.with_key(key)
        if found is None:
            raise SessionNotFound(f"there is no session with the key {shown(key)}", key=key)
        return found

    def with_key(self, key: str) -> Session | None:
        """Return the session with this key, if there is one that the running code may reach."""
        self._core.check_open()
        there = self._core.store.session_with_key(key)
        if there is None or not self._core.exists(id_of_bytes(there)):
            return None
        return Session(self._host, id_of_bytes(there))

    def _create_hooked(self, data: dict[str, Any], target: str | None) -> Session:
        """Create a session with the options that hooks leave, or return the session that a hook redirects to."""
        if target is not None:
            return find_session(self._host, target)
        return self._begun(self._first_event(**data))

    def _begun(self, draft: PendingEvent) -> Session:
        """Create the session of a first event, if the rates allow it."""
        self._policies.require(CREATION)
        return Session(self._host, self._core.supervisor.table.create(draft))

    def recording(self, at: int, **options: Any) -> Recording:
        """Begin an ingested session, created at `at` (ns since the epoch). It does not count against rates.

        `options` are those of `create_session`. Hooks may change them, but may not redirect the creation.
        """
        from greenroom.actors.transfer.recording import Recording

        self._core.check_open()
        self._core.require_host("ingest", "write")
        recording = Recording(self._core.supervisor.table, self._core.supervisor.delivery.hooks, at)

        def begin(data: dict[str, Any], target: str | None) -> Recording:
            if target is not None:
                raise InvalidOperation("a hook has redirected the creation of a session that comes in whole")
            first: PendingEvent = self._first_event(**data)
            recording.begin(first)
            return recording

        try:
            if not self._core.hooks.creating:
                return begin(options, None)
            given = {**_DEFAULTS, **options}
            answer: object = self._core.hooks.creation(given, begin, partial(_check_changed, key=None))
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
        metadata: Mapping[str, object] | None = None,
        parent: Session | str | None = None,
        config: SessionConfig | Mapping[str, object] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
        key: str | None = None,
    ) -> PendingEvent:
        """Check the options of a new session and return the draft of its first event."""
        if template is not None:
            around = CURRENT.get()
            try:
                CURRENT.set(
                    changed(around, {"principal": None})
                )  # templates belong to the host; everybody may use them
                preset = self._templates().get(template)
            finally:
                CURRENT.set(around)
            name = preset.named(name)
            tags, metadata, config = preset.tagged(tags), preset.described(metadata), preset.configured(config)
        if not (_is_plain_name(name) and description is created_by is correlation_id is None):
            from greenroom.runtime.config.new_session import check_new_session

            check_new_session(
                {
                    "name": name,
                    "description": description,
                    "created_by": created_by,
                    "correlation_id": correlation_id,
                }
            )
            name, description, created_by, correlation_id = (
                str.__str__(each) if each is not None else None
                for each in (name, description, created_by, correlation_id)
            )
        principal = self._core.security.principal()
        parent_id = principal  # a session may access the sessions it creates because they are its children
        if parent is not None:
            parent_id = session_id_of(parent, "parent")
            self._core.security.require(parent_id or "", "create_session", "write")
        if parent_id is not None and not self._core.exists(parent_id):
            raise SessionNotFound(f"there is no session {shown(parent_id)} to be the parent", session_id=parent_id[:64])
        overrides = None
        if config is not None:
            from greenroom.runtime.config.config import session_overrides

            overrides = session_overrides(config)
        if principal is not None:
            created_by = self._creator(principal, created_by)
            overrides = self._policies.for_child(overrides or {}, principal)
        return creation(
            name,
            description,
            created_by,
            m.tag_list(tags),
            m.metadata_bytes(metadata) if metadata is not None else m.EMPTY_METADATA,
            parent_id,
            overrides,
            correlation_id,
            key,
        )

    def _creator(self, principal: str, given: str | None) -> str | None:
        """Return the creator of a session that another one makes: its own creator, unless it names another one. It may
        not escape a quota by that, nor use up that of somebody else. Raises AccessDenied."""
        row = self._core.store.catalog.row(session_bytes(principal))
        own = row.created_by if row is not None else None
        if given is None or given == own:
            return own
        creators = self._core.store.creators
        if creators.quota(given) is not None or (own is not None and creators.quota(own) is not None):
            raise self._core.security.deny_creator(principal)
        return given


_DEFAULTS: Final = {
    name: each.default for name, each in signature(Creation._first_event).parameters.items() if name != "self"
}
"""The options of a new session in order, with their defaults."""


def _check_changed(data: dict[str, Any], key: str | None) -> None:
    """Raise ValidationError if a hook has made the options of a new session impossible, or changed its key."""
    from greenroom.runtime.config.config import session_overrides
    from greenroom.runtime.config.new_session import check_new_session

    if data.keys() != _DEFAULTS.keys():
        raise ValidationError("create_session: a hook has added or removed an option of a session")
    if data["key"] != key:
        raise ValidationError("create_session: a hook has changed the key of a session, which its caller chose")
    check_new_session(data)
    if data["tags"]:
        m.tag_list(data["tags"])
    if data["metadata"] is not None:
        m.metadata_bytes(data["metadata"])
    if data["config"] is not None:
        session_overrides(data["config"])
