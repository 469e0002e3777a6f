"""Who may do what with an artifact of another session: every role × every operation, and each attempt in the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, ArtifactId, Runtime, Session, messages

ROLES = ("owner", "parent", "reader", "writer", "admin", "stranger", "expired", "child", "heir", "revoked")


@dataclass
class Cast:
    """An owner with an artifact, and a session in some role towards it."""

    rt: Runtime
    owner: Session
    actor: Session
    artifact: ArtifactId
    third: Session


def cast(rt: Runtime, time: Any, role: str) -> Cast:
    parent = rt.create_session()
    owner = rt.create_session(parent=parent)
    artifact = owner.store_artifact("log", "report.md", "the secret", tags=["x"]).id
    actor, third = rt.create_session(), rt.create_session()
    if role == "owner":
        actor = owner
    elif role == "parent":
        actor = parent
    elif role in ("reader", "writer", "admin"):
        owner.share(artifact, actor, {"reader": "read", "writer": "write"}.get(role, role))
    elif role == "expired":
        owner.share(artifact, actor, "admin", expires_at=datetime.fromtimestamp(time.time_ns() / 1e9 + 60, UTC))
        time.advance(60)
    elif role in ("child", "heir"):
        owner.share(artifact, actor, "admin", inherit=role == "heir")
        actor = rt.create_session(parent=rt.create_session(parent=actor))
    elif role == "revoked":
        owner.share(artifact, actor, "admin")
        owner.revoke(artifact, actor)
    return Cast(rt, owner, actor, artifact, third)


READERS = {"owner", "parent", "reader", "writer", "admin", "heir"}
WRITERS = READERS - {"reader"}
ADMINS = WRITERS - {"writer"}


def _open(each: Cast) -> None:
    with each.actor.open_artifact(each.artifact) as stream:
        assert stream.read() == b"the secret"


def _many(each: Cast) -> None:
    found = each.actor.get_many([each.artifact])
    for error in found.errors.values():
        raise error
    assert found.results[each.artifact].content == b"the secret"


def _versions(each: Cast) -> None:
    assert [info.id for info in each.actor.artifact_versions(each.artifact)] == [each.artifact]


def _write(each: Cast) -> None:
    stored = each.actor.store_version(each.artifact, "more")
    assert (stored.id.session_id, stored.version) == (each.owner.id, 2)


def _told(each: Cast) -> None:
    each.rt.tell(each.actor.id, messages.DeleteArtifact(each.artifact))
    assert each.owner.artifact_versions("report.md") == []  # in the owner's mailbox this comes after


def _write_told(each: Cast) -> None:
    message = messages.StoreArtifact("log", "report.md", b"more", version_of=each.artifact)
    each.rt.tell(each.actor.id, message)
    assert each.owner.get_artifact("report.md").content == b"more"


OPERATIONS: dict[str, tuple[set[str], str, Callable[[Cast], Any]]] = {
    "info": (READERS, "read", lambda each: each.actor.get_artifact_info(each.artifact)),
    "content": (READERS, "read", lambda each: each.actor.get_artifact(each.artifact).content),
    "content by the id's text": (READERS, "read", lambda each: each.actor.get_artifact(str(each.artifact))),
    "stream": (READERS, "read", _open),
    "several": (READERS, "read", _many),
    "versions": (READERS, "list", _versions),
    "a new version": (WRITERS, "write", _write),
    "a new version, told": (WRITERS, "write", _write_told),
    "delete": (ADMINS, "delete", lambda each: each.actor.delete_artifact(each.artifact)),
    "delete, told": (ADMINS, "delete", _told),
    "share": (ADMINS, "share", lambda each: each.actor.share(each.artifact, each.third)),
    "revoke": (ADMINS, "change_permissions", lambda each: each.actor.revoke(each.artifact, each.third)),
    "permissions": (ADMINS, "list", lambda each: each.actor.permissions(each.artifact)),
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_its_permission_says_and_nothing_else(shared_rt: Runtime, time: Any, role: str) -> None:
    for name, (allowed, access, operation) in OPERATIONS.items():
        each = cast(shared_rt, time, role)
        before = each.owner.info().sequence
        shared_rt.core.trail.flush()
        since = len(shared_rt.audit(session=each.actor))
        refused = None
        try:
            operation(each)
        except AccessDenied as error:
            refused = error
        assert (refused is None) == (role in allowed), f"{role}: {name}"
        log = shared_rt.audit(session=each.actor)
        if role == "owner":
            continue  # not across sessions; changes of permissions are in the log, see test_audit
        assert len(log) > since, f"{role}: {name} is not in the log"
        newest = next(record for record in log if record.access == access)
        assert newest.granted is (refused is None), f"{role}: {name}"
        assert (newest.session, newest.owner, newest.artifact) == (each.actor.id, each.owner.id, str(each.artifact))
        if refused is not None:
            assert each.owner.info().sequence == before, f"{role}: {name} changed something"
            assert "secret" not in str(refused)
            assert "report" not in str(refused)


@pytest.mark.parametrize("role", ROLES)
def test_code_that_acts_for_a_session_has_its_permissions_wherever_it_asks(
    shared_rt: Runtime, time: Any, role: str
) -> None:
    for name, (allowed, _, _) in OPERATIONS.items():
        if name not in ("info", "delete"):
            continue
        each = cast(shared_rt, time, role)
        kind = messages.GetArtifactInfo if name == "info" else messages.DeleteArtifact
        for asked in (each.owner.id, each.actor.id):
            each.artifact = each.owner.store_artifact("log", "other.md", "o").id if role == "owner" else each.artifact
            with acting(principal=each.actor.id):
                if role in allowed:
                    shared_rt.ask(asked, kind(each.artifact))
                    break  # deleted
                with pytest.raises(AccessDenied):
                    shared_rt.ask(asked, kind(each.artifact))


@pytest.mark.parametrize("role", ROLES)
def test_check_access_says_what_a_role_may(shared_rt: Runtime, time: Any, role: str) -> None:
    each = cast(shared_rt, time, role)
    answers = [each.actor.check_access(each.artifact, permission) for permission in ("read", "write", "admin")]
    assert answers == [role in READERS, role in WRITERS, role in ADMINS]
    seen = [
        each.owner.check_access(each.artifact, permission, session=each.actor)
        for permission in ("read", "write", "admin")
    ]
    assert seen == answers


def test_the_words_of_a_refusal_do_not_tell_whether_the_artifact_exists(shared_rt: Runtime, time: Any) -> None:
    each = cast(shared_rt, time, "stranger")
    other = shared_rt.create_session()
    gone = ArtifactId(each.artifact.content_hash, other.id, 1)
    nobody = ArtifactId(each.artifact.content_hash, "00000000-0000-4000-8000-000000000000", 1)
    wrong = ArtifactId("0" * 64, each.owner.id, 1)
    texts = set()
    for artifact in (each.artifact, gone, nobody, wrong):
        with pytest.raises(AccessDenied) as caught:
            each.actor.get_artifact(artifact)
        texts.add(str(caught.value).replace(str(artifact), "ID"))
        assert set(caught.value.fields) == {"artifact"}
    assert len(texts) == 1


def test_asking_what_one_may_do_does_not_tell_either(shared_rt: Runtime, time: Any) -> None:
    each = cast(shared_rt, time, "stranger")
    nobody = ArtifactId(each.artifact.content_hash, "00000000-0000-4000-8000-000000000000", 1)
    texts = set()
    for artifact in (each.artifact, nobody):
        assert each.actor.check_access(artifact) is False
        with pytest.raises(AccessDenied) as caught:
            each.actor.check_access(artifact, session=each.third)
        texts.add(str(caught.value).replace(str(artifact), "ID"))
    assert len(texts) == 1


def test_an_id_with_the_wrong_hash_reaches_nothing_even_with_a_grant(shared_rt: Runtime, time: Any) -> None:
    each = cast(shared_rt, time, "admin")
    with pytest.raises(AccessDenied):
        each.actor.get_artifact(ArtifactId("0" * 64, each.owner.id, each.artifact.sequence))
