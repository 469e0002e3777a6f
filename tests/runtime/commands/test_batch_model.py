"""Batches against a plain model: whatever is in them and wherever one is refused, all has happened or nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greenroom.runtime import GreenroomError, Runtime, messages

m = messages
KEYS = st.sampled_from("abc")
COMMANDS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers(0, 9)),
    st.tuples(st.just("unset"), KEYS, st.none()),
    st.tuples(st.just("scope"), KEYS, st.integers(0, 9)),
    st.tuples(st.just("say"), st.none(), st.sampled_from(["x", "y" * 20_000])),
    st.tuples(st.just("pop"), st.none(), st.none()),
    st.tuples(st.just("store"), KEYS, st.sampled_from([b"1", b"2" * 20_000])),
    st.tuples(st.just("drop"), KEYS, st.none()),
    st.tuples(st.just("put"), KEYS, st.sampled_from([b"1", b"3" * 20_000])),
    st.tuples(st.just("take"), KEYS, st.none()),
    st.tuples(st.just("tag"), KEYS, st.none()),
    st.tuples(st.just("refuse"), st.none(), st.none()),
)


class Model:
    """What a session and a scope have, as plain data."""

    def __init__(self) -> None:
        self.variables: dict[str, int] = {}
        self.scope: dict[str, int] = {}
        self.turns: list[str] = []
        self.artifacts: dict[str, list[tuple[int, bytes]]] = {}
        self.versions: dict[str, int] = {}
        self.records: dict[bytes, bytes] = {}
        self.tags: list[str] = []

    def copy(self) -> Model:
        twin = Model()
        for name, value in vars(self).items():
            setattr(twin, name, {k: list(v) if isinstance(v, list) else v for k, v in value.items()}
                    if isinstance(value, dict) else list(value))  # fmt: skip
        return twin

    def perform(self, kind: str, key: Any, value: Any) -> None:
        """Do what a command does. Raises LookupError for what is refused."""
        match kind:
            case "set":
                self.variables[key] = value
            case "unset":
                self.variables.pop(key, None)
            case "scope":
                self.scope[key] = value
            case "say":
                self.turns.append(value)
            case "pop":
                self.turns.pop()
            case "store":
                self.versions[key] = self.versions.get(key, 0) + 1
                self.artifacts.setdefault(key, []).append((self.versions[key], value))
            case "drop":
                if not self.artifacts.get(key):
                    raise LookupError
                self.artifacts[key].pop()
            case "put":
                self.records[key.encode()] = value
            case "take":
                self.records.pop(key.encode(), None)
            case "tag":
                self.tags += [key] if key not in self.tags else []
            case "refuse":
                raise LookupError


class Batches(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rt = Runtime.open()
        self.s = self.rt.create_session(config={"max_operations": None})
        self.scope = self.rt.state_scope("user:7")
        self.model = Model()
        self.number = 0

    def teardown(self) -> None:
        assert self.rt.verify().problems == []
        self.rt.close()

    @rule(commands=st.lists(COMMANDS, max_size=6), keyed=st.booleans())
    def batch(self, commands: list[tuple[str, Any, Any]], keyed: bool) -> None:
        after = self.model.copy()
        refused = None
        for place, command in enumerate(commands):
            try:
                after.perform(*command)
            except LookupError:
                refused = place
                break
        self.number += 1
        outcomes: list[Any] = []
        before = self.s.info().sequence, self.rt._store.contents.usage()
        for _ in range(2 if keyed else 1):
            try:
                with self.s.batch(idempotency_key=f"i{self.number}" if keyed else None) as b:
                    for kind, key, value in commands:
                        self._add(b, kind, key, value)
            except GreenroomError as error:
                outcomes.append(error.fields["index"])
            else:
                assert len(b.replies) == len(commands)
                outcomes.append(b.replies)
        assert [outcome for outcome in outcomes if outcome != outcomes[0]] == []
        assert (type(outcomes[0]) is int) == (refused is not None)
        assert refused is None or outcomes[0] == refused
        if refused is None:
            self.model = after
        else:
            assert (self.s.info().sequence, self.rt._store.contents.usage()) == before

    @staticmethod
    def _add(b: Any, kind: str, key: Any, value: Any) -> None:
        match kind:
            case "set":
                b.set(key, value)
            case "unset":
                b.delete_variable(key)
            case "scope":
                b.scope("user:7").set(key, value)
            case "say":
                b.add_message("user", value)
            case "pop":
                b.pop_message()
            case "store":
                b.store_artifact("log", key, value)
            case "drop":
                b.delete_artifact(key)
            case "put":
                b.records.put(key, value)
            case "take":
                b.records.delete(key)
            case "tag":
                b.add_tag(key)
            case "refuse":
                b.set("refused", 1, expected="something else")

    @rule()
    def passivated(self) -> None:
        self.rt._supervisor.table.passivate(self.rt._supervisor.table.actor(self.s.id), save=True)

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        model = self.model
        assert self.s.variables() == model.variables
        assert self.scope.list() == model.scope
        assert [turn.content for turn in self.s.messages()] == model.turns
        assert dict(self.s.records.scan()) == model.records
        assert list(self.s.info().tags) == model.tags
        assert [event.sequence for event in self.s.events()] == [*range(1, self.s.info().sequence + 1)]
        for key in "abc":
            there = self.s.artifact_versions(key)
            found = [(info.version, self.s.get_artifact(info.id).content) for info in there]
            assert found == model.artifacts.get(key, [])
        assert list(self.rt._store.contents.pending_blobs()) == []


Batches.TestCase.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBatches = Batches.TestCase
