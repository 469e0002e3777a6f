"""Sessions against a plain model: whatever is done to them, through passivation and reopening, they agree."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from greenroom.runtime import (
    ArtifactNotFound,
    InvalidOperation,
    InvalidSessionState,
    InvalidStateTransition,
    Runtime,
    RuntimeConfig,
    Session,
    SessionInfo,
    SessionNotFound,
    SessionStatus,
)

CONFIG = RuntimeConfig(max_resident_sessions=2, snapshot_every=3, passivate_after=100)
KEYS = st.sampled_from(["a", "b", "a/b", "ключ"])
TAGS = st.sampled_from(["x", "y", "z"])
NAMES = st.sampled_from(["n", "m.txt"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
CONTENTS = st.sampled_from([b"", b"one", b"two" * 5000, b"three" * 60_000])
TEXTS = st.sampled_from(["", "hello", "long " * 2000])
ALLOWED = {
    ("active", "suspend"): "suspended",
    ("active", "complete"): "completed",
    ("active", "fail"): "failed",
    ("suspended", "resume"): "active",
    ("suspended", "complete"): "completed",
    ("suspended", "fail"): "failed",
    ("completed", "archive"): "archived",
    ("failed", "archive"): "archived",
}


@dataclass
class Model:
    """What a session should be."""

    name: str | None
    parent: str | None
    status: str = "active"
    variables: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    artifacts: dict[tuple[str, int], bytes] = field(default_factory=dict)
    numbers: list[tuple[str, int]] = field(default_factory=list)
    questions: dict[int, str] = field(default_factory=dict)
    reason: str | None = None
    events: list[str] = field(default_factory=lambda: ["session.created"])


SETTINGS = settings(max_examples=25, stateful_step_count=25, report_multiple_bugs=False)


class SessionMachine(RuleBasedStateMachine):
    """Three sessions of one store that is closed and opened again now and then."""

    path: Path
    runtime: Runtime

    @initialize()
    def make(self) -> None:
        self.sessions: list[Session] = []
        self.models: list[Model] = []
        for number in range(3):
            parent = self.sessions[0] if number else None
            made = self.runtime.create_session(name=f"session {number}", parent=parent, key=f"key {number}")
            self.sessions.append(made)
            self.models.append(Model(f"session {number}", parent.id if parent else None))

    def write(self, which: int, do: Callable[[], Any], expect: Callable[[Model], str | None]) -> None:
        """Do something that needs an active session; `expect` changes the model and names the event."""
        model = self.models[which]
        if model.status != "active":
            with pytest.raises(InvalidSessionState) as refused:
                do()
            assert refused.value.fields["status"] == model.status
            return
        do()
        event = expect(model)
        if event is not None:
            model.events.append(event)

    @rule(which=st.integers(0, 2), key=KEYS, value=VALUES)
    def set_variable(self, which: int, key: str, value: Any) -> None:
        def expect(model: Model) -> str:
            model.variables[key] = copy.deepcopy(value)
            return "variable.set"

        self.write(which, lambda: self.sessions[which].set(key, value), expect)

    @rule(which=st.integers(0, 2), key=KEYS)
    def delete_variable(self, which: int, key: str) -> None:
        found: list[bool] = []

        def expect(model: Model) -> str | None:
            was_there = key in model.variables
            model.variables.pop(key, None)
            assert found == [was_there]
            return "variable.deleted" if was_there else None

        self.write(which, lambda: found.append(self.sessions[which].delete_variable(key)), expect)

    @rule(which=st.integers(0, 2), tag=TAGS, add=st.booleans())
    def change_tag(self, which: int, tag: str, add: bool) -> None:
        session = self.sessions[which]

        def expect(model: Model) -> str | None:
            if (tag in model.tags) == add:
                return None
            model.tags.append(tag) if add else model.tags.remove(tag)
            return "tags.changed"

        self.write(which, lambda: session.add_tag(tag) if add else session.remove_tag(tag), expect)

    @rule(which=st.integers(0, 2), name=st.sampled_from([None, "n", "é"]))
    def rename(self, which: int, name: str | None) -> None:
        model = self.models[which]
        assert self.sessions[which].rename(name).name == name
        if name != model.name:
            model.events.append("session.renamed")
        model.name = name

    @rule(which=st.integers(0, 2), tags=st.lists(TAGS, max_size=4))
    def set_tags(self, which: int, tags: list[str]) -> None:
        def expect(model: Model) -> str | None:
            wanted = list(dict.fromkeys(tags))
            changed, model.tags = model.tags != wanted, wanted
            return "tags.changed" if changed else None

        self.write(which, lambda: self.sessions[which].set_tags(tags), expect)

    @rule(which=st.integers(0, 2), key=KEYS, value=st.none() | st.integers(0, 3))
    def update_metadata(self, which: int, key: str, value: int | None) -> None:
        def expect(model: Model) -> str | None:
            before = dict(model.metadata)
            model.metadata[key] = value
            if value is None:
                del model.metadata[key]
            return "metadata.updated" if model.metadata != before else None

        self.write(which, lambda: self.sessions[which].update_metadata({key: value}), expect)

    @rule(which=st.integers(0, 2), text=TEXTS)
    def add_message(self, which: int, text: str) -> None:
        def expect(model: Model) -> str:
            model.messages.append(text)
            return "message.added"

        self.write(which, lambda: self.sessions[which].add_message("user", text), expect)

    @rule(which=st.integers(0, 2), name=NAMES, content=CONTENTS)
    def store_artifact(self, which: int, name: str, content: bytes) -> None:
        versions: list[int] = []

        def expect(model: Model) -> str:
            model.versions[name] = model.versions.get(name, 0) + 1
            assert versions == [model.versions[name]]
            model.artifacts[name, versions[0]] = content
            model.numbers.append((name, versions[0]))
            return "artifact.stored"

        session = self.sessions[which]
        self.write(which, lambda: versions.append(session.store_artifact("x", name, content).version), expect)

    @rule(which=st.integers(0, 2), name=NAMES, back=st.integers(0, 2))
    def delete_artifact(self, which: int, name: str, back: int) -> None:
        model, session = self.models[which], self.sessions[which]
        version = max(1, model.versions.get(name, 0) - back)
        if model.status == "active" and (name, version) not in model.artifacts:
            with pytest.raises(ArtifactNotFound):
                session.delete_artifact(name, version)
            return

        def expect(model: Model) -> str:
            del model.artifacts[name, version]
            model.numbers.remove((name, version))
            return "artifact.deleted"

        self.write(which, lambda: session.delete_artifact(name, version), expect)

    @rule(which=st.integers(0, 2), step=st.sampled_from(["suspend", "resume", "resume", "complete", "fail", "archive"]))
    def move(self, which: int, step: str) -> None:
        model, session = self.models[which], self.sessions[which]
        target = ALLOWED.get((model.status, step))

        def make() -> SessionInfo:
            info: SessionInfo = session.fail("reason") if step == "fail" else getattr(session, step)()
            return info

        if target is None:
            with pytest.raises(InvalidStateTransition) as refused:
                make()
            assert refused.value.fields["from_status"] == model.status
            return
        assert make().status == target
        model.status = target
        if target in ("completed", "failed"):
            for sequence, status in model.questions.items():
                if status == "pending":
                    model.questions[sequence] = "cancelled"
                    model.events.append("approval.cancelled")
        model.events.append("session." + {"suspend": "suspended", "resume": "resumed"}.get(step, target))
        if step == "fail":
            model.reason = "reason"

    @rule(which=st.integers(0, 2))
    def ask(self, which: int) -> None:
        def expect(model: Model) -> str:
            model.questions[len(model.events) + 1] = "pending"
            return "approval.requested"

        self.write(which, lambda: self.sessions[which].ask_human("Which?", schema={"type": "integer"}), expect)

    @rule(which=st.integers(0, 2), back=st.integers(0, 2), answer=st.booleans())
    def close_question(self, which: int, back: int, answer: bool) -> None:
        model, session = self.models[which], self.sessions[which]
        if back >= len(model.questions):
            return
        sequence = [*model.questions][-1 - back]
        asked, approvals = f"{session.id}/{sequence}", self.runtime.approvals
        if model.questions[sequence] != "pending":
            with pytest.raises(InvalidOperation, match=model.questions[sequence]):
                approvals.answer(asked, 1) if answer else approvals.cancel(asked)
            return
        model.questions[sequence] = "answered" if answer else "cancelled"
        assert (approvals.answer(asked, back) if answer else approvals.cancel(asked)).status == model.questions[
            sequence
        ]
        model.events.append(f"approval.{model.questions[sequence]}")

    @rule(which=st.integers(0, 2))
    def save(self, which: int) -> None:
        self.sessions[which].save()
        if self.models[which].status in ("active", "suspended"):
            self.models[which].events.append("session.saved")

    @rule(which=st.integers(0, 2))
    def replace(self, which: int) -> None:
        """Delete it and make another; never the parent of the others."""
        if which == 0:
            return
        gone = self.sessions[which]
        gone.delete()
        with pytest.raises(SessionNotFound):
            gone.info()
        with pytest.raises(SessionNotFound):
            self.runtime.session(key=f"key {which}")
        self.sessions[which] = self.runtime.get_or_create(f"key {which}", name="new", parent=self.sessions[0])
        self.models[which] = Model("new", self.sessions[0].id)

    @rule()
    def passivate(self) -> None:
        for actor in self.runtime._supervisor.residents():
            assert self.runtime._supervisor.table.passivate(actor)
        assert self.runtime.stats()["resident"] == 0

    @rule()
    def reopen(self) -> None:
        self.runtime.close()
        type(self).runtime = Runtime.open(self.path, config=CONFIG)
        self.sessions = [self.runtime.session(session.id) for session in self.sessions]
        assert [self.runtime.session(key=f"key {number}") for number in range(3)] == self.sessions

    @rule(which=st.integers(0, 2))
    def look(self, which: int) -> None:
        session, model = self.sessions[which], self.models[which]
        assert session.variables() == dict(sorted(model.variables.items()))
        assert session.variables("a") == {k: v for k, v in sorted(model.variables.items()) if k.startswith("a")}
        for key, value in model.variables.items():
            assert session.get(key, "absent") == value
        assert [turn.content for turn in session.messages()] == model.messages
        assert [turn.content for turn in session.messages(limit=2)] == model.messages[-2:]
        assert [(info.name, info.version) for info in session.list_artifacts()] == model.numbers
        for (name, version), content in model.artifacts.items():
            artifact = session.get_artifact(name, version)
            assert artifact.content == content
            assert session.get_artifact(artifact.info.id).info == artifact.info
        assert {each.sequence: each.status for each in session.approvals()} == model.questions
        pending = [sequence for sequence, status in model.questions.items() if status == "pending"]
        assert [each.sequence for each in self.runtime.approvals.list(session=session.id)] == pending
        for name in ("n", "m.txt"):
            kept = sorted(version for owner, version in model.artifacts if owner == name)
            assert [info.version for info in session.artifact_versions(name)] == kept

    @invariant()
    def infos_agree(self) -> None:
        if not hasattr(self, "sessions"):
            return
        for session, model in zip(self.sessions, self.models, strict=True):
            info = session.info()
            assert info.status == model.status
            assert self.runtime.get_or_create(info.key or "") == session
            assert (info.name, info.parent_session_id) == (model.name, model.parent)
            assert list(info.tags) == model.tags
            assert info.custom_metadata == model.metadata
            assert info.failure_reason == model.reason
            assert info.artifact_count == len(model.artifacts)
            assert info.total_artifact_size == sum(map(len, model.artifacts.values()))
            assert info.sequence == len(model.events)
            assert (info.ended_at is not None) == (model.status in ("completed", "failed", "archived"))

    def teardown(self) -> None:
        if not hasattr(self, "sessions"):
            return
        try:
            for which, (session, model) in enumerate(zip(self.sessions, self.models, strict=True)):
                assert [event.type for event in session.events()] == model.events
                self.look(which)
            everybody = self.runtime.list_sessions(status=tuple(SessionStatus), sort_by="created_at")
            assert {info.id for info in everybody} == {session.id for session in self.sessions}
            by_key = self.runtime.list_sessions(status="all", key_prefix="key ")
            assert [info.id for info in by_key] == [session.id for session in self.sessions]
            children = [info.id for info in self.sessions[0].children()]
            assert sorted(children) == sorted(session.id for session in self.sessions[1:])
            report = self.runtime.verify()
            assert report.ok, report.problems
        finally:
            for session in self.sessions:
                session.delete()


def test_sessions_agree_with_a_plain_model(store_path: Path) -> None:
    class Machine(SessionMachine):
        path = store_path
        runtime = Runtime.open(store_path, config=CONFIG)

    try:
        run_state_machine_as_test(
            Machine,
            settings=SETTINGS,
        )
    finally:
        Machine.runtime.close()
