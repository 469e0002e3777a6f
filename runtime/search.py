"""Search conversations, artifacts and names: who may see what, which sessions are meant, and what is shown."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from blake3 import blake3

from greenroom.actors.search.indexer import Indexer
from greenroom.actors.search.texts import artifact_text, read_turn_text
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.catalog.model import SessionStatus
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.arguments import as_number, as_seconds, as_text
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import SessionHandle, session_bytes, session_id_of
from greenroom.storage.common.times import utc_time
from greenroom.storage.errors import (
    GreenroomError,
    IntegrityError,
    OperationTimeout,
    ResourceLimitExceeded,
    RuntimeClosed,
    SchemaTooNew,
    StorageError,
    ValidationError,
)
from greenroom.storage.search.index import MAX_SCOPES, IndexFile, artifact_scope, kind_scope, session_scope
from greenroom.storage.search.model import KINDS, Found, Kind, SearchHit
from greenroom.storage.search.query import MAX_TEXT, Term, parse_text
from greenroom.storage.search.snippet import snippet_of

if TYPE_CHECKING:
    from greenroom.actors.maintenance.verification.findings import VerifyReport
    from greenroom.runtime.core import RuntimeCore
    from greenroom.storage.catalog.query import SessionQuery

__all__ = ["MAX_LIMIT", "Search", "SearchKeywords"]

logger = logger_of("search")

MAX_LIMIT: Final = 1000
_INTERVAL: Final = 1.0
"""Seconds between two looks in the background."""
_SLICE: Final = 60.0
_SHOWN_BYTES: Final = 1 << 16
_NARROW: Final = ("created_by", "tags", "parent", "key_prefix", "metadata")


class SearchKeywords(TypedDict, total=False):
    """Criteria for the sessions to search in: those of `SessionQuery`. By default, sessions in every status."""

    status: SessionStatus | str | Sequence[SessionStatus | str] | None
    created_by: str | None
    tags: Sequence[str]
    parent: SessionHandle | str | None
    key_prefix: str | None
    created_after: datetime | str | float | None
    created_before: datetime | str | float | None
    updated_after: datetime | str | float | None
    updated_before: datetime | str | float | None
    metadata: Mapping[str, Any]


class Search:
    """Answers searches, and keeps the index up to date in the background once somebody has searched."""

    def __init__(self, core: RuntimeCore) -> None:
        self._core = core
        self._own: tempfile.TemporaryDirectory[str] | None = None
        folder = core.path
        if core.read_only:
            self._own = tempfile.TemporaryDirectory(prefix="greenroom-search-")
            folder = Path(self._own.name)
        self.indexer = Indexer(core.store, folder, read_only=core.read_only)
        self._busy = False
        if not core.read_only:
            core.timers.every(_INTERVAL, self._tick)

    def _tick(self) -> None:
        """Have a thread index what is new, unless one is at it."""
        if self._busy or not self.indexer.is_needed:
            return
        self._busy = True
        try:
            self._core.elastic.submit(self._index, spare=self._core.elastic.spare)
        except (ResourceLimitExceeded, GreenroomError):
            self._busy = False  # the next time, or the next search

    def _index(self) -> None:
        try:
            self.indexer.catch_up(_SLICE)
        except RuntimeClosed:
            pass  # the next search indexes the rest
        except GreenroomError as error:
            logger.warning("the search index is not up to date: %s", error)
        finally:
            self._busy = False

    def check(self, report: VerifyReport, *, repair: bool) -> None:
        """Compare the index with the store, and report what is wrong. With `repair`, such an index is made anew, and
        also one of a store that had to be repaired."""
        from greenroom.actors.maintenance.verification.findings import Problem

        wrong = self.indexer.verify()
        if wrong is None:
            return
        done = "the index is made anew" if repair else None
        report.problems += [Problem("search", self.indexer.name, each, done) for each in wrong]
        if repair and report.problems:
            self.indexer.rebuild()
            self.indexer.catch_up(self._core.config.ask_timeout)

    def begin_to_close(self) -> None:
        self.indexer.begin_to_close()

    def close(self, timeout: float) -> None:
        self.indexer.close(timeout)
        if self._own is not None:
            self._own.cleanup()

    def find(
        self,
        text: str,
        *,
        kinds: Iterable[str] | str | None,
        session_id: str | None,
        limit: int,
        cursor: str | None,
        timeout: float | None,
        criteria: Mapping[str, Any],
    ) -> Page[SearchHit]:
        """Return a page of hits; see `Runtime.search`."""
        core = self._core
        core.check_open()
        terms = parse_text(as_text("text", text, MAX_TEXT))
        wanted = _kinds(kinds)
        limit = as_number("limit", limit, 1, MAX_LIMIT)
        query = _query(criteria)
        principal = core.security.principal()
        wait = core.config.ask_timeout if timeout is None else as_seconds("timeout", timeout)
        mark = _mark(terms, wanted, session_id, query)
        begin, place = _place_of(cursor, mark)
        with core.span("search", session_id=session_id):

            def look() -> tuple[int, list[Found]]:
                newest = file.newest_place() if place is None else file.sealed(*place)
                return newest, self._found(file, terms, wanted, newest, self._reach(principal, session_id, query))

            file = self._index_of_now(wait)
            try:
                newest, found = look()
            except StorageError as error:
                self.indexer.replace(file, error)
                file = self._index_of_now(wait)
                newest, found = look()
            hits: list[SearchHit] = []
            at = begin
            while at < len(found) and len(hits) < limit:
                hit = self._hit(found[at], terms)
                hits += [hit] if hit is not None else []
                at += 1
        more = at < len(found)
        following = None
        if more:
            nonce = os.urandom(8)
            following = base64.urlsafe_b64encode(pack_value([mark, at, file.sealed(newest, nonce), nonce])).decode()
        return Page(tuple(hits), len(found), begin, limit, has_more=more, next_cursor=following)

    def _index_of_now(self, wait: float) -> IndexFile:
        file = self.indexer.catch_up(wait)
        if file is None:
            raise OperationTimeout(
                f"what was written before this search was not indexed within {wait:g} seconds; indexing goes on "
                "in the background: search again, or give it a longer timeout",
                timeout=wait,
                started=True,
            )
        return file

    # -- where to search

    def _reach(self, principal: str | None, session_id: str | None, query: SessionQuery | None) -> _Reach:
        """Return the sessions to search, and the single artifacts beside them."""
        core = self._core
        reach = _Reach()
        if session_id is not None:
            reach.sessions = {session_bytes(session_id)}
        elif principal is not None:
            crossing = core.supervisor.delivery.crossing
            reach.sessions = set(core.family(principal))
            reach.sessions |= {session_bytes(each.session_id) for each in crossing.sessions_shared_with(principal)}
            for info in crossing.shared_with(principal, core.config.ask_timeout):
                owner = session_bytes(info.id.session_id)
                if owner not in reach.sessions:
                    reach.artifacts.setdefault(owner, set()).add(info.id.sequence)
        if query is None:
            return reach
        if reach.sessions is not None:
            among = [*reach.sessions, *reach.artifacts]
            fitting = {session for session, _ in core.store.catalog.matching(query, among)}
            reach.sessions &= fitting
            reach.artifacts = {owner: numbers for owner, numbers in reach.artifacts.items() if owner in fitting}
            return reach
        if any(getattr(query, name) for name in _NARROW):
            page = core.store.catalog.query(query.model_copy(update={"limit": MAX_SCOPES}))
            if not page.has_more:
                reach.sessions = {session_bytes(info.id) for info in page}
                return reach
        reach.accept = lambda session: any(core.store.catalog.matching(query, [session]))
        return reach

    @staticmethod
    def _found(file: IndexFile, terms: Sequence[Term], kinds: Sequence[Kind], upto: int, reach: _Reach) -> list[Found]:
        scopes: list[list[str]] = []
        if len(kinds) < len(KINDS):
            scopes.append([kind_scope(KINDS.index(kind)) for kind in kinds])
        accept = reach.accept
        if reach.sessions is not None:
            ids = file.scopes([*reach.sessions, *reach.artifacts])
            within = [session_scope(ids[session]) for session in reach.sessions if session in ids]
            within += [
                artifact_scope(ids[owner], number)
                for owner, numbers in reach.artifacts.items()
                if owner in ids
                for number in numbers
            ]
            if not within:
                return []
            if len(within) <= MAX_SCOPES:
                scopes.append(within)
            else:
                sessions, artifacts = reach.sessions, reach.artifacts
                found = file.find(terms, scopes, upto, lambda session: session in sessions or session in artifacts)
                return [each for each in found if reach.has(each)]
        return file.find(terms, scopes, upto, accept)

    # -- what is shown

    def _hit(self, found: Found, terms: Sequence[Term]) -> SearchHit | None:
        """Return what is shown of a hit, as the store has it; None if it is gone or has changed."""
        store = self._core.store
        kind, session_id = KINDS[found.kind], session_id_of(found.session)
        try:
            if kind == "message":
                turn = read_turn_text(store, found.session, found.number, found.version)
                if turn is None:
                    return None
                part, marks = snippet_of(turn.text, terms)
                return SearchHit(kind, session_id, found.score, part, marks, turn.created_at, turn.sequence, turn.role)
            if kind == "artifact":
                record = store.artifacts.record(found.session, found.number)
                if record is None:
                    return None
                part, marks = snippet_of(artifact_text(store, record, _SHOWN_BYTES), terms)
                part, marks = (part, marks) if marks else snippet_of(record.name, terms)
                identity = ArtifactId(record.content_hash.hex(), session_id, found.number)
                return SearchHit(
                    kind,
                    session_id,
                    found.score,
                    part,
                    marks,
                    utc_time(record.time),
                    artifact=identity,
                    name=record.name,
                )
            row = store.catalog.row(found.session)
        except (IntegrityError, SchemaTooNew):
            return None
        if row is None:
            return None
        part, marks = snippet_of(" · ".join(each for each in (row.name, row.description) if each), terms)
        if not marks:
            return None  # it was renamed
        return SearchHit(kind, session_id, found.score, part, marks, utc_time(row.created_at), name=row.name)


class _Reach:
    """Where to search: in these sessions (None: in all), in these artifacts, or where `accept` says so."""

    def __init__(self) -> None:
        self.sessions: set[bytes] | None = None
        self.artifacts: dict[bytes, set[int]] = {}
        self.accept: Callable[[bytes], bool] | None = None

    def has(self, found: Found) -> bool:
        """Return whether a text is in one of the sessions or artifacts."""
        assert self.sessions is not None
        is_artifact = KINDS[found.kind] == "artifact"
        return found.session in self.sessions or (is_artifact and found.number in self.artifacts.get(found.session, ()))


def _kinds(given: Iterable[str] | str | None) -> tuple[Kind, ...]:
    if given is None:
        return KINDS
    names = (given,) if isinstance(given, str) else tuple(islice(_each(given), len(KINDS) + 1))
    unknown = [name for name in names if name not in KINDS]
    if unknown or not names:
        raise ValidationError(f"kinds: some of {', '.join(KINDS)} are needed", field="kinds")
    return tuple(kind for kind in KINDS if kind in names)


def _each(given: Any) -> Iterator[Any]:
    try:
        yield from given
    except TypeError:
        raise ValidationError(f"kinds: some of {', '.join(KINDS)} are needed", field="kinds") from None


def _query(criteria: Mapping[str, Any]) -> SessionQuery | None:
    """Return the query for sessions that criteria make; None if there are none."""
    given = {name: value for name, value in criteria.items() if value is not None}
    unknown = [name for name in given if name not in SearchKeywords.__annotations__]
    if unknown:
        raise ValidationError(
            f"{unknown[0][:64]}: no criterion of a search; there are {', '.join(SearchKeywords.__annotations__)}",
            field=unknown[0][:64],
        )
    from greenroom.storage.catalog.query import session_query

    return session_query(None, {"status": "all", **given}) if given else None


def _mark(terms: Sequence[Term], kinds: Sequence[str], session_id: str | None, query: SessionQuery | None) -> bytes:
    """Return what tells the cursors of one search from those of others."""
    told = [[repr(term) for term in terms], list(kinds), session_id, query.model_dump_json() if query else None]
    return blake3(pack_value(told)).digest(8)


def _place_of(cursor: str | None, mark: bytes) -> tuple[int, tuple[int, bytes] | None]:
    """Return (hits to pass over, newest place to look at, sealed) of a cursor. Raises ValidationError."""
    if cursor is None:
        return 0, None
    try:
        marked, at, upto, nonce = unpack_value(base64.urlsafe_b64decode(as_text("cursor", cursor, 1024).encode()))
    except (GreenroomError, binascii.Error, ValueError, TypeError, UnicodeError):
        raise ValidationError("cursor: this is no cursor: give the next_cursor of a page", field="cursor") from None
    if marked != mark or type(nonce) is not bytes or not (_is_place(at) and _is_place(upto)):
        raise ValidationError("cursor: it is of another search: only the limit may differ from page to page",
                              field="cursor")  # fmt: skip
    return at, (upto, nonce)


def _is_place(number: Any) -> bool:
    return type(number) is int and 0 <= number < 1 << 63
