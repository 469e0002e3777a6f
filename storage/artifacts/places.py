"""List the artifacts of all sessions that may match a query, from the index, in the order of time.

Each criterion that the index covers is a *driver*: ranges of keys that together list every artifact which meets it. If
one of them is short, its artifacts are all that may match. Otherwise the drivers are read side by side, each in the
order of time, and what all of them list may match: whoever wants the first few reads little.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.storage.codec.keys import after_prefix, metadata_digest
from greenroom.storage.content.chunks import ARTIFACT, CONTENT_REFERENCE
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.engine.ranges import Range, whole
from greenroom.storage.errors import IntegrityError, SchemaTooNew

from .index import BY_CREATOR, BY_CUSTOM, BY_PARENT, BY_TAG, BY_TYPE, BY_WORD, MANY_CUSTOM, PLACE, UNLISTED, digest_of
from .records import unsealed_record
from .similar import is_similar
from .words import WORDS_KEY, WORDS_MARK, is_truncated, word_bytes

if TYPE_CHECKING:
    from .query import ArtifactCriteria

__all__ = ["Places"]

_FEW: Final = 256
"""A driver that lists fewer artifacts than this is read alone."""
_MANY: Final = 4096
"""The same where all of the artifacts are read anyway, and where the words with a beginning are too many."""
_MERGED: Final = 512
"""How many ranges are merged at most."""
_LEAPS: Final = 1000
_FIRST_PAGE: Final = 8
_PAGE: Final = 1024


class _Driver(NamedTuple):
    """Lists the artifacts that meet a criterion: under the keys of `ranges`, each in the order of time, and of every
    word that begins with one of `words`, if the keys end with NUL and the place."""

    ranges: list[Range]
    words: list[bytes]

    @property
    def all(self) -> list[Range]:
        """The ranges, with a single one for all words with a beginning."""
        return [*self.ranges, *((BY_WORD + word, after_prefix(BY_WORD + word)) for word in self.words)]


class Places:
    """Reads the suffixes of artifacts (time, session, number) from the index. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def listed(self, criteria: ArtifactCriteria) -> Iterator[bytes]:
        """Yield the suffixes of all artifacts that match, and perhaps of more, each once and in the order of time."""
        reverse = criteria.sort == "date" and criteria.reverse
        if criteria.content_hash is not None:
            yield from sorted(self._with_content(criteria.content_hash), reverse=reverse)
            return
        drivers = self._drivers(criteria)
        if not drivers:
            yield from self._merged(list(self._ranges_of_all(criteria)), reverse)
            return
        few = self._few(drivers, _FEW if criteria.sort == "date" and criteria.limit is not None else _MANY)
        if few is not None:
            yield from sorted(few, reverse=reverse)
            return
        lists = [each for driver in drivers if (each := self._in_order(driver, reverse)) is not None]
        yield from _common(lists or [self._merged(list(self._ranges_of_all(criteria)), reverse)], reverse)

    def ranges(self, criteria: ArtifactCriteria) -> Iterable[Range]:
        """Return the ranges that list all artifacts of the times that are asked for, if at most one criterion without
        words is."""
        drivers = self._drivers(criteria)
        return drivers[0].ranges if drivers else self._ranges_of_all(criteria)

    def uses(self, content_hash: str, session: bytes = b"") -> Iterator[bytes]:
        """Yield session and number of the artifacts with this content."""
        prefix = CONTENT_REFERENCE + bytes.fromhex(content_hash) + session
        for key, _ in self._engine.pages(CF.REFERENCES, prefix, after_prefix(prefix)):
            if key[49:50] == ARTIFACT:
                yield key[33:49] + key[50:58]

    def _with_content(self, content_hash: str) -> Iterator[bytes]:
        for key in self.uses(content_hash):
            stored = self._engine.get(CF.ARTIFACTS, key)
            with contextlib.suppress(IntegrityError, SchemaTooNew):  # verify reports it
                if stored is not None:
                    yield unsealed_record(key, stored).time.to_bytes(8, "big") + key

    def _drivers(self, criteria: ArtifactCriteria) -> list[_Driver]:
        low, high = criteria.low.to_bytes(8, "big"), criteria.high.to_bytes(8, "big")

        def between(prefix: bytes) -> Range:
            return prefix + low, prefix + high

        unlisted = [between(UNLISTED)]
        lists = [[between(BY_TAG + digest_of(tag))] for tag in criteria.tags]
        if criteria.created_by is not None:
            lists.append([between(BY_CREATOR + digest_of(criteria.created_by))])
        if criteria.parent_artifact is not None:
            lists.append([between(BY_PARENT + digest_of(criteria.parent_artifact))])
        lists += [
            [between(BY_CUSTOM + metadata_digest(key, value)), between(MANY_CUSTOM)]
            for key, value in criteria.custom.items()
        ]
        if criteria.artifact_type is not None:
            lists.append([between(BY_TYPE + digest_of(criteria.artifact_type))])
        drivers = [_Driver(ranges, []) for ranges in lists]
        if criteria.words and self._words_are_current():
            if not self._engine.scan_keys(CF.INDEX, unlisted, limit=1)[0]:
                unlisted = []  # looked at once: where there were many, it takes long to find that there are none
            if not criteria.fuzzy:
                drivers += [_Driver(unlisted, [word_bytes(word)]) for word in criteria.words]
            elif not drivers:
                # This looks at every word there is, so it is done only if nothing else narrows the search, and for one
                # word.
                similar = self._similar(max(criteria.words, key=len))
                drivers.append(_Driver([*(between(BY_WORD + word + b"\x00") for word in similar), *unlisted], []))
        return drivers

    def _words_are_current(self) -> bool:
        """Return whether the words in the index follow today's rules. They do not in a store that an older greenroom
        has written and that is open for reading only; then the records are read."""
        return self._engine.get(CF.META, WORDS_KEY) == WORDS_MARK

    def _similar(self, wanted: str) -> Iterator[bytes]:
        """Yield the words in the index that may be similar to a word, as they stand in keys."""
        for word in self._words(b""):
            # only a part of a truncated word is known
            if is_truncated(word) or is_similar(wanted, word.decode("utf-8", "surrogatepass")):
                yield word

    def _words(self, beginning: bytes) -> Iterator[bytes]:
        """Yield the words in the index that begin so, as they stand in keys."""
        position, end = BY_WORD + beginning, after_prefix(BY_WORD + beginning)
        limit = _FIRST_PAGE
        while keys := self._engine.keys(CF.INDEX, position, end, limit=limit, beyond=_after_word):
            for key in keys:
                yield key[1 : key.index(b"\x00", 1)]
            position, limit = _after_word(keys[-1]), min(_LEAPS, 4 * limit)

    def _ranges_of_all(self, criteria: ArtifactCriteria) -> Iterator[Range]:
        """Yield the ranges that together list every artifact: one for each type, found by one seek each."""
        low, high = criteria.low.to_bytes(8, "big"), criteria.high.to_bytes(8, "big")
        position, end = BY_TYPE, after_prefix(BY_TYPE)
        while found := self._engine.keys(CF.INDEX, position, end, limit=1):
            prefix = found[0][:9]
            yield prefix + low, prefix + high
            position = after_prefix(prefix)

    # -- reading

    def _few(self, drivers: list[_Driver], most: int) -> set[bytes] | None:
        """Return what the shortest driver lists; None if each lists `most` or more. None is read much further than the
        length of the shortest."""
        limit = 64
        while limit <= most:
            for driver in drivers:
                keys = whole(self._engine, driver.all, limit)
                if keys is not None:
                    return {key[-PLACE:] for key in keys}
            limit *= 4
        return None

    def _in_order(self, driver: _Driver, reverse: bool) -> Iterator[bytes] | None:
        """Return an iterator over what a driver lists, in the order of time; None if it lists so much that it helps
        little."""
        words = (BY_WORD + word + b"\x00" for beginning in driver.words for word in self._words(beginning))
        ranges = list(islice(chain(driver.ranges, ((word, after_prefix(word)) for word in words)), _MERGED + 1))
        if len(ranges) <= _MERGED:
            return self._merged(ranges, reverse)
        keys = whole(self._engine, driver.all, _MANY)
        return iter(sorted({key[-PLACE:] for key in keys}, reverse=reverse)) if keys is not None else None

    def _merged(self, ranges: list[Range], reverse: bool) -> Iterator[bytes]:
        """Yield the places of ranges, each once, in the order of time. Each range must be in this order."""
        first = self._engine.scan_keys(CF.INDEX, ranges, reverse=reverse, limit=_FIRST_PAGE)
        lists = [self._places(keys, each, reverse) for keys, each in zip(first, ranges, strict=True) if keys]
        if len(lists) == 1:
            yield from lists[0]
            return
        for place, _ in groupby(heapq.merge(*lists, reverse=reverse)):
            yield place

    def _places(self, keys: list[bytes], within: Range, reverse: bool) -> Iterator[bytes]:
        """Yield the places of a range whose first keys have been read."""
        (begin, end), page = within, _FIRST_PAGE
        while True:
            for key in keys:
                yield key[-PLACE:]
            if len(keys) < page:
                return
            if reverse:
                end = keys[-1]
            else:
                begin = keys[-1] + b"\x00"
            page = min(4 * page, _PAGE)
            keys = self._engine.scan_keys(CF.INDEX, [(begin, end)], reverse=reverse, limit=page)[0]


def _common(lists: list[Iterator[bytes]], reverse: bool) -> Iterator[bytes]:
    """Yield what all of these lists have, which are in order."""
    try:
        heads = [next(each) for each in lists]
        while True:
            last = min(heads) if reverse else max(heads)
            behind = False
            for number, each in enumerate(lists):
                head = heads[number]
                while head > last if reverse else head < last:
                    head = next(each)
                heads[number] = head
                behind = behind or head != last
            if not behind:
                yield last
                heads = [next(each) for each in lists]
    except StopIteration:
        return


def _after_word(key: bytes) -> bytes:
    """Return a key behind all keys of the same word."""
    return key[: key.index(b"\x00", 1)] + b"\x01"
