"""The bytes of a recorded HTTP body, without what they were packed in for the way."""

from __future__ import annotations

import gzip
import importlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from greenroom.storage.errors import ValidationError

__all__ = ["header", "unpacked_body", "with_body"]

Headers = Sequence[Sequence[str]]
_OF_LENGTH = ("content-length", "transfer-encoding", "content-encoding")


def header(headers: Iterable[Sequence[Any]], name: str) -> str:
    """Return the value of a header; an empty text if it is not there."""
    return next((_text(value) for each, value in headers if _text(each).lower() == name), "")


def unpacked_body(headers: Headers, body: bytes) -> bytes:
    """Return a body without its content encoding. Raises ValidationError for an encoding that is not known here."""
    for encoding in reversed([each.strip().lower() for each in header(headers, "content-encoding").split(",")]):
        try:
            body = _decoded(encoding, body)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise ValidationError(f"patch: the recorded body is no {encoding}", field="patch") from error
    return body


def _decoded(encoding: str, body: bytes) -> bytes:
    match encoding:
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return gzip.decompress(body)
        case "deflate":
            try:
                return zlib.decompress(body)
            except zlib.error:
                return zlib.decompress(body, -zlib.MAX_WBITS)
        case "br" | "zstd":
            for module in ("brotli", "brotlicffi") if encoding == "br" else ("zstandard", "compression.zstd"):
                try:
                    library: Any = importlib.import_module(module)
                except ImportError:
                    continue
                if module == "zstandard":
                    return bytes(library.ZstdDecompressor().decompressobj().decompress(body))
                return bytes(library.decompress(body))
    raise ValidationError(
        f"patch: bodies in {encoding!r} cannot be read here: a library for it is missing", field="patch"
    )


def with_body(headers: Headers, length: int) -> list[list[str]]:
    """Return the headers for a plain body of this length."""
    kept = [[_text(name), _text(value)] for name, value in headers if _text(name).lower() not in _OF_LENGTH]
    return [*kept, ["content-length", str(length)]]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
