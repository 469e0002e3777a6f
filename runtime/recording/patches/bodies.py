"""The bodies and headers of recorded HTTP calls, as far as every patch needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["request_of", "with_length"]

_OF_LENGTH: Final = ("content-length", "transfer-encoding", "content-encoding")


def request_of(input: Mapping[str, Any]) -> Any:
    """Return the JSON body of a request; None if it has none. No client of a provider packs the bodies that it
    sends."""
    body = input.get("body")
    if not isinstance(body, bytes) or not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def with_length(headers: Sequence[Sequence[str]], length: int) -> list[list[str]]:
    """Return headers for a body of this length that is not packed."""
    return [[name, value] for name, value in headers if name.lower() not in _OF_LENGTH] + [
        ["content-length", str(length)]
    ]
