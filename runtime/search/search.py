"""Search conversations, artifacts and names, and keep the index of their texts up to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.search.indexer import Indexer
from greenroom.storage.common.arguments import as_seconds
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.page import Page
from greenroom.storage.errors import (
    GreenroomError,
    OperationTimeout,
    ResourceLimitExceeded,
    RuntimeClosed,
    StorageError,
)
from greenroom.storage.files.temporary_folder import TemporaryFolder
from greenroom.storage.search.index import IndexFile
from greenroom.storage.search.model import Found, SearchHit

from .hits import read_hit
from .reach import reach_of
from .request import search_request

if TYPE_CHECKING:
    from greenroom.actors.maintenance.verification.findings import VerifyReport
    from greenroom.runtime.core import RuntimeCore

__all__ = ["Search"]

logger = logger_of("search")

_SLICE: Final = 60.0


class Search:
    """Answers searches, and keeps the index up to date in the background once somebody has searched."""

    def __init__(self, core: RuntimeCore) -> None:
        self._core = core
        self._own: TemporaryFolder | None = None
        folder = core.path
        if core.read_only:
            self._own = TemporaryFolder("greenroom-search-")
            folder = self._own.path
        self.indexer = Indexer(core.store, folder, read_only=core.read_only)
        self._busy = False
        self._reported: str | None = None
        """The warning that was logged last, while what it tells of goes on."""

    def tick(self) -> None:
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
            if self._reported is not None:
                self._reported = None
                logger.info("the search index is brought up to date again")
        except RuntimeClosed:
            pass  # the next search indexes the rest
        except GreenroomError as error:
            if self._reported != str(error):
                self._reported = str(error)
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
            self._own.remove()

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
        request = search_request(text, kinds, session_id, limit, cursor, criteria)
        principal = core.security.principal()
        wait = core.config.ask_timeout if timeout is None else as_seconds("timeout", timeout)
        with core.span("search", session_id=session_id):

            def look() -> tuple[int, list[Found]]:
                newest = request.newest(file)
                return newest, reach_of(core, principal, request).find(file, request, newest)

            file = self._index_of_now(wait)
            try:
                newest, found = look()
            except StorageError as error:
                self.indexer.replace(file, error)
                file = self._index_of_now(wait)
                newest, found = look()
            hits: list[SearchHit] = []
            at = request.begin
            while at < len(found) and len(hits) < limit:
                hit = read_hit(core.store, found[at], request.terms)
                hits += [hit] if hit is not None else []
                at += 1
        more = at < len(found)
        following = request.cursor(file, at, newest) if more else None
        return Page(tuple(hits), len(found), request.begin, limit, has_more=more, next_cursor=following)

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
