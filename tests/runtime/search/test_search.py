"""Search finds what was said, stored and named, shows it, and finds it no more when it is gone."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.runtime import AsyncRuntime, OperationTimeout, Page, Runtime, SearchHit, SessionNotFound, ValidationError
from greenroom.storage.search.place import index_path

from ...warm import WarmPopen


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as runtime:
        yield runtime


def found(page: Page[SearchHit]) -> set[tuple[str, str]]:
    return {(hit.session_id, hit.kind) for hit in page}


def test_it_finds_messages_artifacts_and_names(rt: Runtime) -> None:
    s = rt.create_session(name="A trip to Lisbon", description="with a cheap flight")
    turn = s.add_message("user", "Please find a flight to LISBON.")
    s.add_message("assistant", [{"type": "text", "text": "Parts of Lisbon"}])
    info = s.store_artifact("note", "hotels.md", "# Hotels in Lisbon", tags=["travel"], metadata={"city": "Porto"})
    s.store_artifact("note", "lisbon.bin", b"\xff\x00 flight")
    page = rt.search("lisbon")
    assert found(page) == {(s.id, kind) for kind in ("message", "artifact", "name")}
    assert len(page) == page.total == 5
    hit = next(each for each in page if each.sequence == turn.sequence)
    assert (hit.kind, hit.role, hit.artifact, hit.created_at) == ("message", "user", None, turn.created_at)
    assert hit.marked("[", "]") == "Please find a flight to [LISBON]."
    assert [each.artifact for each in rt.search("hotels", kinds="artifact")] == [info.id]
    assert [each.name for each in rt.search("travel porto")] == ["hotels.md"]
    assert [each.kind for each in rt.search("cheap flight")] == ["name"]
    assert not rt.search("flight nowhere")
    assert rt.search("lisbon", kinds=["name", "message"]).total == 3


def test_words_phrases_beginnings_and_scripts_of_the_world(rt: Runtime) -> None:
    s = rt.create_session()
    for text in (
        "the cheap red flight",
        "flight cheap",
        "東京都のホテル",
        "Cafe\u0301 ＡＢＣ",
        "нАЙТИ",
        "एक हिन्दी 👩‍👩‍👧 x",
    ):
        s.add_message("user", text)

    def texts(wanted: str) -> list[str]:
        return sorted(hit.snippet for hit in rt.search(wanted))

    assert len(texts("cheap flight")) == 2
    assert texts('"flight cheap"') == ["flight cheap"]
    assert texts('"red flight"') == texts("re* flight") == ["the cheap red flight"]
    for part in ("東京", "京都", "都", "ホテル", "東京都のホテル"):
        assert texts(part) == ["東京都のホテル"]
    assert not texts("東都")
    assert texts("CAFÉ abc") == ["Cafe\u0301 ＡＢＣ"]
    assert not texts("cafe")
    assert texts("найти") == ["нАЙТИ"]
    assert texts("हिन्दी") == ["एक हिन्दी 👩‍👩‍👧 x"]


def test_what_is_edited_retracted_or_deleted_is_found_as_it_is_now(rt: Runtime) -> None:
    s = rt.create_session(name="old name")
    turn = s.add_message("user", "first words")
    other = s.add_message("user", "more words")
    info = s.store_artifact("note", "a.txt", "stored words")
    assert rt.search("words").total == 3
    s.edit_message(turn.sequence, content="second thoughts")
    s.retract_message(other.sequence)
    assert [hit.kind for hit in rt.search("words")] == ["artifact"]
    assert [hit.sequence for hit in rt.search("thoughts")] == [turn.sequence]
    s.delete_artifact(info.id)
    s.rename("new")
    assert not rt.search("words")
    assert not rt.search("old")
    assert rt.search("new")
    with s.stream_message("assistant") as stream:
        stream.write("half ")
        assert [hit.snippet for hit in rt.search("half")] == ["half "]
        stream.write("whole")
    assert [hit.snippet for hit in rt.search("half whole")] == ["half whole"]
    fork = s.fork()
    assert found(rt.search("thoughts")) == {(s.id, "message"), (fork.id, "message")}
    rt.delete_session(s.id)
    assert found(rt.search("thoughts")) == {(fork.id, "message")}


def test_sessions_are_chosen_by_their_criteria(rt: Runtime) -> None:
    a = rt.create_session(tags=["x", "y"], created_by="ada", key="u/1", metadata={"n": 1})
    b = rt.create_session(tags=["x"], parent=a)
    for s in (a, b):
        s.add_message("user", "hello")
    b.complete()
    assert rt.search("hello").total == 2
    assert found(rt.search("hello", status="active")) == {(a.id, "message")}
    assert found(rt.search("hello", tags=["x", "y"])) == {(a.id, "message")}
    assert found(rt.search("hello", created_by="ada")) == found(rt.search("hello", key_prefix="u/"))
    assert found(rt.search("hello", metadata={"n": 1}, created_after=0)) == {(a.id, "message")}
    assert found(rt.search("hello", parent=a)) == found(rt.search("hello", session=b)) == {(b.id, "message")}
    assert not rt.search("hello", updated_before=1)
    assert not rt.search("hello", tags=["none"])


def test_pages_have_each_hit_once_while_more_is_written(rt: Runtime) -> None:
    s = rt.create_session()
    s.add_messages([{"role": "user", "content": f"word {number}"} for number in range(25)])
    pages = [rt.search("word", limit=10)]
    while pages[-1].next_cursor is not None:
        s.add_message("user", "word again")
        pages.append(rt.search("word", limit=10, cursor=pages[-1].next_cursor))
    assert [len(page) for page in pages] == [10, 10, 5]
    assert len({hit.sequence for page in pages for hit in page}) == 25
    assert not pages[-1].has_more
    with pytest.raises(ValidationError):
        rt.search("other", cursor=pages[0].next_cursor)


def test_better_hits_come_first(rt: Runtime) -> None:
    s = rt.create_session()
    s.add_message("user", "lisbon " + "filler " * 300)
    s.add_message("user", "lisbon")
    s.add_message("user", "lisbon, lisbon, lisbon")
    titled = s.store_artifact("note", "lisbon", "x")
    hits = rt.search("lisbon")
    assert hits[0].artifact == titled.id
    assert [len(hit.snippet) for hit in hits][1:] == [len("lisbon, lisbon, lisbon"), len("lisbon"), 160]
    assert sorted((hit.score for hit in hits), reverse=True) == [hit.score for hit in hits]


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "*"},
        {"text": "x" * 1025},
        {"text": 1},
        {"text": "x", "kinds": ["turn"]},
        {"text": "x", "kinds": []},
        {"text": "x", "kinds": 5},
        {"text": "x", "limit": 0},
        {"text": "x", "limit": 1001},
        {"text": "x", "cursor": "?"},
        {"text": "x", "timeout": -1},
        {"text": "x", "sort_by": "name"},
        {"text": "x", "tags": "one"},
    ],
)
def test_wrong_arguments_are_named(rt: Runtime, arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        rt.search(**arguments)  # type: ignore[arg-type]


def test_an_unknown_session_is_named(rt: Runtime) -> None:
    with pytest.raises(SessionNotFound):
        rt.search("x", session="00000000-0000-4000-8000-000000000000")


def test_a_wait_that_is_too_short_says_so_and_what_was_indexed_stays(rt: Runtime) -> None:
    for _ in range(4):
        rt.create_session().add_messages([{"role": "user", "content": "hello"}] * 1000)
    tries = 0
    with pytest.raises(OperationTimeout):
        rt.search("hello", timeout=1e-9)
    while True:
        tries += 1
        try:
            assert rt.search("hello", timeout=0.001).total == 2000
            break
        except OperationTimeout:
            assert tries < 1000


def test_the_index_is_kept_and_catches_up_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Runtime.open(path) as rt:
        s, gone = rt.create_session(), rt.create_session()
        s.add_message("user", "hello one")
        gone.add_message("user", "hello gone")
        assert rt.search("hello").total == 2
    index_path(path).rename(tmp_path / "kept")
    with Runtime.open(path) as rt:  # nobody searches here: the index hears nothing of it
        rt.session(s.id).add_message("user", "hello two")
        rt.create_session().add_message("user", "hello three")
        rt.delete_session(gone.id)
        moved = tmp_path / "bundle"
        rt.export_session(s.id, moved)
        rt.delete_session(s.id)
        rt.import_session(moved)
    (tmp_path / "kept").rename(index_path(path))
    with Runtime.open(path) as rt:
        assert sorted(hit.snippet for hit in rt.search("hello")) == ["hello one", "hello three", "hello two"]


def test_an_older_store_under_a_newer_index(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Runtime.open(path) as rt:
        s = rt.create_session()
        s.add_message("user", "hello")
        rt.backup(tmp_path / "backup")
        s.add_message("user", "hello later")
        assert rt.search("hello").total == 2
    Runtime.restore(tmp_path / "backup", tmp_path / "restored")
    shutil.copy(index_path(path), index_path(tmp_path / "restored"))
    with Runtime.open(tmp_path / "restored") as rt:
        assert [hit.snippet for hit in rt.search("hello")] == ["hello"]
        rt.session(s.id).add_message("user", "other")
        assert [hit.snippet for hit in rt.search("other")] == ["other"]
        assert not rt.search("later")


@pytest.mark.parametrize("damage", [b"no database", b""])
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "store"
    with Runtime.open(path) as rt:
        rt.create_session().add_message("user", "hello")
        assert rt.search("hello")
    index_path(path).write_bytes(damage * 1000)
    with Runtime.open(path) as rt:
        assert rt.search("hello").total == 1


def test_readers_beside_the_writer_search_too(rt: Runtime, tmp_path: Path) -> None:
    s = rt.create_session()
    s.add_message("user", "hello")
    with Runtime.open(rt.path, read_only=True) as reader:
        assert reader.search("hello").total == 1  # there is no index yet to copy
        s.add_message("user", "hello again")
        gone = rt.create_session()
        gone.add_message("user", "hello gone")
        reader.refresh()
        assert reader.search("hello").total == 3
        rt.delete_session(gone.id)
        reader.refresh()
        assert reader.search("hello").total == len(reader.search("hello")) == 2
        assert not index_path(rt.path).exists()
        assert rt.search("hello").total == 2
    with Runtime.open(rt.path, read_only=True) as reader:
        assert reader.search("hello").total == 2  # from a copy of the writer's


@pytest.mark.parametrize("durability", ["memory", "wal", "fsync"])
def test_every_durability_and_temporary_stores(durability: str) -> None:
    with Runtime.open(config={"durability": durability}) as rt:
        rt.create_session().add_message("user", "hello")
        assert rt.search("hello").total == 1


def test_what_is_erased_is_not_in_the_files_of_the_index(rt: Runtime) -> None:
    s = rt.create_session(name="Xylophone", created_by="ada")
    s.add_message("user", "quokkaword in a message")
    s.store_artifact("note", "a.txt", "quokkaword " * 100)
    kept = rt.create_session()
    kept.add_message("user", "numbatword stays")
    assert rt.search("quokkaword").total == 2

    def there(word: bytes) -> bool:
        return any(word in each.read_bytes() for each in rt.path.glob("search.sqlite*"))

    assert there(b"quokkaword")
    report = rt.erase("ada", needles=["quokkaword", "xylophone"])
    assert report.clean, report.needles
    assert not there(b"quokkaword")
    assert not there(b"xylophone")
    assert there(b"numbatword")
    assert rt.search("numbatword")


def test_the_background_indexes_once_somebody_has_searched(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        indexer = rt._parts.search.indexer
        s = rt.create_session()
        s.add_message("user", "hello")
        assert not indexer.is_needed
        rt.search("hello")
        s.add_message("user", "hello again")
        assert indexer.is_needed
        rt._parts.search._index()
        assert not indexer.is_needed
        with sqlite3.connect(index_path(rt.path)) as file:
            assert file.execute("SELECT count(*) FROM documents").fetchone() == (2,)


async def _async_search() -> list[str]:
    async with await AsyncRuntime.open() as rt:
        s = await rt.create_session()
        await s.add_message("user", "hello there")
        return [hit.marked() for hit in await rt.search("there")]


def test_the_asynchronous_twin() -> None:
    import asyncio

    assert asyncio.run(_async_search()) == ["hello **there**"]


_WRITER = """
import sys
from greenroom.runtime import Runtime

