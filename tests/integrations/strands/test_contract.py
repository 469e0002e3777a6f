"""The documented contract of Strands' SessionRepository, and what its FileSessionManager does beyond the words.

Each test runs on FileSessionManager and on GreenroomSessionRepository, and with real agents on the session managers
above them. Strands ships no tests for repositories.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.multiagent import GraphBuilder
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from .conftest import Managed
from .models import FakeModel, add, answer, call


def session(session_id: str = "s") -> Session:
    return Session(session_id=session_id, session_type=SessionType.AGENT)


def agent(agent_id: str = "a", **state: Any) -> SessionAgent:
    return SessionAgent(agent_id=agent_id, state=state, conversation_manager_state={"removed": 0})


def message(number: int, *content: Any, role: str = "user", **more: Any) -> SessionMessage:
    fields: Any = {"role": role, "content": list(content) or [{"text": str(number)}], **more}
    return SessionMessage(message=fields, message_id=number)


@pytest.fixture
def filled(repository: Any) -> Any:
    repository.create_session(session())
    repository.create_agent("s", agent())
    return repository


class State:
    """Stands for a graph or a swarm."""

    def __init__(self, name: str, state: dict[str, Any]) -> None:
        self.id = name
        self.state = state

    def serialize_state(self) -> dict[str, Any]:
        return self.state


# -- sessions


def test_sessions(repository: Any) -> None:
    assert repository.read_session("s") is None
    made = session()
    assert repository.create_session(made) == made
    assert repository.read_session("s") == made
    with pytest.raises(SessionException, match="Session s already exists"):
        repository.create_session(session())
    assert repository.read_session("s") == made


def test_a_deleted_session_is_gone_with_all_it_has(filled: Any) -> None:
    filled.create_message("s", "a", message(0))
    filled.create_multi_agent("s", State("g", {}))
    filled.delete_session("s")
    assert filled.read_session("s") is None
    assert filled.read_agent("s", "a") is None
    assert filled.read_message("s", "a", 0) is None
    assert filled.read_multi_agent("s", "g") is None
    with pytest.raises(SessionException, match="Session s does not exist"):
        filled.delete_session("s")
    filled.create_session(session())
    assert filled.read_agent("s", "a") is None


# -- agents


def test_agents(filled: Any) -> None:
    made = agent("b", step=1, nested={"a": [1.0, None, "é", 10**30]}, order={"z": 1, "a": 2}, deep=[[[{}]]])
    assert filled.read_agent("s", "b") is None
    filled.create_agent("s", made)
    assert filled.read_agent("s", "b") == made
    assert list(filled.read_agent("s", "b").state["order"]) == ["z", "a"]
    later = agent("b", step=2)
    later._internal_state = {"interrupt_state": {}, "model_state": {"blob": b"\x00\xff"}}
    filled.update_agent("s", later)
    assert later.created_at == made.created_at
    assert filled.read_agent("s", "b") == later
    with pytest.raises(SessionException, match="Agent c in session s does not exist"):
        filled.update_agent("s", agent("c"))
    with pytest.raises(SessionException):
        filled.update_agent("none", agent("a"))
    assert filled.read_agent("none", "a") is None


def test_an_agent_that_is_created_again_keeps_its_messages(filled: Any) -> None:
    filled.create_message("s", "a", message(0))
    filled.create_agent("s", agent("a", new=True))
    assert filled.read_agent("s", "a").state == {"new": True}
    assert len(filled.list_messages("s", "a")) == 1


def test_state_that_json_alone_can_hold(filled: Any) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    filled.create_agent("s", agent("odd", infinite=math.inf, deep=deep))
    assert filled.read_agent("s", "odd").state == {"infinite": math.inf, "deep": deep}
    filled.create_message("s", "a", message(0, {"text": "x", "infinite": -math.inf, "deep": deep}))
    assert filled.read_message("s", "a", 0).message["content"][0]["deep"] == deep
    assert len(filled.list_messages("s", "a")) == 1


def test_state_that_is_no_json_changes_nothing(filled: Any) -> None:
    filled.create_message("s", "a", message(0))
    wrong: Any = object()
    for write in (
        lambda: filled.update_agent("s", agent("a", wrong=wrong)),
        lambda: filled.update_message("s", "a", message(0, {"text": wrong})),
        lambda: filled.create_message("s", "a", message(1, {"text": wrong})),
        lambda: filled.create_multi_agent("s", State("g", {"wrong": wrong})),
    ):
        with pytest.raises((TypeError, ValueError)):
            write()
    assert filled.read_agent("s", "a").state == {}
    assert [each.message["content"] for each in filled.list_messages("s", "a")] == [[{"text": "0"}]]
    assert filled.read_multi_agent("s", "g") is None


# -- messages

CONTENTS: list[list[Any]] = [
    [{"text": "hi"}],
    [],
    [{"toolUse": {"toolUseId": "t", "name": "add", "input": {"a": 1}}}],
    [{"toolResult": {"toolUseId": "t", "status": "success", "content": [{"text": "2"}, {"json": {"x": [1]}}]}}],
    [{"image": {"format": "png", "source": {"bytes": b"\x89PNG\x00\xff"}}}, {"text": "what is it?"}],
    [{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}],
    [{"reasoningContent": {"redactedContent": b"x"}}],
    [{"text": "é\x00😀"}, {"cachePoint": {"type": "default"}}],
    ["no block", 1, None, [[]]],
]


@pytest.mark.parametrize("content", CONTENTS)
def test_messages_come_back_as_they_were(filled: Any, content: list[Any]) -> None:
    made = message(0, role="assistant", tracking_id="t1", metadata={"usage": {"inputTokens": 1}})
    made.message["content"] = content
    filled.create_message("s", "a", made)
    assert filled.read_message("s", "a", 0) == made
    assert filled.list_messages("s", "a") == [made]
    assert list(filled.read_message("s", "a", 0).message) == ["role", "content", "tracking_id", "metadata"]
    made.redact_message = {"role": "user", "content": [{"text": "redacted"}]}
    filled.update_message("s", "a", made)
    assert filled.read_message("s", "a", 0) == made
    assert filled.read_message("s", "a", 0).to_message() == made.redact_message


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.dictionaries(
    st.sampled_from(["role", "content", "message", "strands", "json", "tracking_id"]), VALUES, max_size=4
)


@given(MESSAGES | VALUES, st.none() | MESSAGES)
def test_any_message_comes_back_as_it_was(filled: Any, given_message: Any, redacted: Any) -> None:
    made = SessionMessage(message=given_message, message_id=0, redact_message=redacted)
    filled.create_message("s", "a", made)
    assert filled.read_message("s", "a", 0) == made
    made.redact_message = None
    filled.update_message("s", "a", made)
    assert filled.list_messages("s", "a") == [made]


def test_updates_of_messages(filled: Any) -> None:
    for number in range(40):
        filled.create_message("s", "a", message(number))
    first = filled.read_message("s", "a", 3)
    changed = message(3, {"text": "changed"})
    filled.update_message("s", "a", changed)
    assert changed.created_at == first.created_at
    assert filled.read_message("s", "a", 3) == changed
    assert [each.message_id for each in filled.list_messages("s", "a")] == list(range(40))
    assert filled.read_message("s", "a", 40) is None
    assert filled.read_message("s", "none", 0) is None
    for missing in (lambda: filled.update_message("s", "a", message(40)), lambda: filled.list_messages("s", "none")):
        with pytest.raises(SessionException):
            missing()
    with pytest.raises(SessionException):
        filled.update_message("s", "none", message(0))


@pytest.mark.parametrize("limit", [None, 0, 1, 4, 99])
@pytest.mark.parametrize("offset", [0, 1, 7, 10, 99])
def test_pages(filled: Any, limit: int | None, offset: int) -> None:
    for number in range(10):
        filled.create_message("s", "a", message(number))
    numbers = [each.message_id for each in filled.list_messages("s", "a", limit=limit, offset=offset)]
    assert numbers == list(range(10))[offset:][:limit]


def test_the_order_is_that_of_ids_and_the_same_id_replaces(filled: Any) -> None:
    for number in (5, 0, 12, 2, 100, 7):
        filled.create_message("s", "a", message(number))
    assert [each.message_id for each in filled.list_messages("s", "a")] == [0, 2, 5, 7, 12, 100]
    filled.create_message("s", "a", message(2, {"text": "anew"}))
    assert filled.read_message("s", "a", 2).message["content"] == [{"text": "anew"}]
    assert [each.message_id for each in filled.list_messages("s", "a", limit=2, offset=1)] == [2, 5]
    assert filled.list_messages("s", "a", limit=1, offset=1)[0].message["content"] == [{"text": "anew"}]


@pytest.mark.parametrize("wrong", ["1", None, 1.5, "../x"])
def test_message_ids_are_numbers(filled: Any, wrong: Any) -> None:
    with pytest.raises(ValueError, match="message"):
        filled.create_message("s", "a", message(wrong))
    assert filled.list_messages("s", "a") == []


def test_agents_and_sessions_are_apart(repository: Any) -> None:
    ids = ["a", "A", "a:b", "é", "x" * 200, "100%", "%25", "..a", " ", "sha256:x"]
    for each in ids:
        repository.create_session(session(each))
        for name in ids:
            repository.create_agent(each, agent(name, own=[each, name]))
    for each in ids:
        assert repository.read_session(each).session_id == each
        for name in ids:
            repository.create_message(each, name, message(0, {"text": f"{each}|{name}"}))
    for each in ids:
        for name in ids:
            assert repository.read_agent(each, name).state == {"own": [each, name]}
            (only,) = repository.list_messages(each, name)
            assert only.message["content"] == [{"text": f"{each}|{name}"}]


def test_writers_to_several_agents_at_once(filled: Any) -> None:
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            filled.create_agent("s", agent(name))
            for number in range(15):
                filled.create_message("s", name, message(number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    for n in range(6):
        assert [each.message_id for each in filled.list_messages("s", f"w{n}")] == list(range(15))


# -- graphs and swarms


def test_state_of_several_agents(filled: Any) -> None:
    state = {"type": "graph", "status": "executing", "next": ["b"], "results": {"a": {"x": 1.5}}}
    assert filled.read_multi_agent("s", "g") is None
    with pytest.raises(SessionException):
        filled.update_multi_agent("s", State("g", state))
    filled.create_multi_agent("s", State("g", {}))
    assert filled.read_multi_agent("s", "g") == {}
    filled.update_multi_agent("s", State("g", state))
    assert filled.read_multi_agent("s", "g") == state
    assert filled.read_multi_agent("s", "h") is None


# -- with real agents


def texts(messages: Any) -> list[str]:
    return ["".join(block.get("text", "") for block in each["content"]) for each in messages]


def test_an_agent_continues_the_conversation(managed: Managed) -> None:
    model = FakeModel([call("add", {"a": 1, "b": 2}), answer("3")])
    first = Agent(model=model, agent_id="a", tools=[add], session_manager=managed("s"), callback_handler=None)
    first.state.set("mood", "good")
    assert str(first("1 + 2?")).strip() == "3"

    model = FakeModel([answer("still 3")])
    second = Agent(model=model, agent_id="a", tools=[add], session_manager=managed("s"), callback_handler=None)
    assert second.messages == first.messages
    assert second.state.get("mood") == "good"
    second("sure?")
    assert [each["content"] for each in model.inputs[0]] == [each["content"] for each in second.messages[:-1]]
    assert [each["role"] for each in second.messages] == ["user", "assistant", "user", "assistant", "user", "assistant"]

    third = Agent(model=model, agent_id="a", session_manager=managed("s"), callback_handler=None)
    assert third.messages == second.messages
    assert Agent(model=model, agent_id="b", session_manager=managed("s"), callback_handler=None).messages == []


def test_an_agent_with_a_window_continues_with_its_window(managed: Managed) -> None:
    def made(answers: list[list[Any]]) -> Agent:
        return Agent(
            model=FakeModel(answers),
            agent_id="a",
            session_manager=managed("s"),
            conversation_manager=SlidingWindowConversationManager(window_size=4),
            callback_handler=None,
        )

    first = made([answer(f"a{n}") for n in range(5)])
    for n in range(5):
        first(f"q{n}")
    second = made([answer("a5")])
    assert texts(second.messages) == texts(first.messages)
    second("q5")
    assert texts(second.messages)[-2:] == ["q5", "a5"]


def test_a_message_is_redacted(managed: Managed) -> None:
    manager = managed("s")
    first = Agent(model=FakeModel([]), agent_id="a", session_manager=manager, callback_handler=None)
    manager.append_message({"role": "user", "content": [{"text": "secret"}]}, first)
    manager.redact_latest_message({"role": "user", "content": [{"text": "[redacted]"}]}, first)
    again = Agent(model=FakeModel([]), agent_id="a", session_manager=managed("s"), callback_handler=None)
    assert texts(again.messages) == ["[redacted]"]


def test_a_graph_keeps_its_state(managed: Managed) -> None:
    def graph(answers: list[str]) -> Any:
        builder = GraphBuilder()
        for name, text in zip("ab", answers, strict=True):
            builder.add_node(Agent(model=FakeModel([answer(text)]), agent_id=name, callback_handler=None), name)
        builder.add_edge("a", "b")
        builder.set_entry_point("a")
        builder.set_graph_id("g")
        builder.set_session_manager(managed("s"))
        return builder.build()

    first = graph(["one", "two"])
    assert first("go").completed_nodes == 2
    stored = managed("s").session_repository.read_multi_agent("s", "g")
    assert stored["id"] == "g"
    assert set(stored["completed_nodes"]) == {"a", "b"}
    graph(["one", "two"])  # reads the state
