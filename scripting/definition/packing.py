"""Values on their way between a language, a process and the host, as MessagePack.

A function of a script is an extension type, which no table of a script can imitate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack

from greenroom.runtime import ValidationError

__all__ = ["FUNCTION", "pack", "unpack"]

FUNCTION: Final = 1
"""The extension type of a function: its number."""
TOO_LARGE: Final = "an integer beyond 64 bits: scripts cannot hold it; give it as a text"


def pack(value: Any) -> bytes:
    """Encode plain data. Raises ValidationError for what scripts cannot hold."""
    try:
        data: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass")
    except OverflowError:
        raise ValidationError(TOO_LARGE, field="value") from None
    except (TypeError, ValueError) as error:
        raise ValidationError(f"a value that scripts cannot hold: {error}") from None
    return data


def unpack(data: bytes, function: Callable[[int], Any] | None = None) -> Any:
    """Decode data that a script packed: valid UTF-8 to str, other strings to bytes. `function` returns what stands for
    a function of the script, given by its number."""
    if function is None:
        return msgpack.unpackb(data, raw=False, strict_map_key=False)

    def extension(kind: int, number: bytes) -> Any:
        return function(int.from_bytes(number, "big"))

    return msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=extension)
