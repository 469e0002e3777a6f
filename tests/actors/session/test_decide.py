"""Deciding is pure: a state and a command give events, or the error that says why not."""

from __future__ import annotations

from typing import Any

import pytest
from blake3 import blake3

from greenroom.actors import messages as m
from greenroom.actors.session.decisions.decide import Limits, PendingEvent, creation, decide
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SUSPENDED, SessionState
from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.catalog.model import SessionStatus
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.content.chunks import Encoded
from greenroom.storage.errors import (
    ArtifactNotFound,
    GreenroomError,
    InvalidOperation,
    InvalidSessionState,
    InvalidStateTransition,
    ResourceLimitExceeded,
    ValidationError,
)
from greenroom.storage.events.model import StoredEvent

SESSION = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"
STATUSES = list(SessionStatus)


class NoArtifacts:
    """A session that has never stored anything, and has not come back into memory."""

    restored = False

    def latest_version(self, name: str) -> tuple[int, bytes | None]:
        return 0, None

    def artifact(self, ref: ArtifactId | str, version: int | str | None) -> ArtifactInfo:
        raise ArtifactNotFound("there is none")


class ThreeVersions(NoArtifacts):
    """A session whose artifacts have had three versions each, the last of which is deleted."""

    def latest_version(self, name: str) -> tuple[int, bytes | None]:
        return 3, b"2" * 32


def make_state(status: str = "active") -> SessionState:
    state = SessionState(SESSION)
    draft = creation("name", None, None, ["old"], m.metadata_bytes({"a": 1}), None, None, None)
    evolve(state, 1, StoredEvent(draft.type, 10**18, draft.data, 1, 0, 0))
    state.status = STATUSES.index(SessionStatus(status))
    return state


def decided(
    state: SessionState, command: m.Command, limits: Limits | None = None, lookup: Any = None
) -> list[PendingEvent]:
    before = state.encode()
    try:
        return decide(state, command, limits or Limits(), lookup or NoArtifacts())
    finally:
        assert state.encode() == before, "deciding must not change the state"


def prepared(name: str = "a.txt", content: bytes = b"content", **options: Any) -> m.StoreArtifact:
    command = m.StoreArtifact("tool_result", name, content, mime_type="text/plain", **options)
    command.encoded = Encoded(blake3(content).digest(), len(content), len(content), payload=b"\x00" + content)
    return command


MOVES = {
    "suspend": (m.SuspendSession, "session.suspended", "suspended", {"active"}),
    "resume": (m.ResumeSession, "session.resumed", "active", {"suspended"}),
    "complete": (m.CompleteSession, "session.completed", "completed", {"active", "suspended"}),
    "fail": (lambda: m.FailSession("why"), "session.failed", "failed", {"active", "suspended"}),
    "archive": (m.ArchiveSession, "session.archived", "archived", {"completed", "failed"}),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("move", MOVES)
def test_only_the_transitions_of_the_specification_are_allowed(status: str, move: str) -> None:
    make, event, target, allowed = MOVES[move]
    command: Any = make()
    if status in allowed:
        assert [draft.type for draft in decided(make_state(status), command)] == [event]
        return
    with pytest.raises(InvalidStateTransition) as caught:
        decided(make_state(status), command)
    assert caught.value.fields == {"from_status": status, "to_status": target}
    assert status in str(caught.value)
    assert target in str(caught.value)


WRITES = {
    "set": lambda: m.SetVariable("k", 1),
    "delete variable": lambda: m.DeleteVariable("k"),
    "add tag": lambda: m.AddTag("t"),
    "remove tag": lambda: m.RemoveTag("old"),
    "set tags": lambda: m.SetTags(["x"]),
    "metadata": lambda: m.UpdateMetadata({"a": 2}),
    "message": lambda: m.AddMessage("user", "hello"),
    "store": prepared,
    "delete artifact": lambda: m.DeleteArtifact("a"),
}


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "active"])
@pytest.mark.parametrize("write", WRITES)
def test_writing_needs_an_active_session(status: str, write: str) -> None:
    with pytest.raises(InvalidSessionState) as caught:
        decided(make_state(status), WRITES[write]())
    assert caught.value.fields == {"status": status}


@pytest.mark.parametrize("write", WRITES)
def test_the_last_operation_is_the_limit(write: str) -> None:
    state = make_state()
    state.operation_count = 99
    if write != "delete artifact":
        decided(state, WRITES[write](), Limits(max_operations=100))
    with pytest.raises(ResourceLimitExceeded) as caught:
        decided(state, WRITES[write](), Limits(max_operations=99))
    assert caught.value.fields == {"resource": "operations", "limit": 99, "value": 99}


@pytest.mark.parametrize("move", ["suspend", "complete", "fail"])
def test_a_session_at_its_limit_can_still_be_ended(move: str) -> None:
    state = make_state()
    state.operation_count = 99
    command: Any = MOVES[move][0]()
    assert decided(state, command, Limits(max_operations=99))


