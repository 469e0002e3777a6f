"""Whole sessions that are shared, and scopes that the host lets sessions use."""

from __future__ import annotations

import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, Runtime, Session, SessionNotFound, ValidationError, messages
from greenroom.storage.engine.engine import CF

from ...conftest import DrivenClock
from ...warm import run_warm


def reads(rt: Runtime, who: Session, whom: Session) -> bool:
    with acting(principal=who.id):
        try:
            rt.session(whom.id).variables()
        except (AccessDenied, SessionNotFound):
            return False
        return True


def writes(rt: Runtime, who: Session, whom: Session) -> bool:
    with acting(principal=who.id):
        try:
            whom.set("written", who.id)
        except (AccessDenied, SessionNotFound):
            return False
        return True


def test_what_a_reader_and_a_writer_do(rt: Runtime) -> None:
    owner, other = rt.create_session("owner"), rt.create_session("other")
    owner.set("k", 1)
    owner.add_message("user", "hello")
    artifact = owner.store_artifact("log", "n", b"content").id
    share = owner.share(other, "read")
    assert (share.session_id, share.with_session, share.permission) == (owner.id, other.id, "read")
    with acting(principal=other.id):
        found = rt.session(owner.id)
        assert (found.get("k"), found.messages()[0].content, found.info().name) == (1, "hello", "owner")
        assert [each.type for each in found.events()][-1] == "session.shared"
        assert other.get_artifact(artifact).content == b"content"  # by its id also from here
        with pytest.raises(AccessDenied, match="write is needed"):
            found.set("k", 2)
        with pytest.raises(AccessDenied, match="only its owner"):
            found.complete()
        with pytest.raises(AccessDenied):
            other.store_version(artifact, "more")
    owner.share(other, "write")
    with acting(principal=other.id):
        found.set("k", 2)
        found.add_message("assistant", "x" * 100_000)
        found.store_many([{"type": "log", "name": "m", "content": "y" * 300_000}])
        assert other.store_version(artifact, "more").version == 2
        assert found.get_artifact("n").content == b"more"
    assert owner.get("k") == 2
    assert owner.permissions("n") == []  # a share of the whole session makes no grants on artifacts
    assert owner.revoke(other) is True
    assert owner.revoke(other) is False
    assert not reads(rt, other, owner)
    assert rt.verify().problems == []


def test_what_the_system_has_made_is_only_read(rt: Runtime) -> None:
    owner, other = rt.create_session(), rt.create_session()
    made = owner.store_artifact("system_generated", "report", "made")
    owner.share(other, "write")
    with acting(principal=other.id):
        assert owner.get_artifact("report").content == b"made"
        for attempt in (
            lambda: owner.store_artifact("log", "report", "mine"),
            lambda: owner.store_many([{"type": "log", "name": "report", "content": "mine"}]),
            lambda: other.store_version(made.id, "mine"),
        ):
            with pytest.raises(AccessDenied):
                attempt()
        owner.store_artifact("log", "another", "mine")
    owner.store_artifact("log", "report", "the owner's")


def test_a_batch_goes_as_far_as_its_commands(rt: Runtime) -> None:
    owner, other = rt.create_session(), rt.create_session()
    owner.store_artifact("system_generated", "report", "made")

    def attempt(value: int, *more: messages.Command[Any]) -> None:
        with acting(principal=other.id):
            rt.ask(owner.id, messages.Batch([messages.SetVariable("k", value), *more]))

    owner.share(other, "write")
    attempt(1, messages.StoreArtifact("log", "own", "x"))
    for forbidden in (messages.StoreArtifact("log", "report", "mine"), messages.RenameSession("mine")):
        with pytest.raises(AccessDenied):
            attempt(2, forbidden)
    owner.share(other, "read")
    with pytest.raises(AccessDenied):
        attempt(3)
    assert owner.get("k") == 1
    assert [each.name for each in owner.list_artifacts()] == ["report", "own"]


def test_scripts_share_too(rt: Runtime) -> None:
    owner, other = rt.create_session(), rt.create_session()
    owner.set("k", "v")
    rt.run_script("Session.share(Session.current(), ..., 'read')", session=owner, args=[other.id])
    source = (
        "local o = ... return { Session.getVariable(o, 'k'), #Session.sharedSessions(), pcall(Session.addTag, o, 'x') }"
    )
    value = rt.run_script(source, session=other, args=[owner.id]).value
    assert value[:3] == ["v", 1, False]
    assert rt.run_script("return Session.revoke('', ...)", session=owner, args=[other.id]).value is True
    assert owner.shares() == []


