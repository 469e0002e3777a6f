"""Backups of state: made, listed, checked and restored while the store is in use."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from greenroom.runtime import (
    AccessDenied,
    GreenroomError,
    IntegrityError,
    InvalidOperation,
    Runtime,
    RuntimeClosed,
    Session,
    StorageError,
    ValidationError,
)

VALUES = {"a": 1, "b": [None, 1.5, {"x": b"\xff"}], "ü\x00": "", "c": None}


def test_a_scope_is_again_what_it_was(rt: Runtime, session: Session) -> None:
    scope = rt.state_scope("user:7")
    scope.update(VALUES)
    session.update({"k": 1})
    made = rt.state_backups.create(["user:7", session], description="before")
    assert (made.scopes, made.entries, made.description) == (("user:7", f"session:{session.id}"), 5, "before")
    scope.clear()
    scope.update({"a": 1, "later": 1})
    session.set("k", 2)
    before = session.info().sequence
    restored = rt.state_backups.restore(made.id)
    assert (restored.set, restored.deleted, restored.failures) == (4, 1, ())
    assert scope.list() == VALUES
    assert session.variables() == {"k": 1}
    assert [event.type for event in session.events(after=before)] == ["variable.set"]
    assert session.at(sequence=before).variables == {"k": 2}
    assert (again := rt.state_backups.restore(made.id)).set == again.deleted == 0
    assert rt.replay(session).identical
    assert rt.verify().problems == []


def test_by_default_it_is_of_all_scopes_of_the_host(rt: Runtime, session: Session) -> None:
    session.set("k", 1)
    rt.templates.save("preset", {"tags": ["t"]})
    for name in ("global", "user:7", "custom:x"):
        rt.state_scope(name).set("k", name)
    made = rt.state_backups.create()
    assert sorted(made.scopes) == ["custom:x", "global", "user:7"]
    for name in made.scopes:
        rt.state_scope(name).set("k", 1)
    assert rt.state_backups.restore(made.id, "user:7").scopes == ("user:7",)
    assert [rt.state_scope(name).get("k") for name in ("global", "user:7")] == [1, "user:7"]
    with pytest.raises(ValidationError):
        rt.state_backups.restore(made.id, ["user:7", "user:8"])


def test_an_incremental_one_leaves_what_has_not_changed_where_it_is(rt: Runtime) -> None:
    large, small = rt.state_scope("user:large"), rt.state_scope("user:small")
    large.set("k", "x" * 100_000)
    small.set("k", 0)
    first = rt.state_backups.create(incremental=True)
    assert not first.is_incremental
    for number in range(1, 4):
        small.set("k", number)
        last = rt.state_backups.create(incremental=True)
        assert last.is_incremental
        assert last.size_bytes < 1000
    large.clear()
    small.clear()
    assert len(rt.state_backups.cleanup(keep=1, dry_run=True).removed) == 2
    removed = rt.state_backups.cleanup(keep=1)
    assert first.id in removed.kept  # the newest one needs it
    assert len(removed.removed) == 2
    rt.state_backups.restore(last.id)
    assert (len(str(large.get("k"))), small.get("k")) == (100_000, 3)
    (rt.state_backups.directory / f"{first.id}.state").unlink()
    found = rt.state_backups.validate(last.id)
    assert (found.is_valid, found.checksum_valid, found.integrity_valid) == (False, True, False)
    with pytest.raises(IntegrityError):
        rt.state_backups.restore(last.id)


def test_old_ones_are_removed_by_number_and_by_age(store_path: Path, clock: Any) -> None:
    with Runtime.open(store_path, clock=clock) as rt:
        rt.state_scope("global").set("k", 1)
        made = []
        for _ in range(12):
            made.append(rt.state_backups.create().id)
            clock.advance(86_400)
        assert [each.id for each in rt.state_backups.list()] == made[::-1]
        assert rt.state_backups.cleanup(dry_run=True).removed == (made[1], made[0])
        assert rt.state_backups.usage().backups == 12
        assert rt.state_backups.cleanup(max_age_days=5.5).kept == tuple(made[:6:-1])
        assert rt.state_backups.cleanup(keep=2, max_age_days=1).removed == tuple(made[10:6:-1])
        assert rt.state_backups.cleanup(max_age_days=0).removed == ()  # the newest one stays
        usage = rt.state_backups.usage()
        assert (usage.backups, usage.full, usage.incremental) == (1, 1, 0)
        assert usage.size_bytes == (rt.state_backups.directory / f"{made[-1]}.state").stat().st_size


def test_every_changed_byte_is_found_and_nothing_is_restored(rt: Runtime) -> None:
    scope = rt.state_scope("user:7")
    scope.set("k", "value")
    made = rt.state_backups.create()
    path = rt.state_backups.directory / f"{made.id}.state"
    whole = path.read_bytes()
    scope.set("k", "other")
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = rt.state_backups.validate(made.id)
        assert not found.is_valid
        assert found.errors
        with pytest.raises(IntegrityError):
            rt.state_backups.restore(made.id)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert not rt.state_backups.validate(made.id).is_valid
    assert rt.state_backups.list() == []
    assert scope.get("k") == "other"
    path.write_bytes(whole)
    assert rt.state_backups.validate(made.id).is_valid


@pytest.mark.parametrize("name", ["../x", "", "a/b", "20260101-000000-000000000-00000000", "\x00", "x" * 300])
def test_only_backups_are_named(rt: Runtime, name: str) -> None:
    rt.state_scope("global").set("k", 1)
    rt.state_backups.create()
    for call in (rt.state_backups.get, rt.state_backups.validate, rt.state_backups.restore):
        with pytest.raises(ValidationError):
            call(name)


def test_a_link_in_the_directory_leads_nowhere(rt: Runtime, tmp_path: Path) -> None:
    rt.state_scope("global").set("k", 1)
    made = rt.state_backups.create()
    path = rt.state_backups.directory / f"{made.id}.state"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not rt.state_backups.validate(made.id).is_valid
    with pytest.raises(StorageError):
        rt.state_backups.restore(made.id)


def test_values_of_older_versions_are_migrated(rt: Runtime, session: Session) -> None:
    rt.schemas.register("k", 1, {"type": "integer"})
    session.set("k", 1)
    session.set("other", 1)
    made = rt.state_backups.create(session)
    rt.schemas.register("k", 2, {"type": "object"}, migrate={1: lambda old: {"was": old}})
    session.set("k", {})
    assert rt.state_backups.restore(made.id).set == 1
    assert session.get("k") == {"was": 1}
    rt.schemas.register("k", 3, {"type": "string"})
    failures = rt.state_backups.restore(made.id).failures
    assert [(each.code, each.scope) for each in failures] == [("ValidationError", f"session:{session.id}")]
    assert session.get("k") == {"was": 1}


def test_what_cannot_be_restored_is_reported_and_the_rest_is(rt: Runtime) -> None:
    gone, ended, scope = rt.create_session(), rt.create_session(), rt.state_scope("user:7")
    for place in (gone, ended, scope):
        place.set("k", 1)
    made = rt.state_backups.create([gone, ended, "user:7"])
    for place in (gone, ended, scope):
        place.set("k", 2)
    ended.complete()
    gone.delete()
    restored = rt.state_backups.restore(made.id)
    assert [each.code for each in restored.failures] == ["SessionNotFound", "InvalidSessionState"]
    assert restored.scopes == ("user:7",)
    assert scope.get("k") == 1
    assert rt.state_backups.restore(made.id, gone.id).failures[0].code == "SessionNotFound"


def test_backups_stay_with_the_store_and_are_readable_beside_it(store_path: Path, tmp_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        rt.state_scope("global").set("k", 1)
        made = rt.state_backups.create()
    with Runtime.open(store_path, read_only=True) as rt:
        assert rt.state_backups.get(made.id) == made
        assert rt.state_backups.validate(made.id).is_valid
        with pytest.raises(InvalidOperation):
            rt.state_backups.restore(made.id)
    with Runtime.open(store_path, config={"state_backups": tmp_path / "else" / "where"}) as rt:
        assert rt.state_backups.list() == []
        rt.state_backups.create()
        assert len(os.listdir(tmp_path / "else" / "where")) == 1
    with pytest.raises(RuntimeClosed):
        rt.state_backups.list()


def test_a_directory_that_cannot_be_used_is_said(store_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with Runtime.open(store_path, config={"state_backups": tmp_path / "file"}) as rt:
        rt.state_scope("global").set("k", 1)
        with pytest.raises(StorageError, match="file cannot be used"):
            rt.state_backups.create()


def test_the_backups_of_a_temporary_store_go_with_it() -> None:
    with Runtime.open() as rt:
        rt.state_scope("global").set("k", 1)
        rt.state_backups.create()
        assert rt.state_backups.directory.is_dir()
    assert not rt.state_backups.directory.exists()


def test_backups_are_the_hosts(rt: Runtime, session: Session) -> None:
    made = rt.state_backups.create(session)
    tries: dict[str, Callable[[], object]] = {
        "create": lambda: rt.state_backups.create(session),
        "list": rt.state_backups.list,
        "get": lambda: rt.state_backups.get(made.id),
        "validate": lambda: rt.state_backups.validate(made.id),
        "restore": lambda: rt.state_backups.restore(made.id),
        "cleanup": rt.state_backups.cleanup,
        "usage": rt.state_backups.usage,
    }
    rt.tools.register("try", lambda name: tries[name]())
    for name in tries:
        with pytest.raises(AccessDenied):
            session.call_tool("try", {"name": name})


class Restored(RuleBasedStateMachine):
    """Two places beside a model, with backups, restores, clean-ups and reopenings between."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.rt = self.opened()
        self.places = [f"session:{self.rt.create_session().id}", "user:7"]
        self.model: dict[str, dict[str, Any]] = {place: {} for place in self.places}
        self.made: dict[str, dict[str, dict[str, Any]]] = {}

    def opened(self) -> Runtime:
        return Runtime.open(self.folder / "store", config={"handle_signals": False})

    def handle(self, place: str) -> Any:
        if place.startswith("session:"):
            return self.rt.session(place.removeprefix("session:"))
        return self.rt.state_scope(place)

    @rule(at=st.integers(0, 1), key=st.sampled_from("kl"), value=st.integers(0, 3))
    def set(self, at: int, key: str, value: int) -> None:
        self.handle(self.places[at])[key] = value
        self.model[self.places[at]][key] = value

    @rule(at=st.integers(0, 1), key=st.sampled_from("kl"))
    def delete(self, at: int, key: str) -> None:
        if self.model[self.places[at]].pop(key, None) is not None:
            del self.handle(self.places[at])[key]

    @rule(which=st.sampled_from([(0,), (1,), (0, 1)]), incremental=st.booleans())
    def back_up(self, which: tuple[int, ...], incremental: bool) -> None:
        names = [self.places[at] for at in which]
        made = self.rt.state_backups.create(names, incremental=incremental)
        self.made[made.id] = {name: {**self.model[name]} for name in names}

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        if self.made:
            made = data.draw(st.sampled_from(sorted(self.made)))
            assert self.rt.state_backups.validate(made).is_valid
            assert not self.rt.state_backups.restore(made).failures
            for name, values in self.made[made].items():
                self.model[name] = {**values}
        for name in self.places:
            handle = self.handle(name)
            assert (handle.variables() if isinstance(handle, Session) else handle.list()) == self.model[name]

    @rule(keep=st.integers(1, 3))
    def clean_up(self, keep: int) -> None:
        newest = sorted(self.made, reverse=True)[:keep]
        removed = self.rt.state_backups.cleanup(keep)
        assert not {*removed.removed} & {*newest}
        for each in removed.removed:
            del self.made[each]
        assert [each.id for each in self.rt.state_backups.list()] == sorted(self.made, reverse=True)

    @rule()
    def reopen(self) -> None:
        self.rt.close()
        self.rt = self.opened()

    def teardown(self) -> None:
        self.rt.close()
        shutil.rmtree(self.folder)


Restored.TestCase.settings = settings(max_examples=6, stateful_step_count=20, deadline=None)
TestRestored = Restored.TestCase


def test_a_file_that_is_no_backup_never_raises_anything_but_typed_errors(rt: Runtime) -> None:
    rt.state_scope("global").set("k", 1)
    made = rt.state_backups.create()
    path = rt.state_backups.directory / f"{made.id}.state"
    for content in (b"", b"\x00" * 100, b"GRSTATE1", b"\xff" * 36 + b"GRSTATE1"):
        path.write_bytes(content)
        assert not rt.state_backups.validate(made.id).is_valid
        with pytest.raises(GreenroomError):
            rt.state_backups.get(made.id)
