"""Keys: the names that a host gives its sessions, each unique in the store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    HookCancelled,
    HookResult,
    InvalidOperation,
    Runtime,
    Session,
    SessionAlreadyExists,
    SessionNotFound,
    ValidationError,
)
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF

KEYS = ["user-7/chat-3", "a", "x" * 512, "名" * 170, "line\nand\0nul", " ", "-", "é", "e\u0301", "K", "k"]


def sound(rt: Runtime) -> bool:
    return rt.verify().problems == []


# -- one session for each key


def test_a_session_is_found_by_its_key(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        made = {key: rt.create_session(name=f"n{at}", key=key).id for at, key in enumerate(KEYS)}
        rt.create_session()
        for key, session_id in made.items():
            assert rt.session(key=key).id == session_id
            assert rt.session(key=key).info().key == key
            assert rt.get_or_create(key).id == session_id
        assert sound(rt)
    with Runtime.open(store_path) as rt:
        assert {key: rt.session(key=key).id for key in KEYS} == made
    with Runtime.open(store_path, read_only=True) as rt:
        assert {key: rt.get_or_create(key).id for key in KEYS} == made
        with pytest.raises(InvalidOperation):
            rt.get_or_create("another")


def test_a_session_without_a_key_tells_of_none(rt: Runtime) -> None:
    session = rt.create_session()
    assert session.info().key is None
    assert session.info().to_dict()["key"] is None
    assert "key" not in next(iter(session.events())).data


def test_the_first_event_has_the_key(rt: Runtime) -> None:
    assert next(iter(rt.create_session(key="k").events())).data["key"] == "k"


def test_a_taken_key_is_refused(rt: Runtime) -> None:
    first = rt.create_session(key="k")
    with pytest.raises(SessionAlreadyExists) as refused:
        rt.create_session(name="second", key="k")
    assert (refused.value.key, refused.value.session_id) == ("k", first.id)
    assert rt.count_sessions() == 1
    assert sound(rt)


def test_an_unknown_key_names_no_session(rt: Runtime) -> None:
    with pytest.raises(SessionNotFound) as missing:
        rt.session(key="k")
    assert missing.value.key == "k"


@pytest.mark.parametrize("key", ["", "x" * 513, "名" * 171, "\ud800", 7, b"k", ["k"]])
def test_what_is_no_key_is_refused(rt: Runtime, key: Any) -> None:
    lookups: list[Callable[..., Any]] = [rt.create_session, rt.get_or_create, rt.session]
    for call in lookups:
        with pytest.raises(ValidationError) as refused:
            call(key=key)
        assert refused.value.field == "key"
    assert rt.count_sessions() == 0


def test_a_session_is_named_by_id_or_by_key(rt: Runtime) -> None:
    session = rt.create_session(key="k")
    with pytest.raises(ValidationError):
        rt.session(session.id, key="k")
    with pytest.raises(ValidationError):
        rt.session()


def test_options_hold_for_the_one_who_creates(rt: Runtime) -> None:
    parent = rt.create_session()
    first = rt.get_or_create("k", name="first", tags=["t"], metadata={"a": 1}, parent=parent, created_by="ann")
    again = rt.get_or_create("k", name="second", tags=["u"])
    assert again == first
    info = again.info()
    assert (info.name, info.tags, info.custom_metadata, info.created_by) == ("first", ("t",), {"a": 1}, "ann")
    assert info.parent_session_id == parent.id


@pytest.mark.parametrize("end", ["suspend", "complete", "archive"])
def test_a_session_keeps_its_key_whatever_becomes_of_it(rt: Runtime, end: str) -> None:
    session = rt.create_session(key="k")
    if end == "archive":
        session.complete()
    getattr(session, end)()
    assert rt.get_or_create("k") == session
    with pytest.raises(SessionAlreadyExists):
        rt.create_session(key="k")


def test_deleting_frees_the_key(rt: Runtime) -> None:
    first = rt.create_session(key="k")
    first.delete()
    with pytest.raises(SessionNotFound):
        rt.session(key="k")
    second = rt.get_or_create("k")
    assert second != first
    assert sound(rt)


def test_a_fork_begins_without_the_key(rt: Runtime) -> None:
    session = rt.create_session(key="k")
    session.set("a", 1)
    fork = session.fork()
    assert fork.info().key is None
    assert rt.session(key="k") == session
    fork.delete()
    assert rt.session(key="k") == session
    assert sound(rt)


def test_a_template_has_no_key(rt: Runtime) -> None:
    with pytest.raises(ValidationError):
        rt.templates.save("t", {"key": "k"})
    rt.templates.save("t", {"tags": ["x"]})
    assert rt.get_or_create("k", template="t").info().tags == ("x",)


def test_a_key_survives_snapshots_and_truncation(rt: Runtime) -> None:
    session = rt.create_session(key="k")
    for at in range(50):
        session.set("a", at)
    session.save()
    rt.retention(max_journal_events=5, dry_run=False)
    rt.core.supervisor.forget()
    assert session.info().key == "k"
    fork = session.fork()
    assert fork.info().key is None
    session.delete()
    assert rt.get_or_create("k") != session
    assert sound(rt)


# -- of many callers one creates


def test_of_many_callers_one_creates(rt: Runtime) -> None:
    created: list[str] = []
    rt.hooks.register("SessionCreated", lambda context: created.append(context.session_id or ""))
    gate = threading.Barrier(32)
    found: list[tuple[str, str]] = []

    def call(at: int) -> None:
        gate.wait()
        found.extend((key, rt.get_or_create(key).id) for key in (f"k{n % 4}" for n in range(at, at + 4)))

    threads = [threading.Thread(target=call, args=(at,)) for at in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 128
    assert len(set(found)) == 4
    assert sorted(created) == sorted({session_id for _, session_id in found})
    assert sound(rt)


def test_of_many_creators_one_wins(rt: Runtime) -> None:
    gate = threading.Barrier(16)
    made: list[Session] = []
    refused: list[str] = []

    def call() -> None:
        gate.wait()
        try:
            made.append(rt.create_session(key="k"))
        except SessionAlreadyExists as error:
            refused.append(error.session_id)

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert refused == [made[0].id] * 15


def test_a_veto_reaches_the_caller_and_frees_the_key(rt: Runtime) -> None:
    veto = rt.hooks.register("BeforeSessionCreated", lambda context: HookResult.cancel("not today"))
    with pytest.raises(HookCancelled):
        rt.get_or_create("k")
    veto.unregister()
    assert rt.get_or_create("k").info().key == "k"


def test_hooks_see_the_key_and_cannot_change_it(rt: Runtime) -> None:
    seen: list[Any] = []

    def look(context: Any) -> Any:
        seen.append(context.data["key"])
        return HookResult.modified({**context.data, "key": "another"}) if context.data["key"] == "k" else None

    rt.hooks.register("BeforeSessionCreated", look)
    with pytest.raises(HookCancelled, match="changed the key"):
        rt.get_or_create("k")
    assert rt.get_or_create("l").info().key == "l"
    assert seen == ["k", "l"]
    with pytest.raises(SessionNotFound):
        rt.session(key="another")


# -- keys grant nothing


def test_code_of_a_session_gives_no_keys(rt: Runtime) -> None:
    mine = rt.create_session(key="mine")
    other = rt.create_session(key="other")
    with acting(principal=mine.id, realm=rt.core.security):
        assert rt.session(key="mine") == mine
        assert rt.get_or_create("mine") == mine
        with pytest.raises(SessionNotFound):
            rt.session(key="other")
        for key in ("other", "new"):
            with pytest.raises(AccessDenied):
                rt.get_or_create(key)
            with pytest.raises(AccessDenied):
                rt.create_session(key=key)
    assert rt.session(key="other") == other
    with pytest.raises(SessionNotFound):
        rt.session(key="new")


def test_scripts_name_sessions_by_key(rt: Runtime) -> None:
    source = """
        local id = Session.create { name = "n", key = "a/1" }
        assert(Session.getOrCreate("a/1") == id)
        local other = Session.getOrCreate("a/2", { name = "second" })
        assert(other ~= id and other.name == "second" and other.key == "a/2")
        assert(not pcall(Session.create, { key = "a/1" }))
        return Session.get(id).key
    """
    assert rt.run_script(source).value == "a/1"
    mine = rt.create_session()
    bound = "local ok, e = pcall(Session.getOrCreate, ...) return { ok, e.code }"
    assert rt.run_script(bound, session=mine, args=["a/1"]).value == [False, "AccessDenied"]
    assert rt.run_script(bound, session=mine, args=["a/3"]).value == [False, "AccessDenied"]


# -- bundles


@pytest.fixture
def bundle(rt: Runtime, tmp_path: Path) -> Path:
    session = rt.create_session(name="n", key="k")
    session.add_message("user", "hi")
    rt.export_session(session.id, tmp_path / "b")
    return tmp_path / "b"


@pytest.mark.parametrize("keep_ids", [True, False])
@pytest.mark.parametrize("history", [True, False])
def test_an_imported_session_keeps_a_free_key(rt: Runtime, tmp_path: Path, keep_ids: bool, history: bool) -> None:
    session = rt.create_session(key="k")
    rt.export_session(session.id, tmp_path / "b", history=history)
    with Runtime.open(tmp_path / "other") as other:
        came = other.import_session(tmp_path / "b", keep_ids=keep_ids)
        assert other.session(key="k") == came
        assert "dropped_key" not in list(came.events())[-1].data
        assert sound(other)


def test_an_import_that_keeps_ids_is_refused_for_a_taken_key(rt: Runtime, bundle: Path, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "other") as other:
        there = other.create_session(key="k")
        with pytest.raises(SessionAlreadyExists) as refused:
            other.import_session(bundle)
        assert (refused.value.key, refused.value.session_id) == ("k", there.id)
        assert other.count_sessions() == 1
        assert sound(other)


def test_an_import_with_new_ids_leaves_a_taken_key_behind(rt: Runtime, bundle: Path) -> None:
    session = rt.session(key="k")
    copy = rt.import_session(bundle, keep_ids=False)
    assert copy.info().key is None
    assert list(copy.events())[-1].data["dropped_key"] == "k"
    assert rt.session(key="k") == session
    rt.core.supervisor.forget()
    assert copy.info().key is None
    copy.delete()
    assert rt.session(key="k") == session
    assert sound(rt)


# -- verify and repair


def test_verify_finds_wrong_entries_of_keys(rt: Runtime) -> None:
    session = rt.create_session(key="k")
    engine = rt.core.store.engine
    assert engine.get(CF.INDEX, b"kk") == session_bytes(session.id)
    engine.write([(CF.INDEX, b"kk", None), (CF.INDEX, b"kx", session_bytes(session.id)), (CF.INDEX, b"ky", b"?")])
    assert [problem.kind for problem in rt.verify().problems] == ["index"] * 3
    assert rt.verify(repair=True).ok
    assert rt.verify().problems == []
    assert rt.session(key="k") == session
    assert engine.get(CF.INDEX, b"kx") is engine.get(CF.INDEX, b"ky") is None


def test_a_damaged_session_gives_its_key_back(rt: Runtime) -> None:
    session = rt.create_session(key="k")
    session.set("a", 1)
    rt.core.supervisor.forget()
    rt.core.store.engine.write([(CF.JOURNAL, sequence_key(session_bytes(session.id), 2), b"broken")])
    rt.delete_session(session.id)
    assert rt.get_or_create("k") != session
    assert sound(rt)


def test_a_lost_first_event_leaves_the_key(rt: Runtime) -> None:
    session = rt.create_session(key="k")
    session.set("a", 1)
    rt.core.supervisor.forget()
    rt.core.store.engine.write([(CF.JOURNAL, sequence_key(session_bytes(session.id), 1), b"broken")])
    rt.verify(repair=True)
    assert rt.session(key="k").info().key == "k"
    assert sound(rt)
