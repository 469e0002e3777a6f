"""The tool `base64`."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from greenroom.storage.errors import ValidationError

from .inputs import TextOrBytes, any_case

__all__ = ["base64_tool"]


def base64_tool(
    input: TextOrBytes,
    operation: Annotated[Literal["encode", "decode"], any_case()] = "encode",
    url_safe: bool = False,
) -> str | bytes:
    """Encode text or bytes as base64, or decode it: to text where it is UTF-8, else to bytes."""
    data = input.encode("utf-8", "surrogatepass") if isinstance(input, str) else input
    if operation == "encode":
        return (base64.urlsafe_b64encode(data) if url_safe else base64.b64encode(data)).decode()
    try:
        decoded = base64.b64decode(data, altchars=b"-_" if url_safe else None, validate=True)
    except (binascii.Error, ValueError):
        raise ValidationError("input: this is no base64", field="input") from None
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        return decoded
