"""Find values of older versions, and bring them up to date: each scope or session in one write, or, with more than
10 000 values, in several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.internal import VariableSchemas
from greenroom.runtime.core import RuntimeCore
from greenroom.storage.codec.records import Value
from greenroom.storage.errors import Conflict, GreenroomError, InvalidSessionState, SessionNotFound, shown

from .places import Place, PlaceFailure
from .schema import Schema

__all__ = [
    "MigratedValue",
    "Migration",
    "MigrationRun",
    "MigrationStatus",
    "SchemaStatus",
    "ValueVersion",
    "migrate_every_place",
    "migrate_place",
    "status_of",
    "versions_in",
]

_TRIES: Final = 5
Find = Callable[[str, str], "Schema | None"]


@dataclass(frozen=True, slots=True)
class ValueVersion:
    """The version of one value. 0: it was set before there was a schema for its key."""

    schema: str
    version: int
    current: int | None
    """The version of the schema that is registered; None if none is."""

    @property
    def is_pending(self) -> bool:
        """Whether the value is of an older version than the schema."""
        return self.current is not None and self.version < self.current

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "schema": self.schema,
            "version": self.version,
            "current": self.current,
            "is_pending": self.is_pending,
        }


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """How many values there are of each version of one schema."""

    schema: str
    current: int
    versions: Mapping[int, int]

    @property
    def pending(self) -> int:
        """The number of values of older versions."""
        return sum(count for version, count in self.versions.items() if version < self.current)

    @property
    def newer(self) -> int:
        """The number of values that a newer version of the schema has checked. They are not migrated back."""
        return sum(count for version, count in self.versions.items() if version > self.current)

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "schema": self.schema,
            "current": self.current,
            "versions": {str(version): count for version, count in sorted(self.versions.items())},
            "pending": self.pending,
            "newer": self.newer,
        }


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """How many values there are of each version, by schema."""

    schemas: Mapping[str, SchemaStatus]

    @property
    def pending(self) -> int:
        """The number of values that are to be migrated."""
        return sum(each.pending for each in self.schemas.values())

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {"schemas": {name: each.to_dict() for name, each in self.schemas.items()}, "pending": self.pending}


@dataclass(frozen=True, slots=True)
class MigratedValue:
    """A value that was migrated, or would be."""

    key: str
    schema: str
    from_version: int
    to_version: int

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Migration:
    """What was migrated in one scope or session."""

    scope: str
    migrated: tuple[MigratedValue, ...]

    def __repr__(self) -> str:
        return f"<Migration of {len(self.migrated)} values of {shown(self.scope)}>"

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {"scope": self.scope, "migrated": [each.to_dict() for each in self.migrated]}


@dataclass(frozen=True, slots=True)
class MigrationRun:
    """What a migration of all scopes and sessions has done."""

    values: int
    """The number of values that were migrated."""
    places: int
    """The number of scopes and sessions in which there were any."""
    skipped: int
    """The number of sessions with values of older versions that are not active, so that these stay as they are."""
    failures: tuple[PlaceFailure, ...]

    def __repr__(self) -> str:
        return f"<MigrationRun of {self.values} values in {self.places} places, {len(self.failures)} failures>"

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "values": self.values,
            "places": self.places,
            "skipped": self.skipped,
            "failures": [each.to_dict() for each in self.failures],
        }


def versions_in(place: Place, find: Find, key: str | None = None) -> dict[str, ValueVersion]:
    """Return the versions of the values in a place that have a schema, or had one, by key."""
    stored: dict[str, tuple[str, int] | None] = place.ask(VariableSchemas(), {})
    found: dict[str, ValueVersion] = {}
    for name in stored if key is None else stored.keys() & {key}:
        by, schema = stored[name], find(place.name, name)
        if schema is not None:
            version = by[1] if by is not None and by[0] == schema.name else 0
            found[name] = ValueVersion(schema.name, version, schema.version)
        elif by is not None:
            found[name] = ValueVersion(by[0], by[1], None)
    return found


def status_of(
    places: Iterable[Place],
    find: Find,
    schemas: Mapping[str, Schema],
    told: Callable[..., object] | None = None,
) -> MigrationStatus:
    """Count the values of each version of each schema in the places."""
    counts: dict[str, Counter[int]] = {name: Counter() for name in schemas}
    for number, place in enumerate(places):
        if told is not None:
            told(number, None)
        try:
            found = versions_in(place, find)
        except SessionNotFound:  # deleted meanwhile
            continue
        for each in found.values():
            if each.current is not None and each.schema in counts:
                counts[each.schema][each.version] += 1
    return MigrationStatus({name: SchemaStatus(name, schemas[name].version, dict(counts[name])) for name in schemas})


def migrate_place(core: RuntimeCore, place: Place, find: Find, key: str | None, *, dry_run: bool = False) -> Migration:
    """Migrate the values of a place, or one of them. See `Schemas.migrate`."""
    tries = 0
    while True:
        changes, done = _changes(place, find, key)
        if not done or dry_run:
            return Migration(place.name, done)
        core.hooks.fire(
            "StateMigration",
            {"scope": place.name, "values": [each.to_dict() for each in done]},
            session_id=place.session_id,
            operation="MigrateState",
        )
        try:
            for at in range(0, len(changes), m.MAX_BATCH):
                place.ask(m.Batch(changes[at : at + m.MAX_BATCH]))
        except Conflict:  # somebody has set one of them meanwhile
            tries += 1
            if tries >= _TRIES:
                raise
            continue
        return Migration(place.name, done)


def _changes(place: Place, find: Find, key: str | None) -> tuple[list[m.SetVariable], tuple[MigratedValue, ...]]:
    """Return the commands that migrate the values of a place, and what they migrate."""
    pending = {name: each for name, each in versions_in(place, find, key).items() if each.is_pending}
    changes: list[m.SetVariable] = []
    done: list[MigratedValue] = []
    for name, each in pending.items():
        schema = find(place.name, name)
        old: Any = place.ask(m.GetVariable(name, m.ABSENT), m.ABSENT)
        if old is m.ABSENT or schema is None:
            continue  # gone meanwhile
        command = m.SetVariable(name, old, expected=old)
        new = schema.migrated(place.name, name, old, each.version)  # may change the old value in place
        command.packed = m.SetVariable(name, new).packed
        changes.append(command)
        done.append(MigratedValue(name, schema.name, each.version, schema.version))
    return changes, tuple(done)


def migrate_every_place(
    core: RuntimeCore,
    places: Iterable[Place],
    find: Find,
    *,
    dry_run: bool,
    told: Callable[[int, int], object] | None,
) -> MigrationRun:
    """Migrate all places, one after the other. See `Schemas.migrate_all`."""
    values = touched = skipped = 0
    failures: list[PlaceFailure] = []
    for number, place in enumerate(places, 1):
        try:
            migrated = migrate_place(core, place, find, None, dry_run=dry_run).migrated
        except SessionNotFound:
            migrated = ()  # deleted meanwhile
        except InvalidSessionState:
            migrated, skipped = (), skipped + 1
        except GreenroomError as error:
            failures.append(PlaceFailure(place.name, error.code, str(error)))
            migrated = ()
        values += len(migrated)
        touched += bool(migrated)
        if told is not None:
            told(number, values)
    return MigrationRun(values, touched, skipped, tuple(failures))
