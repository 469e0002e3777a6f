"""Listings of sessions, for the host and for code that acts for a session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from greenroom.runtime.core import RuntimeCore
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.common.page import Page

if TYPE_CHECKING:
    from greenroom.storage.catalog.query import SessionQuery

__all__ = ["iterate_pages", "list_page"]

_PAGE: Final = 500


def list_page(core: RuntimeCore, query: SessionQuery) -> Page[SessionInfo]:
    """Return a page of the sessions that match and that the running code may reach. Raises AccessDenied for a parent
    that it may not reach."""
    core.check_open()
    core.settle()
    principal = core.security.principal()
    if principal is None:
        return core.store.catalog.query(query)
    if query.parent is not None:
        core.security.require(query.parent, "list_sessions", "list")

    def family() -> Iterable[bytes]:
        return core.family(principal)

    return core.store.catalog.query(query, family)


def iterate_pages(
    core: RuntimeCore, given: SessionQuery | Mapping[str, Any] | None, criteria: Mapping[str, Any]
) -> Iterator[SessionInfo]:
    """Check a query, and return an iterator over the sessions that match and that the running code may reach."""
    from greenroom.storage.catalog.query import session_query

    query = session_query(given, criteria)
    core.check_open()
    return _pages(core, query, query.limit if "limit" in query.model_fields_set else None)


def _pages(core: RuntimeCore, query: SessionQuery, left: int | None) -> Iterator[SessionInfo]:
    while left is None or left > 0:
        page = list_page(core, query.model_copy(update={"limit": _PAGE if left is None else min(left, _PAGE)}))
        yield from page
        if page.next_cursor is None:
            return
        left = left - len(page) if left is not None else None
        query = query.model_copy(update={"cursor": page.next_cursor, "offset": 0})
