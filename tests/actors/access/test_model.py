"""Any sequence of sharing, revoking, storing, deleting and waiting, against a model of who has what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from greenroom.runtime import AccessDenied, Runtime

from ...conftest import DrivenClock

LEVELS = ("read", "write", "admin")
NAMES = ("owner", "one", "child of one", "two")


class Sharing(RuleBasedStateMachine):
    """`grants`: (artifact, grantee) → (level, expiry in seconds or None, inherit)."""

    def __init__(self) -> None:
        super().__init__()
        self.time = DrivenClock()
        self.rt = Runtime.open(clock=self.time)
        self.sessions: dict[str, Any] = {}
        for name in NAMES:
            parent = self.sessions["one"] if name == "child of one" else None
            self.sessions[name] = self.rt.create_session(name, parent=parent)
        self.owner = self.sessions["owner"]
        self.artifacts: list[Any] = []
        self.grants: dict[tuple[Any, str], tuple[int, float | None, bool]] = {}
        self.began = self.time.seconds

    def teardown(self) -> None:
        assert self.rt.verify().problems == []
        self.rt.close()

    def at(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self.time.now_ns / 1e9 + seconds - self.time.seconds, UTC)

    def level(self, artifact: Any, who: str) -> tuple[int, float | None]:
        """What a session has now, 0 for nothing, and until when."""
        if who == "owner":
            return 3, None
        found = [
            (level, expires)
            for grantee in NAMES
            if (artifact, grantee) in self.grants
            for level, expires, inherit in [self.grants[artifact, grantee]]
            if grantee == who or (inherit and (who, grantee) == ("child of one", "one"))
            if expires is None or expires > self.time.seconds
        ]
        return max(found, key=lambda each: (each[0], each[1] is None, each[1] or 0), default=(0, None))

    def attempt(self, allowed: bool, call: Any) -> Any:
        try:
            reply = call()
        except AccessDenied:
            assert not allowed
            return None
        assert allowed
        return reply

    artifact = st.integers(0, 3)
    who = st.sampled_from(NAMES)
    grantee = st.sampled_from(NAMES[1:])

    @rule(name=st.sampled_from("ab"))
    def store(self, name: str) -> None:
        self.artifacts.append(self.owner.store_artifact("log", name, f"{len(self.artifacts)}").id)

    @precondition(lambda self: self.artifacts)
    @rule(
        number=artifact,
        who=who,
        other=grantee,
        level=st.integers(1, 3),
        lasts=st.sampled_from([None, 5, 50]),
        inherit=st.booleans(),
    )
    def share(self, number: int, who: str, other: str, level: int, lasts: int | None, inherit: bool) -> None:
        artifact = self.artifacts[number % len(self.artifacts)]
        expires = None if lasts is None else self.time.seconds + lasts
        has, until = self.level(artifact, who)
        enough = has == 3 and (until is None or (expires is not None and expires <= until))
        when = None if expires is None else self.at(expires)
        done = self.attempt(
            enough,
            lambda: self.sessions[who].share(artifact, self.sessions[other], LEVELS[level - 1], when, inherit),
        )
        if done is not None:
            self.grants[artifact, other] = (level, expires, inherit)

    @precondition(lambda self: self.artifacts)
    @rule(number=artifact, who=who, other=grantee, level=st.integers(1, 3))
    def revoke(self, number: int, who: str, other: str, level: int) -> None:
        artifact = self.artifacts[number % len(self.artifacts)]
        had = self.grants.get((artifact, other))
        done = self.attempt(
            self.level(artifact, who)[0] == 3,
            lambda: self.sessions[who].revoke(artifact, self.sessions[other], LEVELS[level - 1]),
        )
        if done is None:
            return
        assert done == (had is not None and had[0] >= level)
        if had is not None and done:
            if level == 1:
                del self.grants[artifact, other]
            else:
                self.grants[artifact, other] = (level - 1, *had[1:])

    @precondition(lambda self: self.artifacts)
    @rule(number=artifact, who=grantee)
    def store_version(self, number: int, who: str) -> None:
        artifact = self.artifacts[number % len(self.artifacts)]
        level, until = self.level(artifact, who)
        stored = self.attempt(level >= 2, lambda: self.sessions[who].store_version(artifact, f"{len(self.artifacts)}"))
        if stored is not None:
            self.artifacts.append(stored.id)
            own = self.grants.get((artifact, who))
            valid = own is not None and (own[1] is None or own[1] > self.time.seconds)
            self.grants[stored.id, who] = (level, until, valid and own is not None and own[2])

    @precondition(lambda self: self.artifacts)
    @rule(number=artifact, who=who)
    def delete(self, number: int, who: str) -> None:
        artifact = self.artifacts[number % len(self.artifacts)]
        allowed = self.level(artifact, who)[0] == 3
        self.attempt(allowed, lambda: self.sessions[who].delete_artifact(artifact))
        if allowed:
            self.artifacts.remove(artifact)
            self.grants = {key: grant for key, grant in self.grants.items() if key[0] != artifact}

    @rule(seconds=st.sampled_from([1, 5, 60]))
    def wait(self, seconds: int) -> None:
        self.time.advance(seconds)

    @rule()
    def passivate(self) -> None:
        self.rt._supervisor.forget()

    @invariant()
    def everybody_has_what_the_model_says(self) -> None:
        for name, session in self.sessions.items():
            for artifact in self.artifacts:
                level = self.level(artifact, name)[0]
                assert [session.check_access(artifact, each) for each in LEVELS] == [level >= n for n in (1, 2, 3)]
            if name != "owner":
                readable = {artifact for artifact in self.artifacts if self.level(artifact, name)[0]}
                assert {info.id for info in session.shared_with_me()} == readable


TestSharing = Sharing.TestCase
TestSharing.settings = settings(max_examples=6, stateful_step_count=20, deadline=None)
