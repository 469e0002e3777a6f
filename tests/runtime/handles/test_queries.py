"""Every listing against the plain way: look at all sessions, keep those that match, sort, cut."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import (
    Runtime,
    RuntimeClosed,
    SessionInfo,
    SessionNotFound,
    SessionQuery,
    SessionStatus,
    ValidationError,
)
from greenroom.storage.catalog import listing

WORDS = ["alpha", "Beta", "ALPHABET", "naïve", "Straße", "x", "报告", "beta test"]
TAGS = ["nlp", "sql", "night", "ünï"]
CREATORS = ["ann", "bob", "Ann"]
VALUES: list[Any] = [1, 2, True, "1", None, "x", 0.5, [1, {"b": 2}], {"x": 1, "y": [True]}, {"y": [True], "x": 1}, {}]
ALL = tuple(SessionStatus)
KEYS = ["a", "a/1", "a/10", "a/2", "b", "é/1", "名"]
SORTS = ["created_at", "updated_at", "name", "artifact_count", "operation_count"]


def json_equal(one: Any, other: Any) -> bool:
    """Equality of JSON values: 1 is 1.0 and is not true, objects have no order."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return bool(one == other)


class Population:
    """A runtime with sessions of all kinds, and what is true of them."""

    def __init__(self, runtime: Runtime, infos: list[SessionInfo]) -> None:
        self.runtime = runtime
        self.infos = infos
        self.moments = sorted({info.created_at for info in infos})

    def expected(self, query: dict[str, Any]) -> list[SessionInfo]:
        status = query.get("status", ("active", "suspended"))
        status = ALL if status == "all" or "all" in status else status
        statuses = (status,) if isinstance(status, str) else status
        return [info for info in self.infos if info.status in statuses and self._matches(info, query)]

    @staticmethod
    def _matches(info: SessionInfo, query: dict[str, Any]) -> bool:
        found = f"{info.name or ''}\n{info.description or ''}".casefold()
        return (
            ("created_by" not in query or info.created_by == query["created_by"])
            and set(query.get("tags", ())) <= set(info.tags)
            and ("parent" not in query or info.parent_session_id == query["parent"])
            and ("created_after" not in query or info.created_at >= query["created_after"])
            and ("created_before" not in query or info.created_at < query["created_before"])
            and ("updated_after" not in query or info.updated_at >= query["updated_after"])
            and ("updated_before" not in query or info.updated_at < query["updated_before"])
            and ("key_prefix" not in query or (info.key is not None and info.key.startswith(query["key_prefix"])))
            and ("search" not in query or query["search"].casefold() in found)
            and all(
                key in info.custom_metadata and json_equal(info.custom_metadata[key], value)
                for key, value in query.get("metadata", {}).items()
            )
        )


