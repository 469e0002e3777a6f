"""`InstalledScripts`: scripts as hooks and event handlers that outlive the run."""

from __future__ import annotations

import builtins
import contextvars
import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.runtime.handles.scope import Scope
from greenroom.runtime.handles.session import Session, required_session_id
from greenroom.runtime.scripts.residence import Residence
from greenroom.runtime.scripts.scripts import MAX_SCRIPT_ARGUMENTS, ScriptEngine, ScriptRequest, engine_for
from greenroom.runtime.scripts.sources import find_source
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.catalog.model import SessionStatus
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.arguments import as_items, as_seconds, as_text
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.session_ids import scope_bytes
from greenroom.storage.common.times import utc_time
from greenroom.storage.errors import (
    GreenroomError,
    InvalidOperation,
    InvalidSessionState,
    ResourceLimitExceeded,
    SessionNotFound,
    ValidationError,
    shown,
)
from greenroom.storage.files.regular_file import file_path

from . import SCOPE
from .definition import InstalledScript, ScriptStatus, script_name
from .resident import Resident

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.actors.events import Subscription
    from greenroom.runtime.handles.host import Host
    from greenroom.storage.events.model import Event

__all__ = ["MAX_INSTALLED", "InstalledScripts"]

logger = logger_of("scripts")

MAX_INSTALLED: Final = 64
_STOP_SECONDS: Final = 1.0
_ENDINGS: Final = frozenset({"session.completed", "session.failed", "session.archived", "session.deleted"})
_OPEN: Final = frozenset({SessionStatus.ACTIVE, SessionStatus.SUSPENDED})


