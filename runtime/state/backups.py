"""`StateBackups`: backups of the state of scopes and sessions, made and restored while the store is in use."""

from __future__ import annotations

import builtins
import contextlib
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.internal import VariableSchemas
from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.session import Session
from greenroom.runtime.handles.streams import StreamProgress
from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.common.arguments import as_flag, as_function, as_items, as_number, as_text
from greenroom.storage.errors import (
    Conflict,
    GreenroomError,
    IntegrityError,
    SessionNotFound,
    StorageError,
    ValidationError,
    shown,
)
from greenroom.storage.files.regular_file import written_file

from .backup_file import Entry, Footer, read_footer, read_record, write_backup
from .places import SESSION, Place, PlaceFailure, every_place, place_of
from .schemas import Schemas

__all__ = [
    "BackupUsage",
    "BackupValidation",
    "BackupsRemoved",
    "StateBackup",
    "StateBackups",
    "StateRestored",
]

_ID: Final = re.compile(r"\d{8}-\d{6}-\d{9}-[0-9a-f]{8}")
_ENDING: Final = ".state"
_KEEP: Final = 10
_TRIES: Final = 8
_DAY: Final = 86_400 * 10**9
_SECOND: Final = 10**9


@dataclass(frozen=True, slots=True)
class StateBackup:
    """A backup of state."""

    id: str
    created_at: datetime
    description: str | None
    scopes: tuple[str, ...]
    entries: int
    """The number of variables in it."""
    size_bytes: int
    """The bytes of its file."""
    parent: str | None
    """The id of the backup that an incremental one was made after; None for a full one."""

    @property
    def is_incremental(self) -> bool:
        """Whether it leaves to earlier backups what has not changed since the last one."""
        return self.parent is not None

    def __repr__(self) -> str:
        return f"<StateBackup {self.id} of {len(self.scopes)} scopes>"

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "id": self.id,
            "created_at": self.created_at.isoformat(),
            "description": self.description,
            "scopes": list(self.scopes),
            "entries": self.entries,
            "size_bytes": self.size_bytes,
            "parent": self.parent,
            "is_incremental": self.is_incremental,
        }


@dataclass(frozen=True, slots=True)
class StateRestored:
    """What restoring a backup has done."""

    id: str
    scopes: tuple[str, ...]
    """The scopes that are as they were in the backup."""
    set: int
    """The variables that were set, because they were missing or had another value."""
    deleted: int
    """The variables that were deleted, because they came later."""
    failures: tuple[PlaceFailure, ...]

    def __repr__(self) -> str:
        return f"<StateRestored {self.id}: {len(self.scopes)} scopes, {len(self.failures)} failures>"

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "id": self.id,
            "scopes": list(self.scopes),
            "set": self.set,
            "deleted": self.deleted,
            "failures": [each.to_dict() for each in self.failures],
        }


@dataclass(frozen=True, slots=True)
class BackupValidation:
    """Whether a backup can be restored."""

    id: str
    checksum_valid: bool
    """Whether all bytes of it are as they were written."""
    integrity_valid: bool
    """Whether all of its scopes can be read, those in earlier backups too."""
    errors: tuple[str, ...]

    @property
    def is_valid(self) -> bool:
        """Whether it can be restored."""
        return not self.errors

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "id": self.id,
            "is_valid": self.is_valid,
            "checksum_valid": self.checksum_valid,
            "integrity_valid": self.integrity_valid,
            "errors": list(self.errors),
        }