def populate(runtime: Runtime, clock: Any, seed: int) -> Population:
    chance = random.Random(seed)
    sessions = []
    keys = [None] * 60
    keys[:: 60 // len(KEYS)] = [*KEYS, None, None][: len(keys[:: 60 // len(KEYS)])]
    for key in keys:
        clock.advance(chance.choice([0, 0.000001, 0.3, 1.0, 60.0]))
        session = runtime.create_session(
            name=chance.choice([None, *WORDS]),
            description=chance.choice([None, "", "about " + chance.choice(WORDS)]),
            created_by=chance.choice([None, *CREATORS]),
            tags=chance.sample(TAGS, chance.randint(0, 3)),
            metadata={key: chance.choice(VALUES) for key in chance.sample(["a", "b", "ключ"], chance.randint(0, 3))},
            parent=chance.choice([None, None, *sessions[:5]]),
            key=key,
        )
        sessions.append(session)
    for _ in range(200):
        clock.advance(chance.choice([0, 0.000001, 0.3, 1.0]))
        session = chance.choice(sessions)
        if session.info().status != "active":
            continue
        chance.choice(
            [
                lambda session=session: session.set("k", 1),
                lambda session=session: session.store_artifact("x", chance.choice("ab"), b"c"),
                lambda session=session: session.set_tags(chance.sample(TAGS, 2)),
                lambda session=session: session.update_metadata({"a": chance.choice(VALUES)}),
            ]
        )()
    for session in sessions:
        for move in chance.choice(
            [[], [], ["suspend"], ["complete"], ["suspend", "complete"], ["fail"], ["complete", "archive"]]
        ):
            clock.advance(chance.choice([0, 0.5]))
            session.fail("it went wrong") if move == "fail" else getattr(session, move)()
    return Population(runtime, [session.info() for session in sessions])


@pytest.fixture(scope="module", params=[1, 2], ids=["population 1", "population 2"])
def population(request: pytest.FixtureRequest) -> Iterator[Population]:
    class Clock:
        now = 1_750_000_000 * 10**9

        def time_ns(self) -> int:
            return self.now

        def monotonic(self) -> float:
            return self.now / 10**9

        def advance(self, seconds: float) -> None:
            self.now += int(seconds * 10**9)

    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 2:  # so small a population is read in many pages, and every way of reading is tried
            for name, value in (("_PAGE", 1), ("_MOST_PAGE", 3), ("_FIRST_BUDGET", 4)):
                patch.setattr(listing, name, value)
        with Runtime.open(clock=clock, config={"max_resident_sessions": 20}) as runtime:
            yield populate(runtime, clock, request.param)


@st.composite
def queries(draw: st.DrawFn) -> dict[str, Any]:
    """A query; times and parents are indexes into the population, resolved by the test."""
    when = st.tuples(st.integers(0, 59), st.sampled_from([-1, 0, 1]))
    one_value = st.one_of([st.just(value) for value in VALUES] + [st.just(1.0)])
    return draw(
        st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from([*ALL, "all"])
                | st.lists(st.sampled_from([str(each) for each in ALL]), max_size=5),
                "created_by": st.sampled_from([*CREATORS, "nobody"]),
                "tags": st.lists(st.sampled_from([*TAGS, "none has this"]), max_size=3),
                "parent": st.integers(0, 6),
                "created_after": when,
                "created_before": when,
                "updated_after": when,
                "updated_before": when,
                "key_prefix": st.sampled_from(["", "a", "a/", "a/1", "b", "é", "名", "c"]),
                "search": st.sampled_from([*WORDS, "ALPHA", "STRASSE", "a", "nowhere", ""]),
                "metadata": st.dictionaries(st.sampled_from(["a", "b", "ключ"]), one_value, max_size=2),
                "sort_by": st.sampled_from(SORTS),
                "descending": st.booleans(),
                "limit": st.integers(0, 30),
                "offset": st.integers(0, 30),
            },
        )
    )


def resolved(population: Population, query: dict[str, Any]) -> dict[str, Any]:
    query = dict(query)
    if "parent" in query:
        query["parent"] = population.infos[query["parent"]].id
    for key in ("created_after", "created_before", "updated_after", "updated_before"):
        if key in query:
            at, shift = query[key]
            moment = getattr(population.infos[at], f"{key.partition('_')[0]}_at")
            query[key] = moment + timedelta(microseconds=shift)
    return query


def in_order(query: dict[str, Any], infos: list[SessionInfo]) -> list[SessionInfo]:
    """The sessions in the order of the query. Equal ones are in the order of creation for names, else of their ids."""
    by = query.get("sort_by", "key" if "key_prefix" in query else "created_at")

    def place(info: SessionInfo) -> Any:
        raw = bytes.fromhex(info.id.replace("-", ""))
        if by == "name":
            return info.name or "", info.created_at, raw
        return (info.key or "").encode() if by == "key" else getattr(info, by), raw

    return sorted(infos, key=place, reverse=query.get("descending", False))


@given(queries())
@settings(max_examples=300)
def test_any_query_answers_as_looking_at_every_session_would(population: Population, query: dict[str, Any]) -> None:
    query = resolved(population, query)
    expected = in_order(query, population.expected(query))
    page = population.runtime.list_sessions(**query)
    offset, limit = query.get("offset", 0), query.get("limit", 100)
    assert list(page) == expected[offset : offset + limit]
    assert page.has_more == (offset + limit < len(expected))
    assert (page.next_cursor is not None) == (page.has_more and offset + limit > 0)
    assert page.total == len(expected)
    assert population.runtime.count_sessions(**query) == len(expected)
    assert (page.offset, page.limit) == (offset, limit)
    assert population.runtime.list_sessions(SessionQuery(**query)) == page


