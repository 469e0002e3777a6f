"""What cannot be used is its caller's typed error, before anything is sent: no session restarts, nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import GreenroomError, Runtime, ValidationError, messages

from .surface import Call, World, makings
from .values import HOSTILE, SECRET


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("hostile"))
    yield made
    made.rt.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pydantic writes such an error off
@pytest.mark.parametrize("what", HOSTILE)
def test_no_message_takes_what_a_session_could_not_handle(world: World, what: str) -> None:
    """Every parameter of every message, found by looking at the classes. What is made is sent, too."""
    wrong: list[tuple[str, BaseException]] = []
    world.renew()
    was = world.state()
    for call in _of_messages():
        if world.state() != was:
            world.renew()
            was = world.state()
        before = world.s.info().sequence
        try:
            made = call.invoke(world, HOSTILE[what]())
        except GreenroomError as error:
            if SECRET in str(error):
                wrong.append((str(call), error))
            continue
        except Exception as error:
            wrong.append((str(call), error))
            continue
        if type(made) in (messages.Command, messages.Query, messages.Message) or what.startswith("file"):
            continue
        if not isinstance(made, messages.Message):
            made = messages.ForkSession(changes=[made])  # what only a fork takes
        try:
            world.rt.ask(world.s.id, made)
        except GreenroomError:
            if not isinstance(made, (messages.CallTool, messages.CallAgent)):
                assert world.s.info().sequence == before, call
        except Exception as error:
            wrong.append((f"{call}, sent", error))
        actor = world.rt._supervisor.table.resident_actor(world.s.id)
        assert actor is None or not actor._failures, f"{call} restarted the session"
    assert wrong == []


_found: list[Call] = []


def _of_messages() -> list[Call]:
    if not _found:
        _found.extend(each for each in makings() if each.name.startswith("messages."))
    return _found


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("name", ["name", "profile", "language", "timeout", "args", "session", "directories", "echo"])
def test_no_argument_of_a_script_harms_its_session(world: World, name: str, what: str) -> None:
    world.renew()
    said: list[str] = []
    for _ in range(2):
        try:
            world.rt.run_script("return 1", **{"session": world.s, name: HOSTILE[what]()})
        except GreenroomError as error:
            said.append(str(error))
    assert world.s.info().status == "active"
    assert SECRET not in "".join(said)
    actor = world.rt._supervisor.table.resident_actor(world.s.id)
    assert actor is not None
    assert not actor._failures


@pytest.mark.parametrize("what", HOSTILE)
def test_no_session_id_and_no_timeout_of_ask_harms_anybody(world: World, what: str) -> None:
    world.renew()
    attempts: list[Any] = [
        lambda value: world.rt.ask(value, messages.GetInfo()),
        lambda value: world.rt.tell(value, messages.GetInfo()),
        lambda value: world.rt.ask(world.s.id, value),
        lambda value: world.rt.tell(world.s.id, value),
        lambda value: world.rt.ask(world.s.id, messages.GetInfo(), value),
        world.rt.session,
        world.rt.exists,
        world.rt.delete_session,
        lambda value: world.rt.state_scope(value).get("k"),
        lambda value: world.rt.state_scope("x", value),
        world.rt.get_many,
        world.rt.find_sessions,
        world.rt.policies.usage,
    ]
    said: list[str] = []
    for attempt in attempts:
        try:
            attempt(HOSTILE[what]())
        except GreenroomError as error:
            said.append(str(error))
    assert world.s.get("k") == 1
    assert SECRET not in "".join(said)


@pytest.mark.parametrize("type_", ["results.json", "notes.MD", "photo.png", "run.lua"])
def test_the_name_of_a_file_is_no_artifact_type(rt: Runtime, type_: str) -> None:
    s = rt.create_session()
    with pytest.raises(ValidationError, match="the order is type, name, content"):
        s.store_artifact(type_, "tool_result", b"{}")
    assert s.store_artifact("custom.step", "a.json", b"{}").artifact_type == "custom.step"


def test_an_unknown_argument_of_an_artifact_in_a_batch_names_the_nearest(rt: Runtime) -> None:
    s = rt.create_session()
    with pytest.raises(ValidationError, match=r"items\[1\]: unknown 'tag'; the nearest known one is tags"):
        s.store_many([{"type": "t", "name": "a", "content": b""}, {"type": "t", "name": "b", "content": b"", "tag": 1}])
    assert len(s.list_artifacts()) == 0