@dataclass(frozen=True, slots=True)
class BackupsRemoved:
    """What cleaning up has removed, or would remove."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]
    freed_bytes: int

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {"removed": list(self.removed), "kept": list(self.kept), "freed_bytes": self.freed_bytes}


@dataclass(frozen=True, slots=True)
class BackupUsage:
    """How many backups there are, and their bytes."""

    backups: int
    full: int
    incremental: int
    size_bytes: int
    oldest: datetime | None
    newest: datetime | None

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "backups": self.backups,
            "full": self.full,
            "incremental": self.incremental,
            "size_bytes": self.size_bytes,
            "oldest": self.oldest.isoformat() if self.oldest is not None else None,
            "newest": self.newest.isoformat() if self.newest is not None else None,
        }


class StateBackups:
    """Backups of the variables of scopes and sessions, for the host only. `Runtime.backup` is for the whole store.

    They are files in the directory `state_backups` of the configuration; by default that is one beside the store.

    Example:
        ```py
        made = rt.state_backups.create(["global", "user:7"], description="before the clean-up")
        rt.state_scope("global").clear()
        rt.state_backups.restore(made.id)
        ```
    """

    def __init__(self, runtime: Host, schemas: Schemas, directory: Path) -> None:
        self._runtime = runtime
        self._core = runtime.core
        self._schemas = schemas
        self.directory = directory
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "<StateBackups>"

    def create(
        self,
        scopes: Sequence[Session | str] | Session | str | None = None,
        *,
        sessions: Sequence[Session | str] = (),
        description: str | None = None,
        incremental: bool = False,
        on_progress: StreamProgress | None = None,
    ) -> StateBackup:
        """Make a backup of these scopes and sessions: names such as "global" and "user:7", sessions, their ids. By
        default, of all scopes of the host. `sessions` are backed up too. `on_progress` gets the number of scopes done.

        Each scope is as of one moment. An incremental one does not write again what is as in the newest backup; it
        needs those files then, so they are kept with it. Raises SessionNotFound, StorageError.
        """
        self._require("create", "write")
        text = as_text("description", description, m.MAX_TEXT) if description is not None else None
        told = as_function("on_progress", on_progress) if on_progress is not None else None
        wanted = self._places(scopes, _listed(sessions))
        with self._lock, self._reported("create"):
            self.directory.mkdir(parents=True, exist_ok=True)
            newest = next(iter(self._footers()), None) if as_flag("incremental", incremental) else None
            now = self._core.clock.time_ns()
            moment = datetime.fromtimestamp(now // _SECOND, UTC)
            made = f"{moment:%Y%m%d-%H%M%S}-{now % _SECOND:09d}-{os.urandom(4).hex()}"
            footer = Footer(made, now, text, newest.id if newest is not None else None, {})
            states = ((place.name, self._entries(place)) for place in _counted(wanted, told))
            with written_file(self._path(made), f"cannot write backup {made}") as file:
                footer = write_backup(file, footer, states, newest.scopes if newest is not None else {})
            return self._backup(footer)

    def list(self) -> builtins.list[StateBackup]:
        """Return all backups, newest first. Files that are no whole backups are left out: `validate` says why."""
        self._require("list", "list")
        with self._reported("list"):
            return [self._backup(each) for each in self._footers()]

    def get(self, backup: str) -> StateBackup:
        """Return the backup with this id. Raises ValidationError if there is none, IntegrityError if it is damaged."""
        self._require("get", "list")
        with self._reported("get"):
            return self._backup(self._footer(backup))

    def validate(self, backup: str) -> BackupValidation:
        """Read a backup and check it: whether its bytes are what was written, and whether each scope can be read."""
        self._require("validate")
        made = self._known(backup)
        try:
            footer = self._footer(made)
        except (IntegrityError, StorageError) as error:
            return BackupValidation(made, False, False, (str(error),))
        checksum = True
        errors: list[str] = []
        for scope in footer.scopes:
            try:
                self._read(footer, scope)
            except (IntegrityError, StorageError, ValidationError) as error:
                errors.append(str(error))
                checksum = checksum and footer.scopes[scope].backup != footer.id
        return BackupValidation(made, checksum, not errors, tuple(errors))

    def restore(self, backup: str, scopes: Sequence[Session | str] | Session | str | None = None) -> StateRestored:
        """Make scopes what they were in a backup: all that are in it, or these. Each in one write; more than 10 000
        changes take several.

        Variables with another value are set, missing ones too, and those that came later are deleted, by ordinary
        events: what was there stays in the past. Values of older versions of a schema are migrated. A scope that cannot
        be restored, such as that of a deleted session, is in `failures`, and the others are restored. Raises
        ValidationError for an unknown backup or scope, and IntegrityError, with nothing changed, for a damaged one.
        """
        self._require("restore", "write")
        self._core.check_writable("to restore")
        footer = self._footer(backup)
        names = list(footer.scopes) if scopes is None else [self._name(each) for each in _listed(scopes)]
        for name in names:
            if name not in footer.scopes:
                raise ValidationError(f"scopes: backup {footer.id} has no {shown(name)}", field="scopes")
        states = {name: self._read(footer, name) for name in names}
        done: list[str] = []
        failures: list[PlaceFailure] = []
        changed = deleted = 0
        for name, entries in states.items():
            try:
                more, fewer = self._restore_place(place_of(self._runtime, name), entries)
            except GreenroomError as error:
                failures.append(PlaceFailure(name, error.code, str(error)))
                continue
            done.append(name)
            changed += more
            deleted += fewer
        return StateRestored(footer.id, tuple(done), changed, deleted, tuple(failures))

    def cleanup(
        self, keep: int | None = None, max_age_days: float | None = None, *, dry_run: bool = False
    ) -> BackupsRemoved:
        """Remove backups: all but the newest `keep`, and those older than `max_age_days`. Without either, all but the
        newest 10. The newest one stays, and so do those that an incremental one which stays needs. With `dry_run`, only
        say which."""
        self._require("cleanup", "delete")
        if keep is None and max_age_days is None:
            keep = _KEEP
        most = as_number("keep", keep, 1) if keep is not None else None
        if max_age_days is not None and (type(max_age_days) not in (int, float) or not 0 <= max_age_days < 1e6):
            raise ValidationError("max_age_days: a number from 0 is needed", field="max_age_days")
        only_tell = as_flag("dry_run", dry_run)
        with self._lock, self._reported("cleanup"):
            found = list(self._footers())
            now = self._core.clock.time_ns()
            staying = {
                each.id
                for place, each in enumerate(found)
                if place == 0
                or not (
                    (most is not None and place >= most)
                    or (max_age_days is not None and now - each.created_at > max_age_days * _DAY)
                )
            }
            staying |= {record.backup for each in found if each.id in staying for record in each.scopes.values()}
            going = [each.id for each in found if each.id not in staying]
            freed = sum(self._path(each).stat().st_size for each in going)
            for each in () if only_tell else going:
                self._path(each).unlink(missing_ok=True)
        return BackupsRemoved(tuple(going), tuple(each.id for each in found if each.id in staying), freed)

    def usage(self) -> BackupUsage:
        """Return how many backups there are, and their bytes."""
        found = self.list()
        incremental = sum(each.is_incremental for each in found)
        return BackupUsage(
            len(found),
            len(found) - incremental,
            incremental,
            sum(each.size_bytes for each in found),
            found[-1].created_at if found else None,
            found[0].created_at if found else None,
        )

    # --

    def _require(self, operation: str, access: str = "read") -> None:
        self._core.check_open()
        self._core.require_host(f"state_backups.{operation}", access)

    @contextlib.contextmanager
    def _reported(self, operation: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"state_backups.{operation}: {self.directory} cannot be used: {error.strerror}",
                path=str(self.directory),
            ) from error

    def _places(self, scopes: Any, sessions: builtins.list[Any]) -> Iterator[Place]:
        """Return the places to back up, each once."""
        listed = sessions if scopes is None else [*_listed(scopes), *sessions]
        found = {place.name: place for place in (place_of(self._runtime, each) for each in listed)}
        if scopes is None:
            every = (place for place in every_place(self._runtime) if place.session_id is None)
            return itertools.chain((place for place in every if place.name not in found), found.values())
        return iter(found.values())

    def _name(self, scope: Any) -> str:
        """Return the name that a scope has in a backup. The session need not be there any more."""
        try:
            return place_of(self._runtime, scope).name
        except SessionNotFound as error:
            return SESSION + str(error.fields.get("session_id"))

    def _entries(self, place: Place) -> builtins.list[Entry]:
        """Return the variables of a place as of one moment, past the hooks. Raises Conflict if there is none."""
        ask = self._core.supervisor.delivery.routing.ask
        actor_id, wait = place.actor_id, self._core.config.ask_timeout
        for attempt in range(_TRIES + 1):
            if attempt == _TRIES:
                raise Conflict(f"{place.name} changes all the time: it has no moment to be read at; try again later")
            try:
                before = ask(actor_id, m.GetInfo(), wait).sequence
                values = ask(actor_id, m.ListVariables(), wait)
                schemas = ask(actor_id, VariableSchemas(), wait)
                if ask(actor_id, m.GetInfo(), wait).sequence == before:
                    break
            except SessionNotFound:
                if place.session_id is not None:
                    raise
                return []  # in a read-only runtime a scope has no journal before the first write
        return [
            Entry(key, pack_value(value), *(schemas.get(key) or (None, None))) for key, value in sorted(values.items())
        ]

    def _restore_place(self, place: Place, entries: Sequence[Entry]) -> tuple[int, int]:
        now = {each.key: each for each in self._entries(place)}
        commands: list[m.Command[Any]] = []
        for entry in entries:
            value: Any = unpack_value(entry.value)
            schema = self._schemas._find(place.name, entry.key)
            version: int | None = None
            if schema is not None:
                version = entry.version if entry.schema == schema.name and entry.version is not None else 0
                if version < schema.version:
                    value = schema.migrated(place.name, entry.key, value, version)
            present = now.pop(entry.key, None)
            packed = pack_value(value)
            stamped = schema is None or (present is not None and present.version == schema.version)
            if present is None or present.value != packed or not stamped:
                commands.append(m.SetVariable(entry.key, value))
        commands += [m.DeleteVariable(key) for key in now]
        for at in range(0, len(commands), m.MAX_BATCH):
            place.ask(m.Batch(commands[at : at + m.MAX_BATCH]))
        return len(commands) - len(now), len(now)

    # -- files

    def _known(self, backup: object) -> str:
        made = as_text("backup", backup, m.MAX_NAME)
        if not _ID.fullmatch(made) or not self._path(made).is_file():
            raise ValidationError(f"backup: there is no backup of state {shown(made)}", field="backup")
        return made

    def _path(self, made: str) -> Path:
        return self.directory / f"{made}{_ENDING}"

    def _footers(self) -> Iterator[Footer]:
        """Yield the footers of all whole backups, newest first."""
        if not self.directory.is_dir():
            return
        names = (path.name.removesuffix(_ENDING) for path in self.directory.iterdir() if path.suffix == _ENDING)
        for made in sorted(filter(_ID.fullmatch, names), reverse=True):
            with contextlib.suppress(IntegrityError, StorageError):
                yield self._footer(made)

    def _footer(self, backup: str) -> Footer:
        made = self._known(backup)
        footer = read_footer(self._path(made), f"backup {made}")
        if footer.id != made:
            raise IntegrityError(f"backup {made}: its file is that of another backup")
        return footer

    def _read(self, footer: Footer, scope: str) -> builtins.list[Entry]:
        record = footer.scopes[scope]
        if not _ID.fullmatch(record.backup) or not self._path(record.backup).is_file():
            raise IntegrityError(f"backup {footer.id}: the state of {scope!r} is in a backup that is not there")
        return read_record(self._path(record.backup), scope, record, f"backup {record.backup}")

    def _backup(self, footer: Footer) -> StateBackup:
        return StateBackup(
            footer.id,
            datetime.fromtimestamp(footer.created_at / _SECOND, UTC),
            footer.description,
            tuple(footer.scopes),
            sum(each.entries for each in footer.scopes.values()),
            self._path(footer.id).stat().st_size,
            footer.parent,
        )


def _counted(places: Iterator[Place], told: Callable[..., object] | None) -> Iterator[Place]:
    """Yield the places, and tell how many are done."""
    for number, place in enumerate(places):
        if told is not None:
            told(number, None)
        yield place


def _listed(scopes: Any) -> list[Any]:
    """Return the scopes that were given, one or several."""
    one = issubclass(type(scopes), str | Session)
    return [scopes] if one else as_items("scopes", scopes, m.MAX_BATCH, "a name or a list of names")
