"""The words of artifacts, and the entries that list artifacts by them.

A new artifact has one entry, which says that its words are not listed. Who searches for words has them listed first, so
that a store in which nobody does never pays for them. Until then, and where that cannot be done, the search reads the
artifacts that are not listed. docs/format.md is the specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from greenroom.storage.codec.keys import after_prefix
from greenroom.storage.codec.records import seal, unpack_value
from greenroom.storage.common.words import split_words
from greenroom.storage.engine.engine import CF, Engine, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew

from .index import BY_WORD, UNLISTED
from .model import ArtifactRecord
from .records import unsealed_record

__all__ = [
    "WORDS_KEY",
    "WORDS_MARK",
    "are_many",
    "first_unlisted",
    "is_truncated",
    "listing_ops",
    "present_entries",
    "texts_of",
    "word_bytes",
    "word_entries",
    "words_of",
]

WORDS_KEY: Final = b"words"
"""The key in the `meta` family that says by which rules the words in the index were made."""
WORDS_MARK: Final = seal(WORDS_KEY, [2])
"""Its value if they were made by today's rules. With any other value, even a damaged record, they are made anew."""

_TOO_MANY: Final = b"\x01"
"""The value of an UNLISTED entry whose artifact has too many words to list, or was damaged when they were to be listed.
Without it, they are still to be listed."""
_MOST_WORDS: Final = 64
_MOST_READ: Final = 256
_WORD_BYTES: Final = 32
_MOST_BYTES: Final = 256 << 10
"""Records of so many bytes are split into words in one turn of the writer, and the last of them entirely."""
_MOST_LOOKED: Final = 2048
"""So many artifacts are looked at in one turn, for those that are still to be listed."""
_WORTH: Final = 64
"""Fewer artifacts than this are read by each search, instead of listing them."""


def words_of(record: ArtifactRecord) -> Iterator[str]:
    """Yield the words of an artifact's name, description, tags and custom values, as `split_words` makes them."""
    yield from split_words(record.name)
    if record.description:
        yield from split_words(record.description)
    for tag in record.tags:
        yield from split_words(tag)
    if len(record.custom) > 1:  # an empty object is one byte
        for text in texts_of(unpack_value(record.custom)):
            yield from split_words(text)


def word_bytes(word: str) -> bytes:
    """Return a word as it stands in a key: its first bytes."""
    return word.encode("utf-8", "surrogatepass")[:_WORD_BYTES]


def is_truncated(word: bytes) -> bool:
    """Return whether a word in a key may be only the beginning of one."""
    return len(word) == _WORD_BYTES


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


def word_entries(record: ArtifactRecord, suffix: bytes) -> list[bytes] | None:
    """Return the keys that list an artifact by its words; None if it has too many to list them."""
    found = list(islice(words_of(record), _MOST_READ + 1))
    words = set(found)
    if len(words) > _MOST_WORDS or len(found) > _MOST_READ:
        return None
    return list({BY_WORD + word_bytes(word) + b"\x00" + suffix for word in words})


def present_entries(engine: Engine, record: ArtifactRecord, suffix: bytes) -> list[Op]:
    """Return the operations that write the entries for an artifact's words as they must be now, and remove the
    other ones: listed, or one that says that they are not."""
    unlisted = engine.get(CF.INDEX, UNLISTED + suffix)
    words = word_entries(record, suffix)
    if unlisted is None and words is not None and (words == [] or _has_any(engine, words)):
        return [(CF.INDEX, UNLISTED + suffix, None), *((CF.INDEX, key, b"") for key in words)]
    return [(CF.INDEX, UNLISTED + suffix, _TOO_MANY if unlisted == _TOO_MANY else b"")]


def _has_any(engine: Engine, keys: list[bytes]) -> bool:
    return any(engine.get(CF.INDEX, key) is not None for key in keys)


def are_many(unlisted: list[bytes]) -> bool:
    """Return whether so many artifacts are not listed by their words that it is time to list them."""
    return len(unlisted) >= _WORTH


def first_unlisted(engine: Engine, most: int = _WORTH) -> list[bytes]:
    """Return the keys of the first artifacts that are still to be listed by their words. This reads past all that have
    too many: it is not for the turn of the writer."""
    entries = engine.pages(CF.INDEX, UNLISTED, after_prefix(UNLISTED), page=128)
    return list(islice((key for key, value in entries if not value), most))


def listing_ops(engine: Engine, begin: bytes, most: int) -> tuple[list[Op], bytes | None]:
    """Return the operations that list at most so many artifacts by their words, and fewer if these are large, and where
    to go on: None if there are no more to list. To be written in the turn of the writer in which they are made."""
    ops: list[Op] = []
    read = listed = 0
    entries = engine.scan(CF.INDEX, begin, after_prefix(UNLISTED), limit=_MOST_LOOKED)
    for key, value in entries:
        if value:
            continue
        if listed == most or read > _MOST_BYTES:
            return ops, key
        suffix, place = key[len(UNLISTED) :], key[-24:]
        stored = engine.get(CF.ARTIFACTS, place)
        listed, read = listed + 1, read + len(stored or b"")
        try:
            words = word_entries(unsealed_record(place, stored), suffix) if stored is not None else None
        except (IntegrityError, SchemaTooNew):
            words = None
        if words is None:
            ops.append((CF.INDEX, key, _TOO_MANY))
        else:
            ops.append((CF.INDEX, key, None))
            ops += [(CF.INDEX, each, b"") for each in words]
    return ops, entries[-1][0] + b"\x00" if len(entries) == _MOST_LOOKED else None
