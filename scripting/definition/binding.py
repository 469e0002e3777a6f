"""What a binding builds the globals of a script from, and the numbers by which it calls the host.

A binding may be in another process, where only this is imported of the definitions. It reads `LayoutData.data`, as it
is or from `packed`:

- `globals`: {global: {name: number}}; a name with a point is in a namespace of the global.
- `constants`: {global: {name: value}}.
- `finders`: {global: number} of the function that a global calls for a name that it does not have (Tool.calculator).
- `returns`: {number: shape} of the functions whose answers are dressed.
- `callbacks`: {number: true} of the functions that take functions; `soft`: of those that never raise.
- `binary`: {number: [positions]} of arguments that are content.
- `shapes`: a list of tables, numbered from 1: `kind` is "object", "rows", "page", "fluent" or "iterator".
- `ids`: {shape, field, fields, row, shown}: the shape whose methods texts that are session ids answer, the function
  (id, field) for its fields, and the one (id) for the row that answers the names in `shown`.
- `files`: {name: number} of the functions for files of the profile `files`.

The numbers below `FIRST` are no functions of globals: see `Host.call`.
"""

from __future__ import annotations

from typing import Any

from .packing import unpack

__all__ = ["CLOCK", "FINISH", "FIRST", "NOW", "WRITE", "LayoutData"]

CLOCK, WRITE, FINISH, FIRST = 0, 1, 2, 3
"""Numbers for `Host.call`: the seconds left; a line of output; the end of the script; the first function."""
NOW = -1
"""The number by which a script that is recorded or replayed asks for the time: of the day with 0, of the processor with
1, in seconds."""


class LayoutData:
    """The numbers of a profile's functions and shapes, and all else that a binding needs: `data`, also encoded."""

    def __init__(self, profile: str, packed: bytes) -> None:
        self.profile = profile
        self.packed = packed
        self.data: dict[str, Any] = unpack(packed)
