"""The layout of keys: binary, sortable, fixed-width parts first. docs/format.md is the specification.

Integers are big endian, so that byte order is numeric order. A session is its 16 raw UUID bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from blake3 import blake3

from greenroom.storage.common.session_ids import is_session_id, new_session, session_bytes, session_id_of

from .plain import plain
from .records import pack_value

__all__ = [
    "COUNTS_KEY",
    "INDEX_APPROVAL",
    "INDEX_ARTIFACT_NAME",
    "INDEX_CREATED",
    "INDEX_CREATOR",
    "INDEX_DEADLINE",
    "INDEX_KEY",
    "INDEX_LIFETIME",
    "INDEX_MESSAGE",
    "INDEX_METADATA",
    "INDEX_PARENT",
    "INDEX_SCOPE",
    "INDEX_SHARED",
    "INDEX_TAG",
    "INDEX_UPDATED",
    "QUOTA_KEY",
    "TOTALS_KEY",
    "after_prefix",
    "artifact_name_prefix",
    "canonical_value",
    "is_session_id",
    "key_entry",
    "listing_prefixes",
    "metadata_digest",
    "new_session",
    "second_of",
    "sequence_key",
    "session_bytes",
    "session_id_of",
    "text_digest",
]

# First byte of every key in the `index` column family.
INDEX_CREATED: Final = b"c"  # status, created_at, session
INDEX_UPDATED: Final = b"u"  # status, second of the last event, session
INDEX_TAG: Final = b"t"  # digest of the tag, status, created_at, session
INDEX_CREATOR: Final = b"b"  # digest of created_by, status, created_at, session
INDEX_PARENT: Final = b"p"  # parent session, status, created_at, session
INDEX_METADATA: Final = b"m"  # digest of one key and its value, status, created_at, session
INDEX_DEADLINE: Final = b"d"  # first moment at which its own time limits matter, session; active sessions only
INDEX_KEY: Final = b"k"  # the key that the host gave a session, in UTF-8 -> session
INDEX_LIFETIME: Final = b"T"  # session whose own configuration says when it may be deleted
INDEX_MESSAGE: Final = (
    b"M"  # session, sequence of the event that began a current turn -> its newest event, if there is a later one
)
INDEX_SHARED: Final = (
    b"S"  # grantee, owner, number of a shared artifact; 0 if the whole session is shared -> permission
)
INDEX_SCOPE: Final = b"s"  # session, scope that the host lets the session use -> permission
INDEX_APPROVAL: Final = b"H"  # session, sequence of a pending question -> when it was asked, and when it expires
INDEX_ARTIFACT_NAME: Final = b"v"  # session, name, NUL, version -> artifact sequence


def sequence_key(session: bytes, sequence: int) -> bytes:
    """Return the key of a journal event, a snapshot or an artifact record of a session."""
    return session + sequence.to_bytes(8, "big")


def second_of(key: bytes) -> int:
    """Return the second in an entry of INDEX_UPDATED."""
    return int.from_bytes(key[2:6], "big")


def key_entry(key: str) -> bytes:
    """Return the index entry of the key that the host gave a session."""
    return INDEX_KEY + key.encode()


def after_prefix(prefix: bytes) -> bytes:
    """Return the smallest key that is greater than every key with this prefix."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\xff" * (len(prefix) + 64)


def text_digest(text: str) -> bytes:
    """Return the eight bytes that stand for a tag or a creator in an index key. A match is confirmed on the row."""
    return blake3(text.encode("utf-8", "surrogatepass")).digest(8)


def metadata_digest(key: str, value: Any) -> bytes:
    """Return the eight bytes that stand for one top-level metadata entry in an index key."""
    return blake3(pack_value(key, "metadata") + canonical_value(value)).digest(8)


def listing_prefixes(
    tags: Collection[str], created_by: str | None, parent: str | None, metadata: Mapping[str, Any]
) -> list[bytes]:
    """Return the prefixes of index keys that list sessions with these tags, this creator, this parent and these entries
    of the metadata by status and creation."""
    prefixes = [INDEX_TAG + text_digest(tag) for tag in tags] if tags else []
    if created_by is not None:
        prefixes.append(INDEX_CREATOR + text_digest(created_by))
    if parent is not None:
        prefixes.append(INDEX_PARENT + session_bytes(parent))
    if metadata:
        prefixes += [INDEX_METADATA + metadata_digest(key, value) for key, value in metadata.items()]
    return prefixes


def canonical_value(value: Any) -> bytes:
    """Encode a metadata value so that equal values have equal encodings: objects in key order, 1.0 like 1, but true
    unlike 1."""
    return pack_value(_canonical(value), "metadata")


def _canonical(value: Any) -> Any:
    if type(value) is dict:
        return {key: _canonical(value[key]) for key in sorted(value)}
    if type(value) in (list, tuple):
        return [_canonical(item) for item in value]
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) in _SCALARS else _canonical(plain(value, "metadata"))


_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})


def artifact_name_prefix(session: bytes, name: str) -> bytes:
    """Return the prefix of the version entries of an artifact name. Names have no control characters, so NUL ends
    them."""
    return INDEX_ARTIFACT_NAME + session + name.encode("utf-8", "surrogatepass") + b"\x00"


COUNTS_KEY: Final = b"counts"
"""The key (in META) of the number of sessions per status, as a clean close leaves them."""
QUOTA_KEY: Final = b"content bytes"
"""The key (in META) of the bytes of all content, as a clean close leaves them."""
TOTALS_KEY: Final = b"content totals"
"""The key (in META) of the figures of all content, as a clean close leaves them."""