def test_suspending_resuming_and_saving_in_turns_end_with_the_operations() -> None:
    state = make_state()
    state.status = SUSPENDED
    state.operation_count = 99
    assert decided(state, m.ResumeSession(), Limits(max_operations=100))
    assert decided(state, m.SaveSession(), Limits(max_operations=100))
    with pytest.raises(ResourceLimitExceeded):
        decided(state, m.ResumeSession(), Limits(max_operations=99))
    assert decided(state, m.SaveSession(), Limits(max_operations=99)) == []


def test_what_changes_nothing_journals_nothing() -> None:
    for command in (
        m.DeleteVariable("unknown"),
        m.AddTag("old"),
        m.RemoveTag("unknown"),
        m.SetTags(["old"]),
        m.UpdateMetadata({"a": 1}),
        m.UpdateMetadata({"unknown": None}),
        m.UpdateMetadata({}),
        m.LoadSession(),
    ):
        assert decided(make_state(), command) == []


def test_tags_keep_their_order_and_have_no_repetitions() -> None:
    def tags(command: m.Command) -> list[str]:
        ((event, data, _, _),) = decided(make_state(), command)
        assert event == "tags.changed"
        found: list[str] = data["tags"]
        return found

    assert tags(m.AddTag("new")) == ["old", "new"]
    assert tags(m.SetTags(["b", "a", "b", "c", "a"])) == ["b", "a", "c"]
    assert tags(m.RemoveTag("old")) == []


def test_the_65th_tag_is_refused() -> None:
    state = make_state()
    state.tags = [str(number) for number in range(64)]
    assert decided(state, m.AddTag("63")) == []
    with pytest.raises(ValidationError) as caught:
        decided(state, m.AddTag("64"))
    assert caught.value.fields["field"] == "tags"


def test_metadata_is_merged_and_none_removes() -> None:
    def merged(changes: dict[str, Any]) -> Any:
        ((event, data, _, _),) = decided(make_state(), m.UpdateMetadata(changes))
        assert event == "metadata.updated"
        return unpack_value(data["metadata"])

    assert merged({"b": {"c": 2}}) == {"a": 1, "b": {"c": 2}}
    assert merged({"a": None}) == {}
    assert merged({"a": [1]}) == {"a": [1]}


def test_merged_metadata_over_the_limit_is_refused() -> None:
    state = make_state()
    state.metadata = m.metadata_bytes({"big": "x" * 40_000})
    with pytest.raises(ValidationError) as caught:
        decided(state, m.UpdateMetadata({"more": "y" * 30_000}))
    assert caught.value.fields["field"] == "metadata"


def test_an_artifact_gets_the_next_number_and_the_next_version() -> None:
    state = make_state()
    state.last_artifact = 4
    ((event, data, count, size),) = decided(state, prepared(content=b"12345"), lookup=ThreeVersions())
    assert (event, count, size) == ("artifact.stored", 1, 5)
    assert (data["sequence"], data["version"], data["previous_hash"]) == (5, 4, b"2" * 32)
    ((_, data, _, _),) = decided(make_state(), prepared())
    assert (data["sequence"], data["version"], data["previous_hash"]) == (1, 1, None)


def test_artifacts_are_limited_by_count_and_by_bytes() -> None:
    state = make_state()
    state.artifact_count, state.artifact_bytes = 3, 100
    assert decided(state, prepared(content=b"1234567"), Limits(max_artifacts=4, max_storage_bytes=107))
    with pytest.raises(ResourceLimitExceeded) as caught:
        decided(state, prepared(), Limits(max_artifacts=3))
    assert caught.value.fields == {"resource": "artifacts", "limit": 3, "value": 3}
    with pytest.raises(ResourceLimitExceeded) as caught:
        decided(state, prepared(content=b"1234567"), Limits(max_storage_bytes=106))
    assert caught.value.fields == {"resource": "storage_bytes", "limit": 106, "value": 107}


def test_an_unknown_artifact_cannot_be_deleted() -> None:
    with pytest.raises(ArtifactNotFound):
        decided(make_state(), m.DeleteArtifact("a"))


def test_a_command_that_no_session_knows_is_an_invalid_operation() -> None:
    class Dance(m.Command):
        pass

    for command in (m.Command(), Dance()):
        with pytest.raises(InvalidOperation):
            decided(make_state(), command)


@pytest.mark.parametrize("status", STATUSES)
def test_saving_is_journaled_while_the_session_is_open(status: str) -> None:
    drafts = decided(make_state(status), m.SaveSession())
    assert [draft.type for draft in drafts] == (["session.saved"] if status in ("active", "suspended") else [])


