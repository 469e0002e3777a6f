"""The keys under which LangGraph's data stand: those of sessions, and those of records in a session."""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import quote, unquote

from greenroom.runtime import ValidationError

__all__ = [
    "STORE_KEY",
    "THREAD_PREFIX",
    "part",
    "parts_of",
    "quoted_name",
    "short_part",
    "shown",
    "text_of",
    "thread_key",
    "thread_of",
]

THREAD_PREFIX: Final = "langgraph:thread:"
STORE_KEY: Final = "langgraph:store"
_MAX_QUOTED: Final = 480
"""Bytes of a session's key behind the prefix."""
_UNSAFE: Final = re.compile("[%\x00-\x1f\x7f\ud800-\udfff]+")
_END: Final = re.compile(rb"\0(?!\xff)")


def shown(value: object) -> str:
    """Return a name from outside in a form fit for a message."""
    return ascii(value)[:80] if isinstance(value, str) else f"<{type(value).__name__}>"


def text_of(field: str, value: object) -> str:
    """Return an id from a configuration as text: numbers and UUIDs too. Raises ValidationError."""
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, bool | float | bytes | list | dict | tuple | set):
        raise ValidationError(f"{field}: a text is needed, not {type(value).__name__}", field=field)
    return str(value)


def thread_key(thread: str) -> str:
    """Return the key of the session of a thread, which may have any name. The hash stands for a name too long."""
    if thread.isascii() and thread.isprintable() and "%" not in thread and len(thread) <= _MAX_QUOTED:
        return THREAD_PREFIX + thread  # as nearly all are
    quoted = _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="surrogatepass"), thread)
    if len(quoted.encode()) > _MAX_QUOTED:
        # "%" is quoted in every other name, so "%%" begins none.
        quoted = "%%" + hashlib.sha256(thread.encode("utf-8", "surrogatepass")).hexdigest()
    return THREAD_PREFIX + quoted


def thread_of(key: str, long_name: object) -> str:
    """Return the thread of a session by its key, or `long_name` if the key has only a hash of it."""
    quoted = key.removeprefix(THREAD_PREFIX)
    if quoted.startswith("%%"):
        quoted = str(long_name)
    return unquote(quoted, errors="surrogatepass")


def quoted_name(thread: str) -> str:
    """Return the name of a thread in a form that JSON can hold: what `thread_of` takes for a name too long."""
    return quote(thread, safe="", errors="surrogatepass")


def part(text: str) -> bytes:
    """Return a text as one part of a record's key. Parts are in the order of their texts, and each ends by itself."""
    return text.encode("utf-8", "surrogatepass").replace(b"\0", b"\0\xff") + b"\0"


def short_part(text: str, most: int) -> bytes:
    """Return a text as one part of a record's key, its hash if it would have more than `most` bytes."""
    whole = part(text)
    if len(whole) <= most and not whole.startswith(b"\1"):
        return whole
    return b"\1" + hashlib.sha256(whole).hexdigest().encode() + b"\0"


def parts_of(key: bytes) -> list[str | None]:
    """Return the texts of the parts of a key, None for those of which the key has only the hash."""
    return [
        None if each.startswith(b"\1") else each.replace(b"\0\xff", b"\0").decode("utf-8", "surrogatepass")
        for each in _END.split(key)[:-1]
    ]