@given(queries(), st.lists(st.integers(1, 7), min_size=1))
@settings(max_examples=150)
def test_pages_by_cursor_are_the_whole_listing(
    population: Population, query: dict[str, Any], limits: list[int]
) -> None:
    query = resolved(population, {key: value for key, value in query.items() if key not in ("limit", "offset")})
    expected = in_order(query, population.expected(query))
    found: list[SessionInfo] = []
    cursor = None
    for limit in itertools.cycle(limits):
        page = population.runtime.list_sessions(**query, limit=limit, cursor=cursor)
        found += page
        cursor = page.next_cursor
        assert page.has_more == (cursor is not None) == (len(found) < len(expected))
        if cursor is None:
            break
        assert len(page) == limit
        assert page.total == len(expected)
    assert found == expected
    assert list(population.runtime.iterate_sessions(**query)) == expected
    assert list(population.runtime.iterate_sessions(**query, limit=5)) == expected[:5]
    assert list(population.runtime.iterate_sessions(**query, offset=3)) == expected[3:]


@given(st.sampled_from(SORTS), st.booleans(), st.integers(1, 25))
@settings(max_examples=30)
def test_pages_laid_end_to_end_are_the_whole_listing(
    population: Population, sort_by: str, descending: bool, limit: int
) -> None:
    query: dict[str, Any] = {"sort_by": sort_by, "descending": descending, "status": ALL}
    ids: list[str] = []
    while True:
        page = population.runtime.list_sessions(**query, limit=limit, offset=len(ids))
        ids += [info.id for info in page]
        if not page.has_more:
            break
        assert len(page) == limit
    assert len(ids) == len(set(ids)) == len(population.infos)


@given(queries(), queries())
@settings(max_examples=60)
def test_one_more_condition_never_finds_more(
    population: Population, query: dict[str, Any], more: dict[str, Any]
) -> None:
    filters = {
        *("created_by", "tags", "parent", "key_prefix", "search", "metadata"),
        *("created_after", "created_before", "updated_after", "updated_before"),
    }
    wide = resolved(population, {key: value for key, value in query.items() if key in filters})
    narrow = resolved(population, {key: value for key, value in more.items() if key in filters}) | wide
    found = {info.id for info in population.runtime.list_sessions(**wide, status=ALL)}
    assert {info.id for info in population.runtime.list_sessions(**narrow, status=ALL)} <= found


def test_with_no_status_given_open_sessions_are_listed(population: Population) -> None:
    assert {info.status for info in population.runtime.list_sessions()} == {"active", "suspended"}


def test_times_may_be_text_or_seconds(population: Population) -> None:
    runtime, moment = population.runtime, population.moments[30]
    expected = len([info for info in population.infos if info.created_at >= moment])
    text = moment.isoformat().replace("+00:00", "Z")
    assert runtime.count_sessions(created_after=text, status=ALL) == expected
    elsewhere = moment.astimezone(tz=None).isoformat()
    assert runtime.count_sessions(created_after=elsewhere, status=ALL) == expected
    later = int(population.moments[-1].timestamp()) + 5
    assert runtime.count_sessions(created_after=later, status=ALL) == 0
    assert runtime.count_sessions(created_before=later, status=ALL) == len(population.infos)


@pytest.mark.parametrize("when", [datetime.max.replace(tzinfo=UTC), "2600-01-01T00:00:00Z"])
def test_the_far_future_is_after_everything(population: Population, when: datetime | str) -> None:
    assert population.runtime.count_sessions(created_before=when, status=ALL) == len(population.infos)
    assert population.runtime.count_sessions(created_after=when, status=ALL) == 0


