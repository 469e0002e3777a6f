"""Secrets in URLs, forms, and texts with URLs in them: which parameters hold them, and what stands on the tape
instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

__all__ = ["REDACTED", "CleanURL", "clean_command", "clean_text", "clean_texts", "clean_url", "is_secret_name"]

REDACTED: Final = "[redacted]"
"""Stands on the tape for a secret, as it does in journals."""
_REDACTED_USER: Final = "redacted"
"""The same for the name and password of a URL, where a bracket would mean an IPv6 address."""

_SECRET_NAME: Final = re.compile(
    r"(?:key|code|auth|authorization|token|jwt|sig|pw|pass|pwd|awsaccesskeyid|oauthverifier)"
    r"|.*(?:(?:api|app|application|access|account|auth|client|consumer|encryption|functions?|license|master|private"
    r"|rapidapi|secret|service|signing|subscription|user)key"
    r"|(?:access|actor|admin|api|app|auth|authenticity|bearer|bot|csrf|device|id|login|oauth|personal|private|refresh|sas"
    r"|security|service|session|sharing|subject|user|verification|xsrf)token"
    r"|secret|passw(?:or)?d|passphrase|signature|credentials?|assertion|codeverifier|devicecode)"
)
"""Matches the names, in small letters and without what separates words, of parameters that hold secrets. Those that say
where to go on (`page_token`) or how much (`max_tokens`) do not fit."""
_SEPARATORS: Final = re.compile(r"[-_.\[\]]+")
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


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Return whether a parameter or a field of a form holds a secret, by its name as it stands in a URL."""
    return _SECRET_NAME.fullmatch(_SEPARATORS.sub("", unquote(name).lower())) is not None


def clean_command(command: Iterable[str]) -> list[str]:
    """Return the words of a command without secrets: `--api-key WORD`, `--api-key=WORD`, `API_KEY=WORD`, and URLs."""
    clean: list[str] = []
    is_secret = False
    for word in command:
        name, equals, _ = word.partition("=")
        named = is_secret_name(name.lstrip("-"))
        if is_secret and not word.startswith("-"):
            clean.append(REDACTED)
        else:
            clean.append(f"{name}={REDACTED}" if equals and named else clean_text(word))
        is_secret = named and not equals and word.startswith("-")
    return clean


def _clean_parameter(parameter: str) -> str:
    key, equals, _ = parameter.partition("=")
    return f"{key}={REDACTED}" if equals and is_secret_name(key) else parameter


@lru_cache(maxsize=512)
def clean_url(url: str) -> CleanURL:
    """Return a URL without the secrets in it."""
    found = _URL.fullmatch(url)
    assert found is not None, "the pattern fits all texts"
    scheme, user, path, query, fragment = found.groups(default="")
    if "=" in fragment:
        fragment = "#" + "&".join(map(_clean_parameter, fragment[1:].split("&")))
    name = scheme + path
    shown = f"{scheme}{_REDACTED_USER}@{path}" if user else name
    if not query:
        return CleanURL(shown + fragment, name, name)
    shown_query, identity = [], []
    for parameter in query[1:].split("&"):
        key, equals, _ = parameter.partition("=")
        if is_secret_name(key):
            shown_query.append(f"{key}={REDACTED}" if equals else parameter)
            continue
        shown_query.append(parameter)
        if key.lower() not in _VOLATILE_PARAMETERS:
            identity.append(parameter)
    counts = f"{name}?{'&'.join(identity)}" if identity else name
    return CleanURL(f"{shown}?{'&'.join(shown_query)}{fragment}", counts, name)


def clean_text(text: str) -> str:
    """Return a text, such as the message of an exception, without the secrets of URLs in it."""
    return _URL_IN_TEXT.sub(lambda found: clean_url(found[0]).url, text) if "?" in text or "@" in text else text


def clean_texts(value: Any) -> Any:
    """Return a value, such as the form of an exception, without the secrets of URLs in its texts."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {name: clean_texts(each) for name, each in value.items()}
    return [clean_texts(each) for each in value] if isinstance(value, list) else value
