"""The keys of the sessions that adapters keep."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from greenroom.runtime import ValidationError

__all__ = ["key_of"]

_MOST_BYTES: Final = 512
"""The bytes that the key of a session may have."""
_HASHED: Final = "sha256:"


def key_of(framework: str, text: object, field: str = "session_id") -> str:
    """Return the key of the session that a framework knows by a text: `framework:text`.

    A text that no key can hold (too long, or with lone surrogates) goes by its hash, and so does one that looks like
    such a hash, so that no two texts have one key. Raises ValidationError for what is no text.
    """
    if not isinstance(text, str):
        raise ValidationError(f"{field}: a text is needed, not {type(text).__name__}", field=field)
    text = str.__str__(text)
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) + len(framework) + 1 > _MOST_BYTES or text.startswith(_HASHED) or not _is_unicode(text):
        return f"{framework}:{_HASHED}{sha256(raw).hexdigest()}"
    return f"{framework}:{text}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