def test_following_ends_with_the_share(rt: Runtime) -> None:
    owner, other = rt.create_session(), rt.create_session()
    owner.share(other)
    with acting(principal=other.id):
        listening = rt.events.subscribe("variable.set", session=owner)
    owner.set("a", 1)
    owner.revoke(other)
    owner.set("b", 2)
    owner.share(other)
    owner.set("c", 3)
    found = [listening.receive(30), listening.receive(30)]
    assert [each.data["key"] for each in found if each is not None] == ["a", "c"]
    listening.close()


@pytest.mark.parametrize("wrong", ["admin", "", "own", None])
def test_a_whole_session_is_read_or_written(rt: Runtime, wrong: Any) -> None:
    owner, other = rt.create_session(), rt.create_session()
    with pytest.raises(ValidationError):
        owner.share(with_session=other, permission=wrong)
    with pytest.raises(ValidationError, match="itself"):
        owner.share(owner)
    with pytest.raises(SessionNotFound):
        owner.share("00000000-0000-4000-8000-000000000000", "read")


def test_neither_copies_nor_strangers_have_it(rt: Runtime, tmp_path: Path) -> None:
    owner, other = rt.create_session(), rt.create_session()
    owner.share(other, "write")
    owner.grant_scope("user:7")
    rt.export_session(owner.id, tmp_path / "s.bundle")
    for copy in (owner.fork(), rt.import_session(tmp_path / "s.bundle", keep_ids=False)):
        assert (copy.shares(), copy.scopes()) == ([], [])
        assert not reads(rt, other, copy)
    assert rt.verify().problems == []
    owner.delete()
    again = rt.import_session(tmp_path / "s.bundle")
    assert again.id == owner.id
    assert not reads(rt, other, again)
    assert rt.verify().problems == []


def test_a_permission_in_the_index_alone_is_found_and_removed(rt: Runtime) -> None:
    """Damage that brings an entry back brings no access back."""
    owner, other = rt.create_session(), rt.create_session()
    owner.share(other)
    engine = rt._store.engine
    [(key, value)] = engine.scan(CF.INDEX, b"S", b"T")
    owner.revoke(other)
    engine.write([(CF.INDEX, key, value)])
    with acting(principal=other.id), pytest.raises(AccessDenied):
        owner.variables()
    assert [each.kind for each in rt.verify(repair=True).problems] == ["index"]
    assert engine.get(CF.INDEX, key) is None


def test_scopes(rt: Runtime) -> None:
    session = rt.create_session()
    child = rt.create_session(parent=session)
    rt.state_scope("user:7").set("k", 1)
    grant = session.grant_scope("user:7", "read")
    assert (grant.scope, grant.permission, session.scopes()) == ("user:7", "read", [grant])
    source = "return { State.get('user:7', 'k'), (pcall(State.set, 'user:7', 'k', 2)) }"
    assert rt.run_script(source, session=session).value == [1, False]
    session.grant_scope("user:7", "write")
    assert rt.run_script("State.set('user:7', 'k', 2) return State.get('user:7', 'k')", session=session).value == 2
    for who, scope in ((child, "user:7"), (session, "user:8"), (session, "global")):
        with acting(principal=who.id), pytest.raises(AccessDenied):
            rt.state_scope(scope)
    with acting(principal=session.id):
        held = rt.state_scope("user:7")
        with pytest.raises(AccessDenied):
            session.grant_scope("user:8", "write")
        with pytest.raises(AccessDenied):
            session.revoke_scope("user:7")
    assert session.revoke_scope("user:7") is True
    with acting(principal=session.id), pytest.raises(AccessDenied):
        held.get("k")  # what it held before is of no use
    records = rt.audit(session=session)
    assert {(each.operation, each.granted) for each in records} >= {
        ("SetVariable", True), ("SetVariable", False), ("GetVariable", False), ("GrantScope", False),
    }  # fmt: skip
    assert rt.verify().problems == []


