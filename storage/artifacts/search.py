"""Find artifacts: test the records that the index lists, sort them, and take the page."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from greenroom.storage.codec.keys import after_prefix, session_id_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.metering import built, counted, held
from greenroom.storage.common.page import Page
from greenroom.storage.content.staging import staged_sessions
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.engine.ranges import Range, narrowest, shared
from greenroom.storage.errors import IntegrityError, SchemaTooNew

from .index import BY_PARENT, SESSION_TAG, SESSION_TYPE, digest_of
from .model import ArtifactInfo, ArtifactRecord
from .places import Places
from .records import Artifacts, artifact_info, facts_of, unsealed_record

if TYPE_CHECKING:
    from .query import ArtifactCriteria, ArtifactQuery

__all__ = ["ArtifactSearch"]

logger = logger_of("artifacts")

_PLAIN: Final = frozenset({"artifact_type", "session_id"})
_LATEST: Final = frozenset({"latest_only", "session_id"})
_LISTED_HERE: Final = frozenset({"tags", "artifact_type", "session_id"})
_LISTED: Final = frozenset({"artifact_type", "tags", "created_by", "parent_artifact"})
_EVERY_NUMBER: Final = (b"", b"\xff" * 9)
_MANY: Final = 1000
_SPARSE: Final = 3
"""Reading a session's records one by one costs so many times what reading them all in a row costs."""

Found = tuple[Any, bytes, ArtifactRecord]
"""(sort key, suffix, record)"""


