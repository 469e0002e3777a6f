"""Queries find what a look at every artifact finds, in the same order, and page through it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.runtime import ArtifactInfo, ArtifactQuery, Runtime, Session, SessionNotFound, ValidationError
from greenroom.storage.engine.engine import CF

# -- the same question, answered by looking at every artifact


def words(text: str) -> list[str]:
    return re.sub(r"[\W_]+", " ", text.casefold()).split()


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield str(value)


def equal(one: Any, other: Any) -> bool:
    """As JSON values: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def wanted(info: ArtifactInfo, query: dict[str, Any]) -> bool:
    every_word = [
        word for text in (info.name, info.description or "", *info.tags, *texts_in(info.custom)) for word in words(text)
    ]
    pattern = query.get("name_pattern")
    spelt: Any = str if query.get("case_sensitive") else str.casefold
    checks = {
        "session_id": lambda value: info.id.session_id == value,
        "artifact_type": lambda value: info.artifact_type == value,
        "mime_type": lambda value: info.mime_type == value,
        "name_pattern": lambda value: (
            fnmatch.fnmatchcase(spelt(info.name), spelt(value))
            if re.search(r"[*?]", pattern or "")
            else spelt(value) in spelt(info.name)
        ),
        "tags": lambda value: set(value) <= set(info.tags),
        "without_tags": lambda value: not set(value) & set(info.tags),
        "content_hash": lambda value: info.id.content_hash == value,
        "custom": lambda value: all(key in info.custom and equal(info.custom[key], value[key]) for key in value),
        "text": lambda value: all(any(each.startswith(word) for each in every_word) for word in words(value)),
        "created_after": lambda value: info.created_at >= value,
        "created_before": lambda value: info.created_at < value,
        "min_size": lambda value: info.size >= value,
        "max_size": lambda value: info.size <= value,
        "created_by": lambda value: info.created_by == value,
        "parent_artifact": lambda value: info.parent_artifact == str(value),
    }
    return all(checks[name](value) for name, value in query.items() if name in checks)


def answer(infos: list[ArtifactInfo], query: dict[str, Any]) -> list[ArtifactInfo]:
    by = {
        "date": lambda info: 0,
        "name": lambda info: info.name,
        "size": lambda info: info.size,
        "type": lambda info: info.artifact_type,
    }[query.get("sort", "date")]
    newest = {(info.id.session_id, info.name): info for info in sorted(infos, key=lambda info: info.version)}
    if query.get("latest_only"):
        infos = list(newest.values())
    return sorted(
        (info for info in infos if wanted(info, query)),
        key=lambda info: (by(info), info.created_at, info.id.session_id, info.id.sequence),
        reverse=query.get("descending", query.get("sort", "date") == "date"),
    )


# -- random artifacts and queries

START = datetime.fromtimestamp(1_800_000_000, UTC)
TYPES = ["tool_result", "agent_output", "my own type"]
TAGS = ["keep", "draft", "Größe", "t-1", "scrap"]
NAMES = ["report.json", "Report 2", "a_b-c.txt", "Straße", "[draft]*", "東京 tokyo", "x" * 40 + " tail"]
PEOPLE = ["ada", "bob"]
PATTERNS = [
    "report",
    "*.json",
    "?e*",
    "e",
    "[draft]*",
    "*",
    "Report ?",
    "x" * 20,
    "*東*",
    "*.JSON",
    "STRASSE",
    "r?PORT*",
]
TEXTS = ["rep", "STRASSE", "draft 2", "kilo", "word1", "1", "x" * 35, "東京", "größe keep", "word10 word11", "true"]
scalars = st.sampled_from([0, 1, 1.0, 2.5, True, False, None, "kilo gram", "1", [1, {"a": 1.0}], {"deep": "kilo"}])
customs = st.dictionaries(st.sampled_from(["unit", "step", "flag"]), scalars, max_size=2)
artifacts = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES),
        "name": st.sampled_from(NAMES) | st.text("abé _-.9", min_size=1, max_size=6),
        "content": st.binary(max_size=3),
        "tags": st.lists(st.sampled_from(TAGS), unique=True, max_size=3),
        "description": st.sampled_from(
            [None, "Draft word1 in kilos", " ".join(f"word{n}" for n in range(90)), "1 " * 400]
        ),
        "created_by": st.sampled_from([None, *PEOPLE]),
        "metadata": customs | st.just({f"many{n}": n for n in range(80)} | {"unit": "kilo gram"}),
    }
)
moments = st.integers(-1, 6).map(lambda seconds: START + timedelta(seconds=seconds))


def optional(**criteria: Any) -> Any:
    return st.fixed_dictionaries({}, optional=criteria)


