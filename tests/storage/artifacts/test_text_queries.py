"""A query by text finds what a look at every artifact finds, whether words are listed or not, and in its order."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors import word_listing
from greenroom.actors.word_listing import ListWords
from greenroom.runtime import ArtifactQuery, Runtime, Session
from greenroom.storage.artifacts import places, words
from greenroom.storage.artifacts.index import BY_WORD, UNLISTED
from greenroom.storage.artifacts.query import ArtifactFilter
from greenroom.storage.codec.keys import after_prefix, session_bytes
from greenroom.storage.engine.engine import CF

PARTS = ("red", "reds", "Rot", "rare7", "rare77", "東京都", "京", "e\u0301té", "ﬁle", "हिन्दी", "x" * 40, "x" * 33, "7")
TEXTS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map(" ".join)
KINDS = ("note", "tool_result")
ARTIFACTS = st.lists(
    st.fixed_dictionaries(
        {
            "artifact_type": st.sampled_from(KINDS),
            "name": TEXTS,
            "content": st.sampled_from(("1", "22", "333")),
            "description": st.none() | TEXTS,
            "tags": st.lists(st.sampled_from(PARTS), max_size=2, unique=True),
            "metadata": st.dictionaries(st.sampled_from("ab"), st.integers(6, 8) | TEXTS, max_size=2),
        }
    ),
    min_size=1,
    max_size=12,
)
QUERIES = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.sampled_from(
                ("r", "red", "re rare7", "rare77", "都", "東京", "x" * 36, "7", "ete", "ÉTÉ", "ro rex")
            )
        },
        optional={
            "fuzzy": st.booleans(),
            "artifact_type": st.sampled_from(KINDS),
            "tags": st.lists(st.sampled_from(PARTS), min_size=1, max_size=1),
            "sort": st.sampled_from(("date", "name", "size", "type")),
            "descending": st.booleans(),
            "limit": st.none() | st.integers(0, 4),
            "offset": st.integers(0, 3),
            "latest_only": st.booleans(),
        },
    ),
    min_size=1,
    max_size=6,
)


def keys(rt: Runtime, prefix: bytes) -> list[bytes]:
    return [key for key, _ in rt._store.engine.pages(CF.INDEX, prefix, after_prefix(prefix))]


@functools.cache
def _sort_key(sort: str) -> Any:
    return {
        "date": lambda record: 0,
        "name": lambda record: record.name,
        "size": lambda record: record.size,
        "type": lambda record: record.type,
    }[sort]


def looked_for(rt: Runtime, criteria: Any) -> list[str]:
    """The ids of all artifacts that match, in order, found without the index."""
    accept, key = ArtifactFilter(criteria), _sort_key(criteria.sort)
    found = []
    for info in rt.list_sessions(status="all", limit=None):
        session = bytes.fromhex(info.id.replace("-", ""))
        all_ = list(rt._store.artifacts.records(session))
        latest = {record.name: number for number, record in all_}
        found += [
            ((key(record), record.time, session, number), f"{record.content_hash.hex()}:{info.id}:{number}")
            for number, record in all_
            if accept.matches(record) and (not criteria.latest_only or latest[record.name] == number)
        ]
    return [name for _, name in sorted(found, reverse=criteria.reverse)]


@pytest.fixture(scope="module", params=["few", "many"])
def sizes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Bounds so low that a dozen artifacts count as many, or as they are."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "many":
            for name, bound in {"_FEW": 0, "_MANY": 2, "_MERGED": 3, "_FIRST_PAGE": 1, "_PAGE": 2, "_LEAPS": 2}.items():
                patch.setattr(places, name, bound)
        yield


@pytest.mark.parametrize("listed", ["none", "some", "all"])
@settings(max_examples=15, deadline=None)
@given(first=ARTIFACTS, second=ARTIFACTS, queries=QUERIES)
def test_queries_by_text_find_what_a_look_at_everything_finds(
    sizes: None, listed: str, first: list[dict[str, Any]], second: list[dict[str, Any]], queries: list[dict[str, Any]]
) -> None:
    with Runtime.open(config={"handle_signals": False}) as rt:
        one, other = rt.create_session(), rt.create_session()
        _store(one, first)
        if listed == "some":
            rt._store.ask(ListWords(), 60)
        _store(other, second)
        _store(one, second[:1])
        one.delete_artifact(one.list_artifacts()[0].id)
        if listed == "all":
            rt._store.ask(ListWords(), 60)
            assert not keys(rt, UNLISTED)
        for each in queries:
            query = ArtifactQuery(**each)
            page, criteria = rt.query_artifacts(query), query.criteria
            names = looked_for(rt, criteria)
            end = None if criteria.limit is None else criteria.offset + criteria.limit
            assert [f"{i.id.content_hash}:{i.id.session_id}:{i.id.sequence}" for i in page] == names[
                criteria.offset : end
            ]
            assert (page.total, page.has_more) == (len(names), end is not None and end < len(names))
            assert rt.count_artifacts(query) == len(names)
        assert rt.verify().problems == []


def _store(session: Session, artifacts: list[dict[str, Any]]) -> None:
    for each in artifacts:
        session.store_artifact(each["artifact_type"], **{k: v for k, v in each.items() if k != "artifact_type"})


def test_a_search_lists_words_and_leaves_few_or_too_many_unlisted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_listing, "_TOGETHER", 50)
    with Runtime.open(tmp_path / "store") as rt:
        s = rt.create_session()
        infos = s.store_many(
            {"type": "t", "name": f"alpha{number}", "content": "1"} for number in range(words._WORTH - 1)
        )
        many = s.store_artifact("t", "alpha", "1", description=" ".join(f"w{number}" for number in range(300)))
        s.delete_artifact(many.id)
        assert rt.query_artifacts(text="alpha").total == words._WORTH - 1
        assert not keys(rt, BY_WORD)  # they are so few that they are read
        assert len(keys(rt, UNLISTED)) == words._WORTH - 1
        many = s.store_artifact("t", "alpha", "1", description=" ".join(f"w{number}" for number in range(300)))
        assert rt.query_artifacts(text="alpha").total == words._WORTH
        assert len(keys(rt, BY_WORD)) == words._WORTH - 1
        assert len(keys(rt, UNLISTED)) == 1
        assert [each.id for each in rt.query_artifacts(text="w299")] == [many.id]
        assert rt.verify().problems == []
        s.delete_artifact(infos[0].id)
        assert len(keys(rt, BY_WORD)) == words._WORTH - 2
        s.delete()
        assert not keys(rt, BY_WORD) + keys(rt, UNLISTED)
        assert rt.verify().problems == []


def test_a_reader_finds_what_is_not_listed(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        s = rt.create_session()
        s.store_many({"type": "t", "name": f"alpha{number}", "content": "1"} for number in range(200))
        with Runtime.open(tmp_path / "store", read_only=True) as reader:
            page = reader.query_artifacts(text="alpha", limit=3)
            assert ([each.name for each in page], page.total) == (["alpha199", "alpha198", "alpha197"], 200)
            assert [each.name for each in reader.query_artifacts(text="alpha77")] == ["alpha77"]
        assert not keys(rt, BY_WORD)


def test_words_are_listed_while_nobody_writes(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        s, store = rt.create_session(), rt._store
        s.store_many({"type": "t", "name": f"alpha{number}", "content": "1"} for number in range(120))
        told: list[ListWords] = []
        listing = word_listing.WordListing(store.engine)
        listing.while_idle(told.append)
        assert not told  # something was written since it last looked, which was never
        listing.while_idle(told.append)
        [message] = told
        assert listing.turn(message, store.engine.write) is not None
        listing.while_idle(told.append)
        assert len(told) == 2  # what it writes itself does not count
        s.set("k", 1)
        listing.while_idle(told.append)
        assert len(told) == 2
        begin = listing.turn(message, store.engine.write)
        while begin is not None:
            begin = listing.turn(ListWords(begin), store.engine.write)
        assert not keys(rt, UNLISTED)
        listing.while_idle(told.append)
        listing.while_idle(told.append)
        assert len(told) == 2  # there is nothing left to list
        assert rt.verify().problems == []


def test_a_turn_of_the_writer_lists_few_large_artifacts(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        s, store = rt.create_session(), rt._store
        for number in range(20):
            s.store_artifact("t", f"alpha{number}", "1", description="é" * 30_000)
        s.store_many({"type": "t", "name": f"beta{number}", "content": "1"} for number in range(20))
        listed = []
        begin: bytes | None = UNLISTED
        while begin is not None:
            before = len(keys(rt, UNLISTED))
            begin = store.ask(ListWords(begin), 60)
            listed.append(before - len(keys(rt, UNLISTED)))
        assert sum(listed) == 40
        assert max(listed[:2]) < 10
        assert rt.verify().problems == []


class _Meanwhile(logging.Handler):
    """Does something in the middle of a search: when it skips a damaged record."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def emit(self, record: logging.LogRecord) -> None:
        self._act()