# -- messages check what they carry when they are made


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: m.SetVariable("", 1), "key"),
        (lambda: m.SetVariable("k" * 256, 1), "key"),
        (lambda: m.SetVariable(7, 1), "key"),  # type: ignore[arg-type]
        (lambda: m.SetVariable("k", object()), "value"),
        (lambda: m.SetVariable("k", float("nan")), "value"),
        (lambda: m.SetVariable("k", 1, durability="rock solid"), "durability"),
        (lambda: m.DeleteVariable(""), "key"),
        (lambda: m.GetVariable(["k"]), "key"),  # type: ignore[arg-type]
        (lambda: m.ListVariables(None), "prefix"),  # type: ignore[arg-type]
        (lambda: m.FailSession(""), "reason"),
        (lambda: m.FailSession(None), "reason"),  # type: ignore[arg-type]
        (lambda: m.AddTag("x" * 65), "tag"),
        (lambda: m.AddTag(""), "tag"),
        (lambda: m.SetTags("nlp"), "tags"),
        (lambda: m.SetTags([1]), "tags"),  # type: ignore[list-item]
        (lambda: m.SetTags(5), "tags"),  # type: ignore[arg-type]
        (lambda: m.SetTags(map(str, range(65))), "tags"),
        (lambda: m.UpdateMetadata("x"), "metadata"),  # type: ignore[arg-type]
        (lambda: m.UpdateMetadata({1: 2}), "metadata"),  # type: ignore[dict-item]
        (lambda: m.UpdateMetadata({"k": "x" * (65 << 10)}), "metadata"),
        (lambda: m.AddMessage("", "x"), "role"),
        (lambda: m.AddMessage("user", 7), "content"),  # type: ignore[arg-type]
        (lambda: m.AddMessage("user", b"bytes"), "content"),  # type: ignore[arg-type]
        (lambda: m.AddMessage("user", [object()]), "content"),
        (lambda: m.AddMessage("user", "x", tool_calls={"id": 1}), "tool_calls"),  # type: ignore[arg-type]
        (lambda: m.AddMessage("user", "x", metadata=[1]), "metadata"),  # type: ignore[arg-type]
        (lambda: m.GetMessages(limit=-1), "limit"),
        (lambda: m.GetMessages(before=1.5), "before"),  # type: ignore[arg-type]
        (lambda: m.GetEvents(after=-1), "after"),
        (lambda: m.GetEvents(limit=True), "limit"),
        (lambda: m.StoreArtifact("", "n", b""), "artifact_type"),
        (lambda: m.StoreArtifact("x", "", b""), "name"),
        (lambda: m.StoreArtifact("x", "a\nb", b""), "name"),
        (lambda: m.StoreArtifact("x", "a\x00b", b""), "name"),
        (lambda: m.StoreArtifact("x", "n", 7), "content"),  # type: ignore[arg-type]
        (lambda: m.StoreArtifact("x", "n", None), "content"),  # type: ignore[arg-type]
        (lambda: m.StoreArtifact("x", "n", b"", tags=["x" * 65]), "tags"),
        (lambda: m.StoreArtifact("x", "n", b"", metadata={"k": "x" * (65 << 10)}), "metadata"),
        (lambda: m.StoreArtifact("x", "n", b"", mime_type=""), "mime_type"),
        (lambda: m.ListArtifacts(limit=-1), "limit"),
        (lambda: m.ListArtifacts(offset=-1), "offset"),
        (lambda: m.ListArtifactVersions(""), "name"),
    ],
)
def test_a_message_that_makes_no_sense_cannot_be_made(make: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make()
    assert caught.value.fields["field"] == field


def test_what_is_too_large_for_a_message_says_how_large_it_may_be() -> None:
    for make, resource, limit in (
        (lambda: m.SetVariable("k", "x" * (1 << 20)), "variable_bytes", 1 << 20),
        (lambda: m.AddMessage("user", "x" * (16 << 20)), "message_bytes", 16 << 20),
    ):
        with pytest.raises(ResourceLimitExceeded) as caught:
            make()
        fields = caught.value.fields
        assert (fields["resource"], fields["limit"]) == (resource, limit)
        assert fields["value"] > limit


def test_a_message_keeps_what_it_was_made_with() -> None:
    value: dict[str, Any] = {"list": [1]}
    tags, metadata = ["a"], {"k": [1]}
    variable, artifact = m.SetVariable("k", value), m.StoreArtifact("x", "n", b"", tags=tags, metadata=metadata)
    value["list"].append(2)
    tags.append("b")
    metadata["k"].append(2)
    assert variable.value == {"list": [1]}
    assert artifact.tags == ["a"]
    assert unpack_value(artifact.custom) == {"k": [1]}


def test_errors_are_all_of_one_family() -> None:
    with pytest.raises(GreenroomError) as caught:
        decided(make_state("failed"), m.SuspendSession())
    assert caught.value.code == "InvalidStateTransition"
    assert caught.value.to_status == "suspended"
