"""One schema of variables: which it is for, how a value is checked, and how an older one becomes a new one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.common.arguments import as_mapping, kind_of
from greenroom.storage.concurrency.interrupts import by_signal
from greenroom.storage.errors import GreenroomError, InvalidOperation, ValidationError, shown

__all__ = ["MAX_VERSION", "Schema", "made_check"]

MAX_VERSION: Final = 1_000_000

Check = Callable[[Any, str], object]
Migrate = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """What variables whose keys match `keys`, in the scopes that match `scope`, must look like.

    Both are names, or patterns with `*` and `?`. Scopes are named as in scripts: "global", "user:7", "session:<id>".
    """

    name: str
    version: int
    keys: str
    scope: str
    check: Check | None = field(default=None, repr=False, compare=False)
    steps: Mapping[int, Migrate] = field(default_factory=dict, repr=False, compare=False)
    _matches: Callable[[str], object] = field(default=bool, repr=False, compare=False)
    _reaches: Callable[[str], object] = field(default=bool, repr=False, compare=False)

    @classmethod
    def of(
        cls, name: str, version: int, keys: str, scope: str, check: Check | None, steps: Mapping[int, Migrate]
    ) -> Schema:
        return cls(name, version, keys, scope, check, steps, _matcher(keys), _matcher(scope))

    def __repr__(self) -> str:
        return f"<Schema {shown(self.name)} version {self.version}>"

    def is_for(self, scope: str, key: str) -> bool:
        """Return whether a variable of a scope is one of this schema."""
        return bool(self._matches(key) and self._reaches(scope))

    def require(self, key: str, value: Any) -> None:
        """Raise ValidationError, with the path, if the value of a variable does not fit."""
        if self.check is None:
            return
        try:
            self.check(value, key)
        except ValidationError as error:
            raise ValidationError(
                f"{error} (schema {shown(self.name)}, version {self.version})", **{**error.fields, "schema": self.name}
            ) from error.__cause__

    def migrated(self, scope: str, key: str, value: Any, version: int) -> Value:
        """Return what a value of an older version is in this one. Raises ValidationError if it does not fit then, and
        InvalidOperation if a function fails."""
        for step in range(version, self.version):
            migrate = self.steps.get(step)
            if migrate is None:
                continue
            try:
                value = unpack_value(pack_value(migrate(value)))
            except GreenroomError:
                raise
            except Exception as error:
                if by_signal(error):
                    raise
                raise InvalidOperation(
                    f"schema {shown(self.name)}: the function for version {step} failed at {shown(key)} of {scope} with"
                    f" {kind_of(error)}: nothing there was migrated",
                    schema=self.name,
                    version=step,
                    key=key,
                    scope=scope,
                ) from error
        self.require(key, value)
        found: Value = value
        return found

    def to_dict(self) -> dict[str, Value]:
        """Return name, version, keys and scope as JSON values."""
        return {"name": self.name, "version": self.version, "keys": self.keys, "scope": self.scope}


def made_check(schema: object) -> Check | None:
    """Return the check by a JSON schema, or by a type that pydantic validates. Raises ValidationError."""
    if schema is None:
        return None
    if issubclass(type(schema), Mapping):
        from greenroom.actors.schema import compiled, schema_of

        return compiled(schema_of(as_mapping("schema", schema)))
    from greenroom.runtime.model.typed import as_type

    as_type_of: Any = schema
    try:
        as_type(None, as_type_of, "schema")  # whether it is a type at all
    except ValidationError as error:
        if error.fields.get("field") == "as_":
            raise ValidationError(
                "schema: a JSON schema, or a type that pydantic can validate, is needed, such as a model, not"
                f" {kind_of(schema)}",
                field="schema",
            ) from error.__cause__
    return lambda value, key: as_type(value, as_type_of, key)


def _matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that tells whether a name matches a pattern with `*` and `?`."""
    if not set(pattern) & set("*?"):
        return pattern.__eq__
    pieces = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in re.sub(r"\*+", "*", pattern))
    return re.compile("".join(pieces), re.DOTALL).fullmatch
