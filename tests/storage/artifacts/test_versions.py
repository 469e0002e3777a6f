from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import ArtifactNotFound, Runtime, Session
from greenroom.storage.codec.keys import after_prefix, artifact_name_prefix, session_bytes
from greenroom.storage.engine.engine import CF


def entries(rt: Runtime, session: Session, name: str) -> int:
    prefix = artifact_name_prefix(session_bytes(session.id), name)
    return len(rt._store.engine.scan(CF.INDEX, prefix, after_prefix(prefix)))


def test_deleted_versions_leave_nothing_to_pass_over(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(50):
        session.store_artifact("t", "kept", f"{number}")
        session.store_artifact("t", "gone", f"{number}")
        session.delete_artifact("gone")
        if number:
            session.delete_artifact("kept", version=number + 1)
    assert entries(rt, session, "kept") == 2  # the first version, and the newest that was given out
    assert entries(rt, session, "gone") == 1
    assert session.get_artifact("kept").info.version == 1
    with pytest.raises(ArtifactNotFound):
        session.get_artifact("gone")
    assert session.store_artifact("t", "gone", "again").version == 51
    assert session.store_artifact("t", "kept", "again").version == 51
    assert rt.verify().problems == []
    assert rt.gc().repaired == ()


@settings(max_examples=25)
@given(steps=st.lists(st.integers(0, 6), max_size=25))
def test_a_version_never_means_two_things(rt: Runtime, steps: list[int]) -> None:
    """0: store the next version; else delete one of those that are there."""
    session = rt.create_session()
    there: dict[int, bytes] = {}
    given_out = 0
    for step in steps:
        if step == 0 or not there:
            given_out += 1
            content = f"{session.id} {given_out}".encode()
            info = session.store_artifact("t", "n", content)
            assert info.version == given_out
            there[given_out] = content
        else:
            version = sorted(there)[step % len(there)]
            session.delete_artifact("n", version)
            del there[version]
        assert [info.version for info in session.artifact_versions("n")] == sorted(there)
        if there:
            assert session.get_artifact("n").content == there[max(there)]
        assert entries(rt, session, "n") <= len(there) + 1
    assert rt.verify().problems == []
