"""`Schemas`: what variables must look like, and how values of older versions are migrated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from greenroom.actors import messages as m
from greenroom.actors.messages.sharing import is_own_scope
from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.session import Session
from greenroom.runtime.handles.streams import StreamProgress
from greenroom.storage.common.arguments import as_flag, as_function, as_number, as_text, kind_of
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.session_ids import is_session_id
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError, shown

from .places import SESSION, every_place, place_of
from .schema import MAX_VERSION, Schema, made_check

if TYPE_CHECKING:
    from .migration import Migration, MigrationRun, MigrationStatus, ValueVersion

__all__ = ["Schemas"]

_MOST: Final = 1000
_MOST_STEPS: Final = 1000


class Schemas:
    """The schemas of variables. Register them when the runtime has opened, as they are code of the host.

    A value that is set under a key with a schema must fit it, or ValidationError names the path. Its version is stored
    with it. When a new version is registered, values of older ones stay as they are until they are migrated.

    Example:
        ```py
        rt.schemas.register("settings", 2, Settings, migrate={1: lambda old: {"theme": old["colour"]}})
        rt.schemas.migrate("user:7").migrated  # the values that were of an older version
        ```
    """

    def __init__(self, runtime: Host) -> None:
        self._runtime = runtime
        self._core = runtime.core
        self._schemas: dict[str, Schema] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Schemas {len(self._schemas)} registered>"

    # -- registering

    def register(
        self,
        name: str,
        version: int,
        schema: object = None,
        *,
        keys: str | None = None,
        scope: str = "*",
        migrate: Mapping[int, Callable[[Any], Any]] | None = None,
    ) -> Schema:
        """Register a schema, in place of one with the same name.

        `schema` is a JSON schema, or a type that pydantic validates: a model, a dataclass, `list[int]`. Without one,
        any value fits. `keys` says which variables it is for (default: the one whose key is the name) and `scope` in
        which scopes: names, or patterns with `*` and `?`. Of several that match, the first one registered counts.

        `migrate` has a function for each version whose values change their form: it gets a value of that version and
        returns it in the next one. Version 0 stands for values that were set before there was a schema. Values of a
        version without a function are taken as they are. For the host only. Raises ValidationError.
        """
        steps = _steps({} if migrate is None else migrate)
        return self._register(name, version, schema, name if keys is None else keys, scope, steps)

    @checked
    def _register(
        self,
        name: str,
        version: int,
        schema: object,
        keys: str,
        scope: str,
        steps: object,
    ) -> Schema:
        self._core.check_open()
        self._core.require_host("schemas.register", "write")
        name = as_text("name", name, m.MAX_NAME)
        version = as_number("version", version, 1, MAX_VERSION)
        functions = cast(dict[int, Callable[[Any], Any]], steps)
        if len(functions) > _MOST_STEPS or max(functions, default=0) >= version:
            raise ValidationError(
                f"migrate: functions are for versions before {version}, and at most {_MOST_STEPS}", field="migrate"
            )
        made = Schema.of(
            name,
            version,
            as_text("keys", keys, m.MAX_KEY),
            as_text("scope", scope, m.MAX_KEY),
            made_check(schema),
            functions,
        )
        with self._lock:
            if name not in self._schemas and len(self._schemas) >= _MOST:
                raise ResourceLimitExceeded(
                    f"there may be {_MOST} schemas: one with a pattern is for many keys",
                    resource="schemas",
                    limit=_MOST,
                    value=_MOST + 1,
                )
            self._schemas = {**self._schemas, name: made}
            self._core.supervisor.delivery.schemas = self._checked
        return made

    @checked
    def unregister(self, name: str) -> bool:
        """Forget a schema, and return whether there was one. Values stay as they are, and so do their versions."""
        self._core.check_open()
        self._core.require_host("schemas.unregister", "write")
        name = as_text("name", name, m.MAX_NAME)
        with self._lock:
            found = name in self._schemas
            self._schemas = {key: each for key, each in self._schemas.items() if key != name}
            if not self._schemas:
                self._core.supervisor.delivery.schemas = None
        return found

    @checked
    def get(self, name: str) -> Schema:
        """Return the schema with this name. Raises ValidationError if there is none."""
        found = self._schemas.get(as_text("name", name, m.MAX_NAME))
        if found is None:
            known = ", ".join(sorted(self._schemas)[:8]) or "none yet"
            raise ValidationError(f"there is no schema {shown(name)}; there are: {known}", field="name")
        return found

    def list(self) -> list[Schema]:
        """Return all schemas, in the order in which they were registered."""
        return [*self._schemas.values()]

    # -- migrating

    def versions(self, scope: Session | str, key: str | None = None) -> dict[str, ValueVersion]:
        """Return the versions of the values in a scope, or of one, by key. A scope is a session, its id,
        "session:<id>", or a name such as "global" or "user:7". Variables without any schema are left out."""
        place = place_of(self._runtime, scope)
        from .migration import versions_in

        return versions_in(place, self._find, m.GetVariable(key).key if key is not None else None)

    def status(
        self, scope: Session | str | None = None, *, on_progress: StreamProgress | None = None
    ) -> MigrationStatus:
        """Return how many values there are of each version of each schema: in a scope, or in all scopes and sessions.

        All are read one after the other then. That is for the host only, and takes its time for many sessions.
        `on_progress` gets the number of scopes and sessions read.
        """
        from .migration import status_of

        told = as_function("on_progress", on_progress) if on_progress is not None else None
        if scope is not None:
            return status_of([place_of(self._runtime, scope)], self._find, self._schemas)
        self._core.check_open()
        self._core.require_host("schemas.status", "list")
        return status_of(every_place(self._runtime) if self._schemas else (), self._find, self._schemas, told)

    def migrate(self, scope: Session | str, key: str | None = None, *, dry_run: bool = False) -> Migration:
        """Migrate the values of a scope that are of an older version, or one of them, in one write. More than
        10 000 values take several.

        If one of them does not fit its schema in the end, nothing is changed. So it is when a hook at StateMigration
        refuses. What refuses a later write leaves the earlier ones: migrate again.

        With `dry_run`, only find out what would be migrated, and whether it fits. The values are set as by `set`: they
        are events of the journal. Raises ValidationError with the path, InvalidOperation if a function fails,
        HookCancelled, Conflict if the values are changed all the time, and what setting them raises.
        """
        place = place_of(self._runtime, scope)
        wanted = m.GetVariable(key).key if key is not None else None
        from .migration import migrate_place

        return migrate_place(self._core, place, self._find, wanted, dry_run=as_flag("dry_run", dry_run))

    @checked
    def migrate_all(
        self, *, dry_run: bool = False, on_progress: Callable[[int, int], object] | None = None
    ) -> MigrationRun:
        """Migrate all scopes and all active sessions, each as `migrate` does. For the host only.

        What fails is reported, and the others are migrated. After a crash, run it again: what is done is not done
        again. `on_progress` gets the numbers of scopes and sessions looked at, and of values migrated.
        """
        self._core.check_open()
        self._core.require_host("schemas.migrate_all", "write")
        if not as_flag("dry_run", dry_run):
            self._core.check_writable("to migrate")
        told = as_function("on_progress", on_progress) if on_progress is not None else None
        from .migration import migrate_every_place

        return migrate_every_place(self._core, every_place(self._runtime), self._find, dry_run=dry_run, told=told)

    # -- checking

    def _find(self, scope: str, key: str) -> Schema | None:
        """Return the schema of a variable."""
        for schema in self._schemas.values():
            if schema.is_for(scope, key):
                return schema
        return None

    def _checked(self, actor_id: str, message: Any) -> Any:
        """Check the values in a message to a session or scope. Return the message with their schemas."""
        kind = message.__class__
        if kind is m.SetVariable:
            return self._checked_set(actor_id, message)
        if kind is m.Batch:
            commands = [
                self._checked_set(target or actor_id, command, place) if command.__class__ is m.SetVariable else command
                for target, command, place in zip(message.targets, message.commands, message.places, strict=True)
            ]
            return message.made_of(commands)
        if kind is m.ForkSession and message.changes:
            message = message.copy()
            message.changes = [
                self._checked_set(actor_id, change, place) if change.__class__ is m.SetVariable else change
                for place, change in enumerate(message.changes)
            ]
        return message

    def _checked_set(self, actor_id: str, command: m.SetVariable, place: int | None = None) -> m.SetVariable:
        name = SESSION + actor_id if is_session_id(actor_id) else self._core.hooks.services.scope_name(actor_id)
        if name is None or is_own_scope(name):
            return command
        schema = self._find(name, command.key)
        if schema is None:
            return command
        try:
            schema.require(command.key, command.value)
        except ValidationError as error:
            if place is not None:
                error.fields["index"] = place
            raise
        command = command.copy()
        command.schema = (schema.name, schema.version)
        return command


def _steps(given: object) -> dict[int, Callable[[Any], Any]]:
    """Return the functions of a migration by version. Raises ValidationError."""
    if not issubclass(type(given), dict):
        raise ValidationError(
            f"migrate: a dict of versions and functions is needed, not {kind_of(given)}", field="migrate"
        )
    return {
        as_number("migrate", step, 0, MAX_VERSION): as_function("migrate", function)
        for step, function in dict.items(cast(dict[Any, Any], given))
    }
