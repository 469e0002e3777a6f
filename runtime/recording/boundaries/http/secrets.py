"""Secrets of HTTP: which headers, query parameters and form fields hold them, and what stands on the tape instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = [
    "REDACTED",
    "CleanURL",
    "clean_answer_headers",
    "clean_form",
    "clean_headers",
    "clean_text",
    "clean_url",
    "text_of",
]

REDACTED: Final = "[redacted]"
"""Stands on the tape for a secret, as it does in journals."""
_REDACTED_USER: Final = "redacted"
"""The same for the name and password of a URL, where a bracket would mean an IPv6 address."""

_SECRET_HEADER: Final = re.compile(
    r"(?:^|[-_])(?:auth|authorization|authentication|tokens?|secrets?|apikey|passw(?:or)?d|credentials?|signature|jwt"
    r"|session|csrf|xsrf)(?:$|[-_])|api[-_]?key|access[-_]?key|subscription[-_]key|^x-amz-|^x-goog-iam"
)
_PLAIN_HEADERS: Final = frozenset(
    {"x-amz-date", "x-amz-target", "x-amz-content-sha256", "x-amz-user-agent", "anthropic-beta", "authority"}
)
"""Headers of requests that would fit the pattern but hold no secret, and say what is asked."""
_SECRET_ANSWER_HEADERS: Final = frozenset(
    {
        "authentication-info",
        "authorization",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-goog-api-key",
        "x-subject-token",
        "x-xsrf-token",
    }
)
_URL_HEADERS: Final = frozenset({"location", "content-location", "referer"})
_SCHEMES: Final = frozenset(
    {"apikey", "aws4-hmac-sha256", "basic", "bearer", "digest", "key", "negotiate", "oauth", "token"}
)
"""Schemes of an Authorization header, which are shown. What is none of these may be the key itself."""

_SECRET_PARAMETERS: Final = frozenset(
    {
        "access_key",
        "access_token",
        "api-key",
        "api_key",
        "apikey",
        "assertion",
        "auth",
        "auth_token",
        "authorization",
        "awsaccesskeyid",
        "client_assertion",
        "client_secret",
        "code",
        "code_verifier",
        "id_token",
        "key",
        "oauth_signature",
        "oauth_token",
        "passwd",
        "password",
        "private_key",
        "refresh_token",
        "secret",
        "sig",
        "signature",
        "subject_token",
        "subscription-key",
        "token",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-credential",
        "x-goog-signature",
    }
)
_VOLATILE_PARAMETERS: Final = frozenset(
    {
        "_",
        "expires",
        "nonce",
        "oauth_nonce",
        "oauth_timestamp",
        "timestamp",
        "x-amz-date",
        "x-amz-expires",
        "x-goog-date",
        "x-goog-expires",
    }
)
"""Parameters that are other in each run. They stand on the tape, but identify nothing."""

_URL: Final = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?(?:([^/?#]*)@)?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_URL_IN_TEXT: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://|/)[^\s'\"<>()]*[?@][^\s'\"<>()]*", re.IGNORECASE)


class CleanURL(NamedTuple):
    """A URL without secrets."""

    url: str
    """With marks in their places."""
    identity: str
    """What of it identifies a request: without secrets, and without what is other in each run."""
    name: str
    """Without its query."""


@lru_cache(maxsize=512)
def clean_url(url: str) -> CleanURL:
    """Return a URL without the secrets in it."""
    found = _URL.fullmatch(url)
    assert found is not None, "the pattern fits all texts"
    scheme, user, path, query, fragment = found.groups(default="")
    name = scheme + path
    shown = f"{scheme}{_REDACTED_USER}@{path}" if user else name
    if not query:
        return CleanURL(shown + fragment, name, name)
    shown_query, identity = [], []
    for parameter in query[1:].split("&"):
        key, equals, _ = parameter.partition("=")
        lowered = key.lower()
        if lowered in _SECRET_PARAMETERS:
            shown_query.append(f"{key}={REDACTED}" if equals else parameter)
            continue
        shown_query.append(parameter)
        if lowered not in _VOLATILE_PARAMETERS:
            identity.append(parameter)
    counts = f"{name}?{'&'.join(identity)}" if identity else name
    return CleanURL(f"{shown}?{'&'.join(shown_query)}{fragment}", counts, name)


def clean_form(body: bytes) -> bytes:
    """Return the body of a URL-encoded form without the secrets in it."""
    fields = body.split(b"&")
    for at, field in enumerate(fields):
        key, equals, _ = field.partition(b"=")
        if equals and key.decode("latin-1").lower() in _SECRET_PARAMETERS:
            fields[at] = key + b"=" + REDACTED.encode()
    return b"&".join(fields)


def clean_text(text: str) -> str:
    """Return a text, such as the message of an exception, without the secrets of URLs in it."""
    return _URL_IN_TEXT.sub(lambda found: clean_url(found[0]).url, text) if "?" in text or "@" in text else text


def clean_headers(headers: Iterable[tuple[str | bytes, str | bytes]]) -> list[list[str]]:
    """Return the headers of a request as they stand on a tape, without secrets."""
    return _cleaned(_request_header, headers)


def clean_answer_headers(headers: Iterable[tuple[str | bytes, str | bytes]]) -> list[list[str]]:
    """Return the headers of a response as they stand on a tape, without secrets."""
    return _cleaned(_answer_header, headers)


def text_of(value: str | bytes) -> str:
    """Return a name or a value of a header as text. Each byte is one character, so that none is lost."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class _Header(NamedTuple):
    name: str
    clean: Callable[[str], str] | None
    """Removes the secret from a value; None if it holds none."""


def _cleaned(
    header_of: Callable[[str | bytes], _Header], headers: Iterable[tuple[str | bytes, str | bytes]]
) -> list[list[str]]:
    found = []
    for name, value in headers:
        text, clean = header_of(name)
        plain = value.decode("latin-1") if type(value) is bytes else str(value)
        found.append([text, plain if clean is None else clean(plain)])
    return found


@lru_cache(maxsize=1024)
def _request_header(name: str | bytes) -> _Header:
    text = text_of(name)
    lowered = text.lower()
    if lowered in ("authorization", "proxy-authorization"):
        return _Header(text, _clean_authorization)
    if lowered == "cookie":
        return _Header(text, _clean_cookies)
    if lowered in _URL_HEADERS:
        return _Header(text, _clean_location)
    secret = _SECRET_HEADER.search(lowered) is not None and lowered not in _PLAIN_HEADERS
    return _Header(text, _clean_all if secret else None)


@lru_cache(maxsize=1024)
def _answer_header(name: str | bytes) -> _Header:
    text = text_of(name)
    lowered = text.lower()
    if lowered == "set-cookie":
        return _Header(text, _clean_set_cookie)
    if lowered in _URL_HEADERS:
        return _Header(text, _clean_location)
    return _Header(text, _clean_all if lowered in _SECRET_ANSWER_HEADERS else None)


def _clean_all(_: str) -> str:
    return REDACTED


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
