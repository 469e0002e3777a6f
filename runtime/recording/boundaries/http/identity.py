"""What identifies a request: its method, its URL and its body, without what is secret or other in each run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from ...tape.model import Asked
from .bodies import MOST_BYTES, clean_json, content_type, is_json, restored
from .secrets import REDACTED, clean_form, clean_headers, clean_multipart, clean_url

__all__ = ["ask", "changed_body", "changed_headers", "changed_url", "is_websocket"]

_BOUNDARY: Final = re.compile(r"boundary=\"?([^\";, ]+)", re.IGNORECASE)


def ask(method: str, url: str, headers: Iterable[tuple[str | bytes, str | bytes]], body: bytes) -> Asked:
    """Return a request as it comes to a reel, without secrets.

    No header identifies it: they tell of the client, the moment, and who asks. The boundary of a multipart body is
    other in each run, so it does not count either; nor does a body that is longer than is kept."""
    shown, name, known = _target(method, url)
    cleaned = clean_headers(headers)
    input: dict[str, Any] = {"method": method, "url": shown, "headers": cleaned, "body": body}
    identity = body
    if len(body) > MOST_BYTES:
        input["left_out"] = len(body)
        identity = body = b""
    elif body:
        kind = content_type(cleaned)
        if is_json(kind):
            identity = body = clean_json(body)
        elif (lowered := kind[:64].lower()).startswith("application/x-www-form-urlencoded"):
            identity = body = clean_form(body)
        elif lowered.startswith("multipart/") and (found := _BOUNDARY.search(kind)) is not None:
            boundary = found[1].encode("latin-1")
            body = clean_multipart(body, boundary)
            identity = body.replace(boundary, b"boundary")
    input["body"] = body
    return Asked("http", name, input, known + identity)


@lru_cache(maxsize=512)
def _target(method: str, url: str) -> tuple[str, str, bytes]:
    """Return the URL as it stands on a tape, the name of the call, and what of both identifies a request."""
    clean = clean_url(url)
    return clean.url, f"{method} {clean.name}", f"{method} {clean.identity}\n".encode("utf-8", "surrogatepass")


def changed_headers(
    headers: Iterable[tuple[str | bytes, str | bytes]], changed: Mapping[str, Any]
) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request that a fork changes: those that it sets, and the length of the body that it
    gives. A secret whose mark it sets keeps its value."""
    wanted = {
        str(name).lower(): (_bytes(name), _bytes(value))
        for name, value in changed.get("headers") or ()
        if REDACTED not in str(value)
    }
    if (body := changed.get("body")) is not None:
        wanted["content-length"] = (b"Content-Length", b"%d" % len(body))
    kept = [(_bytes(name), _bytes(value)) for name, value in headers]
    left_out = {*wanted, *(("transfer-encoding",) if body is not None else ())}
    return [pair for pair in kept if pair[0].decode("latin-1").lower() not in left_out] + list(wanted.values())


def changed_body(body: Any, changed: Mapping[str, Any]) -> Any:
    """Return the body of a request that a fork changes, with the secrets that the program gave; `body` is what the
    program gave."""
    wanted = changed.get("body")
    return body if wanted is None else restored(wanted, body) if isinstance(body, bytes) else wanted


def changed_url(url: str, changed: Mapping[str, Any]) -> str:
    """Return the URL of a request that a fork changes: with the path that it gives, and the rest as the program has it,
    because what is secret in a query never came to the reel."""
    wanted = changed.get("url")
    return url if wanted is None else urlsplit(url)._replace(path=urlsplit(wanted).path).geturl()


def is_websocket(asked: Asked) -> bool:
    """Return whether a request asks for a websocket, whose messages no boundary records."""
    return any(name.lower() == "upgrade" and value.lower() == "websocket" for name, value in asked.input["headers"])


def _bytes(value: str | bytes) -> bytes:
    return value.encode("latin-1", "backslashreplace") if isinstance(value, str) else value
