"""What greenroom adds: messages are turns of a session, and what was acknowledged survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.session.repository_session_manager import RepositorySessionManager
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from greenroom.runtime import (
    InvalidSessionState,
    ResourceLimitExceeded,
    Runtime,
    RuntimeClosed,
    StoreLocked,
    ValidationError,
)
from greenroom.runtime.integrations.strands import GreenroomSessionManager, GreenroomSessionRepository

from .models import FakeModel, add, answer, call


def made(repository: GreenroomSessionRepository, session_id: str = "s", agent_id: str = "a") -> None:
    repository.create_session(Session(session_id=session_id, session_type=SessionType.AGENT))
    repository.create_agent(session_id, SessionAgent(agent_id, {}, {}))


def message(number: int, text: str | None = None) -> SessionMessage:
    return SessionMessage({"role": "user", "content": [{"text": text or str(number)}]}, number)


def test_messages_are_turns_of_a_child(rt: Runtime) -> None:
    manager = RepositorySessionManager("s", GreenroomSessionRepository(rt))
    model = FakeModel([call("add", {"a": 1, "b": 2}), answer("It is 3.")])
    agent = Agent(model=model, agent_id="helper", tools=[add], session_manager=manager, callback_handler=None)
    agent("1 + 2?")
    whole = rt.session(key="strands:s")
    (child,) = whole.children()
    assert child.key == "strands:s/helper"
    turns = rt.session(child.id).messages()
    assert [(turn.role, turn.text) for turn in turns] == [
        ("user", "1 + 2?"),
        ("assistant", ""),
        ("user", "3"),
        ("assistant", "It is 3."),
    ]
    assert turns[1].content[0]["toolUse"]["name"] == "add"  # type: ignore[index,call-overload]
    assert [event.type for event in rt.session(child.id).events()].count("message.added") == 4


def test_bytes_are_kept_as_bytes(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    made(repository)
    image: Any = {"image": {"format": "png", "source": {"bytes": b"\x00" * 1000}}}
    repository.create_message("s", "a", SessionMessage({"role": "user", "content": [image]}, 0))
    assert rt.session(key="strands:s/a").messages()[0].content == [image]


def test_a_redacted_message_shows_as_what_it_was_redacted_to(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    made(repository)
    first = message(0, "secret")
    repository.create_message("s", "a", first)
    first.redact_message = {"role": "user", "content": [{"text": "[redacted]"}]}
    repository.update_message("s", "a", first)
    assert [turn.text for turn in rt.session(key="strands:s/a").messages()] == ["[redacted]"]
    assert repository.read_message("s", "a", 0) == first


def test_turns_of_others_are_no_messages(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    made(repository)
    for number in range(3):
        repository.create_message("s", "a", message(number))
        rt.session(key="strands:s/a").add_message("user", "a note", metadata={"strands": number})
    assert [each.message_id for each in repository.list_messages("s", "a")] == [0, 1, 2]
    assert repository.read_message("s", "a", 0) == repository.list_messages("s", "a")[0]
    rt.create_session(key="strands:theirs")
    assert repository.read_session("theirs") is None
    assert repository.read_agent("theirs", "a") is None


def test_a_page_is_right_whatever_was_done_to_the_turns(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    made(repository)

    def pages() -> list[list[int]]:
        return [[each.message_id for each in repository.list_messages("s", "a", offset=n)] for n in range(6)]

    for number in range(5):
        repository.create_message("s", "a", message(number))
    numbers = [0, 1, 2, 3, 4]
    assert pages() == [numbers[n:] for n in range(6)]
    repository.update_message("s", "a", message(3, "changed"))
    assert pages() == [numbers[n:] for n in range(6)]
    turns = rt.session(key="strands:s/a")
    turns.pop_message()
    repository.create_message("s", "a", message(7))
    assert pages() == [[0, 1, 2, 3, 7][n:] for n in range(6)]
    turns.add_message("user", "a note")
    repository.create_message("s", "a", message(8))
    assert pages() == [[0, 1, 2, 3, 7, 8][n:] for n in range(6)]
    turns.retract_message(turns.messages()[4].sequence)
    assert pages() == [[0, 1, 2, 3, 8][n:] for n in range(6)]


def test_writers_at_once_keep_every_message_and_its_place(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    made(repository)

    def write(writer: int) -> None:
        for number in range(20):
            repository.create_message("s", "a", message(number * 10 + writer))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(write, range(6)))
    numbers = sorted(number * 10 + writer for number in range(20) for writer in range(6))
    for offset in (0, 1, 60, 119, 120):
        assert [each.message_id for each in repository.list_messages("s", "a", offset=offset)] == numbers[offset:]


def test_only_agents_are_deleted_with_their_session(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    made(repository)
    other = rt.create_session(parent=rt.session(key="strands:s"))
    repository.delete_session("s")
    assert rt.exists(other.id)
    assert rt.count_sessions() == 1
    with pytest.raises(SessionException):
        repository.create_agent("s", SessionAgent("a", {}, {}))
    with pytest.raises(SessionException):
        repository.create_message("s", "a", message(0))


IDS = ["", "/", "a/b", "a", "b", "../a", "a%2Fb", "%", "\x00", "\ud800", "\udfff", "x" * 600, "x" * 601, "sha256:"]


def test_ids_of_any_characters_are_apart(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    for each in IDS:
        made(repository, each, "a")
        for name in IDS:
            repository.create_agent(each, SessionAgent(name, {"own": [ascii(each), ascii(name)]}, {}))
    for each in IDS:
        found = repository.read_session(each)
        assert found is not None
        assert found.session_id == each
        for name in IDS:
            agent = repository.read_agent(each, name)
            assert agent is not None
            assert agent.state == {"own": [ascii(each), ascii(name)]}


@pytest.mark.parametrize("wrong", [None, 1, b"s", ["s"]])
def test_ids_are_texts(rt: Runtime, wrong: Any) -> None:
    repository = GreenroomSessionRepository(rt)
    for call_ in (repository.read_session, repository.delete_session, repository.create_session):
        with pytest.raises(ValidationError, match="session_id"):
            call_(Session(wrong, SessionType.AGENT) if call_ == repository.create_session else wrong)
    with pytest.raises(ValidationError, match="agent_id"):
        repository.read_message("s", wrong if wrong is not None else 7, 0)


def test_what_is_too_large_or_not_active_is_refused(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    made(repository)
    with pytest.raises(ResourceLimitExceeded):
        repository.create_message("s", "a", message(0, "x" * (16 << 20)))
    repository.create_message("s", "a", message(0))
    rt.session(key="strands:s/a").complete()
    with pytest.raises(InvalidSessionState):
        repository.create_message("s", "a", message(1))
    assert repository.list_messages("s", "a")[0].message_id == 0


def test_ten_thousand_messages(rt: Runtime) -> None:
    repository = GreenroomSessionRepository(rt)
    made(repository)
    for number in range(10_000):
        repository.create_message("s", "a", message(number))
    assert [each.message_id for each in repository.list_messages("s", "a", offset=9_990)] == list(range(9_990, 10_000))
    first = repository.read_message("s", "a", 0)
    assert first is not None
    assert first.message["content"] == [{"text": "0"}]


def test_a_store_that_is_opened_again_has_everything(tmp_path: Path) -> None:
    manager = GreenroomSessionManager("s", tmp_path / "s")
    with pytest.raises(StoreLocked):
        GreenroomSessionManager("other", tmp_path / "s")
    Agent(model=FakeModel([answer("hi")]), agent_id="a", session_manager=manager, callback_handler=None)("hello")
    manager.close()
    with pytest.raises(RuntimeClosed):
        manager.session_repository.read_session("s")
    again = GreenroomSessionManager("s", tmp_path / "s")
    agent = Agent(model=FakeModel([]), agent_id="a", session_manager=again, callback_handler=None)
    assert [each["role"] for each in agent.messages] == ["user", "assistant"]
    again.close()
    with Runtime.open(tmp_path / "s", read_only=True) as reading:
        assert len(GreenroomSessionRepository(reading).list_messages("s", "a")) == 2


WRITER = """
import sys
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType
from greenroom.runtime.integrations.strands import GreenroomSessionRepository

repository = GreenroomSessionRepository(sys.argv[1])
repository.create_session(Session("s", SessionType.AGENT))
repository.create_agent("s", SessionAgent("a", {}, {}))
for n in range(100_000):
    repository.create_message("s", "a", SessionMessage({"role": "user", "content": [{"text": str(n)}]}, n))
    repository.update_agent("s", SessionAgent("a", {"n": n}, {}))
    print(n, flush=True)
"""


def test_kill_minus_nine_loses_nothing_acknowledged(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(50):
        assert writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = 50 + writer.stdout.read().count("\n")
    writer.wait()
    repository = GreenroomSessionRepository(tmp_path / "s")
    numbers = [each.message_id for each in repository.list_messages("s", "a")]
    agent = repository.read_agent("s", "a")
    repository.close()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) in (acknowledged, acknowledged + 1)
    assert agent is not None
    assert agent.state["n"] in (acknowledged - 1, acknowledged)