queries = optional(
    artifact_type=st.sampled_from([*TYPES, "nobody's"]),
    mime_type=st.sampled_from(["application/json", "text/plain"]),
    name_pattern=st.sampled_from(PATTERNS),
    case_sensitive=st.booleans(),
    tags=st.lists(st.sampled_from([*TAGS, "none"]), max_size=2),
    without_tags=st.lists(st.sampled_from(TAGS), max_size=2),
    custom=customs,
    text=st.sampled_from(TEXTS),
    created_after=moments,
    created_before=moments,
    min_size=st.integers(0, 3),
    max_size=st.integers(0, 3),
    created_by=st.sampled_from([*PEOPLE, "eve"]),
    latest_only=st.booleans(),
    sort=st.sampled_from(["date", "name", "size", "type"]),
    descending=st.booleans(),
    limit=st.integers(0, 5) | st.none(),
    offset=st.integers(0, 4),
)
# Most criteria exclude each other: few at a time leave something to find.
few = st.tuples(queries, st.lists(st.integers(0, 17), max_size=4)).map(
    lambda drawn: {key: value for index, (key, value) in enumerate(sorted(drawn[0].items())) if index in drawn[1]}
)


class Clock:
    """Time that moves when the test says so."""

    now = 1_800_000_000 * 10**9

    def time_ns(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1e9


@pytest.fixture
def ticking() -> Iterator[tuple[Runtime, Clock]]:
    clock = Clock()
    with Runtime.open(clock=clock) as rt:
        yield rt, clock


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    batches=st.lists(st.tuples(st.integers(0, 1), st.lists(artifacts, max_size=5)), min_size=1, max_size=6),
    children=st.lists(st.integers(0, 20), max_size=3),
    deleted=st.sets(st.integers(0, 20), max_size=5),
    asked=st.lists(few, min_size=1, max_size=12),
)
def test_a_query_finds_what_a_look_at_every_artifact_finds(
    ticking: tuple[Runtime, Clock],
    batches: list[tuple[int, list[dict[str, Any]]]],
    children: list[int],
    deleted: set[int],
    asked: list[dict[str, Any]],
) -> None:
    rt, clock = ticking
    clock.now = Clock.now
    sessions = [rt.create_session() for _ in range(2)]
    try:
        for owner, batch in batches:
            sessions[owner].store_many(batch)
            clock.now += 10**9
        infos = [info for session in sessions for info in session.list_artifacts()]
        parents = [infos[index].id for index in children if index < len(infos)]
        for parent in parents:
            rt.session(parent.session_id).store_artifact("child", "report.json", "", parent_artifact=parent)
        infos = [info for session in sessions for info in session.list_artifacts()]
        asked = [*asked, *({"parent_artifact": parent} for parent in parents)]
        for index in sorted(deleted & set(range(len(infos))), reverse=True):
            info = infos.pop(index)
            rt.session(info.id.session_id).delete_artifact(info.id)
        if infos:
            asked = [*asked, {"content_hash": infos[0].id.content_hash}, {"content_hash": "0" * 64}]
        for query in asked:
            for where, everything in (
                (rt, infos),
                *((each, [info for info in infos if info.id.session_id == each.id]) for each in sessions),
            ):
                expected = answer(everything, query)
                page = where.query_artifacts(**query)
                begin, limit = query.get("offset", 0), query.get("limit", 100)
                assert list(page) == expected[begin : None if limit is None else begin + limit], query
                assert page.total == len(expected), query
                assert page.has_more == (begin + len(page) < len(expected))
                assert where.count_artifacts(**query) == len(expected)
        for each in sessions:
            assert each.artifact_names() == sorted({info.name for info in infos if info.id.session_id == each.id})
    finally:
        for each in sessions:
            each.delete()
    assert rt.query_artifacts().total == 0
    assert rt._store.engine.keys(CF.INDEX, b"", b"\xff", limit=1) == []


# -- what users see


def test_pages_go_through_all_that_matches(session: Session) -> None:
    session.store_many([{"type": "tool_result" if n % 3 else "log", "name": f"{n}", "content": ""} for n in range(50)])
    names: list[str] = []
    while True:
        page = session.query_artifacts(artifact_type="tool_result", limit=7, offset=len(names))
        assert (page.total, page.offset, page.limit) == (33, len(names), 7)
        names += [info.name for info in page]
        if not page.has_more:
            break
    assert names == [f"{n}" for n in reversed(range(50)) if n % 3]


def test_a_query_is_built_step_by_step_and_never_changes(session: Session) -> None:
    for n in range(4):
        session.store_artifact(
            "tool_result" if n else "log", f"{n}.json", "x" * n, tags=["x"], metadata={"n": n}, created_by="ada"
        )
    base = ArtifactQuery().of_type("tool_result").with_tag("x")
    narrow = base.named("*.json").where(n=2).by("ada").sized(1, 3).containing("2").without_tag("y")
    assert [info.name for info in session.query_artifacts(narrow)] == ["2.json"]
    assert session.query_artifacts(base).total == 3
    assert [info.name for info in session.query_artifacts(base.order_by("size", descending=True).limit(2))] == [
        "3.json",
        "2.json",
    ]
    assert session.query_artifacts(base, offset=2).items[0].name == "1.json"
    assert base.order_by("name").limit(1).run(session).items[0].name == "1.json"
    assert base.order_by("date").run(session._runtime).items[0].name == "3.json"
    assert base.created_after(0).created_before(1).run(session).total == 0
    assert base == ArtifactQuery(artifact_type="tool_result", tags=["x"])
    with pytest.raises(AttributeError):
        base.criteria = narrow.criteria  # type: ignore[misc]


