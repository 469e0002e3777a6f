"""The index entries of an artifact: the keys under which queries find it.

Within a session an artifact is listed by type, by tag, and by name and label, in the order of its number, which is the
order of time. Across sessions it is listed by type, tag, creator, parent, custom entries and words; these keys end in
its *suffix*: the time, the session and the number. docs/format.md is the specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from greenroom.storage.codec.keys import metadata_digest, text_digest
from greenroom.storage.codec.records import seal, unpack_value
from greenroom.storage.common.words import split_words

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
    "MANY_WORDS",
    "PLACE",
    "SESSION_LABEL",
    "SESSION_TAG",
    "SESSION_TYPE",
    "WORDS_KEY",
    "WORDS_MARK",
    "artifact_entries",
    "digest_of",
    "label_prefix",
    "suffix_of",
    "texts_of",
    "word_bytes",
    "words_of",
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
MANY_WORDS: Final = b"zw"  # suffix, of an artifact with too many words to list each

IN_SESSION: Final = (SESSION_TYPE, SESSION_TAG, SESSION_LABEL)
"""First bytes of the keys that continue with the session."""
ACROSS: Final = (BY_TYPE, BY_TAG, BY_CREATOR, BY_PARENT, BY_CUSTOM, BY_WORD, b"z")
"""First bytes of the keys that end in a suffix."""

PLACE: Final = 32
"""The length of a suffix in bytes."""
MOST_WORDS: Final = 64
MOST_READ: Final = 256
MOST_CUSTOM: Final = 64
WORD_BYTES: Final = 32

WORDS_KEY: Final = b"words"
"""The key in the `meta` family that says by which rules the words in the index were made."""
WORDS_MARK: Final = seal(WORDS_KEY, [2])
"""Its value if they were made by today's rules. With any other value, even a damaged record, they are made anew."""

digest_of = lru_cache(maxsize=4096)(text_digest)


def suffix_of(session: bytes, number: int, time: int) -> bytes:
    """Return the suffix of an artifact across sessions: time, session, number."""
    return time.to_bytes(8, "big") + session + number.to_bytes(8, "big")


def label_prefix(session: bytes, name: str, label: str) -> bytes:
    """Return the prefix of the entries of a label. Names and labels have no control characters, so NUL ends them."""
    return SESSION_LABEL + session + f"{name}\x00{label}\x00".encode("utf-8", "surrogatepass")


def artifact_entries(session: bytes, number: int, record: ArtifactRecord) -> list[bytes]:
    """Return the keys that list an artifact, from its record, except the one of its name and version."""
    # The suffix and the bytes of words are spelled out here, without calls, and the fields are taken at once, because
    # every stored artifact comes by.
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
    words = _first_words(record)
    if words is None:
        keys.append(MANY_WORDS + suffix)
    else:
        tail = b"\x00" + suffix
        for word in words:
            keys.append(BY_WORD + word.encode("utf-8", "surrogatepass")[:WORD_BYTES] + tail)
    return keys


def _first_words(record: ArtifactRecord) -> set[str] | None:
    """Return the words of an artifact; None if there are too many."""
    found = list(split_words(record.name))
    if record.description or record.tags or len(record.custom) > 1:
        found = list(islice(words_of(record), MOST_READ + 1))
    words = set(found)
    return words if len(words) <= MOST_WORDS and len(found) <= MOST_READ else None


def words_of(record: ArtifactRecord) -> Iterator[str]:
    """Yield the words of an artifact's name, description, tags and custom values, as `split_words` makes them."""
    yield from split_words(record.name)
    if record.description:
        yield from split_words(record.description)
    for tag in record.tags:
        yield from split_words(tag)
    if len(record.custom) > 1:
        for text in texts_of(unpack_value(record.custom)):
            yield from split_words(text)


def word_bytes(word: str) -> bytes:
    """Return a word as it stands in a key: its first bytes."""
    return word.encode("utf-8", "surrogatepass")[:WORD_BYTES]


def texts_of(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a JSON value, without the keys of objects."""
    kind = type(value)
    if kind is str:
        yield value
    elif kind is int or kind is float:
        yield str(value)
    elif kind is dict:
        for each in value.values():
            yield from texts_of(each)
    elif kind is list:
        for each in value:
            yield from texts_of(each)
