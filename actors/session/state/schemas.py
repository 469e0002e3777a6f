"""The schemas by which variables were checked when they were set: a name and a version for each such variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .model import SessionState

__all__ = ["SCHEMA", "SCHEMAS", "VERSION", "deleted", "schema_in", "schemas_of", "set_with"]

SCHEMAS: Final = "schemas"
"""The name of the entry in the state: variable → [schema, version]."""
SCHEMA: Final = "schema"
VERSION: Final = "schema_version"
"""Fields of `variable.set` for a value that was checked by a schema."""
_NONE: Final[Mapping[str, list[Any]]] = {}


def schemas_of(state: SessionState) -> Mapping[str, list[Any]]:
    """Return the name and the version of the schema of each variable that has one."""
    found: Mapping[str, list[Any]] = state.more.get(SCHEMAS, _NONE)
    return found


def schema_in(data: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the name and the version of the schema in the data of `variable.set`, if it has one."""
    name, version = data.get(SCHEMA), data.get(VERSION)
    return None if name is None or version is None else (name, version)


def set_with(state: SessionState, data: Mapping[str, Any]) -> None:
    """Fold that a variable was set, by a schema or without one."""
    by = schema_in(data)
    if by is None:
        deleted(state, data["key"])
    else:
        state.more.setdefault(SCHEMAS, {})[data["key"]] = list(by)


def deleted(state: SessionState, key: str) -> None:
    """Fold that a variable has no schema any more."""
    found = state.more.get(SCHEMAS)
    if found is not None and found.pop(key, None) is not None and not found:
        del state.more[SCHEMAS]