class ArtifactSearch:
    """Answers queries from the index. Thread-safe."""

    def __init__(
        self,
        engine: Engine,
        artifacts: Artifacts,
        list_words: Callable[[], None],
        steadily: Callable[[Callable[[], Any]], Any],
    ) -> None:
        """`list_words` is called before artifacts are searched for words: it lists those that are not listed yet.
        `steadily` returns what the search finds while none are listed."""
        self._engine = engine
        self._artifacts = artifacts
        self._places = Places(engine)
        self._list_words = list_words
        self._steadily = steadily

    # -- one session

    def plain_page(
        self, session: bytes, query: ArtifactQuery, count: int, types: Mapping[str, int] | None
    ) -> Page[ArtifactInfo] | None:
        """Return a page by time of all artifacts of a session, or of those of one type. Only the page is read: `count`
        and `types` give the total. Return None for any other query."""
        criteria = query.criteria
        limit, offset = criteria.limit, criteria.offset
        records: Iterator[tuple[bytes, ArtifactRecord | None]]
        if limit is None or criteria.sort != "date" or types is None or not criteria.asked <= _PLAIN:
            return None
        if criteria.session_id is not None and criteria.session_id != session_id_of(session):
            return Page((), 0, offset, limit)
        kind = criteria.artifact_type
        total = count if kind is None else types.get(kind, 0)
        if offset >= total or limit == 0:
            return Page((), total, offset, limit)
        end = offset + limit
        if total == count:
            # All artifacts are asked for: the records themselves are the list.
            found = self._engine.pages(
                CF.ARTIFACTS, session, after_prefix(session), reverse=criteria.reverse, page=min(end, 256)
            )
            records = ((key, self._unsealed(key, stored)) for key, stored in islice(found, offset, end))
        else:
            assert kind is not None
            prefix = SESSION_TYPE + session + digest_of(kind)
            listed = self._engine.scan(CF.INDEX, prefix, after_prefix(prefix), reverse=criteria.reverse, limit=end)[
                offset:
            ]
            records = self._listed_records(session, [key[-8:] for key, _ in listed])
        session_id = session_id_of(session)
        infos = (
            artifact_info(session_id, int.from_bytes(key[16:], "big"), record)
            for key, record in records
            if record is not None and (kind is None or record.type == kind)
        )
        return Page(tuple(counted(infos, facts_of)), total, offset, limit)

    def _listed_records(self, session: bytes, numbers: list[bytes]) -> Iterator[tuple[bytes, ArtifactRecord | None]]:
        """Yield (key, record) of these numbers, which are in ascending or descending order."""
        first, last = min(numbers), max(numbers)
        if int.from_bytes(last, "big") - int.from_bytes(first, "big") > _SPARSE * len(numbers):
            for number in numbers:
                yield session + number, self._record(session + number)
            return
        # The numbers are so close together that reading everything between them is cheaper.
        wanted = {session + number for number in numbers}
        begin, end = session + first, session + last + b"\x00"
        for key, stored in self._engine.pages(CF.ARTIFACTS, begin, end, reverse=numbers[0] == last, page=256):
            if key in wanted:
                yield key, self._unsealed(key, stored)

    def in_session(self, session: bytes, query: ArtifactQuery, count: int) -> Page[ArtifactInfo]:
        """Return the artifacts of one session that match. `count` is about how many the session has."""
        criteria = query.criteria
        if criteria.session_id is not None and criteria.session_id != session_id_of(session):
            return Page((), 0, criteria.offset, criteria.limit)
        if criteria.latest_only and criteria.sort == "date" and criteria.asked <= _LATEST:
            return self._latest_page(session, criteria)
        if criteria.tags and criteria.asked <= _LISTED_HERE:
            prefixes = [SESSION_TAG + session + digest_of(tag) for tag in criteria.tags]
            if criteria.artifact_type is not None:
                prefixes.append(SESSION_TYPE + session + digest_of(criteria.artifact_type))
            page = self._listed_page(criteria, [prefixes], _EVERY_NUMBER, session)
            if page is not None:
                return page
        return self._page(criteria, self._records_in(session, criteria, count))

    def _latest_page(self, session: bytes, criteria: ArtifactCriteria) -> Page[ArtifactInfo]:
        """Return a page by time of the latest version of each name. Only the page is read."""
        numbers = self._artifacts.newest_numbers(session)
        if criteria.reverse:
            numbers.reverse()
        end = None if criteria.limit is None else criteria.offset + criteria.limit
        chosen = [number.to_bytes(8, "big") for number in numbers[criteria.offset : end]]
        session_id = session_id_of(session)
        infos = (
            artifact_info(session_id, int.from_bytes(key[16:], "big"), record)
            for key, record in (self._listed_records(session, chosen) if chosen else ())
            if record is not None
        )
        return Page(tuple(counted(infos, facts_of)), len(numbers), criteria.offset, criteria.limit)

    def _records_in(
        self, session: bytes, criteria: ArtifactCriteria, count: int
    ) -> Iterator[tuple[bytes, ArtifactRecord]]:
        """Yield (suffix, record) of the artifacts of a session that may match."""
        for key, record in self._session_records(session, criteria, count):
            if record is not None:
                yield record.time.to_bytes(8, "big") + key, record

    def _session_records(
        self, session: bytes, criteria: ArtifactCriteria, count: int
    ) -> Iterator[tuple[bytes, ArtifactRecord | None]]:
        drivers = [[_whole(SESSION_TAG + session + digest_of(tag))] for tag in criteria.tags]
        if criteria.artifact_type is not None:
            drivers.append([_whole(SESSION_TYPE + session + digest_of(criteria.artifact_type))])
        listed: list[bytes] | None = None
        if criteria.content_hash is not None:
            listed = [key[-8:] for key in self._places.uses(criteria.content_hash, session)]
        elif criteria.parent_artifact is not None:
            begin, end = _whole(BY_PARENT + digest_of(criteria.parent_artifact))
            listed = [key[-8:] for key, _ in self._engine.pages(CF.INDEX, begin, end) if key[-24:-8] == session]
        elif drivers:
            listed = [key[-8:] for key in narrowest(self._engine, drivers)]
        if criteria.latest_only:
            newest = [number.to_bytes(8, "big") for number in self._artifacts.newest_numbers(session)]
            listed = newest if listed is None else sorted(set(newest).intersection(listed))
        if listed is None or len(listed) * _SPARSE > count:
            wanted = None if listed is None else set(listed)
            for key, stored in self._engine.pages(CF.ARTIFACTS, session, after_prefix(session), page=256):
                if wanted is None or key[16:] in wanted:
                    yield key, self._unsealed(key, stored)
            return
        for number in listed:
            yield session + number, self._record(session + number)

    # -- all sessions

    def everywhere(self, query: ArtifactQuery) -> Page[ArtifactInfo]:
        """Return the artifacts of all sessions that match."""
        criteria = query.criteria
        if criteria.low >= criteria.high:
            return Page((), 0, criteria.offset, criteria.limit)
        asked = criteria.asked - {"created_after", "created_before"}
        if asked <= _LISTED and len(asked) <= 1 and len(criteria.tags) <= 1:
            between = criteria.low.to_bytes(8, "big"), criteria.high.to_bytes(8, "big")
            groups = [[begin[: -len(between[0])]] for begin, _ in self._places.ranges(criteria)]
            page = self._listed_page(criteria, groups, between)
            if page is not None:
                return page
        if criteria.text is None:
            return self._found(criteria)
        self._list_words()
        found: Page[ArtifactInfo] = self._steadily(lambda: self._found(criteria))
        return found

    def _found(self, criteria: ArtifactCriteria) -> Page[ArtifactInfo]:
        if criteria.sort == "date" and criteria.limit is not None:
            return self._page_in_order(criteria)
        return self._page(criteria, self._records_of_all(criteria))

    def _page_in_order(self, criteria: ArtifactCriteria) -> Page[ArtifactInfo]:
        """Return a page by time. No more artifacts are read than up to its end; they are counted if somebody asks."""
        assert criteria.limit is not None
        end = criteria.offset + criteria.limit
        matching = islice(self._matching(criteria), end + 1)
        passed = sum(1 for _ in islice(matching, criteria.offset))
        chosen = list(held(islice(matching, criteria.limit), lambda found: len(found[1].custom)))
        items = tuple(counted((_info(suffix, record) for suffix, record in chosen), facts_of))
        if next(matching, None) is None:
            return Page(items, passed + len(items), criteria.offset, criteria.limit)

        def total() -> int:
            return sum(1 for _ in self._matching(criteria))

        return Page(items, lambda: self._steadily(total), criteria.offset, criteria.limit, has_more=True)

    def _matching(self, criteria: ArtifactCriteria) -> Iterator[tuple[bytes, ArtifactRecord]]:
        from .query import ArtifactFilter

        accept = ArtifactFilter(criteria)
        return (found for found in self._records_of_all(criteria) if accept.matches(found[1]))

    def _records_of_all(self, criteria: ArtifactCriteria) -> Iterator[tuple[bytes, ArtifactRecord]]:
        """Yield (suffix, record) of the artifacts of all sessions that may match, in the order of time."""
        hidden = staged_sessions(self._engine)
        for suffix in self._places.listed(criteria):
            if suffix[8:24] in hidden:
                continue
            record = self._record(suffix[8:])
            if record is not None and (not criteria.latest_only or self._is_latest(suffix, record)):
                yield suffix, record

    def _is_latest(self, suffix: bytes, record: ArtifactRecord) -> bool:
        newest = self._artifacts.latest(suffix[8:24], record.name)[1]
        return newest == int.from_bytes(suffix[24:], "big")

    def _listed_page(
        self, criteria: ArtifactCriteria, groups: list[list[bytes]], between: Range, session: bytes = b""
    ) -> Page[ArtifactInfo] | None:
        """Return a page by time if the index lists exactly what is asked for, so that the records of the page alone are
        read; else None. An artifact is listed if its suffix, or its number in `session`, is between the two and follows
        all prefixes of a group. The total is counted when it is read."""
        if criteria.limit is None or criteria.sort != "date":
            return None
        end = criteria.offset + criteria.limit

        def walk(first: int) -> Iterator[bytes]:
            hidden = frozenset() if session else staged_sessions(self._engine)
            walks = (shared(self._engine, each, *between, reverse=criteria.reverse, first=first) for each in groups)
            return (tail for tail in heapq.merge(*walks, reverse=criteria.reverse) if tail[8:24] not in hidden)

        def total() -> int:
            if len(groups[0]) > 1 or (not session and staged_sessions(self._engine)):
                return sum(1 for _ in walk(_MANY))
            low, high = between
            return sum(self._engine.count(CF.INDEX, prefix + low, prefix + high) for (prefix,) in groups)

        tails = list(islice(walk(min(end + 1, _MANY)), end + 1))
        from .query import ArtifactFilter

        accept = ArtifactFilter(criteria)
        items: list[ArtifactInfo] = []
        for tail in tails[criteria.offset : end]:
            place = session + tail[-8:] if session else tail[8:]
            record = self._record(place)
            if record is not None and not accept.matches(record):
                return None  # two texts have one digest: only the records can tell
            if record is not None:
                info = artifact_info(session_id_of(place[:16]), int.from_bytes(place[16:], "big"), record)
                built(facts_of(info))
                items.append(info)
        if len(tails) <= end:
            return Page(tuple(items), len(tails), criteria.offset, criteria.limit, has_more=False)
        return Page(tuple(items), total, criteria.offset, criteria.limit, has_more=True)

    # -- reading and choosing

    def _page(self, criteria: ArtifactCriteria, records: Iterable[tuple[bytes, ArtifactRecord]]) -> Page[ArtifactInfo]:
        """Sort the matching artifacts and return the page. With a limit, no more than the page is held."""
        from .query import ArtifactFilter

        accept, sort_key = ArtifactFilter(criteria), _SORT_KEYS[criteria.sort]
        total = 0

        def matching() -> Iterator[Found]:
            nonlocal total
            for suffix, record in records:
                if accept.matches(record):
                    total += 1
                    yield sort_key(record), suffix, record

        end = None if criteria.limit is None else criteria.offset + criteria.limit
        if end is None:
            found = sorted(held(matching(), _encoded), key=_order, reverse=criteria.reverse)
        else:
            choose: Callable[..., list[Found]] = heapq.nlargest if criteria.reverse else heapq.nsmallest
            found = choose(end, held(matching(), _encoded, end), key=_order)
            if not end:
                total = sum(1 for _ in matching())
        chosen = found[criteria.offset : end]
        items = counted((_info(suffix, record) for _, suffix, record in chosen), facts_of)
        return Page(tuple(items), total, criteria.offset, criteria.limit)

    def _record(self, key: bytes) -> ArtifactRecord | None:
        """Return the record under session and number; None if it is gone or damaged."""
        stored = self._engine.get(CF.ARTIFACTS, key)
        return self._unsealed(key, stored) if stored is not None else None

    def _unsealed(self, key: bytes, stored: bytes) -> ArtifactRecord | None:
        """Decode a record; None if it is damaged. One damaged record must not spoil the answer: it is skipped, and
        verify reports it."""
        try:
            return unsealed_record(key, stored)
        except (IntegrityError, SchemaTooNew) as error:
            number = int.from_bytes(key[16:], "big")
            logger.error("artifact %d of session %s is skipped: %s", number, session_id_of(key[:16]), error)
            return None


_SORT_KEYS: Final[dict[str, Callable[[ArtifactRecord], Any]]] = {
    "date": lambda record: 0,
    "name": lambda record: record.name,
    "size": lambda record: record.size,
    "type": lambda record: record.type,
}


def _order(found: Found) -> tuple[Any, bytes]:
    return found[:2]


def _encoded(found: Found) -> int:
    return len(found[2].custom)


def _whole(prefix: bytes) -> Range:
    return prefix, after_prefix(prefix)


def _info(suffix: bytes, record: ArtifactRecord) -> ArtifactInfo:
    return artifact_info(session_id_of(suffix[8:24]), int.from_bytes(suffix[24:], "big"), record)
