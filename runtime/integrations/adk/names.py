"""What the sessions and scopes of ADK are called in the store."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final

from ..keys import key_of

__all__ = ["OWN", "home_key", "scope_name", "session_key", "tag"]

OWN: Final = "greenroom:"
"""Begins the keys of variables that are no state of ADK's."""
_MOST_SCOPE: Final = 255
"""The characters that the name of a scope may have."""


def _joined(*parts: str) -> str:
    """Return names as one text, so that no two lists of names have the same."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def session_key(app_name: str, user_id: str, session_id: str) -> str:
    """Return the key of the greenroom session of an ADK session: `adk:["app","user","id"]`."""
    return key_of("adk", _joined(app_name, user_id, session_id))


def home_key(kind: str, app_name: str, user_id: str) -> str:
    """Return the key of the greenroom session that has what belongs to a user: `adk:memory:["app","user"]`."""
    return key_of("adk", f"{kind}:{_joined(app_name, user_id)}")


def scope_name(kind: str, *parts: str) -> str:
    """Return the name of the scope with the state of an app or a user: `adk:app:["app"]`."""
    joined = _joined(*parts)
    if len(joined) + len(kind) + 5 > _MOST_SCOPE or not joined.isprintable():
        joined = "sha256:" + sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()
    return f"adk:{kind}:{joined}"


def tag(*parts: str) -> str:
    """Return the tag of all sessions of an app, or of a user of it."""
    return "adk:" + sha256(_joined(*parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]
