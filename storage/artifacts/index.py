"""The index entries of an artifact: the keys under which queries find it.

Within a session an artifact is listed by type, by tag, and by name and label, in the order of its number, which is the
order of time. Across sessions it is listed by type, tag, creator, parent and custom entries, and later by its words;
these keys end in its *suffix*: the time, the session and the number. docs/format.md is the specification.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from greenroom.storage.codec.keys import metadata_digest, text_digest
from greenroom.storage.codec.records import unpack_value

from .model import ArtifactRecord

__all__ = [
    "ACROSS",
    "BY_CREATOR",
    "BY_CUSTOM",
    "BY_PARENT",
    "BY_TAG",
    "BY_TYPE",
    "BY_WORD",
    "IN_SESSION",
    "MANY_CUSTOM",
    "PLACE",
    "SESSION_LABEL",
    "SESSION_TAG",
    "SESSION_TYPE",
    "UNLISTED",
    "artifact_entries",
    "digest_of",
    "label_prefix",
    "suffix_of",
]

# First bytes of keys in the `index` family.
SESSION_TYPE: Final = b"A"  # session, digest of the type, number
SESSION_TAG: Final = b"G"  # session, digest of the tag, number
SESSION_LABEL: Final = b"L"  # session, name, NUL, label, NUL, number
BY_TYPE: Final = b"a"  # digest of the type, suffix
BY_TAG: Final = b"g"  # digest of the tag, suffix
BY_CREATOR: Final = b"y"  # digest of created_by, suffix
BY_PARENT: Final = b"q"  # digest of the parent artifact, suffix
BY_CUSTOM: Final = b"x"  # digest of one key and its value, suffix
BY_WORD: Final = b"w"  # a word, NUL, suffix
MANY_CUSTOM: Final = b"zx"  # suffix, of an artifact with too many custom entries to list each
UNLISTED: Final = b"zw"  # suffix, of an artifact that is not listed by its words

IN_SESSION: Final = (SESSION_TYPE, SESSION_TAG, SESSION_LABEL)
"""First bytes of the keys that continue with the session."""
ACROSS: Final = (BY_TYPE, BY_TAG, BY_CREATOR, BY_PARENT, BY_CUSTOM, BY_WORD, b"z")
"""First bytes of the keys that end in a suffix."""

PLACE: Final = 32
"""The length of a suffix in bytes."""
MOST_CUSTOM: Final = 64

digest_of = lru_cache(maxsize=4096)(text_digest)


def suffix_of(session: bytes, number: int, time: int) -> bytes:
    """Return the suffix of an artifact across sessions: time, session, number."""
    return time.to_bytes(8, "big") + session + number.to_bytes(8, "big")


def label_prefix(session: bytes, name: str, label: str) -> bytes:
    """Return the prefix of the entries of a label. Names and labels have no control characters, so NUL ends them."""
    return SESSION_LABEL + session + f"{name}\x00{label}\x00".encode("utf-8", "surrogatepass")


def artifact_entries(session: bytes, number: int, record: ArtifactRecord) -> list[bytes]:
    """Return the keys that list a new artifact, from its record, except the one of its name and version."""
    # The suffix is spelled out here, and the fields are taken at once, because every stored artifact comes by.
    _, name, _, _, type_, _, _, _, _, created_by, parent, tags, custom, time, label = record
    type_digest = digest_of(type_)
    last = number.to_bytes(8, "big")
    suffix = time.to_bytes(8, "big") + session + last
    keys = [SESSION_TYPE + session + type_digest + last, BY_TYPE + type_digest + suffix]
    for tag in tags:
        tag_digest = digest_of(tag)
        keys += (SESSION_TAG + session + tag_digest + last, BY_TAG + tag_digest + suffix)
    if created_by is not None:
        keys.append(BY_CREATOR + digest_of(created_by) + suffix)
    if parent is not None:
        keys.append(BY_PARENT + digest_of(parent) + suffix)
    if label is not None:
        keys.append(label_prefix(session, name, label) + last)
    if len(custom) > 1:  # an empty object is one byte
        entries = unpack_value(custom)
        if len(entries) > MOST_CUSTOM:
            keys.append(MANY_CUSTOM + suffix)
        else:
            # two keys of an object may have one digest
            keys += dict.fromkeys(BY_CUSTOM + metadata_digest(key, value) + suffix for key, value in entries.items())
    keys.append(UNLISTED + suffix)
    return keys
