"""The tool `hash_calculator`."""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal

from blake3 import blake3

from .inputs import TextOrBytes, any_case

__all__ = ["hash_calculator"]


_SAME: Final = {f"sha_{each}": f"sha{each}" for each in ("1", "224", "256", "384", "512")}


def hash_calculator(
    input: TextOrBytes,
    algorithm: Annotated[
        Literal["blake3", "blake2b", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"], any_case(_SAME)
    ] = "sha256",
    operation: Annotated[Literal["hash"], any_case()] = "hash",
) -> str:
    """Return the hash of a text (its UTF-8) or of bytes, as lower-case hex digits."""
    data = input.encode("utf-8", "surrogatepass") if isinstance(input, str) else input
    if algorithm == "blake3":
        return blake3(data).hexdigest()
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
