"""Secrets of HTTP: which headers, query parameters and form fields hold them, and what stands on the tape instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from ...tape.secrets.urls import REDACTED, clean_text, clean_url, is_secret_name

__all__ = [
    "REDACTED",
    "clean_answer_headers",
    "clean_form",
    "clean_headers",
    "clean_multipart",
    "clean_text",
    "clean_url",
    "text_of",
]

_SECRET_HEADER: Final = re.compile(
    r"(?:^|[-_])(?:auth|authorization|authentication|tokens?|secrets?|apikey|pass|pwd|otp|passw(?:or)?d|passphrase"
    r"|credentials?|signature|assertion|jwt|session|csrf|xsrf)(?:$|[-_])|api[-_]?key|^x-amz-|^x-goog-iam"
    r"|(?:^|(?<!idempotency)(?<!websocket)(?<!cache)(?<!surrogate)[-_])key$"
)
_PLAIN_HEADERS: Final = frozenset(
    {"x-amz-date", "x-amz-target", "x-amz-content-sha256", "x-amz-user-agent", "anthropic-beta", "authority"}
)
"""Headers of requests that would fit the pattern but hold no secret, and say what is asked."""
_SECRET_ANSWER_HEADER: Final = re.compile(
    r"^(?:authentication-info|authorization)$|api[-_]?key|secret|passw(?:or)?d|(?:^|[-_])jwt(?:$|[-_])"
    r"|(?:access|auth|bearer|csrf|id|refresh|security|session|subject|xsrf)[-_]?token$"
)
"""Of responses, few headers are secret: the program needs them in a replay as they were."""
_PART_NAME: Final = re.compile(rb"[; ]name=\"?([^\";\r\n]+)", re.IGNORECASE)
_PROTOCOL_SECRET: Final = re.compile(r"((?:api-?key|token|bearer|authorization)[.~-])[^,\s]+", re.IGNORECASE)
"""Browsers cannot set headers of a websocket, so keys are given as if they were protocols."""
_URL_HEADERS: Final = frozenset({"location", "content-location", "referer"})
_SCHEMES: Final = frozenset(
    {"apikey", "aws4-hmac-sha256", "basic", "bearer", "digest", "key", "negotiate", "oauth", "token"}
)
"""Schemes of an Authorization header, which are shown. What is none of these may be the key itself."""


def clean_form(body: bytes) -> bytes:
    """Return the body of a URL-encoded form without the secrets in it."""
    fields = body.split(b"&")
    for at, field in enumerate(fields):
        key, equals, _ = field.partition(b"=")
        if equals and is_secret_name(key.decode("latin-1")):
            fields[at] = key + b"=" + REDACTED.encode()
    return b"&".join(fields)


def clean_multipart(body: bytes, boundary: bytes) -> bytes:
    """Return a multipart body without the fields in it that are secret by their name."""
    parts = body.split(b"--" + boundary)
    for at, part in enumerate(parts):
        head, end, _ = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head)
        if end and name is not None and is_secret_name(name[1].decode("latin-1")):
            parts[at] = head + end + REDACTED.encode() + b"\r\n"
    return (b"--" + boundary).join(parts)


def clean_headers(headers: Iterable[tuple[str | bytes, str | bytes]]) -> list[list[str]]:
    """Return the headers of a request as they stand on a tape, without secrets."""
    return list(map(_request_header, headers))


def clean_answer_headers(headers: Iterable[tuple[str | bytes, str | bytes]]) -> list[list[str]]:
    """Return the headers of a response as they stand on a tape, without secrets."""
    return list(map(_answer_header, headers))


def text_of(value: str | bytes) -> str:
    """Return a name or a value of a header as text. Each byte is one character, so that none is lost."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


Clean = Callable[[str], str]


@lru_cache(maxsize=4096)
def _request_header(header: tuple[str | bytes, str | bytes]) -> list[str]:
    """Return a header as it stands on a tape. Most are the same in each request: such share one list."""
    name, value = text_of(header[0]), text_of(header[1])
    clean = _of_request(name.lower())
    return [name, value if clean is None else clean(value)]


@lru_cache(maxsize=4096)
def _answer_header(header: tuple[str | bytes, str | bytes]) -> list[str]:
    name, value = text_of(header[0]), text_of(header[1])
    clean = _of_answer(name.lower())
    return [name, value if clean is None else clean(value)]


@lru_cache(maxsize=1024)
def _of_request(name: str) -> Clean | None:
    """Return what removes the secret from the value of a header; None if it holds none."""
    if name in ("authorization", "proxy-authorization"):
        return _clean_authorization
    if name == "cookie":
        return _clean_cookies
    if name in _URL_HEADERS:
        return _clean_location
    if name == "sec-websocket-protocol":
        return _clean_protocols
    return _clean_all if _SECRET_HEADER.search(name) is not None and name not in _PLAIN_HEADERS else None


@lru_cache(maxsize=1024)
def _of_answer(name: str) -> Clean | None:
    if name == "set-cookie":
        return _clean_set_cookie
    if name in _URL_HEADERS:
        return _clean_location
    if name in ("link", "refresh"):
        return clean_text
    return _clean_all if _SECRET_ANSWER_HEADER.search(name) is not None else None


def _clean_all(_: str) -> str:
    return REDACTED


def _clean_protocols(value: str) -> str:
    return _PROTOCOL_SECRET.sub(lambda found: found[1] + REDACTED, value)


def _clean_location(value: str) -> str:
    return clean_url(value).url


def _clean_authorization(value: str) -> str:
    scheme, blank, _ = value.partition(" ")
    return f"{scheme} {REDACTED}" if blank and scheme.lower() in _SCHEMES else REDACTED


def _clean_cookies(value: str) -> str:
    return "; ".join(_clean_pair(each.strip()) for each in value.split(";"))


def _clean_set_cookie(value: str) -> str:
    cookie, semicolon, attributes = value.partition(";")
    return _clean_pair(cookie) + semicolon + attributes


def _clean_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={REDACTED}" if equals else REDACTED
