"""Real graphs over GreenroomSaver: interrupts, time travel, subgraphs, parallel nodes, delta channels, async."""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.store.base import BaseStore
from langgraph.types import Command, Send, interrupt

from greenroom.runtime import AsyncRuntime, Runtime
from greenroom.runtime.integrations.langgraph import GreenroomSaver, GreenroomStore

Config = dict[str, Any]


class Chat(TypedDict):
    messages: Annotated[list[Any], add_messages]


class Log(TypedDict):
    log: Annotated[list[str], operator.add]


def config(thread: str = "1", **more: Any) -> Any:
    return {"configurable": {"thread_id": thread, **more}}


def answer(state: Chat) -> Chat:
    return {"messages": [AIMessage(f"answer {len(state['messages'])}")]}


def chat() -> StateGraph[Any]:
    builder = StateGraph(Chat)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder


def test_a_conversation_goes_on_after_the_store_was_closed(tmp_path: Path) -> None:
    for turn in range(1, 4):
        with GreenroomSaver(tmp_path / "store") as saver:
            graph = chat().compile(checkpointer=saver)
            state = graph.invoke({"messages": [HumanMessage(f"turn {turn}")]}, config())
            assert len(state["messages"]) == 2 * turn
            assert state["messages"][-1].content == f"answer {2 * turn - 1}"


def test_long_conversations_are_the_same_as_in_memory(tmp_path: Path) -> None:
    states = []
    with GreenroomSaver(tmp_path / "store") as saver:
        for each in (saver, InMemorySaver()):
            graph = chat().compile(checkpointer=each)
            for turn in range(40):
                graph.invoke({"messages": [HumanMessage(f"turn {turn}", id=str(turn))]}, config())
            history = list(graph.get_state_history(config()))
            states.append(
                [
                    (
                        [(each.type, each.content) for each in state.values.get("messages", [])],
                        state.next,
                        state.metadata,
                    )
                    for state in history
                ]
            )
    assert states[0] == states[1]
    assert len(states[0]) == 120


def test_an_interrupt_waits_through_a_restart_for_its_resume(tmp_path: Path) -> None:
    def ask(state: Log) -> Log:
        return {"log": [f"asked: {interrupt('sure?')}"]}

    builder = StateGraph(Log)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    with GreenroomSaver(tmp_path / "store") as saver:
        state = builder.compile(checkpointer=saver).invoke({"log": ["begun"]}, config())
        assert state["__interrupt__"][0].value == "sure?"
    with GreenroomSaver(tmp_path / "store") as saver:
        graph = builder.compile(checkpointer=saver)
        assert graph.get_state(config()).tasks[0].interrupts[0].value == "sure?"
        assert graph.invoke(Command(resume="yes"), config())["log"] == ["begun", "asked: yes"]
        assert graph.get_state(config()).next == ()


def test_time_travel_forks_the_past_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    with GreenroomSaver(tmp_path / "store") as saver:
        graph = chat().compile(checkpointer=saver)
        graph.invoke({"messages": [HumanMessage("first", id="1")]}, config())
        graph.invoke({"messages": [HumanMessage("second", id="2")]}, config())
        history = list(graph.get_state_history(config()))
        past = next(each for each in history if len(each.values["messages"]) == 2 and not each.next)
        before = [each.content for each in graph.get_state(config()).values["messages"]]
        forked = graph.update_state(past.config, {"messages": [HumanMessage("another second", id="3")]}, as_node=START)
        state = graph.invoke(None, forked)
        assert [each.content for each in state["messages"]] == ["first", "answer 1", "another second", "answer 3"]
        left = graph.get_state(history[0].config).values["messages"]
        assert [each.content for each in left] == before == ["first", "answer 1", "second", "answer 3"]


def test_subgraphs_have_namespaces_of_their_own(tmp_path: Path) -> None:
    def inner(state: Log) -> Log:
        return {"log": [f"inner: {interrupt('inside?')}"]}

    def outer(state: Log) -> Log:
        return {"log": ["outer"]}

    below = StateGraph(Log)
    below.add_node("inner", inner)
    below.add_edge(START, "inner")
    builder = StateGraph(Log)
    builder.add_node("below", below.compile(checkpointer=True))
    builder.add_node("outer", outer)
    builder.add_edge(START, "below")
    builder.add_edge("below", "outer")
    with GreenroomSaver(tmp_path / "store") as saver:
        builder.compile(checkpointer=saver).invoke({"log": ["begun"]}, config())
    with GreenroomSaver(tmp_path / "store") as saver:
        graph = builder.compile(checkpointer=saver)
        state = graph.get_state(config(), subgraphs=True)
        assert state.tasks[0].state is not None
        assert graph.invoke(Command(resume="yes"), config())["log"][-2:] == ["inner: yes", "outer"]
        namespaces = {each.config["configurable"]["checkpoint_ns"] for each in saver.list(config())}
        assert "" in namespaces
        assert any(each.startswith("below") for each in namespaces)


