"""What makes two recordings the same: what they say."""

from __future__ import annotations

import json
from typing import Any

from blake3 import blake3

__all__ = ["digest_of"]


def digest_of(value: Any) -> str:
    """Return the BLAKE3, in hex, of a JSON value; the order of keys and the spacing of its text do not count."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return blake3(text.encode("utf-8", "surrogatepass")).hexdigest()
