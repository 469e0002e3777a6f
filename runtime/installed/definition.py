"""What an installed script is, as it is kept in the store, and how it is doing."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from greenroom.storage.codec.records import Json, Value
from greenroom.storage.common.times import iso_time
from greenroom.storage.errors import ValidationError

__all__ = ["InstalledScript", "ScriptStatus", "script_name"]

_NAME: Final = re.compile(r"[\w.:/-]{1,128}")


def script_name(value: object) -> str:
    """Return the name of an installed script. Raises ValidationError."""
    if isinstance(value, str) and _NAME.fullmatch(value) is not None:
        return str.__str__(value)
    raise ValidationError("name: 1 to 128 letters, digits and any of _.:/- are needed", field="name")


@dataclass(frozen=True, slots=True)
class InstalledScript:
    """The definition of an installed script. `call_timeout` is in seconds, for each call of one of its functions; times
    are aware UTC."""

    name: str
    source: str
    language: str
    profile: str
    installed_at: datetime
    call_timeout: float
    session_id: str | None = None
    """The session that it acts for and ends with; None for a script of the host."""
    args: tuple[Json, ...] = ()
    directories: tuple[str, ...] = ()
    artifact: str | None = None
    """The id of the artifact that it was installed from."""
    version: int | None = None

    def __repr__(self) -> str:
        return f"<InstalledScript {self.name}>"

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        row: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return row | {
            "installed_at": iso_time(self.installed_at),
            "args": [*self.args],
            "directories": [*self.directories],
        }

    @classmethod
    def _stored(cls, row: dict[str, Any]) -> InstalledScript:
        """Return the definition from its row in the store. Fields that a later version has added are left out."""
        known = {each.name: row[each.name] for each in fields(cls) if each.name in row}
        at = datetime.fromisoformat(row["installed_at"])
        return cls(
            **{
                **known,
                "installed_at": at,
                "args": tuple(row.get("args", ())),
                "directories": tuple(row.get("directories", ())),
            }
        )


@dataclass(frozen=True, slots=True)
class ScriptStatus:
    """How an installed script is doing. `state` is "starting", "running", "failed" (its source or its limits have ended
    it, and it is not started again), or "stopped" (the store is open for reading only)."""

    name: str
    state: str
    session_id: str | None
    error: str | None
    """The code of the last error that ended its sandbox."""
    message: str | None
    restarts: int
    """How often its sandbox was made anew since the store was opened."""
    calls: int
    failures: int
    hooks: tuple[str, ...]
    """The hook points that it has registered functions at."""
    output: str
    """The end of what it has printed, at most 64 KiB."""

    def __repr__(self) -> str:
        return f"<ScriptStatus {self.name} {self.state}>"

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        row: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return row | {"hooks": [*self.hooks]}
