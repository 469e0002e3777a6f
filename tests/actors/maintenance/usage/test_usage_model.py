"""Usage against a plain model: counts, bytes and references are exact, whatever was stored, deleted and forked."""

from __future__ import annotations

import copy
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from greenroom.runtime import ResourceLimitExceeded, Runtime, Session
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.engine.engine import CF

LARGE = random.Random(1).randbytes(200_000)
CONTENTS = [b"", b"one", b"two " * 1000, LARGE, LARGE[:100_000] + b"inserted" + LARGE[100_000:], b"z" * 150_000]
LIMIT = 420_000
CONTENT = st.integers(0, len(CONTENTS) - 1).map(lambda which: CONTENTS[which])
NAME = st.sampled_from(["x", "y"])
TEXT = st.sampled_from(["short", "two " * 1000, "a long text " * 1000])
INLINE = 4096


def digest_of(content: bytes) -> bytes:
    return blake3(content).digest()


@dataclass
class Model:
    """What a session refers to: contents by artifact number, and by the sequence of a message."""

    artifacts: dict[int, bytes] = field(default_factory=dict)
    messages: dict[int, bytes] = field(default_factory=dict)
    last: int = 0
    past: dict[int, dict[int, bytes]] = field(default_factory=dict)
    """The artifacts that there were at a sequence."""

    def contents(self) -> list[bytes]:
        return [*self.artifacts.values(), *self.messages.values()]


