"""Messages about the variables of a session."""

from __future__ import annotations

import enum
from typing import Any, Final, Unpack

from greenroom.actors.messages.checks import MAX_KEY, MAX_VARIABLE_BYTES, checked_durability, variable_key
from greenroom.actors.messages.core import Command, How, Points, Query, condition_of
from greenroom.actors.messages.permissions import WRITE
from greenroom.storage.codec.records import Json, Value, pack_value, unpack_value
from greenroom.storage.common.arguments import as_text
from greenroom.storage.engine.engine import Durability
from greenroom.storage.errors import ResourceLimitExceeded

__all__ = [
    "ABSENT",
    "ANY",
    "UNSET",
    "AcceptLosses",
    "DeleteVariable",
    "Expectation",
    "GetVariable",
    "ListVariables",
    "SetVariable",
]


class Expectation(enum.Enum):
    """States that a change of a variable may expect, besides a value."""

    ANY = "any"
    """The change is made whatever the value is."""
    ABSENT = "absent"
    """The variable must not exist."""
    UNSET = "unset"
    """The variable must not exist, or be null: what reading it without a default answers None for."""


ANY: Final = Expectation.ANY

ABSENT: Final = Expectation.ABSENT

UNSET: Final = Expectation.UNSET


def _expectation(message: Any) -> Any:
    expected = message.expected
    return unpack_value(expected) if isinstance(expected, bytes) else expected


class SetVariable(Command[None]):
    """Set a variable to a JSON value or bytes of at most 1 MiB. Replies None.

    With `expected`, set it only if that is its value now (`ABSENT`: if it does not exist; `UNSET`: if it does not
    exist or is null). Otherwise raise InvalidOperation with the field `conflict` true, and change nothing.
    """

    __slots__ = ("expected", "key", "packed", "schema")
    whole = WRITE
    rate = "state_update"
    points = Points("BeforeStateWrite", "AfterStateWrite", conflict=True)
    shown = {"expected": _expectation}

    def __init__(
        self,
        key: str,
        value: object,
        *,
        expected: object = ANY,
        durability: Durability | str | None = None,
        expected_sequence: int | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        self.expected = expected if type(expected) is Expectation else pack_value(expected, "expected")
        self.durability = checked_durability(durability) if durability is not None else None
        self.condition = (
            condition_of(expected_sequence, idempotency_key)
            if expected_sequence is not None or idempotency_key is not None
            else None
        )
        self.records = None
        self.key = variable_key(key)
        self.packed = pack_value(value)
        self.schema: tuple[str, int] | None = None
        """The name and the version of the schema that has checked the value. Set on the way."""
        if len(self.packed) > MAX_VARIABLE_BYTES:
            raise ResourceLimitExceeded(
                f"a variable may have {MAX_VARIABLE_BYTES} bytes, this one has {len(self.packed)}: store an artifact",
                resource="variable_bytes",
                limit=MAX_VARIABLE_BYTES,
                value=len(self.packed),
            )

    @property
    def value(self) -> Value:
        return unpack_value(self.packed)


class DeleteVariable(Command[bool]):
    """Remove a variable; with `expected`, only if that is its value now. Replies whether the variable existed."""

    __slots__ = ("expected", "key")
    whole = WRITE
    rate = "state_update"
    points = Points("BeforeStateWrite", "AfterStateWrite", conflict=True)
    shown = {"expected": _expectation}

    def __init__(self, key: str, *, expected: object = ANY, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.key = variable_key(key)
        self.expected = expected if type(expected) is Expectation else pack_value(expected, "expected")


class GetVariable(Query[Json]):
    """Replies the value of a variable, or `default`."""

    __slots__ = ("default", "key")
    points = Points("BeforeStateRead", "AfterStateRead")

    def __init__(self, key: str, default: object = None) -> None:
        self.key = variable_key(key)
        self.default = default


class ListVariables(Query[dict[str, Json]]):
    """Replies a dict of the variables whose key begins with `prefix`."""

    __slots__ = ("prefix",)
    access = "list"
    points = Points("BeforeStateRead", "AfterStateRead")

    def __init__(self, prefix: str = "") -> None:
        self.prefix = as_text("prefix", prefix, MAX_KEY, empty=True)


class AcceptLosses(Command[None]):
    """Accept the present variables after a repair that lost an event which may have set any of them. Replies None."""

    __slots__ = ()
    rate = None
