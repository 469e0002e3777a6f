"""GreenroomSaver under what no graph would do: odd ids, garbage, concurrent writers, kill -9, large states."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import ERROR, INTERRUPT, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from greenroom.runtime import ArtifactTooLarge, IntegrityError, Runtime, RuntimeConfig, ValidationError
from greenroom.runtime.integrations.langgraph import GreenroomSaver
from greenroom.runtime.integrations.langgraph.checkpoints.values import Values, read_values


@pytest.fixture
def saver(tmp_path: Path) -> Any:
    with GreenroomSaver(tmp_path / "store") as made:
        yield made


def config(thread: Any = "1", namespace: str = "", checkpoint: str | None = None) -> Any:
    place = {"thread_id": thread, "checkpoint_ns": namespace}
    return {"configurable": place if checkpoint is None else {**place, "checkpoint_id": checkpoint}}


def checkpoint(values: dict[str, Any], version: int = 1) -> Any:
    return {
        **empty_checkpoint(),
        "id": str(uuid6()),
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, version),
    }


def put(saver: Any, values: dict[str, Any], where: Any = None, **metadata: Any) -> Any:
    made = checkpoint(values)
    return saver.put(where or config(), made, metadata, made["channel_versions"])


def records(saver: GreenroomSaver, thread: str = "1") -> list[bytes]:
    return saver._opened.runtime.session(key=f"langgraph:thread:{thread}").records.keys()


THREADS = ["", " ", "a/b", "a\0b", "%", "%%", "%25", "ü🦊", "\ud800", "x" * 3000, "y" * 480, "\n", "../..", ":", "*"]


def test_threads_with_any_name_are_apart_and_listed(saver: GreenroomSaver) -> None:
    for name in THREADS:
        assert saver.get_tuple(config(name)) is None
        put(saver, {"name": ascii(name)}, config(name))
    for name in THREADS:
        found = saver.get_tuple(config(name))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"name": ascii(name)}
    assert {each.config["configurable"]["thread_id"] for each in saver.list(None)} == set(THREADS)
    for name in THREADS:
        saver.delete_thread(name)
    assert [*saver.list(None)] == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.text(max_size=40), st.text(st.characters(codec="utf-8"), max_size=600))
def test_any_thread_and_namespace_is_found_again(saver: GreenroomSaver, thread: str, namespace: str) -> None:
    stored = put(saver, {"namespace": namespace}, config(thread, namespace))
    for found in (saver.get_tuple(stored), saver.get_tuple(config(thread, namespace)), *saver.list(stored)):
        assert found is not None
        assert found.config == stored
        assert found.checkpoint["channel_values"] == {"namespace": namespace}


def test_ids_that_are_numbers_or_uuids_are_texts(saver: GreenroomSaver) -> None:
    put(saver, {"a": 1}, config(7))
    assert saver.get_tuple(config("7")) is not None
    put(saver, {"a": 1}, config(UUID(int=5)))
    assert saver.get_tuple(config(str(UUID(int=5)))) is not None


@pytest.mark.parametrize(
    "garbage",
    [None, 7, {}, {"configurable": None}, {"configurable": {}}, *(
        config(each) for each in (None, b"x", True, 1.5, [], {})
    ), config("1", "\ud800"), config("1", "", "c" * 300), config("1", ["x"]), config("1", "", {"a": 1})],
)  # fmt: skip
def test_a_garbage_configuration_is_refused_and_changes_nothing(saver: GreenroomSaver, garbage: Any) -> None:
    made = checkpoint({"a": 1})
    with pytest.raises(ValidationError):
        saver.put(garbage, made, {}, {})
    with pytest.raises(ValidationError):
        saver.put_writes(garbage, [("a", 1)], "task")
    with pytest.raises(ValidationError):
        saver.get_tuple(garbage)
    if garbage is not None:
        with pytest.raises(ValidationError):
            saver.list(garbage)
    assert saver._opened.runtime.count_sessions() == 0


def test_what_cannot_be_serialized_is_refused_and_changes_nothing(saver: GreenroomSaver) -> None:
    stored = put(saver, {"a": "x" * 1000})
    before = records(saver)
    for value in (object(), [lambda: None] * 50, {"deep": (open,)}, 2**70):
        with pytest.raises(ValidationError, match="cannot be serialized"):
            put(saver, {"fine": "y" * 1000, "a": value}, stored)
        with pytest.raises(ValidationError, match="cannot be serialized"):
            saver.put_writes(stored, [("fine", 1), ("a", value)], "task")
        with pytest.raises(ValidationError, match="cannot be serialized"):
            put(saver, {"a": value}, config("never seen"))
    assert records(saver) == before
    assert saver._opened.runtime.count_sessions() == 1


@pytest.mark.parametrize("bad", [None, 7, [], {"id": None}, {"id": "1", "channel_values": 5}])
def test_what_is_no_checkpoint_is_refused(saver: GreenroomSaver, bad: Any) -> None:
    with pytest.raises(ValidationError):
        saver.put(config(), bad, {}, {})


def test_unknown_threads_are_empty_and_not_created_by_reading(saver: GreenroomSaver) -> None:
    saver.delete_thread("none")
    saver.copy_thread("none", "other")
    saver.prune(["none"])
    saver.delete_for_runs(["none"])
    assert saver.get_tuple(config("none", "", "x")) is None
    assert [*saver.list(config("none"))] == []
    assert saver.get_delta_channel_history(config=config("none"), channels=["a"]) == {"a": {"writes": []}}
    assert saver._opened.runtime.count_sessions() == 0
    with pytest.raises(ValidationError):
        saver.prune("text")
    with pytest.raises(ValidationError):
        saver.prune(["1"], strategy="all")
    with pytest.raises(ValidationError):
        saver.delete_for_runs("text")
    with pytest.raises(ValidationError):
        saver.list(None, limit="x")  # type: ignore[arg-type]


def test_a_write_stays_unless_its_channel_is_special(saver: GreenroomSaver) -> None:
    stored = put(saver, {})
    memory = InMemorySaver()
    memory.put(config(), saver.get_tuple(stored).checkpoint, {}, {})  # type: ignore[union-attr]
    for each in (saver, memory):
        each.put_writes(stored, [("a", 1), (INTERRUPT, "first")], "t2", "~b")
        each.put_writes(stored, [("a", 2), (INTERRUPT, "second"), ("c", 3)], "t2", "~b")
        each.put_writes(stored, [("a", 4), (ERROR, "e")], "t1", "~c")
        each.put_writes(stored, [("a", 5)], "t9")
        each.put_writes(stored, [], "t0")
    found = [each.get_tuple(stored).pending_writes for each in (saver, memory)]  # type: ignore[union-attr]
    assert found[0] == found[1]
    assert ("t2", INTERRUPT, "second") in found[0]
    assert ("t2", "a", 1) in found[0]


def test_a_value_of_the_parent_is_stored_once_and_a_changed_one_is_never_mixed_up(saver: GreenroomSaver) -> None:
    large = ["x" * 300] * 5
    first = put(saver, {"large": large, "small": 1})
    second = checkpoint({"large": large, "small": 2})
    second["channel_versions"]["small"] = 2
    count = len(records(saver))
    stored = saver.put(first, second, {}, {"small": 2})
    assert len(records(saver)) == count + 1
    # Another branch has the same numbers of versions, as savers with whole numbers make them, and other values.
    branch = checkpoint({"large": ["y" * 300] * 50, "small": 3}, version=2)
    other = saver.put(first, branch, {}, {})
    expected = [(first, {"large": large, "small": 1})]
    expected += [(stored, second["channel_values"]), (other, branch["channel_values"])]
    for where, values in expected:
        found = saver.get_tuple(where)
        assert found is not None
        assert found.checkpoint["channel_values"] == values


ELEMENTS = st.text(max_size=5) | st.integers(0, 3) | st.lists(st.integers(-9, 9), max_size=2) | st.binary(max_size=300)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(st.lists(st.lists(ELEMENTS, max_size=60).map(lambda some: some * 3), min_size=2, max_size=5), st.booleans())
def test_lists_of_anything_come_back_as_they_were(saver: GreenroomSaver, lists: list[Any], at_the_end: bool) -> None:
    stored, log, found = None, [], []
    for more in lists:
        log = [*log, *more] if at_the_end else [*more, *log][:100]
        stored = put(saver, {"log": log}, stored)
        found.append((stored, log))
    for stored, log in found:
        there = saver.get_tuple(stored)
        assert there is not None
        assert there.checkpoint["channel_values"] == {"log": log}


@pytest.mark.parametrize("length", [8, 15, 16, 65535, 65536])
def test_lists_of_any_length_come_back(saver: GreenroomSaver, length: int) -> None:
    log = [f"{number}" for number in range(length)]
    stored = put(saver, {"log": log})
    for reader in (saver, GreenroomSaver(saver._opened.runtime)):
        found = reader.get_tuple(stored)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"log": log}


class Own(JsonPlusSerializer):
    """A serializer of which the saver does not know how it writes lists."""


@pytest.mark.parametrize(("writes", "reads"), [(JsonPlusSerializer, Own), (Own, JsonPlusSerializer), (Own, Own)])
def test_lists_are_read_by_another_serializer_than_wrote_them(
    saver: GreenroomSaver, writes: type[JsonPlusSerializer], reads: type[JsonPlusSerializer]
) -> None:
    runtime = saver._opened.runtime
    log: list[object] = [{"n": number, "of": ["a", b"b", None, {"deep": [1.5]}]} for number in range(100)]
    log += [
        "x" * 5000,
        b"bytes",
        ["list"],
        HumanMessage("hello", id="1"),
        UUID(int=7),
        {1, 2},
        datetime.now(UTC),
        "end",
    ]
    stored = put(GreenroomSaver(runtime, serde=writes()), {"log": log})
    found = GreenroomSaver(runtime, serde=reads()).get_tuple(stored)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"log": log}


def test_what_is_kept_in_memory_is_bounded(saver: GreenroomSaver) -> None:
    log = [f"{number} {'x' * 2000}" for number in range(100)]
    put(saver, {"log": log})
    session = saver._opened.runtime.session(key="langgraph:thread:1")
    digests = [key[1:] for key in session.records.keys(b"v")]
    values = Values(most=30_000)
    for _ in range(2):
        assert values.read(session, digests) == read_values(session, digests)
        assert sum(map(len, values._kept.values())) == values._size <= 30_000


@pytest.mark.parametrize("window", [3000, 50])
def test_a_list_that_changes_a_little_stores_little(saver: GreenroomSaver, window: int) -> None:
    def size() -> int:
        session = saver._opened.runtime.session(key="langgraph:thread:1")
        return sum(len(value) for _, value in session.records.iterate(b"v") if isinstance(value, bytes))

    stored, log = None, [f"{number} {'x' * 200}" for number in range(window)]
    stored = put(saver, {"log": log}, stored)
    before = size()
    for number in range(100):
        log = [*log[1:], f"more {number} {'y' * 200}"]
        stored = put(saver, {"log": log}, stored)
    assert (size() - before) / 100 < 7000  # the whole list has 10 or 600 kB


def test_a_checkpoint_that_has_lost_a_part_says_so_and_the_others_are_read(saver: GreenroomSaver) -> None:
    whole = put(saver, {"log": ["short"]})
    stored = put(saver, {"log": [f"{number} {'x' * 200}" for number in range(3000)]}, whole)
    session = saver._opened.runtime.session(key="langgraph:thread:1")
    session.records.delete_many(session.records.keys(b"v")[::3])
    saver = GreenroomSaver(saver._opened.runtime)  # the other one has what it has put in memory
    with pytest.raises(IntegrityError):
        saver.get_tuple(stored)
    assert saver.get_tuple(whole) is not None
    more = put(saver, {"log": ["after"]}, stored)
    assert saver.get_tuple(more) is not None


def test_pruning_deletes_what_nothing_has_any_more(saver: GreenroomSaver) -> None:
    stored = None
    for step in range(5):
        stored = put(
            saver, {"log": [f"{number} {'x' * 40}" for number in range(step * 100)]}, stored, run_id=f"r{step}"
        )
        saver.put_writes(stored, [("log", step)], "task")
    kept = put(saver, {"log": ["kept" * 100]}, config("1", "below"))
    assert stored is not None
    last, below = saver.get_tuple(stored), saver.get_tuple(kept)
    saver.prune(["1"])
    assert [each.config for each in saver.list(config("1", ""))] == [stored]
    assert (saver.get_tuple(stored), saver.get_tuple(kept)) == (last, below)
    kinds = [key[:1] for key in records(saver)]
    assert (kinds.count(b"c"), kinds.count(b"w")) == (2, 1)
    for each in (last, below):
        assert each is not None
        put(saver, each.checkpoint["channel_values"], config("fresh", each.config["configurable"]["checkpoint_ns"]))
    assert [key for key in records(saver) if key[:1] == b"v"] == [
        key for key in records(saver, "fresh") if key[:1] == b"v"
    ]
    saver.delete_for_runs(["r4"])
    assert saver.get_tuple(config("1", "")) is None
    assert saver.get_tuple(kept) == below
    assert [key[:1] for key in records(saver)] == [b"c", b"v"]


def test_writers_in_many_threads_lose_nothing(saver: GreenroomSaver) -> None:
    base = put(saver, {"shared": "s" * 1000})

    def work(number: int) -> Any:
        for each in range(5):
            saver.put_writes(base, [(f"{number}", each)], f"task {number}")
            stored = put(saver, {"shared": "s" * 1000, "own": [f"{number} {each}" * 20] * 40}, base)
            if number == 3:
                saver.prune(["other"])
            put(saver, {"x": number}, config("other"))
        return stored

    with ThreadPoolExecutor(6) as pool:
        last = [*pool.map(work, range(6))]
    for number, stored in enumerate(last):
        found = saver.get_tuple(stored)
        assert found is not None
        assert found.checkpoint["channel_values"]["own"] == [f"{number} 4" * 20] * 40
    assert len(saver.get_tuple(base).pending_writes) == 6  # type: ignore[union-attr, arg-type]
    assert len([*saver.list(config())]) == 31


def test_deleting_while_others_put_leaves_whole_checkpoints(saver: GreenroomSaver) -> None:
    def put_some(number: int) -> None:
        for each in range(10):
            put(saver, {"own": [f"{number} {each}" * 20] * 40})

    def delete_some(_: int) -> None:
        for _ in range(10):
            saver.delete_thread("1")
            for each in saver.list(config()):
                assert len(each.checkpoint["channel_values"]["own"]) == 40

    with ThreadPoolExecutor(4) as pool:
        for done in [*(pool.submit(put_some, number) for number in range(3)), pool.submit(delete_some, 0)]:
            done.result()


def test_a_large_state_is_stored_and_one_over_the_limit_is_refused(saver: GreenroomSaver, tmp_path: Path) -> None:
    state = {"documents": [{"n": number, "text": "word " * 2000} for number in range(2000)], "blob": b"\1" * 8_000_000}
    stored = put(saver, state)
    assert saver.get_tuple(stored).checkpoint["channel_values"] == state  # type: ignore[union-attr]
    with Runtime.open(tmp_path / "small", config=RuntimeConfig(max_artifact_bytes=100_000)) as runtime:
        small = GreenroomSaver(runtime)
        with pytest.raises(ArtifactTooLarge):
            put(small, {"blob": b"\1" * 200_000})
        assert small.get_tuple(config()) is None


def test_listing_over_threads_is_newest_first(saver: GreenroomSaver) -> None:
    stored = [put(saver, {"n": number}, config(f"{number % 3}", "sub" * (number % 2)), n=number) for number in range(9)]
    assert [each.config for each in saver.list(None)] == stored[::-1]
    assert [each.config for each in saver.list(None, before=stored[4], limit=2)] == [stored[3], stored[2]]
    assert [each.config for each in saver.list(None, filter={"n": 5})] == [stored[5]]
    assert [*saver.list(None, limit=0)] == []
    only = {"configurable": {"thread_id": "1"}}
    assert [each.config for each in saver.list(only)] == [stored[7], stored[4], stored[1]]  # type: ignore[arg-type]


def test_a_fork_of_the_session_says_what_it_lacks(saver: GreenroomSaver) -> None:
    put(saver, {"a": "x" * 1000})
    session = saver._opened.runtime.session(key="langgraph:thread:1")
    assert session.fork().records.keys() == session.records.keys()


def test_versions_grow_and_differ(saver: GreenroomSaver) -> None:
    versions = [saver.get_next_version(None, None)]
    for _ in range(12):
        versions.append(saver.get_next_version(versions[-1], None))
    assert versions == sorted(versions)
    assert saver.get_next_version(versions[0], None) != saver.get_next_version(versions[0], None)
    theirs = InMemorySaver().get_next_version("00000000000000000000000000000009.0.5", None)
    assert saver.get_next_version(theirs, None) > theirs
    assert saver.get_next_version(3, None).startswith("0000000004.")  # type: ignore[arg-type]


def test_a_saver_says_what_it_works_on(saver: GreenroomSaver) -> None:
    assert repr(saver).startswith("<GreenroomSaver on ")
    with pytest.raises(ValidationError):
        GreenroomSaver(7)  # type: ignore[arg-type]


WRITER = """
    import sys
    from typing import Annotated, TypedDict
    import operator
    from langgraph.graph import START, StateGraph
    from greenroom.runtime.integrations.langgraph import GreenroomSaver

    class Log(TypedDict):
        log: Annotated[list, operator.add]

    builder = StateGraph(Log)
    builder.add_node("work", lambda state: {"log": ["worked " + "x" * 50]})
    builder.add_edge(START, "work")
    graph = builder.compile(checkpointer=GreenroomSaver(sys.argv[1]))
    for turn in range(100000):
        graph.invoke({"log": [f"turn {turn}"]}, {"configurable": {"thread_id": "1"}}, durability="sync")
        print(turn, flush=True)
"""


def test_kill_loses_nothing_that_a_graph_has_acknowledged(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "store")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(25)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    turns = [f"turn {int(each)}" for each in lines if each.strip()]
    assert len(turns) >= 25
    with GreenroomSaver(tmp_path / "store") as saver:
        history = [each.checkpoint["channel_values"].get("log", []) for each in saver.list(config())]
        assert [each for each in history[0] if each.startswith("turn")][: len(turns)] == turns
        assert len(history) >= 3 * len(turns)
