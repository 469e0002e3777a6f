"""Guess MIME types from names and first bytes."""

from __future__ import annotations

import mimetypes
import re
from functools import lru_cache
from typing import Final

from greenroom.storage.common.arguments import as_text
from greenroom.storage.errors import ValidationError, shown

__all__ = ["given_mime_type", "guess_mime_type"]

_SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
    b"PK\x03\x04": "application/zip",
    b"\x1f\x8b": "application/gzip",
}
_MARKS: Final = tuple(_SIGNATURES)


_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MIME_TYPE: Final = re.compile(rf"{_TOKEN}/{_TOKEN}( *;[\x20-\x7e]*)?")
_MAX_MIME_TYPE: Final = 255


def given_mime_type(text: object) -> str:
    """Return a MIME type that a caller gives. Raises ValidationError unless it is type/subtype, with or without
    parameters."""
    mime_type = as_text("mime_type", text, _MAX_MIME_TYPE)
    if _MIME_TYPE.fullmatch(mime_type) is None:
        raise ValidationError(
            f'mime_type: {shown(mime_type)} is not of the form type/subtype, such as "text/plain" or'
            ' "application/json"; without one, greenroom guesses it from the name and the content',
            field="mime_type",
        )
    return mime_type


@lru_cache(maxsize=256)
def _mime_type_of(suffix: str) -> str | None:
    return mimetypes.guess_type("name" + suffix)[0]


def guess_mime_type(name: str, head: bytes) -> str:
    """Guess a MIME type from the name, else from the first bytes, else by whether they are text."""
    guessed = _mime_type_of(name[name.rindex(".") :].lower()) if "." in name else None
    if guessed is not None:
        return guessed
    if head.startswith(_MARKS):
        return next(mime_type for mark, mime_type in _SIGNATURES.items() if head.startswith(mark))
    sample = head[:512]
    if b"\x00" in sample:
        return "application/octet-stream"
    try:
        # A character cut in two at the end of the sample does not make it binary.
        text = sample.decode("utf-8", "strict" if len(head) <= 512 else "ignore")
    except UnicodeDecodeError:
        return "application/octet-stream"
    if not sample.isascii() and len(head) > 512 and len(text.encode()) < 508:
        return "application/octet-stream"
    return "application/json" if text[:1] in ("{", "[") and text[:1] else "text/plain"
