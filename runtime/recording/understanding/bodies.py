"""The bodies of one exchange over HTTP: content encodings, JSON, server-sent events. Reads what it can, raises nothing,
and says what it could not read."""

from __future__ import annotations

import importlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["Exchange", "as_object", "as_rows", "exchange_of", "json_of", "sse_of", "text_or_none", "whole_or_none"]

MAX_BYTES: Final = 256 << 20
"""The most that a body may unpack to."""
_SLICE: Final = 4096
_MAX_COUNT: Final = 1 << 62


@dataclass(slots=True)
class Exchange:
    """A request and its response, as far as they could be read."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    """Of the response, by their names in small letters."""
    request: Any
    """The request's body as JSON; None if it is none."""
    status: int | None
    body: bytes
    """The response's body, unpacked."""
    complete: bool
    first_chunk: int | None
    failure: Mapping[str, Any] | None
    """The exception that the program got instead of a response, or within one."""
    problems: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The content type of the response."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def exchange_of(given: Mapping[str, Any], outcome: Mapping[str, Any]) -> Exchange:
    """Return the exchange in the input and the outcome of a crossing of the kind http."""
    problems: list[str] = []
    url = given.get("url")
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host, path = (parts.hostname or "").lower(), parts.path
    except ValueError:
        host, path = "", ""
    body, asked = _bytes(given.get("body")), _headers(given.get("headers"))
    plain = _unpacked(body, asked, problems, "request")
    request = json_of(plain)
    if request is None and plain:
        problems.append("the request's body is no JSON")
    headers = _headers(outcome.get("headers"))
    chunks = outcome.get("chunks")
    received = b"".join(_bytes(each) for each in chunks) if isinstance(chunks, list | tuple) else b""
    failure = outcome.get("error")
    complete = outcome.get("complete") is not False and not isinstance(failure, Mapping)
    gaps = outcome.get("gaps")
    return Exchange(
        method=str(given.get("method") or "").upper(),
        host=host,
        path=path,
        headers=headers,
        request=request,
        status=whole_or_none(outcome.get("status")),
        body=_unpacked(received, headers, problems, "response"),
        complete=complete,
        first_chunk=whole_or_none(gaps[0]) if isinstance(gaps, list | tuple) and gaps else None,
        failure=failure if isinstance(failure, Mapping) else None,
        problems=problems,
    )


def json_of(data: bytes | str) -> Any:
    """Return the JSON value of a body; None if it is none."""
    try:
        text = data.decode("utf-8-sig", "replace") if isinstance(data, bytes) else data
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def sse_of(body: bytes, problems: list[str]) -> list[tuple[str, Any]]:
    """Return the server-sent events of a body whose data are JSON: each its name ("" if it has none) and its value."""
    events: list[tuple[str, Any]] = []
    name, data = "", list[str]()
    broken = 0

    def end() -> None:
        nonlocal name, data, broken
        text = "\n".join(data)
        if text and text.strip() != "[DONE]":
            value = json_of(text)
            if value is None:
                broken += 1
            else:
                events.append((name, value))
        name, data = "", []

    text = body.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    for line in text.split("\n"):
        if not line:
            end()
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "data":
            data.append(value)
        elif key == "event":
            name = value
    end()
    if broken:
        problems.append(f"{broken} of the stream's events could not be read")
    return events


def as_object(value: Any) -> dict[str, Any]:
    """Return a value that is a JSON object; an empty one for any other."""
    return value if isinstance(value, dict) else {}


def as_rows(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; none for what is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text_or_none(value: Any) -> str | None:
    """Return a value that is a text and not empty."""
    return value if isinstance(value, str) and value else None


def whole_or_none(value: Any) -> int | None:
    """Return a value that is a count."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < _MAX_COUNT else None


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


def _headers(rows: Any) -> dict[str, str]:
    """Return headers by their names in small letters. Of a name that comes twice, the last counts."""
    pairs: Sequence[Any] = list(rows.items()) if isinstance(rows, Mapping) else rows if isinstance(rows, list) else []
    found = {}
    for row in pairs:
        if isinstance(row, list | tuple) and len(row) == 2:
            name, value = (_bytes(each).decode("latin-1") for each in row)
            found[name.lower()] = value
    return found


def _unpacked(data: bytes, headers: Mapping[str, str], problems: list[str], which: str) -> bytes:
    """Undo the content encodings of a body. One that does not hold stays as it is: the program's library may have
    handed it over unpacked."""
    names = [each.strip().lower() for each in headers.get("content-encoding", "").split(",") if each.strip()]
    for name in reversed(names):
        if name == "identity" or not data:
            continue
        unpack = _ENCODINGS.get(name)
        if unpack is None:
            problems.append(f"the {which}'s content encoding {name[:40]!r} is not known")
            break
        try:
            data, whole = unpack(data)
        except ImportError:
            problems.append(f"the {which}'s content encoding {name} needs a package that is not installed")
            break
        except Exception:  # each library has an exception of its own
            if data[:1] not in (b"{", b"[", b"d", b"e", b":"):
                problems.append(f"the {which}'s content is not encoded as {name}, as it says")
            break
        if not whole:
            problems.append(f"the {which}'s content ends before its encoding does")
    return data


def _inflated(bits: int) -> Callable[[bytes], tuple[bytes, bool]]:
    def unpack(data: bytes) -> tuple[bytes, bool]:
        stream = zlib.decompressobj(bits)
        found = stream.decompress(data, MAX_BYTES)
        return found, stream.eof

    return unpack


def _deflated(data: bytes) -> tuple[bytes, bool]:
    try:
        return _inflated(zlib.MAX_WBITS)(data)
    except zlib.error:  # some servers leave out the header of zlib
        return _inflated(-zlib.MAX_WBITS)(data)


def _sliced(step: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Unpack data slice by slice, so that what unpacks without end is stopped."""
    found: list[bytes] = []
    size = 0
    for at in range(0, len(data), _SLICE):
        found.append(step(data[at : at + _SLICE]))
        size += len(found[-1])
        if size > MAX_BYTES:
            break
    return b"".join(found)


def _brotli(data: bytes) -> tuple[bytes, bool]:
    try:
        brotli = importlib.import_module("brotli")
    except ImportError:
        brotli = importlib.import_module("brotlicffi")
    stream = brotli.Decompressor()
    return _sliced(stream.process, data), bool(stream.is_finished())


def _zstandard(data: bytes) -> tuple[bytes, bool]:
    stream = importlib.import_module("zstandard").ZstdDecompressor().decompressobj()
    return _sliced(stream.decompress, data), bool(stream.eof)


_ENCODINGS: Final[dict[str, Callable[[bytes], tuple[bytes, bool]]]] = {
    "gzip": _inflated(zlib.MAX_WBITS | 16),
    "x-gzip": _inflated(zlib.MAX_WBITS | 16),
    "deflate": _deflated,
    "br": _brotli,
    "zstd": _zstandard,
}