def test_parallel_nodes_write_in_the_order_of_their_paths(tmp_path: Path) -> None:
    def spread(state: Log) -> list[Send]:
        return [Send("work", {"number": number}) for number in range(12)]

    def work(state: Any) -> Log:
        if state["number"] == 7 and failing:
            raise RuntimeError("no")
        return {"log": [str(state["number"])]}

    failing = True
    builder = StateGraph(Log)
    builder.add_node("work", work)
    builder.add_conditional_edges(START, spread, ["work"])
    with GreenroomSaver(tmp_path / "store") as saver:
        graph = builder.compile(checkpointer=saver)
        with pytest.raises(RuntimeError):
            graph.invoke({"log": []}, config())
        failing = False
        # What the other tasks have written is pending, and is not run again.
        assert graph.invoke(None, config())["log"] == [str(number) for number in range(12)]


class Delta(TypedDict):
    log: Annotated[
        list[str], DeltaChannel(lambda old, new: [*old, *(each for one in new for each in one)], snapshot_frequency=4)
    ]


def delta() -> StateGraph[Any]:
    builder = StateGraph(Delta)
    builder.add_node("work", lambda state: {"log": [f"w{len(state['log'])}"]})
    builder.add_edge(START, "work")
    return builder


def test_delta_channels_are_kept_by_pruning_and_copying(tmp_path: Path) -> None:
    for turns in range(1, 8):
        with GreenroomSaver(tmp_path / "store") as saver:
            graph, thread = delta().compile(checkpointer=saver), f"thread {turns}"
            for turn in range(turns):
                graph.invoke({"log": [f"t{turn}"]}, config(thread))
            whole = graph.get_state(config(thread)).values["log"]
            assert len(whole) == 2 * turns
            saver.prune([thread])
            assert graph.get_state(config(thread)).values["log"] == whole
            saver.copy_thread(thread, "copy of " + thread)
            saver.delete_thread(thread)
            assert graph.get_state(config("copy of " + thread)).values["log"] == whole
            graph.invoke({"log": ["more"]}, config("copy of " + thread))
            assert graph.get_state(config("copy of " + thread)).values["log"][: len(whole)] == whole


def test_async_graphs_of_many_threads_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with GreenroomSaver(tmp_path / "store") as saver:
            graph = chat().compile(checkpointer=saver)
            for turn in range(3):
                await asyncio.gather(
                    *(
                        graph.ainvoke({"messages": [HumanMessage(f"turn {turn}")]}, config(f"thread {number}"))
                        for number in range(8)
                    )
                )
            for number in range(8):
                state = await graph.aget_state(config(f"thread {number}"))
                assert len(state.values["messages"]) == 6
                assert len([each async for each in graph.aget_state_history(config(f"thread {number}"))]) == 9

    asyncio.run(main())


def test_two_savers_on_one_runtime_see_the_same(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as runtime:
        one, other = (chat().compile(checkpointer=GreenroomSaver(runtime)) for _ in range(2))
        one.invoke({"messages": [HumanMessage("to one")]}, config())
        assert len(other.invoke({"messages": [HumanMessage("to the other")]}, config())["messages"]) == 4
        assert [each.key for each in runtime.iterate_sessions()] == ["langgraph:thread:1"]


def test_saver_and_store_work_on_an_async_runtime(tmp_path: Path) -> None:
    async def remember(state: Chat, *, store: BaseStore) -> Chat:
        await store.aput(("seen",), str(len(state["messages"])), {"text": state["messages"][-1].content})
        found = await store.asearch(("seen",), query="olives")
        return {"messages": [AIMessage(f"seen {len(found)}")]}

    builder = StateGraph(Chat)
    builder.add_node("remember", remember)
    builder.add_edge(START, "remember")

    async def main() -> None:
        runtime = await AsyncRuntime.open(tmp_path / "store")
        saver, store = GreenroomSaver(runtime), GreenroomStore(runtime)
        graph = builder.compile(checkpointer=saver, store=store)
        for turn in range(3):
            state = await graph.ainvoke({"messages": [HumanMessage(f"olives {turn}")]}, config())
            assert state["messages"][-1].content == f"seen {turn + 1}"
        saver.close()
        assert len((await graph.aget_state(config())).values["messages"]) == 6
        await runtime.close()

    asyncio.run(main())