def test_all_sessions_or_one_are_asked(rt: Runtime) -> None:
    one, other = rt.create_session(), rt.create_session()
    one.store_artifact("log", "a", "1", tags=["x"])
    other.store_artifact("log", "b", "1", tags=["x"])
    assert {info.id.session_id for info in rt.query_artifacts(tags=["x"])} == {one.id, other.id}
    assert [info.name for info in rt.query_artifacts(tags=["x"], session_id=other.id)] == ["b"]
    assert [info.name for info in rt.query_artifacts(ArtifactQuery().in_session(one.id))] == ["a"]
    assert one.query_artifacts(session_id=other.id).total == 0
    other.delete()
    with pytest.raises(SessionNotFound):
        rt.query_artifacts(session_id=other.id)
    assert [info.name for info in rt.query_artifacts(tags=["x"])] == ["a"]


def test_other_names_of_types_and_fields_mean_the_same(session: Session) -> None:
    session.store_artifact("tool_output", "b", "1")
    session.store_artifact("prompt", "a", "22")
    assert session.query_artifacts(artifact_type="tool_output", limit=1).total == 1
    assert [info.name for info in session.query_artifacts(sort_by="name")] == ["a", "b"]
    assert [info.name for info in session.query_artifacts(order_by="created_at", descending=True)] == ["a", "b"]


def test_the_total_by_type_outlives_the_session_s_stay_in_memory(store_path: Any) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        for n in range(5):
            session.store_artifact("log", f"{n}", "x")
        session.delete_artifact("3")
        session.save()
        session.store_artifact("log", "late", "x")
    with Runtime.open(store_path) as rt:
        page = rt.session(session.id).query_artifacts(artifact_type="log", limit=2, descending=True)
        assert [info.name for info in page] == ["late", "4"]
        assert page.total == 5
        assert rt.verify().ok
    with Runtime.open(store_path, read_only=True) as rt:
        assert rt.query_artifacts(text="late").total == rt.session(session.id).query_artifacts(text="late").total == 1


@pytest.mark.parametrize(
    ("criteria", "field"),
    [
        ({"tags": "x"}, "tags"),
        ({"limit": -1}, "limit"),
        ({"offset": "many"}, "offset"),
        ({"sort": "colour"}, "sort"),
        ({"session_id": "x"}, "session_id"),
        ({"artifact_type": ""}, "artifact_type"),
        ({"content_hash": "AB" * 32}, "content_hash"),
        ({"custom": {"x": object()}}, "custom"),
        ({"custom": 7}, "custom"),
        ({"text": "!?"}, "text"),
        ({"text": ""}, "text"),
        ({"name_pattern": "x" * 5000}, "name_pattern"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"min_size": 1 << 70}, "min_size"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_questions_without_sense_are_refused_by_name(rt: Runtime, criteria: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rt.query_artifacts(**criteria)
    assert caught.value.fields["field"] == field
    with pytest.raises(ValidationError):
        rt.create_session().query_artifacts(**criteria)
    with pytest.raises(ValidationError):
        rt.query_artifacts({"limit": 1})  # type: ignore[arg-type]


def test_a_hostile_pattern_costs_no_more_than_a_friendly_one(session: Session) -> None:
    session.store_artifact("log", "a" * 250, "x")
    assert session.query_artifacts(name_pattern="*a" * 120 + "b").total == 0


def test_a_name_pattern_has_no_regard_to_case_nor_to_how_unicode_spells_it_unless_told_to(rt: Runtime) -> None:
    s = rt.create_session()
    for name in ("Report.JSON", "report.json", "Cafe\u0301.txt"):
        s.store_artifact("note", name, b"")

    def names(**criteria: Any) -> list[str]:
        return sorted(each.name for each in s.query_artifacts(**criteria))

    assert names(name_pattern="REPORT") == names(name_pattern="*.Json") == ["Report.JSON", "report.json"]
    assert names(name_pattern="CAF\u00c9") == names(name_pattern="caf\u00e9*") == ["Cafe\u0301.txt"]
    assert names(name_pattern="report", case_sensitive=True) == ["report.json"]
    assert names(name_pattern="*.JSON", case_sensitive=True) == ["Report.JSON"]
    assert [each.name for each in s.query_artifacts(ArtifactQuery().named("Rep", case_sensitive=True))] == [
        "Report.JSON"
    ]
