"""The tool `hash_calculator`."""

from __future__ import annotations

import hashlib
from typing import Literal

from blake3 import blake3

__all__ = ["hash_calculator"]


def hash_calculator(
    input: str | bytes,
    algorithm: Literal["blake3", "blake2b", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"] = "sha256",
    operation: Literal["hash"] = "hash",
) -> str:
    """Return the hash of a text (its UTF-8) or of bytes, as lower-case hex digits."""
    data = input.encode("utf-8", "surrogatepass") if isinstance(input, str) else input
    if algorithm == "blake3":
        return blake3(data).hexdigest()
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