@pytest.mark.parametrize(
    "query", [{"limit": 100}, {"limit": 1}, {"limit": None}, {"fuzzy": True}, {"descending": True}]
)
@pytest.mark.parametrize("listed", [0, 10, 30])
def test_a_search_misses_nothing_that_is_listed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: int, query: dict[str, Any]
) -> None:
    for name, bound in {"_FEW": 0, "_MANY": 2, "_FIRST_PAGE": 4, "_PAGE": 8}.items():
        monkeypatch.setattr(places, name, bound)
    with Runtime.open(tmp_path / "store") as rt:
        s, store = rt.create_session(), rt._store
        infos = s.store_many({"type": "t", "name": f"alpha{n % 7} beta{n}", "content": "1"} for n in range(40))
        damaged = [infos[2].id.sequence, infos[37].id.sequence]
        for number in damaged:
            key = session_bytes(s.id) + number.to_bytes(8, "big")
            store.engine.write([(CF.ARTIFACTS, key, b"damaged")])
        if listed:
            store.ask(ListWords(most=listed), 60)
        meanwhile = _Meanwhile(lambda: store.ask(ListWords(most=10), 60))
        logger = logging.getLogger("greenroom.artifacts")
        logger.addHandler(meanwhile)
        try:
            page = rt.query_artifacts(text="alph", **query)
            total = page.total
        finally:
            logger.removeHandler(meanwhile)
        assert total == 38
        assert len(page) == min(38, query.get("limit", 100) or 38)
        assert len({each.id for each in page}) == len(page)


def test_artifacts_with_too_many_words_do_not_keep_others_from_being_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_MOST_LOOKED", 10)
    text = " ".join(f"w{number}" for number in range(70))
    with Runtime.open(tmp_path / "store") as rt:
        s, store = rt.create_session(), rt._store
        s.store_many({"type": "t", "name": "many", "content": "1", "description": text} for _ in range(95))
        begin: bytes | None = UNLISTED
        turns = 0
        while begin is not None:
            begin = store.ask(ListWords(begin), 60)
            turns += 1
        assert turns == 10  # a turn looks at few, and not at all that need not be listed
        s.store_many({"type": "t", "name": f"alpha{n}", "content": "1"} for n in range(words._WORTH))
        assert rt.query_artifacts(text="alpha").total == words._WORTH
        assert len(keys(rt, BY_WORD)) == 40  # in the turns that a search waits for
        told: list[ListWords] = []
        listing = word_listing.WordListing(store.engine)
        listing.while_idle(told.append)
        listing.while_idle(told.append)
        listing.turn(told[0], store.engine.write)
        assert len(keys(rt, BY_WORD)) == 50
        assert rt.verify().problems == []