@pytest.mark.parametrize(
    "when", [datetime(1969, 1, 1, tzinfo=UTC), datetime.min.replace(tzinfo=UTC), "0001-01-01T00:00:00Z", -5]
)
def test_the_far_past_is_before_everything(population: Population, when: datetime | str) -> None:
    assert population.runtime.count_sessions(created_before=when, status=ALL) == 0
    assert population.runtime.count_sessions(created_after=when, status=ALL) == len(population.infos)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "done"}, "status"),
        ({"sort_by": "size"}, "sort_by"),
        ({"limit": -1}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"tags": "nlp"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"parent": "not an id"}, "parent"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"stauts": "active"}, "stauts"),
        ({"status": ["active", "everything"]}, "status"),
        ({"updated_before": "tomorrow"}, "updated_before"),
        ({"key_prefix": "\ud800"}, "key_prefix"),
        ({"key_prefix": 7}, "key_prefix"),
        ({"cursor": "no cursor"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "kaNhYmM="}, "cursor"),
        ({"cursor": "é"}, "cursor"),
    ],
    ids=lambda value: f"{type(value).__name__} {str(value).partition(' at 0x')[0]}",
)
def test_a_query_that_makes_no_sense_is_refused_by_its_key(
    population: Population, query: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        population.runtime.list_sessions(**query)
    assert caught.value.fields["field"] == field


# -- what the indexes say after changes


def test_listings_follow_every_change_at_once(rt: Runtime) -> None:
    session = rt.create_session(name="one", tags=["a"], metadata={"k": 1}, created_by="ann")

    def found(**query: Any) -> bool:
        return session.id in [info.id for info in rt.list_sessions(**query)]

    assert found(tags=["a"])
    session.set_tags(["b"])
    assert not found(tags=["a"])
    assert found(tags=["b"])
    session.update_metadata({"k": 2})
    assert not found(metadata={"k": 1})
    assert found(metadata={"k": 2}, tags=["b"], created_by="ann")
    session.suspend()
    assert found(status="suspended")
    assert not found(status="active")
    session.fail("done for")
    session.archive()
    assert not found()
    assert found(status="archived", tags=["b"])
    session.delete()
    assert not found(status="archived")
    assert rt.count_sessions(status=ALL) == 0


def test_the_order_by_last_change_follows_writes(rt: Runtime) -> None:
    one, other = rt.create_session(name="one"), rt.create_session(name="other")
    one.set("k", 1)
    assert [info.id for info in rt.list_sessions(sort_by="updated_at", descending=True, limit=1)] == [one.id]
    other.set("k", 1)
    assert [info.id for info in rt.list_sessions(sort_by="updated_at", descending=True, limit=1)] == [other.id]


def test_equal_metadata_is_found_however_it_is_written(rt: Runtime) -> None:
    session = rt.create_session(metadata={"n": 1, "o": {"x": 1, "y": [2.0, {"b": 1, "a": 2}]}}, tags=["t"])
    for metadata in ({"n": 1}, {"n": 1.0}, {"o": {"y": [2, {"a": 2, "b": 1}], "x": 1}}):
        for more in ({}, {"tags": ["t"]}):
            assert [info.id for info in rt.list_sessions(metadata=metadata, **more)] == [session.id]
    for metadata in ({"n": True}, {"n": "1"}, {"o": {"x": 1}}, {"n": None}, {"missing": None}):
        for more in ({}, {"tags": ["t"]}):
            assert rt.list_sessions(metadata=metadata, **more).total == 0


def test_ids_are_found_by_their_beginning(rt: Runtime) -> None:
    ids = sorted(rt.create_session().id for _ in range(40))
    for length in (1, 2, 9, 13, 36):
        prefix = ids[7][:length]
        assert rt.find_sessions(prefix, limit=100) == [each for each in ids if each.startswith(prefix)]
    assert len(rt.find_sessions(ids[0][:1], limit=1)) == 1
    assert rt.find_sessions(ids[3].upper()) == [ids[3]]
    for bad in ("", "-", "xyz", ids[0] + "0"):
        with pytest.raises(ValidationError):
            rt.find_sessions(bad)


def test_a_cursor_belongs_to_its_query(population: Population) -> None:
    runtime = population.runtime
    first = runtime.list_sessions(status="all", tags=["nlp"], limit=3)
    cursor = first.next_cursor
    again = runtime.list_sessions(SessionQuery(status=ALL, tags=("nlp",), cursor=cursor, limit=2))
    assert not set(again) & set(first)
    for other in ({}, {"tags": ["sql"]}, {"tags": ["nlp"], "descending": True}, {"tags": ["nlp"], "sort_by": "name"}):
        with pytest.raises(ValidationError, match="another query"):
            runtime.list_sessions(status="all", **other, cursor=cursor)
    with pytest.raises(ValidationError, match=r"^cursor: give a cursor or an offset, not both"):
        runtime.list_sessions(status="all", tags=["nlp"], cursor=cursor, offset=1)
    with pytest.raises(ValidationError, match=r"^cursor: this is no cursor"):
        runtime.list_sessions(cursor="of no page")
    with pytest.raises(ValidationError, match=r"^sort_by: a key_prefix is needed"):
        runtime.list_sessions(sort_by="key")


@pytest.mark.parametrize("descending", [False, True])
def test_pages_by_cursor_are_stable_while_sessions_come_and_go(rt: Runtime, descending: bool) -> None:
    old = [rt.create_session(tags=["t"]) for _ in range(30)]
    page = rt.list_sessions(tags=["t"], limit=10, descending=descending)
    seen = [info.id for info in page]
    for number, session in enumerate(old):
        if number % 3 == 0:
            session.delete()
    new = {rt.create_session(tags=["t"]).id for _ in range(5)}
    while page.next_cursor is not None:
        page = rt.list_sessions(tags=["t"], limit=10, descending=descending, cursor=page.next_cursor)
        seen += [info.id for info in page]
    assert len(seen) == len(set(seen))
    left = {session.id for number, session in enumerate(old) if number % 3}
    assert left <= set(seen)
    assert set(seen) - {session.id for session in old} == (set() if descending else new)


def test_a_total_is_counted_when_it_is_read() -> None:
    with Runtime.open() as rt:
        rt.create_session(tags=["t"])
        page, unread = rt.list_sessions(tags=["t"]), rt.list_sessions(tags=["t"])
        rt.create_session(tags=["t"])
        assert (len(page), page.total) == (1, 2)
        rt.create_session(tags=["t"])
        assert page.total == 2
    assert page.total == 2
    assert not unread.has_more
    with pytest.raises(RuntimeClosed):
        _ = unread.total


def test_without_a_limit_a_hundred_are_listed(rt: Runtime) -> None:
    for _ in range(105):
        rt.create_session()
    page = rt.list_sessions()
    assert (len(page), page.has_more, page.total) == (100, True, 105)
    assert len(rt.list_sessions(limit=None)) == len(list(rt.iterate_sessions())) == 105


def test_a_session_that_changes_its_status_is_never_missed_or_listed_twice(rt: Runtime) -> None:
    sessions = [rt.create_session(tags=["t"]) for _ in range(40)]
    ids = {session.id for session in sessions}
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            for session in sessions:
                session.suspend()
                session.resume()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for number in range(60):
            query: dict[str, Any] = {"tags": ["t"]} if number % 2 else {}
            found = [info.id for info in rt.list_sessions(**query)]
            assert len(found) == len(set(found))
            assert set(found) == ids
    finally:
        done.set()
        thread.join()


def test_a_listing_is_a_sequence(rt: Runtime) -> None:
    sessions = [rt.create_session(name=str(number)) for number in range(5)]
    page = rt.list_sessions(limit=3)
    assert len(page) == 3
    assert page.total == 5
    assert page.has_more
    assert page[0].id == sessions[0].id
    assert [info.name for info in page[1:]] == ["1", "2"]
    assert [info.name for info in page] == [info.name for info in page.items] == ["0", "1", "2"]
    assert page[-1] in page
    assert not rt.list_sessions(limit=3, offset=3).has_more
    assert list(rt.list_sessions(offset=99)) == []


def test_an_unknown_session_is_not_found(rt: Runtime) -> None:
    unknown = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"
    for bad in (unknown, unknown.upper(), "", "nonsense", unknown[:-1]):
        assert not rt.exists(bad)
        with pytest.raises(SessionNotFound) as caught:
            rt.session(bad)
        assert caught.value.fields["session_id"] == bad
        with pytest.raises(SessionNotFound):
            rt.delete_session(bad)
