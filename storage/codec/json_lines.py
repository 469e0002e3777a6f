"""Turn values into JSON."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from typing import Any

__all__ = ["json_able", "json_line"]


def json_able(value: Any, name: str = "") -> Any:
    """Return the value as JSON can hold it: hashes in hex, other bytes as ``{"base64": …}``, NaN and infinities as
    null."""
    if isinstance(value, (bytes, bytearray)):
        return value.hex() if name.endswith("hash") else {"base64": b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: json_able(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_able(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_line(value: Any) -> str:
    """Return the value as one line of JSON, in ASCII."""
    return json.dumps(json_able(value))