class UsageMachine(RuleBasedStateMachine):
    @initialize()
    def make(self) -> None:
        self.path = Path(tempfile.mkdtemp())
        self.open()
        self.sessions: list[tuple[Session, Model]] = []
        self.create()

    def open(self) -> None:
        self.runtime = Runtime.open(self.path, config={"max_store_bytes": LIMIT, "max_resident_sessions": 2})

    def teardown(self) -> None:
        if hasattr(self, "runtime"):
            assert self.runtime.verify().problems == []
            self.runtime.close()
            shutil.rmtree(self.path)

    def pick(self, number: int) -> tuple[Session, Model]:
        return self.sessions[number % len(self.sessions)]

    def kept(self) -> dict[bytes, bytes]:
        """Every content that is used, by its digest."""
        return {digest_of(each): each for _, model in self.sessions for each in model.contents()}

    def attempt(self, contents: list[bytes], call: Callable[[], object]) -> bool:
        """Do what adds content; False if there was no room for it, which must be right."""
        kept = self.kept()
        grown = {**kept, **{digest_of(each): each for each in contents}}
        if sum(map(len, grown.values())) > max(LIMIT, sum(map(len, kept.values()))):
            try:
                call()
            except ResourceLimitExceeded:
                return False
            raise AssertionError("there was no room for this")
        call()
        return True

    def remember(self, session: Session, model: Model) -> None:
        model.past[session.info().sequence] = dict(model.artifacts)

    @rule()
    def create(self) -> None:
        if len(self.sessions) < 5:
            self.sessions.append((self.runtime.create_session(), Model()))

    @rule(number=st.integers(0, 9), name=NAME, content=CONTENT)
    def store(self, number: int, name: str, content: bytes) -> None:
        session, model = self.pick(number)
        if self.attempt([content], lambda: session.store_artifact("t", name, content)):
            model.last += 1
            model.artifacts[model.last] = content
            self.remember(session, model)

    @rule(number=st.integers(0, 9), contents=st.lists(CONTENT, max_size=3))
    def store_many(self, number: int, contents: list[bytes]) -> None:
        session, model = self.pick(number)
        batch = [{"type": "t", "name": "x", "content": each} for each in contents]
        if self.attempt(contents, lambda: session.store_many(batch)):
            for each in contents:
                model.last += 1
                model.artifacts[model.last] = each
            self.remember(session, model)

    @rule(number=st.integers(0, 9), text=TEXT)
    def say(self, number: int, text: str) -> None:
        session, model = self.pick(number)
        content = text.encode()
        if len(content) + 5 <= INLINE:
            session.add_message("user", text)
        elif self.attempt([content], lambda: session.add_message("user", text)):
            model.messages[session.info().sequence] = content
        self.remember(session, model)

    @rule(number=st.integers(0, 9), which=st.integers(0, 99))
    def delete_artifact(self, number: int, which: int) -> None:
        session, model = self.pick(number)
        if model.artifacts:
            gone = sorted(model.artifacts)[which % len(model.artifacts)]
            info = next(info for info in session.list_artifacts() if info.id.sequence == gone)
            session.delete_artifact(info.id)
            del model.artifacts[gone]
            self.remember(session, model)

    @rule(number=st.integers(0, 9), when=st.integers(0, 99))
    def fork(self, number: int, when: int) -> None:
        session, model = self.pick(number)
        if len(self.sessions) == 5 or not model.past:
            return
        at = sorted(model.past)[when % len(model.past)]
        there = self.kept()
        artifacts = {n: content for n, content in model.past[at].items() if digest_of(content) in there}
        past = {seq: dict(then) for seq, then in model.past.items() if seq <= at}
        messages = {seq: content for seq, content in model.messages.items() if seq <= at}
        last = max((n for then in past.values() for n in then), default=0)
        fork = session.fork(at)
        twin = Model(artifacts, messages, last, copy.copy(past))
        self.remember(fork, twin)
        self.sessions.append((fork, twin))

    @rule(number=st.integers(0, 9), other=st.integers(0, 9), take_back=st.booleans())
    def share(self, number: int, other: int, take_back: bool) -> None:
        """Changes nothing of what anybody uses."""
        session, model = self.pick(number)
        grantee, _ = self.pick(other)
        if model.artifacts and grantee.id != session.id:
            info = session.list_artifacts()[0]
            session.share(info.id, grantee)
            assert grantee.get_artifact(info.id).content == model.artifacts[info.id.sequence]
            if take_back:
                session.revoke(info.id, grantee)
            self.remember(session, model)

    @rule(number=st.integers(0, 9))
    def delete(self, number: int) -> None:
        if len(self.sessions) > 1:
            session, _ = self.sessions.pop(number % len(self.sessions))
            session.delete()

    @rule()
    def reopen(self) -> None:
        self.runtime.close()
        self.open()
        self.sessions = [(self.runtime.session(session.id), model) for session, model in self.sessions]

    @invariant()
    def every_session_counts_right(self) -> None:
        for session, model in self.sessions:
            info = session.info()
            assert info.artifact_count == len(model.artifacts)
            assert info.total_artifact_size == sum(map(len, model.artifacts.values()))

    @invariant()
    def the_store_counts_right(self) -> None:
        kept = self.kept()
        figures = self.runtime.stats()["artifacts"]
        assert not self.runtime._store.totals.miscounted()
        assert figures["contents"] == len(kept)
        assert figures["unique_bytes"] == sum(map(len, kept.values()))
        assert figures["count"] == sum(len(model.artifacts) for _, model in self.sessions)
        assert figures["logical_bytes"] == sum(len(each) for _, model in self.sessions for each in model.contents())

    @invariant()
    def every_use_is_a_reference_and_no_other(self) -> None:
        engine = self.runtime._store.engine
        expected = set()
        for session, model in self.sessions:
            raw = session_bytes(session.id)
            for kind, used in ((b"a", model.artifacts), (b"m", model.messages)):
                expected |= {b"c" + digest_of(c) + raw + kind + n.to_bytes(8, "big") for n, c in used.items()}
        assert {key for key, _ in engine.scan(CF.REFERENCES, b"c", b"d")} == expected
        assert {key for key, _ in engine.scan(CF.CONTENTS, b"", b"\xff" * 33)} == set(self.kept())


def test_usage_is_exact() -> None:
    run_state_machine_as_test(
        UsageMachine, settings=settings(max_examples=25, stateful_step_count=25, report_multiple_bugs=False)
    )
