"""GreenroomStore: the contract that `langgraph.store.base.BaseStore` documents, since LangGraph ships no test suite for
stores; LangGraph's own InMemoryStore stands beside it as the reference."""

from __future__ import annotations

import asyncio
import math
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from greenroom.runtime import Runtime, SessionNotFound, ValidationError
from greenroom.runtime.integrations.langgraph import GreenroomStore

USERS = ("users",)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with GreenroomStore(tmp_path / "store") as made:
        yield made


def embed(texts: list[str]) -> list[list[float]]:
    """Count letters: texts with the same letters are near."""
    return [[float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


async def aembed(texts: list[str]) -> list[list[float]]:
    return embed(texts)


def test_an_item_is_there_after_a_restart_with_its_times(tmp_path: Path) -> None:
    with GreenroomStore(tmp_path / "store") as store:
        assert store.get(USERS, "1") is None
        store.put(USERS, "1", {"name": "Ada", "n": [1, None, 2.5, True]})
        first = store.get(USERS, "1")
    with GreenroomStore(tmp_path / "store") as store:
        assert store.get(USERS, "1") == first
        store.put(USERS, "1", {"name": "Grace"})
        second = store.get(USERS, "1")
        assert first is not None
        assert second is not None
        assert second.value == {"name": "Grace"}
        assert second.created_at == first.created_at < second.updated_at
        store.delete(USERS, "1")
        store.delete(USERS, "1")
        assert store.get(USERS, "1") is None


LABELS = st.sampled_from(["a", "b", "ab", "ü", "a b", "*", "\1", "\2"])
NAMESPACES = st.lists(LABELS, min_size=1, max_size=3).map(tuple)
KEYS = st.sampled_from(["k", "", "k\0", "\1", "\2x", "a", "🦊"])
VALUES = st.dictionaries(
    st.sampled_from("xyz"), st.integers(0, 3) | st.sampled_from(["p", "q"]) | st.none(), max_size=3
)
FILTERS = st.none() | st.fixed_dictionaries({"x": st.integers(0, 3)}) | st.just({"y": {"$ne": "p"}})
CONDITIONS = st.tuples(st.sampled_from(["prefix", "suffix"]), st.lists(LABELS, min_size=1, max_size=2).map(tuple)).map(
    lambda given: MatchCondition(*given)
)
OPS = (
    st.tuples(NAMESPACES, KEYS, VALUES | st.none()).map(lambda given: PutOp(*given))
    | st.tuples(NAMESPACES, KEYS).map(lambda given: GetOp(*given))
    | st.tuples(st.lists(LABELS, max_size=2).map(tuple), FILTERS, st.just(100)).map(lambda given: SearchOp(*given))
    | st.tuples(
        st.none() | st.lists(CONDITIONS, max_size=2).map(tuple), st.none() | st.integers(1, 2), st.just(100)
    ).map(lambda given: ListNamespacesOp(*given))
)


def shown(result: Any) -> Any:
    """Return a result without times, and without the order of what has none."""
    if isinstance(result, list):
        return sorted((each if isinstance(each, tuple) else shown(each) for each in result), key=repr)
    return None if result is None else (result.namespace, result.key, result.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.lists(st.lists(OPS, min_size=1, max_size=8), max_size=6))
def test_any_operations_give_what_they_give_in_memory(store: GreenroomStore, batches: list[list[Any]]) -> None:
    with suppress(SessionNotFound):
        store._opened.runtime.session(key="langgraph:store").delete()
    memory = InMemoryStore()
    for ops in batches:
        for op, mine, theirs in zip(ops, store.batch(ops), memory.batch(ops), strict=True):
            if isinstance(op, ListNamespacesOp):
                # Reading makes a namespace there; a namespace without items is none here.
                assert {*mine} <= {*theirs}  # type: ignore[misc, operator]
            else:
                assert shown(mine) == shown(theirs)


def test_namespaces_are_listed_by_conditions(store: GreenroomStore) -> None:
    spaces = [("a",), ("a", "b"), ("a", "b", "c"), ("a", "x", "c"), ("ab",), ("z", "b", "c")]
    store.batch([PutOp(space, str(number), {"n": number}) for space in spaces for number in range(5)])
    assert store.list_namespaces() == sorted(spaces)
    assert store.list_namespaces(prefix=("a",)) == spaces[:4]
    assert store.list_namespaces(suffix=("c",)) == [spaces[2], spaces[3], spaces[5]]
    assert store.list_namespaces(prefix=("a", "*", "c")) == [spaces[2], spaces[3]]
    assert store.list_namespaces(prefix=("a",), max_depth=2) == [("a",), ("a", "b"), ("a", "x")]
    assert store.list_namespaces(limit=2, offset=1) == [("a", "b"), ("a", "b", "c")]


def test_search_filters_and_pages(store: GreenroomStore) -> None:
    for number in range(30):
        store.put(("docs", str(number % 2)), f"{number:02}", {"n": number, "tag": {"even": number % 2 == 0, "x": 1}})
    assert [each.key for each in store.search(("docs",), limit=3)] == ["00", "02", "04"]
    assert [each.key for each in store.search(("docs",), limit=3, offset=14)] == ["28", "01", "03"]
    assert [each.key for each in store.search(("docs",), filter={"n": {"$gte": 27, "$lt": 29}})] == ["28", "27"]
    assert len(store.search(("docs",), filter={"tag": {"even": True}}, limit=99)) == 15
    assert store.search(("docs",), filter={"n": {"$gt": "text"}}) == []
    assert store.search(("doc",)) == []
    assert len(store.search((), limit=99)) == 30
    with pytest.raises(ValidationError):
        store.search(("docs",), filter={"n": {"$near": 1}})


def test_search_finds_words_where_there_is_no_embedding(store: GreenroomStore) -> None:
    store.put(USERS, "1", {"text": "Olives and bread", "n": {"deep": ["Cheese"]}})
    store.put(USERS, "2", {"text": "olives olives olives"})
    store.put(USERS, "3", {"text": "nothing of that"})
    store.put(USERS, "4", {"text": "olives, hidden"}, index=False)
    store.put(USERS, "5", {"text": "hidden", "title": "olives by the title of a long text"}, index=["title"])
    found = store.search(USERS, query="OLIVES?")
    assert [each.key for each in found] == ["2", "1", "5"]
    scores = [each.score or 0 for each in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    assert [each.key for each in store.search(USERS, query="cheese")] == ["1"]
    assert [each.key for each in store.search(USERS, query="hidden")] == []
    assert [each.key for each in store.search(USERS, query="olives", limit=1, offset=1)] == ["1"]


@pytest.mark.parametrize("function", [embed, aembed])
def test_search_finds_vectors_as_in_memory(tmp_path: Path, function: Any) -> None:
    async def main() -> None:
        index: Any = {"dims": 26, "embed": function, "fields": ["text", "parts[*].text"]}
        memory = InMemoryStore(index=index)
        for _ in range(2):
            async with GreenroomStore(tmp_path / "store", index=index) as store:
                each: BaseStore
                for each in (store, memory):
                    await each.aput(USERS, "1", {"text": "aaa bbb"})
                    await each.aput(USERS, "2", {"text": "zzz", "parts": [{"text": "aab"}, {"text": "q"}]})
                    await each.aput(("users", "x"), "3", {"text": "ccc"})
                    await each.aput(USERS, "4", {"text": "aaa"}, index=False)
                    await each.aput(USERS, "5", {"text": "abc", "other": "xyz"}, index=["other"])
                for query in ("aa b", "z", "c"):
                    mine, theirs = [await each.asearch(USERS, query=query) for each in (store, memory)]
                    assert [(each.key, each.score is None) for each in mine[:3]] == [
                        (each.key, each.score is None) for each in theirs[:3]
                    ]
                    assert [each.score for each in mine if each.score] == pytest.approx(
                        [each.score for each in theirs if each.score]
                    )
                    assert {each.key for each in mine if each.score is None} == {"4"}

    asyncio.run(main())


def test_vectors_go_with_their_item_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as runtime:
        store = GreenroomStore(runtime, index={"dims": 26, "embed": embed, "fields": ["text"]})
        session = runtime.get_or_create("langgraph:store")
        store.put(USERS, "1", {"text": "abc"})
        assert session.records.count(b"x") == 1
        store.put(USERS, "1", {"text": "abc"}, index=False)
        assert session.records.count(b"x") == 0
        store.put(USERS, "1", {"text": "abc"})
        store.delete(USERS, "1")
        assert session.records.count() == 0
        wrong = GreenroomStore(runtime, index={"dims": 3, "embed": embed})
        with pytest.raises(ValidationError):
            wrong.put(USERS, "1", {"text": "abc"})
        assert session.records.count() == 0
        store.put(USERS, "1", {"text": "abc"})
        other = GreenroomStore(runtime, index={"dims": 2, "embed": lambda texts: [[1.0, 0.0] for _ in texts]})
        assert [(each.key, each.score) for each in other.search(USERS, query="abc")] == [("1", None)]


def test_items_expire_unless_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000 * 10**9
    monkeypatch.setattr("time.time_ns", lambda: now)
    with GreenroomStore(tmp_path / "store", ttl={"default_ttl": 10, "refresh_on_read": True}) as store:
        store.put(USERS, "read", {"text": "a"})
        store.put(USERS, "searched", {"text": "b"})
        store.put(USERS, "left", {"text": "c"})
        store.put(USERS, "short", {"text": "d"}, ttl=1)
        store.put(USERS, "forever", {"text": "e"}, ttl=None)
        now += 8 * 60 * 10**9
        assert store.get(USERS, "read") is not None
        assert store.get(USERS, "left", refresh_ttl=False) is not None
        assert store.get(USERS, "short") is None
        assert [each.key for each in store.search(USERS, query="b")] == ["searched"]
        now += 8 * 60 * 10**9
        assert [each.key for each in store.search(USERS, refresh_ttl=False)] == ["forever", "read", "searched"]
        assert store.sweep_ttl() == 2
        assert store.sweep_ttl() == 0
        session = store._session()
        assert session is not None
        assert session.records.count() == 3
        now += 100 * 60 * 10**9
        assert asyncio.run(store.asweep_ttl()) == 2


def test_the_sweeper_begins_and_ends(store: GreenroomStore) -> None:
    store.put(USERS, "1", {}, ttl=0)
    future = store.start_ttl_sweeper(0.0001)
    session = store._session()
    assert session is not None
    while session.records.count():
        threading.Event().wait(0.01)
    assert future.cancel()
    assert store.stop_ttl_sweeper(30)


@pytest.mark.parametrize("value", [{"a": object()}, {1: 2}, {"a": math.nan}, {"a": len}, 7, "x", [1]])
def test_what_is_not_json_is_refused_and_changes_nothing(store: GreenroomStore, value: Any) -> None:
    with pytest.raises(ValidationError):
        store.batch([PutOp(USERS, "fine", {"a": 1}), PutOp(USERS, "1", value)])
    assert store.search(USERS) == []


def test_json_comes_back_as_it_was(store: GreenroomStore) -> None:
    value = {"": "\ud800", "$a": 2**70, "deep": {"a": [[[{}]]], "b": -0.5}, "x" * 5000: "y" * 100_000}
    store.put(USERS, "1", value)
    item = store.get(USERS, "1")
    assert item is not None
    assert item.value == value


def test_garbage_is_refused_and_changes_nothing(store: GreenroomStore) -> None:
    for namespace in ((), ("",), ("a.b",), (1,), ("langgraph", "x")):
        with pytest.raises((InvalidNamespaceError, ValidationError)):
            store.put(namespace, "1", {"a": 1})  # type: ignore[arg-type]
    good = PutOp(USERS, "1", {"a": 1})
    bad: list[Any] = [
        *(PutOp(namespace, "1", {}) for namespace in ((), ("a.b",), ("",))),
        *(PutOp(USERS, key, {}) for key in (7, None, "k" * 2000)),  # type: ignore[arg-type]
        *(PutOp(USERS, "1", {}, ttl=ttl) for ttl in (-1, math.nan, "x", True)),  # type: ignore[arg-type]
        *(GetOp(USERS, key) for key in (None, 7, "k" * 2000)),  # type: ignore[arg-type]
        *(SearchOp(USERS, **{name: value}) for name in ("limit", "offset") for value in (-1, 1.5, "x")),  # type: ignore[arg-type]
        SearchOp(USERS, filter=[1]),  # type: ignore[arg-type]
        SearchOp(USERS, query=7),  # type: ignore[arg-type]
        ListNamespacesOp(limit="x"),  # type: ignore[arg-type]
        ListNamespacesOp((MatchCondition("infix", ("a",)),)),  # type: ignore[arg-type]
        "op",
        None,
    ]
    for op in bad:
        with pytest.raises((InvalidNamespaceError, ValidationError)):
            store.batch([good, op])
    assert store.search(()) == []
    assert store.batch([]) == []


def test_many_items_in_one_batch_and_many_writers(store: GreenroomStore) -> None:
    store.batch([PutOp(("many",), f"{number}", {"n": number}) for number in range(6000)])
    assert len(store.search(("many",), limit=10_000)) == 6000
    store.batch([PutOp(("many",), f"{number}", None) for number in range(6000)])
    assert store.list_namespaces() == []

    def work(number: int) -> None:
        for each in range(20):
            store.put(("own", str(number)), str(each), {"n": each})
            store.put(("shared",), "one", {"by": number}, ttl=5)
            assert store.get(("shared",), "one") is not None

    with ThreadPoolExecutor(5) as pool:
        [*pool.map(work, range(5))]
    assert len(store.search(("own",), limit=1000)) == 100


def test_an_agent_remembers_across_threads(tmp_path: Path) -> None:
    class State(TypedDict):
        text: str

    def remember(state: State, *, store: BaseStore) -> State:
        seen = store.search(("memories",), query=state["text"])
        store.put(("memories",), state["text"], {"text": state["text"]})
        return {"text": ", ".join(each.key for each in seen)}

    builder = StateGraph(State)
    builder.add_node("remember", remember)
    builder.add_edge(START, "remember")
    for found in ("", "olives"):
        with GreenroomStore(tmp_path / "store") as store:
            assert builder.compile(store=store).invoke({"text": "olives"}) == {"text": found}
            assert asyncio.run(store.aget(("memories",), "olives")) is not None


WRITER = """
    import sys
    from greenroom.runtime.integrations.langgraph import GreenroomStore

    store = GreenroomStore(sys.argv[1])
    for number in range(1000000):
        store.put(("killed",), f"{number:08}", {"n": number})
        print(number, flush=True)
"""


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "store")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    numbers = [int(each) for each in lines if each.strip()]
    with GreenroomStore(tmp_path / "store") as store:
        found = [each.value["n"] for each in store.search(("killed",), limit=10**6)]
    assert found[: len(numbers)] == numbers
    assert len(numbers) >= 200


def test_what_a_caller_does_to_an_item_changes_nothing_for_the_next(store: GreenroomStore) -> None:
    store.put(("a",), "k", {"list": [1]})
    for _ in range(3):
        (item,) = store.search(("a",))
        assert item.value == {"list": [1]}
        item.value["list"].append(2)
        item.value["more"] = True


def test_a_search_sees_what_others_have_written_meanwhile(store: GreenroomStore) -> None:
    other = GreenroomStore(store._opened.runtime)
    for number in range(5):
        other.put(("a",), f"{number}", {"n": number})
        assert [item.value["n"] for item in store.search(("a",))] == [*range(number + 1)]
        other.put(("a",), "0", {"n": 0, "again": number})
        assert store.search(("a",), filter={"again": number})[0].key == "0"
    other.delete(("a",), "3")
    assert [item.key for item in store.search(("a",))] == ["0", "1", "2", "4"]
    session = store._opened.runtime.session(key="langgraph:store")
    session.delete()
    assert store.search(("a",)) == []


def test_searches_that_read_a_part_go_on_where_the_last_one_ended(store: GreenroomStore) -> None:
    keys = [f"{number:03}" for number in range(600)]
    store.batch([PutOp(("a",), key, {"n": 1 if key == "599" else 0}) for key in keys])
    for limit in (1, 5, 300, 1000, 2):
        assert [item.key for item in store.search(("a",), limit=limit)] == keys[:limit]
    assert [item.key for item in store.search(("a",), limit=7, offset=596)] == keys[596:]
    assert [item.key for item in store.search(("a",), filter={"n": 1})] == ["599"]


@pytest.mark.parametrize(
    "value", [{"n": 2**70}, {"text": "\ud800"}, {"bytes": b"\xff", "f": 1.5}, {"text": "x" * 5_000_000}]
)
def test_items_of_all_kinds_are_found_again_and_what_is_kept_is_bounded(store: GreenroomStore, value: Any) -> None:
    store.put(("a",), "k", value)
    store.put(("b",), "k", {"n": 1})
    for _ in range(3):
        assert [item.value for item in store.search(("a",))] == [value]
        assert len(store.search(())) == 2
        assert store._items._size == sum(each.size for each in store._items._kept.values()) <= 4 << 20
