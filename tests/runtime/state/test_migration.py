"""Values of older versions become new ones: all of a scope or session in one write, or none of it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greenroom.runtime import (
    Conflict,
    HookCancelled,
    HookContext,
    InvalidOperation,
    InvalidSessionState,
    MigratedValue,
    Runtime,
    Session,
    ValidationError,
)

from ...warm import WarmPopen

WORKER = Path(__file__).with_name("migration_worker.py")


def wrapped(rt: Runtime) -> None:
    """Version 2 has what version 1 was in an object."""
    rt.schemas.register("it", 2, {"type": "object"}, keys="k*", migrate={1: lambda old: {"was": old}})


@pytest.fixture
def old(rt: Runtime) -> Session:
    """A session with two values of version 1, one without a version, and another one."""
    session = rt.create_session()
    session.update({"k0": {"before": True}, "other": 1})
    rt.schemas.register("it", 1, keys="k*")
    session.update({"k1": 1, "k2": [2]})
    return session


def test_all_values_are_migrated_in_one_write_and_as_events(rt: Runtime, old: Session) -> None:
    wrapped(rt)
    assert rt.schemas.status(old).to_dict() == {
        "schemas": {"it": {"schema": "it", "current": 2, "versions": {"0": 1, "1": 2}, "pending": 3, "newer": 0}},
        "pending": 3,
    }
    before, commits = old.info().sequence, rt._store.commits
    assert rt.schemas.migrate(old, dry_run=True).migrated == (
        MigratedValue("k0", "it", 0, 2),
        MigratedValue("k1", "it", 1, 2),
        MigratedValue("k2", "it", 1, 2),
    )
    assert old.info().sequence == before
    rt.schemas.register("it", 2, {"type": "object"}, keys="k*", migrate={1: lambda old: {"was": old}, 0: lambda v: v})
    assert len(rt.schemas.migrate(old).migrated) == 3
    assert rt._store.commits == commits + 1
    assert old.variables() == {
        "k0": {"was": {"before": True}}, "k1": {"was": 1}, "k2": {"was": [2]}, "other": 1
    }  # fmt: skip
    assert [event.type for event in old.events(after=before)] == ["variable.set"] * 3
    assert rt.schemas.migrate(old).migrated == ()
    assert rt.schemas.status(old).pending == 0
    assert rt.replay(old).identical
    assert old.at(sequence=before).variables["k1"] == 1


def test_one_key_can_be_migrated_alone(rt: Runtime, old: Session) -> None:
    wrapped(rt)
    assert rt.schemas.migrate(old, "k2").migrated == (MigratedValue("k2", "it", 1, 2),)
    assert (old.get("k1"), old.get("k2")) == (1, {"was": [2]})
    assert rt.schemas.migrate(old, "other").migrated == ()


def test_steps_follow_each_other_and_may_be_missing(rt: Runtime, session: Session) -> None:
    session.set("k", "a")
    steps = {each: (lambda old, each=each: f"{old}{each}") for each in (0, 1, 3)}
    rt.schemas.register("k", 5, {"type": "string"}, migrate=steps)
    rt.schemas.migrate(session)
    assert session.get("k") == "a013"


def test_a_value_that_does_not_fit_in_the_end_leaves_all_as_it_was(rt: Runtime, old: Session) -> None:
    rt.schemas.register("it", 2, {"type": "array"}, keys="k*", migrate={1: lambda old: old})
    before = old.info().sequence
    with pytest.raises(ValidationError, match=r"k0: does not fit 'type': array \(schema 'it', version 2\)"):
        rt.schemas.migrate(old)
    assert old.info().sequence == before
    assert len(rt.schemas.migrate(old, "k2").migrated) == 1


def test_a_function_that_fails_is_named_and_its_words_are_not(rt: Runtime, old: Session) -> None:
    def fail(value: Any) -> Any:
        raise KeyError("secret")

    rt.schemas.register("it", 2, keys="k*", migrate={1: fail})
    with pytest.raises(
        InvalidOperation, match=r"the function for version 1 failed at 'k0' of session:.* KeyError"
    ) as no:
        rt.schemas.migrate(old)
    assert "secret" not in str(no.value)
    assert isinstance(no.value.__cause__, KeyError)
    assert no.value.fields["key"] == "k0"
    rt.schemas.register("it", 2, keys="k*", migrate={1: lambda old: object()})
    with pytest.raises(ValidationError):
        rt.schemas.migrate(old)
    assert old.get("k1") == 1


def test_a_function_may_change_the_value_that_it_gets(rt: Runtime, session: Session) -> None:
    rt.schemas.register("k", 1)
    session.set("k", {"a": [1]})

    def change(old: Any) -> Any:
        old["a"].append(2)
        return old

    rt.schemas.register("k", 2, migrate={1: change})
    rt.schemas.migrate(session)
    assert session.get("k") == {"a": [1, 2]}


def test_a_hook_sees_what_will_be_migrated_and_can_refuse(rt: Runtime, old: Session) -> None:
    wrapped(rt)
    seen: list[Any] = []

    def refuse(context: HookContext) -> str:
        seen.append((context.session_id, context.operation, context.data["scope"], len(context.data["values"])))
        return "cancel"

    handle = rt.hooks.register("StateMigration", refuse)
    with pytest.raises(HookCancelled):
        rt.schemas.migrate(old)
    assert seen == [(old.id, "MigrateState", f"session:{old.id}", 3)]
    assert old.get("k1") == 1
    assert rt.schemas.migrate_all().failures[0].code == "HookCancelled"
    handle.unregister()
    rt.hooks.register("StateMigration", lambda context: seen.append(context.data["values"][0]))
    rt.state_scope("user:7").set("k9", {})
    rt.schemas.register("it", 3, keys="k*")
    rt.schemas.migrate("user:7")
    assert seen[-1] == {"key": "k9", "schema": "it", "from_version": 2, "to_version": 3}


def test_a_value_that_is_set_meanwhile_is_not_overwritten(rt: Runtime, session: Session) -> None:
    rt.schemas.register("k", 1)
    session.set("k", 1)
    calls = 0

    def slow(old: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= 2:
            rt.schemas.register("k", 1)
            session.set("k", old + 10)
            rt.schemas.register("k", 2, migrate={1: slow})
        return {"was": old}

    rt.schemas.register("k", 2, migrate={1: slow})
    assert len(rt.schemas.migrate(session).migrated) == 1
    assert session.get("k") == {"was": 21}
    calls = -1000
    rt.schemas.register("k", 1)
    session.set("k", 0)
    rt.schemas.register("k", 2, migrate={1: slow})
    with pytest.raises(Conflict):
        rt.schemas.migrate(session)


def test_what_a_newer_version_has_checked_is_left_alone(rt: Runtime, session: Session) -> None:
    rt.schemas.register("k", 5)
    session.set("k", "new")
    rt.schemas.register("k", 2, migrate={1: lambda old: "spoilt"})
    assert rt.schemas.migrate(session).migrated == ()
    status = rt.schemas.status(session).schemas["k"]
    assert (status.newer, status.pending, session.get("k")) == (1, 0, "new")


def test_everywhere_what_cannot_be_migrated_is_reported_and_the_rest_is(rt: Runtime, old: Session) -> None:
    rt.schemas.register("it", 1, keys="k*")
    good, ended = rt.create_session(), rt.create_session()
    for place in (good, ended, rt.state_scope("user:7"), rt.state_scope("global")):
        place.set("k", {"n": 1})
    ended.complete()
    rt.schemas.register("it", 2, {"type": "object"}, keys="k*", migrate={})
    told: list[tuple[int, int]] = []
    dry = rt.schemas.migrate_all(dry_run=True)
    run = rt.schemas.migrate_all(on_progress=lambda done, values: told.append((done, values)))
    assert (run.values, run.places, run.skipped) == (3, 3, 1)
    assert dry.values == 4
    assert [(each.scope, each.code) for each in run.failures] == [(f"session:{old.id}", "ValidationError")]
    assert told[-1][1] == 3
    assert rt.schemas.status().to_dict()["pending"] == 4  # of the ended session, and of the one with a wrong value
    with pytest.raises(InvalidSessionState):
        rt.schemas.migrate(ended)
    assert rt.verify().problems == []


def test_a_read_only_runtime_knows_what_there_is_to_migrate(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        rt.schemas.register("k", 1)
        rt.create_session().set("k", 1)
    with Runtime.open(store_path, read_only=True) as rt:
        rt.schemas.register("k", 2)
        assert rt.schemas.status().pending == 1
        with pytest.raises(InvalidOperation):
            rt.schemas.migrate_all()


def test_after_a_kill_each_session_is_of_one_version_and_the_rest_is_migrated_later(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        rt.schemas.register("it", 1, keys="k*")
        ids = [rt.create_session().id for _ in range(40)]
        for id in ids:
            rt.session(id).update({f"k{number}": number for number in range(20)})
    for kill in range(3):
        command = [sys.executable, str(WORKER), str(store_path)]
        with WarmPopen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            for count, _ in enumerate(worker.stdout):
                if count == 5 + 4 * kill:
                    worker.send_signal(signal.SIGKILL)
            assert worker.wait() == -signal.SIGKILL
        with Runtime.open(store_path) as rt:
            wrapped(rt)
            for id in ids:
                found = rt.schemas.versions(id)
                assert len({each.version for each in found.values()}) == 1
                for key, each in found.items():
                    number = int(key[1:])
                    assert rt.session(id).get(key) == (number if each.version == 1 else {"was": number})
            done = 40 * 20 - rt.schemas.status().pending
            assert done >= 20 * (5 + 4 * kill)
    with Runtime.open(store_path) as rt:
        wrapped(rt)
        assert rt.schemas.migrate_all().values == 40 * 20 - done
        assert rt.schemas.status().pending == 0
        assert all(rt.session(id).get("k3") == {"was": 3} for id in ids)
        assert all(rt.replay(id).identical for id in ids[:5])
        assert rt.verify().problems == []


class Versioned(RuleBasedStateMachine):
    """A session and a scope beside a model of their values and versions, with new schemas and reopenings between. A
    value is a list of the versions that it has passed, so a step that is left out or done twice shows."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.rt = Runtime.open(self.folder, config={"handle_signals": False, "snapshot_every": 4})
        self.places = [f"session:{self.rt.create_session().id}", "user:7"]
        self.model: dict[tuple[str, str], tuple[int, list[int]]] = {}
        self.version = 0

    def register(self) -> None:
        if self.version:
            steps = {each: (lambda old, each=each: [*old, each]) for each in range(self.version)}
            schema = {"type": "array", "items": {"type": "integer"}}
            self.rt.schemas.register("it", self.version, schema, keys="k*", migrate=steps)

    def handle(self, place: str) -> Any:
        if place.startswith("session:"):
            return self.rt.session(place.removeprefix("session:"))
        return self.rt.state_scope(place)

    @rule()
    def next_version(self) -> None:
        self.version += 1
        self.register()

    @rule(at=st.integers(0, 1), key=st.sampled_from(["k1", "k2"]), value=st.lists(st.just(-1), max_size=2))
    def set(self, at: int, key: str, value: list[int]) -> None:
        self.handle(self.places[at]).set(key, value)
        self.model[self.places[at], key] = (self.version, value)

    @rule(at=st.integers(0, 1), key=st.sampled_from(["k1", "k2"]))
    def set_what_does_not_fit(self, at: int, key: str) -> None:
        if self.version:
            with pytest.raises(ValidationError):
                self.handle(self.places[at]).set(key, ["x"])

    @rule(at=st.integers(0, 1), key=st.sampled_from(["k1", "k2"]))
    def delete(self, at: int, key: str) -> None:
        if self.model.pop((self.places[at], key), None) is not None:
            del self.handle(self.places[at])[key]

    @rule(at=st.integers(0, 1), key=st.sampled_from(["k1", "k2", None]))
    def migrate(self, at: int, key: str | None) -> None:
        place = self.places[at]
        done = {each.key for each in self.rt.schemas.migrate(place, key).migrated}
        for (where, name), (version, value) in self.model.items():
            if where == place and key in (None, name) and version < self.version:
                done.remove(name)
                self.model[where, name] = (self.version, [*value, *range(version, self.version)])
        assert not done

    @rule()
    def reopen(self) -> None:
        self.rt.close()
        self.rt = Runtime.open(self.folder, config={"handle_signals": False, "snapshot_every": 4})
        self.register()

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        for place in self.places:
            handle = self.handle(place)
            values = handle.variables() if isinstance(handle, Session) else handle.list()
            assert values == {key: value for (where, key), (_, value) in self.model.items() if where == place}
            found = {key: each.version for key, each in self.rt.schemas.versions(place).items()}
            if self.version:
                assert found == {key: version for (where, key), (version, _) in self.model.items() if where == place}

    def teardown(self) -> None:
        assert self.rt.replay(self.places[0].removeprefix("session:")).identical
        assert self.rt.verify().problems == []
        self.rt.close()
        shutil.rmtree(self.folder)


Versioned.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestVersioned = Versioned.TestCase
