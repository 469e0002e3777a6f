"""What a search asks for: its words, kinds, sessions and page, and the cursors that lead from page to page."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from greenroom.storage.catalog.model import SessionCriteria
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.arguments import as_number, as_text
from greenroom.storage.errors import GreenroomError, ValidationError
from greenroom.storage.search.model import KINDS, Kind
from greenroom.storage.search.query import MAX_TEXT, Term, parse_text

if TYPE_CHECKING:
    from greenroom.storage.catalog.query import SessionQuery
    from greenroom.storage.search.index import IndexFile

__all__ = ["MAX_LIMIT", "SearchRequest", "search_request"]

MAX_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A checked search. A page begins after `begin` hits; those of a cursor are among the texts up to a `sealed`
    place."""

    terms: tuple[Term, ...]
    kinds: tuple[Kind, ...]
    session_id: str | None
    query: SessionQuery | None
    limit: int
    begin: int
    sealed: tuple[int, bytes] | None

    def newest(self, file: IndexFile) -> int:
        """Return the newest place to look at: that of the first page. Raises StorageError."""
        return file.newest_place() if self.sealed is None else file.sealed(*self.sealed)

    def cursor(self, file: IndexFile, begin: int, newest: int) -> str:
        """Return the cursor of the page that begins after so many hits."""
        nonce = os.urandom(8)
        told = [_mark(self.terms, self.kinds, self.session_id, self.query), begin, file.sealed(newest, nonce), nonce]
        return base64.urlsafe_b64encode(pack_value(told)).decode()


def search_request(
    text: str,
    kinds: Iterable[str] | str | None,
    session_id: str | None,
    limit: int,
    cursor: str | None,
    criteria: Mapping[str, Any],
) -> SearchRequest:
    """Check the arguments of `Runtime.search`. Raises ValidationError."""
    terms = parse_text(as_text("text", text, MAX_TEXT))
    wanted = _kinds(kinds)
    limit = as_number("limit", limit, 1, MAX_LIMIT)
    query = _query(criteria)
    begin, sealed = _place_of(cursor, _mark(terms, wanted, session_id, query))
    return SearchRequest(terms, wanted, session_id, query, limit, begin, sealed)


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
    unknown = [name for name in given if name not in SessionCriteria.__annotations__]
    if unknown:
        raise ValidationError(
            f"{unknown[0][:64]}: no criterion of a search; there are {', '.join(SessionCriteria.__annotations__)}",
            field=unknown[0][:64],
        )
    from greenroom.storage.catalog.query import session_query

    return session_query(None, {"status": "all", **given}) if given else None


def _mark(terms: Iterable[Term], kinds: Iterable[str], session_id: str | None, query: SessionQuery | None) -> bytes:
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
