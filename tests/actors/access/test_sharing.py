"""Sharing an artifact: until when, with whom, what ends it, and what does not travel with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.actors.session.state.grants import MAX_GRANTS
from greenroom.runtime import (
    AccessDenied,
    ArtifactNotFound,
    ResourceLimitExceeded,
    Runtime,
    SessionNotFound,
    ValidationError,
    messages,
)
from greenroom.storage.codec.keys import INDEX_SHARED
from greenroom.storage.engine.engine import CF, Engine

from ...warm import run_warm


def now(time: Any) -> datetime:
    return datetime.fromtimestamp(time.time_ns() / 1e9, UTC)


def types(session: Any) -> list[str]:
    return [event.type for event in session.events()]


def test_a_grant_says_who_gave_what_to_whom_until_when(shared_rt: Runtime, time: Any) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    until = now(time) + timedelta(hours=1)
    grant = owner.share("n", other, "write", until, inherit=True)
    assert (grant.artifact, grant.session_id, grant.permission) == (info.id, other.id, "write")
    assert (grant.expires_at, grant.inherit, grant.expired) == (until, True, False)
    assert (grant.granted_by, grant.granted_at) == (owner.id, now(time))
    assert owner.permissions(info.id) == [grant]
    assert [each.id for each in other.shared_with_me()] == [info.id]
    event = list(owner.events())[-1]
    assert event.type == "artifact.shared"
    assert (event.data["session"], event.data["permission"]) == (other.id, "write")


def test_a_grant_ends_at_its_time_to_the_nanosecond(shared_rt: Runtime, time: Any) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    owner.share(info.id, other, expires_at=now(time) + timedelta(seconds=10))
    time.advance(9.999)
    assert other.get_artifact(info.id).content == b"x"
    time.advance(0.001)
    with pytest.raises(AccessDenied):
        other.get_artifact(info.id)
    assert other.shared_with_me() == []
    assert [grant.expired for grant in owner.permissions("n")] == [True]
    assert shared_rt.audit(session=other, granted=False)[0].reason == "the grant has expired"


@pytest.mark.parametrize("given", ["2100-01-01T00:00:00Z", 4102444800, 4102444800.0, datetime(2100, 1, 1, tzinfo=UTC)])
def test_times_can_be_given_as_text_numbers_and_datetimes(shared_rt: Runtime, given: Any) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    owner.store_artifact("log", "n", "x")
    assert owner.share("n", other, expires_at=given).expires_at == datetime(2100, 1, 1, tzinfo=UTC)


def test_a_second_grant_takes_the_place_of_the_first(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    owner.store_artifact("log", "n", "x")
    owner.share("n", other, "admin", inherit=True)
    owner.share("n", other, "read")
    assert [(grant.permission, grant.inherit) for grant in owner.permissions("n")] == [("read", False)]


def test_revoking_takes_a_permission_and_what_is_above_it(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    owner.share("n", other, "admin")
    assert owner.revoke("n", other, "admin") is True
    assert other.check_access(info.id, "write")
    assert owner.revoke("n", other, "admin") is False
    assert owner.revoke("n", other, "write") is True
    assert not other.check_access(info.id, "write")
    assert other.check_access(info.id, "read")
    assert owner.revoke("n", other) is True
    assert owner.revoke("n", other) is False
    assert owner.permissions("n") == []


@pytest.mark.parametrize(
    "given",
    [
        {"with_session": "nobody"},
        {"permission": "own"},
        {"permission": "Read"},
        {"expires_at": "tomorrow"},
        {"expires_at": True},
        {"inherit": 1},
        {"with_session": None},
    ],
)
def test_nonsense_is_refused(shared_rt: Runtime, given: dict[str, Any]) -> None:
    owner = shared_rt.create_session()
    owner.store_artifact("log", "n", "x")
    before = owner.info().sequence
    with pytest.raises(ValidationError):
        owner.share("n", **{"with_session": shared_rt.create_session(), **given})
    with pytest.raises(ValidationError):
        owner.share("n", owner)
    assert owner.info().sequence == before


def test_the_host_is_told_of_an_id_that_is_nobodys_and_a_session_is_not(shared_rt: Runtime) -> None:
    owner = shared_rt.create_session()
    owner.store_artifact("log", "n", "x")
    nobody = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(SessionNotFound):
        owner.share("n", nobody)
    with acting(principal=owner.id):
        assert owner.share("n", nobody).session_id == nobody  # it must not learn which sessions there are
    with pytest.raises(ArtifactNotFound):
        owner.share("missing", shared_rt.create_session())


def test_an_admin_does_not_give_more_than_it_has(shared_rt: Runtime, time: Any) -> None:
    owner, admin, other = (shared_rt.create_session() for _ in range(3))
    info = owner.store_artifact("log", "n", "x")
    until = now(time) + timedelta(hours=1)
    owner.share("n", admin, "admin", until)
    for who in (other, admin):
        with pytest.raises(AccessDenied):
            admin.share(info.id, who, "read", until + timedelta(seconds=1))
        with pytest.raises(AccessDenied):
            admin.share(info.id, who, "read")
    assert admin.share(info.id, other, "admin", until).granted_by == admin.id
    assert other.revoke(info.id, admin) is True
    with pytest.raises(ValidationError):
        other.share(info.id, owner, "read", until)  # the owner is not to be made less


def test_a_grant_is_on_one_version_and_a_writers_next_version_is_its_own_to_use(shared_rt: Runtime) -> None:
    owner, writer, reader = (shared_rt.create_session() for _ in range(3))
    first = owner.store_artifact("log", "report.md", "one", tags=["a"])
    owner.share(first.id, writer, "write")
    owner.share(first.id, reader, "read")
    second = owner.store_artifact("log", "report.md", "two, not shared")
    third = writer.store_version(first.id, "three", tags=["b"], created_by="writer")
    assert (third.name, third.artifact_type, third.version, third.id.session_id) == ("report.md", "log", 3, owner.id)
    assert (third.tags, third.created_by) == (("b",), "writer")
    assert owner.get_artifact("report.md").content == b"three"
    assert [info.version for info in writer.artifact_versions(first.id)] == [1, 3]
    assert [info.version for info in reader.artifact_versions(first.id)] == [1]
    assert writer.store_version(third.id, "four").version == 4
    for who, artifact in ((reader, third), (reader, second), (writer, second)):
        with pytest.raises(AccessDenied):
            who.get_artifact(artifact.id)


def test_what_a_writer_stores_takes_the_owners_room(shared_rt: Runtime) -> None:
    owner = shared_rt.create_session(config={"max_artifacts": 2, "max_storage_bytes": 100})
    writer = shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    owner.share("n", writer, "write")
    with pytest.raises(ResourceLimitExceeded):
        writer.store_version(info.id, b"y" * 100)
    writer.store_version(info.id, b"y" * 99)
    assert (owner.info().artifact_count, owner.info().total_artifact_size) == (2, 100)
    assert writer.info().artifact_count == 0
    with pytest.raises(ResourceLimitExceeded):
        writer.store_version(info.id, b"")
    failed = shared_rt.audit(session=writer, access="write")[0]
    assert (failed.granted, "ResourceLimitExceeded" in failed.reason) == (True, True)


def test_a_version_keeps_its_name(shared_rt: Runtime) -> None:
    owner, writer = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    owner.share("n", writer, "write")
    with pytest.raises(ValidationError):
        writer.store_artifact("log", "another", "y", version_of=info.id)
    with pytest.raises(ValidationError):
        writer.store_many([{"type": "log", "name": "n", "content": "y", "version_of": info.id}])
    assert owner.info().artifact_count == 1


def test_content_is_not_prepared_for_who_may_not_store_it(shared_rt: Runtime) -> None:
    owner, stranger = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")

    class Untouched:
        def read(self, size: int) -> bytes:
            raise AssertionError("the content was read")

    with pytest.raises(AccessDenied):
        stranger.store_artifact("log", "n", Untouched(), version_of=info.id)  # type: ignore[arg-type]


def test_deleting_the_artifact_ends_the_share_in_the_same_write(shared_rt: Runtime) -> None:
    owner, one, two = (shared_rt.create_session() for _ in range(3))
    info = owner.store_artifact("log", "n", "x")
    owner.share("n", one)
    owner.share("n", two)
    commits = shared_rt.stats()["commits"]
    owner.delete_artifact("n")
    assert shared_rt.stats()["commits"] == commits + 1
    assert types(owner)[-3:] == ["artifact.revoked", "artifact.revoked", "artifact.deleted"]
    assert one.shared_with_me() == two.shared_with_me() == []
    with pytest.raises(AccessDenied):
        one.get_artifact(info.id)


def test_deleting_the_owner_ends_all_it_shares_and_deleting_a_grantee_what_it_has(shared_rt: Runtime) -> None:
    owner, other, third = (shared_rt.create_session() for _ in range(3))
    info = owner.store_artifact("log", "n", "x")
    owner.share("n", other)
    owner.share("n", third)
    third.delete()
    assert [grant.session_id for grant in owner.permissions("n")] == [other.id]
    assert list(owner.events())[-1].data["reason"] == "the session was deleted"
    owner.delete()
    assert other.shared_with_me() == []
    with pytest.raises(AccessDenied):
        other.get_artifact(info.id)
    assert shared_rt.verify().problems == []


def test_ended_sessions_can_share_and_revoke(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    owner.complete()
    owner.share("n", other, "admin")
    assert other.get_artifact(info.id).content == b"x"
    owner.archive()
    assert owner.revoke("n", other)


def test_the_number_of_grants_is_bounded(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    owner.share("n", other)
    with acting(principal=owner.id):
        for number in range(MAX_GRANTS - 1):
            owner.share("n", f"00000000-0000-4000-8000-{number:012x}")
        with pytest.raises(ResourceLimitExceeded) as caught:
            owner.share("n", "00000000-0000-4000-9000-000000000000")
    assert caught.value.resource == "grants"
    owner.share("n", other, "admin")  # in the place of one there is
    with pytest.raises(ResourceLimitExceeded):
        other.store_version(info.id, "would need a grant of its own")
    owner.delete()


def test_grants_do_not_travel_with_forks_and_bundles(shared_rt: Runtime, tmp_path: Path) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    owner.store_artifact("log", "n", "x")
    owner.share("n", other, "admin")
    fork = owner.fork()
    assert fork.permissions("n") == []
    with pytest.raises(AccessDenied):
        other.get_artifact(fork.get_artifact_info("n").id)
    owner.export(tmp_path / "b")
    owner.delete()
    (again,) = shared_rt.import_bundle(tmp_path / "b")
    assert again.permissions("n") == []
    assert other.shared_with_me() == []
    again.share("n", other)
    again.export(tmp_path / "c")  # and once more, with all its history
    again.delete()
    assert shared_rt.import_session(tmp_path / "c").permissions("n") == []
    assert shared_rt.verify().problems == []


def test_grants_survive_passivation_and_the_end_of_the_process(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        owner, other = rt.create_session(), rt.create_session()
        info = owner.store_artifact("log", "n", "x")
        owner.share("n", other, "write", "2100-01-01T00:00:00Z", inherit=True)
        owner.save()
        owner.share("n", rt.create_session(), "read")
        before = owner.permissions("n")
    with Runtime.open(store_path) as rt:
        assert rt.session(owner.id).permissions("n") == before
        child = rt.create_session(parent=other.id)
        assert child.store_version(info.id, "y").version == 2
        assert rt.verify().ok


def test_verify_finds_what_is_wrong_in_the_index_of_what_is_shared_and_gc_sets_it_right(
    store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]
) -> None:
    with Runtime.open(store_path) as rt:
        owner, other = rt.create_session(), rt.create_session()
        info = owner.store_artifact("log", "n", "x")
        owner.share("n", other)
    with on_disk() as engine:
        ((key, _),) = engine.scan(CF.INDEX, INDEX_SHARED, b"T")
        stray = key[:-1] + b"\x09"
        engine.write([(CF.INDEX, key, None), (CF.INDEX, stray, b"")])
    with Runtime.open(store_path) as rt:
        assert [problem.kind for problem in rt.verify().problems] == ["index", "index"]
        assert rt.gc().counts == {"index": 2}
        assert [each.id for each in rt.session(other.id).shared_with_me()] == [info.id]
        assert rt.verify().problems == []


def test_a_lost_event_takes_all_grants_along(
    store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]
) -> None:
    """It may have been the one that took a grant back: who cannot be shown to have access has none."""
    with Runtime.open(store_path) as rt:
        owner, other = rt.create_session(), rt.create_session()
        info = owner.store_artifact("log", "n", "x")
        owner.share("n", other)
        owner.revoke("n", other)
        owner.set("k", 1)
        lost = bytes.fromhex(owner.id.replace("-", "")) + (4).to_bytes(8, "big")
    with on_disk() as engine:
        engine.write([(CF.JOURNAL, lost, b"\x01damaged")])
        for key, _ in engine.scan(CF.SNAPSHOTS, b"", b"\xff" * 25):
            engine.write([(CF.SNAPSHOTS, key, None)])
    with Runtime.open(store_path) as rt:
        rt.verify(repair=True)
        with pytest.raises(AccessDenied):
            rt.session(other.id).get_artifact(info.id)
        assert rt.session(other.id).shared_with_me() == []


def test_by_messages_alone(shared_rt: Runtime) -> None:
    rt = shared_rt
    owner, other = rt.create_session(), rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    grant = rt.ask(owner.id, messages.ShareArtifact(info.id, other.id, "write"))
    assert rt.ask(owner.id, messages.ListPermissions("n")) == [grant]
    assert rt.ask(other.id, messages.CheckAccess(str(info.id), "write")) is True
    stored = rt.ask(other.id, messages.StoreArtifact("log", "n", "y", version_of=info.id))
    assert stored.id.session_id == owner.id
    assert rt.ask(owner.id, messages.RevokeArtifact("n", other.id, version=1)) is True
    with pytest.raises(AccessDenied):
        rt.ask(other.id, messages.GetArtifact(info.id))


def test_hooks_around_what_goes_to_another_session_are_called_where_it_was_asked(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    first = owner.store_artifact("log", "n", "x").id
    owner.share(first, other, "admin")
    second = other.store_version(first, "y").id
    seen: Queue[tuple[str, str | None]] = Queue()
    handles = [
        shared_rt.hooks.register(point, lambda context: seen.put((context.point, context.session_id)))
        for point in ("BeforeArtifactDelete", "ArtifactDeleted")
    ]
    both = [("BeforeArtifactDelete", other.id), ("ArtifactDeleted", other.id)]
    try:
        other.delete_artifact(first)
        assert [seen.get(timeout=10), seen.get(timeout=10)] == both
        shared_rt.tell(other.id, messages.DeleteArtifact(second))  # whose hooks are called on other threads
        assert [seen.get(timeout=10), seen.get(timeout=10)] == both
        assert owner.artifact_versions("n") == []
        stranger = shared_rt.create_session()
        third = owner.store_artifact("log", "n", "z").id
        with pytest.raises(AccessDenied):
            shared_rt.ask(stranger.id, messages.DeleteArtifact(third))
    finally:
        for handle in handles:
            handle.unregister()
    assert owner.get_artifact(third).content == b"z"


def test_who_asks_must_be_there(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    owner.share("n", other)
    other.delete()
    with pytest.raises(SessionNotFound):
        other.get_artifact(info.id)


def test_several_at_once_come_from_wherever_they_are(shared_rt: Runtime) -> None:
    owner, other, third = (shared_rt.create_session() for _ in range(3))
    shared = owner.store_artifact("log", "shared", "s")
    hidden = third.store_artifact("log", "hidden", "h")
    own = other.store_artifact("log", "own", "o")
    owner.share("shared", other)
    found = other.get_many([hidden.id, "own", str(shared.id), own.id, "missing"])
    assert {ref: each.content for ref, each in found.results.items()} == {
        "own": b"o",
        str(shared.id): b"s",
        own.id: b"o",
    }
    assert {ref: type(error) for ref, error in found.errors.items()} == {
        hidden.id: AccessDenied,
        "missing": ArtifactNotFound,
    }


def test_from_lua(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    shared_rt.run_script(
        """
        local other, id = ...
        local me = Session.current()
        local grant = Artifact.share(me, id, other, "write", { inherit = true })
        assert(grant.permission == "write" and grant.inherit and grant.session_id == other)
        assert(#Artifact.getPermissions(me, "n") == 1)
        assert(Artifact.checkAccess(me, id, "admin"))
        assert(Artifact.checkAccess(me, id, "write", other) and not Artifact.checkAccess(me, id, "admin", other))
        assert(Artifact.verify(me, id))
        """,
        session=owner,
        args=[other.id, str(info.id)],
    )
    result = shared_rt.run_script(
        """
        local id = ...
        assert(Artifact.get(Session.current(), id).content == "x")
        assert(Artifact.sharedWithMe()[1].name == "n")
        local next = Artifact.storeVersion("", id, "y")
        local ok, e = pcall(Artifact.delete, "", id)
        assert(not ok and e.code == "AccessDenied")
        local log = Artifact.getAuditLog("", { granted = false })
        assert(#log == 1 and log[1].access == "delete" and log[1].source == "script:mine")
        assert(#Artifact.getAuditLog(id) > 2)
        return next
        """,
        session=other,
        args=[str(info.id)],
        name="mine",
    ).value
    assert result["session_id"] == owner.id
    revoked = shared_rt.run_script(
        "local other, id = ... return Artifact.revokePermission('', id, other), Artifact.revoke('', id, other)",
        session=owner,
        args=[other.id, str(info.id)],
    ).value
    assert revoked in ([True, False], True)


def test_no_grant_outlives_a_grantee_that_is_deleted_by_a_process_which_dies(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        owner, other = rt.create_session(), rt.create_session()
        owner.store_artifact("log", "n", "x")
        owner.share("n", other)
    dying = (
        "import os, sys\n"
        "from greenroom.actors.session import actor as session\n"
        "from greenroom.runtime import Runtime\n"
        "rt = Runtime.open(sys.argv[1])\n"
        "delete = session.SessionActor._delete\n"
        "def dies(self):\n"
        "    if sys.argv[3] == 'after':\n"
        "        delete(self)\n"
        "    os.kill(os.getpid(), 9)\n"
        "session.SessionActor._delete = dies\n"
        "rt.delete_session(sys.argv[2])\n"
    )
    for when in ("before", "after"):
        ended = run_warm([sys.executable, "-c", dying, str(store_path), other.id, when])
        assert ended.returncode == -9
        with Runtime.open(store_path) as rt:
            assert rt.session(owner.id).permissions("n") == []
            assert rt.verify().problems == []
            assert rt.exists(other.id) is (when == "before")
