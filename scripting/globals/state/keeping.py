"""The functions of the global `State` for schemas with their migrations, and for backups."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import IntegrityError, MigrationStatus, Session, StateBackup, ValidationError
from greenroom.scripting.definition.examples import Call, Variable, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import DICT, Object, Page
from greenroom.scripting.definition.types import ANYTHING, FLAG, NUMBER, TEXT, WHOLE, Json, Text, as_list
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.rows import filled

from .scopes import place_of

__all__ = ["StateKeeping"]

BACKUP: Final = Object(
    "backup",
    "id",
    aliases={
        "backup_id": "id",
        "entry_count": "entries",
        "parent_id": "parent",
        "incremental": "is_incremental",
        "size": "size_bytes",
    },
    text="id",
    itself=None,
)
VERSION: Final = Object("version", text=("schema", "version"), itself=None)
_CREATE: Final = Options({"scopes": ANYTHING, "description": TEXT, "incremental": FLAG})
_CLEANUP: Final = Options({"keep": WHOLE, "max_age_days": NUMBER, "dry_run": FLAG})
_SAVED: Final[Call] = call("State.save", "user:7", "theme", "dark")
A_BACKUP: Final = Variable("backup", call("State.create_backup", "user:7", {"description": "before"}))


class StateKeeping:
    """Migrates values to new versions of their schemas, and keeps backups of state. Schemas are registered by the host
    (`rt.schemas`); backups are for scripts of the host, in a directory that the host has chosen."""

    NAME = "State"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    # -- schemas

    @export(
        "migrate",
        returns=DICT,
        forms=("migrate([scope [, key]])", "migrate(version)"),
        example=example("user:7", before=[_SAVED]),
    )
    def migrate(self, scope: Json = UNDEFINED, key: Text = UNDEFINED) -> dict[str, Any]:
        """Migrate the values of a scope that are of an older version of their schema, or one of them, in one write
        (more than 10 000 in several), and return a table of `success`, `status` ("migrated" or "already_current"),
        `count` (`items_migrated`), `from_version` (the oldest), `to_version`, `duration_ms`, and `migrated`: rows of
        key, schema, from_version and to_version. Without a scope: the current session, or, if none is current, all
        scopes and sessions, for scripts of the host; then the table has `places`, `skipped` and `failures` too. A
        version in place of the scope asks for that one: `success` is false, with an `error`, if no schema has it."""
        started = time.monotonic()
        schemas = self._context.runtime.schemas
        version = _version(scope)
        if version is not None:
            known = [each for each in schemas.list() if str(each.version) == version]
            if not known:
                return {
                    "success": False,
                    "status": "failed",
                    "count": 0,
                    "items_migrated": 0,
                    "error": f"no schema with version {version} is registered",
                }
            scope = UNDEFINED
        place = self._place(scope)
        pending = schemas.status(place, on_progress=self._context.check_time)
        told = _versions_of(pending)
        if place is not None:
            done = schemas.migrate(place, None if key is UNDEFINED else key)
            found: dict[str, Any] = {"success": True, "count": len(done.migrated), **done.to_dict()}
        elif key is not UNDEFINED:
            raise ValidationError("State.migrate takes a key with its scope", field="scope")
        else:
            run = schemas.migrate_all(on_progress=self._context.check_time)
            failures = [each.to_dict() for each in run.failures]
            found = {"success": not failures, "count": run.values, "places": run.places, "skipped": run.skipped}
            found["failures"] = failures
            if run.failures:
                found["error"] = run.failures[0].message
        return filled(
            {
                "status": "migrated" if found["count"] else "already_current" if found["success"] else "failed",
                "items_migrated": found["count"],
                "from_version": told["current_version"],
                "to_version": told["latest_version"],
                "current_version": told["latest_version"],
                "duration_ms": round((time.monotonic() - started) * 1000, 3),
                **found,
            }
        )

    @export("migration_status", returns=DICT, example=example("user:7", before=[_SAVED]))
    def migration_status(self, scope: Json = UNDEFINED) -> dict[str, Any]:
        """Return how many values are `pending`, and in `schemas`, for each schema by name: `current`, `pending`,
        `newer`, and `versions`, the number of values of each. Without a scope: of the current session, or, if none is
        current, of all scopes and sessions, for scripts of the host.

        In short: `total_schemas`, `migration_available` (whether there are any), `current_version` (the oldest of the
        values), `latest_version` (the newest schema), `is_latest`, and `migration_targets`, the versions to migrate
        to. Without schemas `error` says so.
        """
        status = self._context.runtime.schemas.status(self._place(scope), on_progress=self._context.check_time)
        found: dict[str, Any] = {**status.to_dict(), **_versions_of(status)}
        found["total_schemas"] = len(status.schemas)
        found["migration_available"] = bool(status.schemas)
        found["is_latest"] = not status.pending
        found["migration_targets"] = sorted({each.current for each in status.schemas.values() if each.pending})
        if not status.schemas:
            found["error"] = "No current schema found"
        return filled(found)

    @export("schema_versions", returns=Page(VERSION), counted=True, example=example("user:7", before=[_SAVED]))
    def schema_versions(self, scope: Json = UNDEFINED, key: Text = UNDEFINED) -> Any:
        """Return the versions of the values in a scope, or of one: rows of key, schema, version, current and
        is_pending. The default scope is the current session, or "global"."""
        place = self._place(scope) or "global"
        found = self._context.runtime.schemas.versions(place, None if key is UNDEFINED else key)
        return [filled({"key": name, **each.to_dict()}) for name, each in found.items()]

    def _place(self, scope: Any) -> Session | str | None:
        """Return the place that a scope means; None for none where no session is current."""
        return place_of(self._context, scope)

    # -- backups

    @export(
        "create_backup",
        returns=BACKUP,
        forms=("create_backup([scopes] [, options])", "create_backup(incremental)"),
        options={"options": _CREATE},
        example=example("user:7", {"description": "before the clean-up"}, before=[_SAVED]),
        read=False,
    )
    def create_backup(self, scopes: Json = UNDEFINED, options: Json = UNDEFINED) -> dict[str, Any]:
        """Make a backup of scopes and sessions: a name such as "user:7", or a list of names. By default of all scopes,
        and of the current session. An incremental one does not write again what is as in the newest backup."""
        scopes = as_list(scopes)
        if isinstance(scopes, bool):
            scopes, options = UNDEFINED, {"incremental": scopes} if options is UNDEFINED else options
        if isinstance(scopes, Mapping):
            scopes, options = UNDEFINED, scopes
        wanted = _CREATE.read(options, "State.create_backup")
        named = wanted.pop("scopes", scopes)
        context = self._context
        if named is UNDEFINED or named is None or named in ([], ""):
            current = context.current_id
            named, wanted["sessions"] = None, [current] if current is not None else []
        else:
            each = as_list(named)
            named = [self._place(one) for one in (each if isinstance(each, list | tuple) else [each])]
        made = context.runtime.state_backups.create(named, **wanted, on_progress=context.check_time)
        return {"success": True, **_backup_row(made)}

    @export("list_backups", returns=Page(BACKUP), counted=True, example=example(before=[_SAVED, A_BACKUP]))
    def list_backups(self) -> Any:
        """Return all backups, newest first: rows of id, created_at (seconds since the epoch), description, scopes,
        entries, size_bytes, is_incremental and parent."""
        return [_backup_row(each) for each in self._context.runtime.state_backups.list()]

    @export("restore_backup", returns=DICT, example=example(Variable("backup", A_BACKUP.made, "id"), before=[_SAVED]))
    def restore_backup(self, backup: Json, scopes: Json = UNDEFINED) -> dict[str, Any]:
        """Make scopes what they were in a backup: all that are in it, or these; each in one write (more than 10 000
        changes in several). Return a table of `success`, `scopes`, `set`, `deleted` and `failures`. If the backup is
        damaged, or there is none with this id, nothing is changed: `success` is false, and `error` and `code` say
        why."""
        wanted = as_list(scopes)
        if wanted is UNDEFINED or wanted is None or wanted == []:
            wanted = None
        elif isinstance(wanted, list | tuple):
            wanted = [place_of(self._context, each, known=False) for each in wanted]
        else:
            wanted = place_of(self._context, wanted, known=False)
        made = _id(backup)
        try:
            done = self._context.runtime.state_backups.restore(made, wanted)
        except (ValidationError, IntegrityError) as error:
            return {"success": False, "id": made, "error": str(error), "code": error.code}
        first = done.failures[0] if done.failures else None
        return filled(
            {
                "success": first is None,
                "error": first.message if first is not None else None,
                "code": first.code if first is not None else None,
                **done.to_dict(),
            }
        )

    @export("validate_backup", returns=DICT, example=example(Variable("backup", A_BACKUP.made, "id"), before=[_SAVED]))
    def validate_backup(self, backup: Json) -> dict[str, Any]:
        """Read a backup and check it. Return a table of `is_valid`, `checksum_valid`, `integrity_valid` and
        `errors`."""
        made = _id(backup)
        try:
            return self._context.runtime.state_backups.validate(made).to_dict()
        except ValidationError as error:  # there is none
            missing = {"is_valid": False, "checksum_valid": False, "integrity_valid": False}
            return {"id": made, **missing, "errors": [str(error)], "error": str(error)}

    @export(
        "cleanup_backups",
        returns=DICT,
        forms=("cleanup_backups([options])", "cleanup_backups(dry_run)"),
        options={"options": _CLEANUP},
        example=example({"keep": 5, "max_age_days": 30, "dry_run": True}, before=[_SAVED, A_BACKUP]),
        read=False,
    )
    def cleanup_backups(self, options: Json = UNDEFINED) -> dict[str, Any]:
        """Remove backups: all but the newest `keep`, and those that are older than `max_age_days`; without either, all
        but the newest 10. The newest one stays, and so does what an incremental one needs. With `dry_run` only say
        which. Return a table of `success`, `removed` and `kept` (ids), `deleted_count`, `retained_count` and
        `space_freed` (bytes)."""
        wanted = _CLEANUP.read({"dry_run": options} if isinstance(options, bool) else options, "State.cleanup_backups")
        done = self._context.runtime.state_backups.cleanup(**wanted)
        return {
            "success": True,
            "removed": [*done.removed],
            "kept": [*done.kept],
            "deleted_count": len(done.removed),
            "retained_count": len(done.kept),
            "space_freed": done.freed_bytes,
        }

    @export("get_storage_usage", returns=DICT, example=example(before=[_SAVED, A_BACKUP]))
    def get_storage_usage(self) -> dict[str, Any]:
        """Return how much backups take: `total_backups`, `total_size` (bytes), `full_backups`, `incremental_backups`,
        `oldest` and `newest` (seconds since the epoch)."""
        usage = self._context.runtime.state_backups.usage()
        return filled(
            {
                "total_backups": usage.backups,
                "total_size": usage.size_bytes,
                "full_backups": usage.full,
                "incremental_backups": usage.incremental,
                "oldest": int(usage.oldest.timestamp()) if usage.oldest is not None else None,
                "newest": int(usage.newest.timestamp()) if usage.newest is not None else None,
            }
        )


def _version(given: Any) -> str | None:
    """Return the version that a script asks for in the place of a scope, such as 2 or "2.1.0"."""
    given = WHOLE.convert(given)
    text = given if isinstance(given, str) else str(given) if type(given) in (int, float) else ""
    return text if text and not text.strip("0123456789.v") and text[0] in "0123456789v" else None


def _versions_of(status: MigrationStatus) -> dict[str, Any]:
    """Return the oldest version that a value has, and the newest of the schemas; None without schemas."""
    newest = max((each.current for each in status.schemas.values()), default=None)
    oldest = min((each for it in status.schemas.values() for each in it.versions), default=newest)
    return {"current_version": oldest, "latest_version": newest}


def _backup_row(backup: StateBackup) -> dict[str, Any]:
    return filled({**backup.to_dict(), "created_at": int(backup.created_at.timestamp())})


def _id(given: Any) -> str:
    """Return the id of a backup that is given by its id or as its row."""
    found: str = TEXT.read(given.get("id") if isinstance(given, Mapping) else given, "State", "backup")
    return found