rt = Runtime.open(sys.argv[1])
number = 0
sessions = []
while True:
    s = rt.create_session(name=f"session{number}")
    sessions.append(s)
    s.add_message("user", f"hello number{number}")
    if number % 3 == 2:
        sessions.pop(0).delete()
    if number % 2:
        rt.search("hello")
    number += 1
    print(number, flush=True)
"""


@pytest.mark.parametrize("steps", [3, 8, 17, 40])
def test_after_kill_9_it_finds_what_is_there(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "store"
    with WarmPopen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= steps:
                break
        process.kill()
    with Runtime.open(path) as rt:
        there = {info.id for info in rt.list_sessions(limit=None) if rt.session(info.id).messages()}
        assert {hit.session_id for hit in rt.search("hello", limit=1000, kinds="message")} == there
        assert rt.search("session*", limit=1000, kinds="name").total == rt.count_sessions()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("DELETE FROM documents WHERE id = 1", "not in the index"),
        ("UPDATE documents SET version = 77 WHERE id = (SELECT min(id) FROM documents WHERE kind = 0)", "other words"),
        ("UPDATE texts SET body = 'other' WHERE rowid = (SELECT min(id) FROM documents WHERE kind = 0)", "other words"),
        ("INSERT INTO documents (session, kind, number) VALUES (1, 0, 999)", "does not have"),
        ("UPDATE sessions SET position = position + 5", ""),
    ],
)
def test_verify_compares_the_index_and_repair_makes_it_anew(tmp_path: Path, fault: str, told: str) -> None:
    path = tmp_path / "store"
    with Runtime.open(path) as rt:
        s = rt.create_session(name="hello name")
        s.add_message("user", "hello")
        s.edit_message(s.add_message("user", "bye").sequence, content="hello again")
        s.store_artifact("note", "hello.txt", b"hello")
        rt.create_session().add_message("user", "hello")
        assert rt.search("hello").total == 5
        assert rt.verify().problems == []
    with sqlite3.connect(index_path(path)) as file:
        file.execute(fault)
    file.close()
    with Runtime.open(path) as rt:
        problems = rt.verify().problems
        assert [(each.kind, each.repaired) for each in problems] == ([("search", None)] if told else [])
        assert all(told in each.detail for each in problems)
        assert rt.verify(repair=True).ok
        assert rt.verify().problems == []
        assert len(rt.search("hello")) == 5


def test_verify_makes_no_index(rt: Runtime) -> None:
    rt.create_session().add_message("user", "hello")
    assert rt.verify(repair=True).problems == []
    assert not index_path(rt.path).exists()


def test_repair_makes_an_index_anew_whose_pages_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Runtime.open(path) as rt:
        s = rt.create_session()
        s.add_messages([{"role": "user", "content": f"hello number{number}"} for number in range(2000)])
        assert rt.search("hello").total == 2000
    data = index_path(path).read_bytes()
    index_path(path).write_bytes(data[:8192] + b"\xaa" * (len(data) - 8192))
    with Runtime.open(path) as rt:
        assert {each.kind for each in rt.verify().problems} == {"search"}
        assert rt.verify(repair=True).ok
        assert rt.search("number7", kinds="message").total == 1
        assert rt.verify().problems == []