@pytest.mark.parametrize("name", ["session:x", "greenroom:x", "templates", ""])
def test_what_is_no_scope_of_users_is_not_granted(rt: Runtime, name: str) -> None:
    with pytest.raises(ValidationError):
        rt.create_session().grant_scope(name)


_KILLED = """
import os, signal, sys
from greenroom.runtime import Runtime
rt = Runtime.open(sys.argv[1])
a, b, c = (rt.create_session(n) for n in "abc")
a.share(b, "write"); a.share(c); a.revoke(c)
b.grant_scope("user:7", "write"); c.grant_scope("user:7"); c.revoke_scope("user:7")
print(a.id, b.id, c.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_holds_after_kill_9(store_path: Path) -> None:
    run = run_warm([sys.executable, "-c", _KILLED, str(store_path)])
    assert run.returncode == -signal.SIGKILL
    with Runtime.open(store_path) as rt:
        a, b, c = map(rt.session, run.stdout.split())
        assert (writes(rt, b, a), reads(rt, c, a)) == (True, False)
        with acting(principal=b.id):
            rt.state_scope("user:7").set("k", 1)
        with acting(principal=c.id), pytest.raises(AccessDenied):
            rt.state_scope("user:7")
        assert rt.verify().problems == []


class Sharing(RuleBasedStateMachine):
    """Four sessions that share themselves with each other, against a model: (owner, grantee) → (level, expiry)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.time = DrivenClock()
        self.rt = Runtime.open(self.folder.name, clock=self.time, config={"handle_signals": False})
        self.ids = [self.rt.create_session().id for _ in range(4)]
        self.there = set(range(4))
        self.shares: dict[tuple[int, int], tuple[int, float | None]] = {}

    def teardown(self) -> None:
        assert self.rt.verify().problems == []
        self.rt.close()
        self.folder.cleanup()

    def session(self, number: int) -> Session:
        return Session(self.rt, self.ids[number])

    def level(self, owner: int, who: int) -> int:
        if not {owner, who} <= self.there:
            return 0
        if owner == who:
            return 2
        level, until = self.shares.get((owner, who), (0, None))
        return level if until is None or until > self.time.seconds else 0

    which = st.integers(0, 3)

    @rule(owner=which, who=which, level=st.integers(1, 2), lasts=st.sampled_from([None, 5, 50]), itself=st.booleans())
    def share(self, owner: int, who: int, level: int, lasts: int | None, itself: bool) -> None:
        if owner == who or not {owner, who} <= self.there:
            return
        until = None if lasts is None else datetime.fromtimestamp(self.time.now_ns / 1e9 + lasts, UTC)
        with acting(principal=self.ids[owner] if itself else None):
            self.session(owner).share(self.ids[who], "write" if level == 2 else "read", expires_at=until)
        self.shares[owner, who] = level, None if lasts is None else self.time.seconds + lasts

    @rule(owner=which, who=which)
    def revoke(self, owner: int, who: int) -> None:
        if owner in self.there:
            assert self.session(owner).revoke(self.ids[who]) == (self.shares.pop((owner, who), None) is not None)

    @rule(who=which)
    def delete(self, who: int) -> None:
        if who in self.there and len(self.there) > 2:
            self.session(who).delete()
            self.there.remove(who)
            self.shares = {pair: each for pair, each in self.shares.items() if who not in pair}

    @rule(seconds=st.sampled_from([1, 10, 100]))
    def wait(self, seconds: int) -> None:
        self.time.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.rt.close()
        self.rt = Runtime.open(self.folder.name, clock=self.time, config={"handle_signals": False})

    @rule(who=which, owner=which)
    def attempt(self, who: int, owner: int) -> None:
        level = self.level(owner, who)
        assert reads(self.rt, self.session(who), self.session(owner)) == (level >= 1)
        assert writes(self.rt, self.session(who), self.session(owner)) == (level >= 2)

    @invariant()
    def the_listings_agree(self) -> None:
        for each in self.there:
            given = {share.with_session for share in self.session(each).shares()}
            assert given == {self.ids[who] for owner, who in self.shares if owner == each}
            got = {share.session_id for share in self.session(each).shared_sessions()}
            assert got == {self.ids[owner] for owner, who in self.shares if who == each and self.level(owner, who)}


Sharing.TestCase.settings = settings(max_examples=12, stateful_step_count=30)
TestSharing = Sharing.TestCase
