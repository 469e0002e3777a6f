"""The tool `uuid_generator`."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

from annotated_types import Ge, Le

__all__ = ["uuid_generator"]


def uuid_generator(
    operation: Literal["generate"] = "generate",
    version: Literal[4, "4", "v4"] = 4,
    count: Annotated[int, Ge(1), Le(1000)] | None = None,
) -> str | list[str]:
    """Return a random UUID (version 4), or a list of `count`."""
    if count is None:
        return str(uuid.uuid4())
    return [str(uuid.uuid4()) for _ in range(count)]