class InstalledScripts:
    """Scripts that stay: their hooks and event handlers work as long as the runtime is open, and again when the store
    is opened the next time. Each has a sandbox and a thread of its own.

    Example:
        ```py
        rt.scripts.install("guard", Path("guard.lua"))      # Hook.register("BeforeStateWrite", function(context) … end)
        rt.scripts.status("guard").state
        rt.scripts.uninstall("guard")
        ```
    """

    def __init__(
        self,
        host: Host,
        subscribe: Callable[..., Subscription],
        memory_of: Callable[[str | None], int],
    ) -> None:
        """`subscribe` listens to events, `memory_of` says how much memory a script of a session may use."""
        self._host = host
        self._core = host.core
        self._subscribe = subscribe
        self._memory_of = memory_of
        self._changing = threading.Lock()
        self._residents: dict[str, Resident] = {}
        self._listening: Subscription | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"<InstalledScripts {len(self._residents)} at work>"

    # -- what hosts do

    @checked
    def install(
        self,
        name: str,
        source: str | os.PathLike[str] | ArtifactId | None = None,
        *,
        artifact: ArtifactId | str | None = None,
        version: int | str | None = None,
        session: Session | str | None = None,
        language: str | None = None,
        profile: str = "sandboxed",
        args: Sequence[object] = (),
        directories: Sequence[str | os.PathLike[str]] = (),
        call_timeout: float | None = None,
    ) -> ScriptStatus:
        """Run a script, and keep it: the functions that it has given to `Hook.register` and `Event.on` are called from
        now on. One with the same name is replaced without a gap.

        Source, language, profile and limits are those of `run_script`; a call of a function may take `call_timeout`
        seconds (default: `script_timeout`), and as many instructions as a run. A call that exceeds a limit ends the
        sandbox, and the source is run anew in another one, at most `max_restarts` times within `restart_window`. With a
        `session` the script acts for that session, and is uninstalled when the session ends. The source is copied, so
        that the file or artifact is needed no more.

        For the host. Raises what `run_script` raises, and then nothing is installed; ResourceLimitExceeded for more
        than 64 scripts, InvalidSessionState if the session has ended, and ValidationError if `redact` would change the
        source.
        """
        self._admit("install", "write")
        self._core.check_writable("to install scripts")
        name = script_name(name)
        bound = find_bound(self._host, session)
        if bound is not None and bound.info().status not in _OPEN:
            raise InvalidSessionState(
                f"session {bound.id} has ended, so no script can act for it", status=str(bound.info().status)
            )
        found = find_source(self._host, source, artifact, version, bound)
        engine = found.engine(as_text("language", language, 64) if language is not None else None)
        granted = as_items("directories", directories, MAX_SCRIPT_ARGUMENTS, "a list of paths")
        arguments = as_items("args", args, MAX_SCRIPT_ARGUMENTS, "a list of values")
        limit = self._core.config.script_timeout if call_timeout is None else as_seconds("call_timeout", call_timeout)
        definition = InstalledScript(
            name=name,
            source=found.text,
            language=engine.language,
            profile=as_text("profile", profile, 64),
            installed_at=utc_time(self._core.clock.time_ns()),
            call_timeout=limit,
            session_id=bound.id if bound is not None else None,
            args=tuple(unpack_value(pack_value([*arguments], "args"))),
            directories=tuple(str(file_path(each, "directories")) for each in granted),
            artifact=str(found.artifact.id) if found.artifact is not None else None,
            version=found.artifact.version if found.artifact is not None else None,
        )
        self._require_keepable(definition)
        with self._changing:
            before = self._residents.get(name)
            self._require_room(name)
            resident = self._resident(definition, engine)
            try:
                resident.wait(resident.begin())
                self._scope.set(name, definition.to_dict())
            except BaseException:
                resident.stop()
                raise
            self._residents[name] = resident
            if before is not None:
                before.stop()
            self._listen()
        if before is not None:
            before.await_end(_STOP_SECONDS)
        return resident.status()

    @checked
    def uninstall(self, name: str) -> bool:
        """End an installed script and forget it: its hooks and handlers are called no more. Return whether it was
        installed."""
        self._admit("uninstall", "write")
        self._core.check_writable("to uninstall scripts")
        return self._remove(script_name(name))

    def list(self) -> builtins.list[ScriptStatus]:
        """Return how all installed scripts are doing, by name."""
        self._admit("list", "list")
        return [self._status(each) for each in self._names()]

    @checked
    def get(self, name: str) -> InstalledScript:
        """Return the definition of an installed script, with its source. Raises InvalidOperation if there is none."""
        self._admit("get", "read")
        return self._definition(script_name(name))

    @checked
    def status(self, name: str) -> ScriptStatus:
        """Return how an installed script is doing. Raises InvalidOperation if there is none."""
        self._admit("status", "read")
        name = script_name(name)
        self._definition(name)
        return self._status(name)

    def _admit(self, operation: str, access: str) -> None:
        self._core.check_open()
        self._core.require_host(f"scripts.{operation}", access)

    # -- definitions

    @property
    def _scope(self) -> Scope:
        # Past all hooks: no installed script can keep another one, or itself, from being installed or uninstalled.
        core = self._core
        return Scope(
            core.supervisor.delivery.routing, core.supervisor.table.scope(SCOPE), core.config.ask_timeout, SCOPE
        )

    def _names(self) -> builtins.list[str]:
        if self._core.store.journal.last(scope_bytes(SCOPE)) is None:
            return []
        return self._scope.keys()

    def _definition(self, name: str) -> InstalledScript:
        stored: Any = self._scope.get(name) if self._names() else None
        if stored is None:
            raise InvalidOperation(f"no script {shown(name)} is installed")
        return InstalledScript._stored(stored)

    def _require_room(self, name: str) -> None:
        names = self._names()
        if name not in names and len(names) >= MAX_INSTALLED:
            raise ResourceLimitExceeded(
                f"{MAX_INSTALLED} scripts are installed already: uninstall those that are not needed",
                resource="installed_scripts",
                limit=MAX_INSTALLED,
                value=len(names),
            )

    def _require_keepable(self, definition: InstalledScript) -> None:
        """Refuse a definition that could not be started again as it is."""
        row, redaction = definition.to_dict(), self._core.redaction
        m.SetVariable(definition.name, row)  # which refuses what is too large
        if redaction is not None and redaction.value(row) != row:
            raise ValidationError(
                "source: it has what `redact` removes, so it cannot be kept as it is: have the script read it instead",
                field="source",
            )

    # -- residents

    def _resident(self, definition: InstalledScript, engine: ScriptEngine) -> Resident:
        return Resident(self._core, definition, engine, partial(self._request, definition))

    def _request(self, definition: InstalledScript, residence: Residence, echo: Callable[[str], None]) -> ScriptRequest:
        bound = Session(self._host, definition.session_id) if definition.session_id is not None else None
        config = self._core.config
        return ScriptRequest(
            runtime=self._host,
            source=definition.source,
            name=definition.name,
            profile=definition.profile,
            session=bound,
            args=definition.args,
            timeout=config.script_timeout,
            max_instructions=config.script_instructions,
            max_memory=self._memory_of(definition.session_id),
            directories=tuple(file_path(each) for each in definition.directories),
            echo=echo,
            residence=residence,
        )

    def _status(self, name: str) -> ScriptStatus:
        resident = self._residents.get(name)
        if resident is not None:
            return resident.status()
        bound = self._definition(name).session_id
        return ScriptStatus(name, "stopped", bound, None, None, 0, 0, 0, (), "")

    def _remove(self, name: str) -> bool:
        with self._changing:
            there = name in self._names()
            if there:
                self._scope.delete(name)
            resident = self._residents.pop(name, None)
            if resident is not None:
                resident.stop()
        if resident is not None:
            resident.await_end(_STOP_SECONDS)
        return there

    # -- sessions that end

    def _listen(self) -> None:
        """Hear of sessions that end, once a script is bound to one."""
        if self._listening is None and any(each.definition.session_id for each in self._residents.values()):
            # In a context without an operation: what it does, the host does.
            self._listening = contextvars.Context().run(
                self._subscribe, "session.*", callback=self._session_changed, origin="runtime"
            )

    def _session_changed(self, event: Event) -> None:
        if event.type in _ENDINGS and not self._closing:
            for name, each in [*self._residents.items()]:
                if each.definition.session_id == event.session_id:
                    self._remove(name)

    def _has_ended(self, session_id: str) -> bool:
        try:
            return Session(self._host, session_id).info().status not in _OPEN
        except SessionNotFound:
            return True

    # -- with the runtime

    def begin(self) -> None:
        """Start all installed scripts when the store has been opened. What fails is logged and in `status`."""
        begun: builtins.list[tuple[Resident, Residence]] = []
        for name in self._names():
            try:
                definition = self._definition(name)
                if definition.session_id is not None and self._has_ended(definition.session_id):
                    self._remove(name)
                    continue
                resident = self._resident(definition, engine_for(definition.language))
                self._residents[name] = resident
                begun.append((resident, resident.begin()))
            except Exception as error:
                self._report(name, error)
        deadline = time.monotonic() + self._core.config.script_timeout + 1.0
        for resident, residence in begun:
            try:
                resident.wait(residence, max(0.0, deadline - time.monotonic()))
            except Exception as error:
                self._report(resident.definition.name, error)
        self._listen()

    def _report(self, name: str, error: Exception) -> None:
        code = error.code if isinstance(error, GreenroomError) else type(error).__name__
        logger.error("installed script %s does not run: %s", name, code)
        resident = self._residents.get(name)
        if resident is not None:
            resident.failed(error)

    def begin_to_close(self) -> None:
        """Have all scripts end after the calls that they are in."""
        self._closing = True
        if self._listening is not None:
            self._listening.close()
        for each in [*self._residents.values()]:
            each.stop()

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the scripts. Those that hang are given up."""
        deadline = time.monotonic() + timeout
        for each in [*self._residents.values()]:
            each.await_end(max(0.0, deadline - time.monotonic()))


def find_bound(host: Host, session: Session | str | None) -> Session | None:
    """Return the session that a script is bound to. Raises SessionNotFound."""
    if session is None:
        return None
    bound = Session(host, required_session_id(session))
    bound.info()
    return bound
