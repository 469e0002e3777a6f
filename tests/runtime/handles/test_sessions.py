"""Sessions as a host sees them: what they are, what may become of them, and what they keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from greenroom.runtime import (
    InvalidSessionState,
    InvalidStateTransition,
    ResourceLimitExceeded,
    Runtime,
    Session,
    SessionConfig,
    SessionInfo,
    SessionNotFound,
    SessionStatus,
    ValidationError,
)

from ..test_model import ALLOWED

ALL = tuple(SessionStatus)
UNKNOWN = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"


# -- creating


def test_a_new_session_has_the_fields_it_was_given(rt: Runtime) -> None:
    parent = rt.create_session(name="parent")
    before = datetime.now(UTC)
    session = rt.create_session(
        name="Analysis",
        description="of texts",
        created_by="ann",
        tags=["nlp", "x", "nlp"],
        metadata={"team": "x", "nested": {"a": [1, None]}},
        parent=parent,
        correlation_id="request 7",
    )
    info = session.info()
    assert UUID(info.id).version == 4
    assert info.id == session.id
    assert info.status == "active"
    assert info.status is SessionStatus.ACTIVE
    assert (info.name, info.description, info.created_by) == ("Analysis", "of texts", "ann")
    assert info.tags == ("nlp", "x")
    assert info.custom_metadata == {"team": "x", "nested": {"a": [1, None]}}
    assert info.parent_session_id == parent.id
    assert info.correlation_id == "request 7"
    assert before - timedelta(seconds=1) <= info.created_at <= datetime.now(UTC)
    assert info.created_at.tzinfo is UTC
    assert info.started_at == info.created_at == info.updated_at
    assert info.ended_at is None
    assert (info.artifact_count, info.total_artifact_size, info.sequence) == (0, 0, 1)
    assert info.failure_reason is None
    assert info.duration == 0


def test_a_session_needs_no_arguments(rt: Runtime) -> None:
    info = rt.create_session().info()
    assert (info.name, info.description, info.created_by, info.parent_session_id) == (None, None, None, None)
    assert info.tags == ()
    assert info.custom_metadata == {}
    assert info.correlation_id == info.id


def test_a_parent_may_be_named_by_its_id(rt: Runtime) -> None:
    parent = rt.create_session()
    assert rt.create_session(parent=parent.id).info().parent_session_id == parent.id


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"name": "x" * 256}, "name"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"description": b"x"}, "description"),
        ({"created_by": ["ann"]}, "created_by"),
        ({"correlation_id": 7}, "correlation_id"),
        ({"tags": "nlp"}, "tags"),
        ({"tags": ["x" * 65]}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": [None]}, "tags"),
        ({"tags": 5}, "tags"),
        ({"tags": [str(number) for number in range(65)]}, "tags"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"metadata": {"a": float("nan")}}, "metadata"),
        ({"metadata": {1: "a"}}, "metadata"),
        ({"metadata": {"k": "x" * (64 << 10)}}, "metadata"),
        ({"parent": 7}, "parent"),
        ({"config": {"max_artifacts": -1}}, "max_artifacts"),
        ({"config": {"max_artefacts": 1}}, "max_artefacts"),
        ({"config": {"retention_days": "long"}}, "retention_days"),
        ({"config": 7}, "config"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_session_cannot_be_is_refused_by_field(rt: Runtime, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rt.create_session(**arguments)
    assert caught.value.fields["field"] == field
    assert rt.count_sessions(status=ALL) == 0


def test_limits_are_inclusive(rt: Runtime) -> None:
    session = rt.create_session(
        name="n" * 255,
        tags=[f"{number:064}" for number in range(64)],
        metadata={"k": "x" * ((64 << 10) - 6)},
    )
    assert len(session.info().tags) == 64
    assert len(session.info().name or "") == 255


@pytest.mark.parametrize("parent", [UNKNOWN, "", "nonsense"])
def test_the_parent_must_exist(rt: Runtime, parent: str) -> None:
    with pytest.raises(SessionNotFound):
        rt.create_session(parent=parent)


def test_the_error_of_a_refused_session_does_not_show_values(rt: Runtime) -> None:
    with pytest.raises(ValidationError) as caught:
        rt.create_session(name=["hunter2"], description=7)  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


def test_ids_are_unpredictable_and_unique(rt: Runtime) -> None:
    ids = {rt.create_session().id for _ in range(500)}
    assert len(ids) == 500
    assert {UUID(each).version for each in ids} == {4}
    assert len({each[0] for each in ids}) == 16
    assert len({each[19] for each in ids}) == 4


# -- statuses


MOVES = ["suspend", "resume", "complete", "fail", "archive"]
PATHS: dict[str, list[str]] = {
    "active": [],
    "suspended": ["suspend"],
    "completed": ["complete"],
    "failed": ["fail"],
    "archived": ["complete", "archive"],
}


def move(session: Session, name: str) -> SessionInfo:
    info: SessionInfo = session.fail("a reason") if name == "fail" else getattr(session, name)()
    return info


@pytest.mark.parametrize("status", PATHS)
@pytest.mark.parametrize("step", MOVES)
def test_every_transition_is_made_or_refused_with_both_statuses(rt: Runtime, status: str, step: str) -> None:
    session = rt.create_session()
    for each in PATHS[status]:
        move(session, each)
    before = session.info()
    assert before.status == status
    target = ALLOWED.get((status, step))
    if target is not None:
        info = move(session, step)
        assert info.status == target
        assert info == session.info()
        assert info.sequence == before.sequence + 1
        return
    with pytest.raises(InvalidStateTransition) as caught:
        move(session, step)
    assert caught.value.fields["from_status"] == status
    assert caught.value.fields["to_status"] in ALL
    assert session.info() == before
    assert rt.verify().ok


def test_ending_is_recorded(rt: Runtime) -> None:
    done, failed = rt.create_session(), rt.create_session()
    info = done.complete()
    assert info.ended_at is not None
    assert info.ended_at == info.updated_at
    assert info.duration == pytest.approx((info.ended_at - info.created_at).total_seconds(), abs=1e-5)
    assert failed.fail("out of luck").failure_reason == "out of luck"
    assert failed.archive().failure_reason == "out of luck"
    assert failed.info().ended_at is not None


@pytest.mark.parametrize("status", [status for status in PATHS if status != "active"])
def test_writing_needs_an_active_session_and_reading_does_not(rt: Runtime, status: str) -> None:
    session = rt.create_session(tags=["t"])
    session.set("k", 1)
    session.add_message("user", "hello")
    session.store_artifact("x", "a", b"content")
    for each in PATHS[status]:
        move(session, each)
    before = session.info()
    for write in (
        lambda: session.set("k", 2),
        lambda: session.delete_variable("k"),
        lambda: session.add_tag("u"),
        lambda: session.remove_tag("t"),
        lambda: session.set_tags([]),
        lambda: session.update_metadata({"a": 1}),
        lambda: session.add_message("user", "more"),
        lambda: session.store_artifact("x", "b", b"more"),
        lambda: session.store_artifact("x", "b", b"more" * 100_000),
        lambda: session.delete_artifact("a"),
    ):
        with pytest.raises(InvalidSessionState) as caught:
            write()
        assert caught.value.fields["status"] == status
    assert session.info() == before
    assert session.get("k") == 1
    assert session.variables() == {"k": 1}
    assert [message.content for message in session.messages()] == ["hello"]
    assert session.get_artifact("a").content == b"content"
    assert session.list_artifacts().total == 1
    assert len(list(session.events())) == before.sequence
    session.load()
    session.save()
    assert rt.verify().ok


# -- variables


VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**200,
    1.5,
    "",
    "text",
    "\ud800 lone",
    b"",
    b"\x00\xff",
    [],
    {},
    [1, [2, [3]]],
    {"a": {"b": [b"bytes", None]}},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_variable_has_the_value_it_was_set_to(rt: Runtime, value: Any) -> None:
    session = rt.create_session()
    session.set("k", value)
    assert session.get("k", default="absent") == value
    assert type(session.get("k")) is type(value)
    assert session.variables() == {"k": value}


def test_missing_variables_have_the_default(rt: Runtime) -> None:
    session = rt.create_session()
    assert session.get("none") is None
    assert session.get("none", default=0) == 0
    assert session.get("none", 7) == 7
    session.set("null", None)
    assert session.get("null", default=7) is None


def test_deleting_a_variable_tells_whether_it_was_there(rt: Runtime) -> None:
    session = rt.create_session()
    session.set("k", 1)
    assert session.delete_variable("k") is True
    assert session.delete_variable("k") is False
    assert session.get("k", "gone") == "gone"
    assert session.info().sequence == 3


def test_variables_are_listed_by_prefix_in_order(rt: Runtime) -> None:
    session = rt.create_session()
    for key in ("b", "a/2", "a/1", "a", "ä"):
        session.set(key, key.upper())
    assert list(session.variables()) == ["a", "a/1", "a/2", "b", "ä"]
    assert session.variables("a/") == {"a/1": "A/1", "a/2": "A/2"}
    assert session.variables("z") == {}


def test_what_is_handed_out_is_the_callers_own(rt: Runtime) -> None:
    session = rt.create_session(metadata={"list": [1]}, tags=["t"])
    value = {"list": [1], "inner": {"a": 1}}
    session.set("k", value)
    value["list"].append("later")  # type: ignore[attr-defined]
    session.get("k")["list"].append("mine")
    session.variables()["k"]["inner"]["a"] = 2
    session.info().custom_metadata["list"].append(2)
    turn = session.add_message("user", [{"part": 1}], metadata={"m": [1]})
    turn.content[0]["part"] = 2  # type: ignore[index]
    turn.metadata["m"].append(2)
    session.messages()[0].content[0]["part"] = 3  # type: ignore[index]
    stored = session.store_artifact("x", "a", b"c", metadata={"m": [1]})
    stored.custom["m"].append(2)
    session.get_artifact_info("a").custom["m"].append(3)
    for event in session.events():
        event.data.clear()

    assert session.get("k") == {"list": [1], "inner": {"a": 1}}
    assert session.info().custom_metadata == {"list": [1]}
    assert session.messages()[0].content == [{"part": 1}]
    assert session.messages()[0].metadata == {"m": [1]}
    assert session.get_artifact_info("a").custom == {"m": [1]}
    assert all(event.data for event in session.events())


def test_an_info_cannot_be_changed(rt: Runtime) -> None:
    info = rt.create_session(name="n").info()
    for field in SessionInfo.FIELDS:
        with pytest.raises(AttributeError):
            setattr(info, field, "x")
    with pytest.raises(AttributeError):
        info.more = 1  # type: ignore[attr-defined]


def test_an_info_stays_what_it_was(rt: Runtime) -> None:
    session = rt.create_session(tags=["a"])
    info = session.info()
    before = info.to_dict()
    session.add_tag("b")
    session.set("k", 1)
    session.complete()
    assert info.to_dict() == before
    assert info != session.info()
    assert session.info() == session.info()
    assert len({session.info(), session.info()}) == 1


def test_an_info_as_a_dict_is_json(rt: Runtime) -> None:
    import json

    session = rt.create_session(name="n", tags=["a"], metadata={"k": [1]})
    row = session.complete().to_dict()
    assert list(row) == list(SessionInfo.FIELDS)
    assert json.loads(json.dumps(row)) == row
    assert row["status"] == "completed"
    assert row["tags"] == ["a"]
    for key in ("created_at", "updated_at", "started_at", "ended_at"):
        assert row[key].endswith("Z")
        assert datetime.fromisoformat(row[key]).tzinfo is not None


# -- limits of a session


def test_a_session_has_the_limits_of_its_config(rt: Runtime) -> None:
    session = rt.create_session(config={"max_operations": 4, "max_artifacts": 1, "max_storage_bytes": 100})
    with pytest.raises(ResourceLimitExceeded) as caught:
        session.store_artifact("x", "a", b"x" * 101)
    assert caught.value.fields["resource"] == "storage_bytes"
    session.store_artifact("x", "a", b"x" * 100)
    with pytest.raises(ResourceLimitExceeded) as caught:
        session.store_artifact("x", "b", b"")
    assert caught.value.fields == {"resource": "artifacts", "limit": 1, "value": 1}
    session.set("k", 1)
    session.set("k", 2)
    with pytest.raises(ResourceLimitExceeded) as caught:
        session.set("k", 3)
    assert caught.value.fields == {"resource": "operations", "limit": 4, "value": 4}
    assert session.get("k") == 2
    assert session.complete().status == "completed"


def test_the_config_holds_after_the_session_has_left_memory(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session(config=SessionConfig(max_artifacts=1))
        session.store_artifact("x", "a", b"")
    with Runtime.open(store_path) as rt, pytest.raises(ResourceLimitExceeded):
        rt.session(session.id).store_artifact("x", "b", b"")


def test_reads_are_no_operations(rt: Runtime) -> None:
    session = rt.create_session()
    session.set("k", 1)
    count = session.info().operation_count
    session.get("k")
    session.variables()
    list(session.events())
    assert session.info().operation_count == count
    session.set("k", 2)
    assert session.info().operation_count == count + 1
