"""Agents that are made of other agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from greenroom.runtime.calls.work import CallContext
from greenroom.runtime.model.agent import Agent
from greenroom.runtime.model.reply import AgentReply

__all__ = ["ORDERS"]

Members = tuple[Agent | str, ...]


def _in_turn(members: Members) -> Callable[..., AgentReply]:
    def answer(input: Any, context: CallContext) -> AgentReply:
        """Give each agent the text of the one before."""
        replies: dict[str, AgentReply] = {}
        for member in members:
            reply = replies[_key(member, replies)] = context.call_agent(member, input)
            input = reply.text
        return _together(replies, input)

    return _on_thread_of(members, answer)


def _at_once(members: Members) -> Callable[..., AgentReply]:
    def answer(input: Any, context: CallContext) -> AgentReply:
        """Give all agents the input."""
        replies: dict[str, AgentReply] = {}
        here = _thread_of(members) is not None
        made = [context.call_agent(each, input) for each in members] if here else context.call_agents(members, input)
        for member, reply in zip(members, made, strict=True):
            replies[_key(member, replies)] = reply
        return _together(replies, "\n\n".join(reply.text for reply in replies.values()))

    return _on_thread_of(members, answer)


def _thread_of(members: Members) -> int | None:
    """Return the thread on which the members must be called, because one is a function of a script; None if any will
    do."""
    functions = (each.fn for each in members if isinstance(each, Agent))
    return next((thread for fn in functions if (thread := getattr(fn, "thread", None)) is not None), None)


def _on_thread_of(members: Members, answer: Callable[..., AgentReply]) -> Callable[..., AgentReply]:
    thread = _thread_of(members)
    if thread is not None:
        answer.thread = thread  # type: ignore[attr-defined]
    return answer


def _key(member: Agent | str, taken: Mapping[str, object]) -> str:
    """Return the name of an agent, with a number if it is there already."""
    name = member if isinstance(member, str) else member.name
    return name if name not in taken else f"{name} {len(taken) + 1}"


def _together(replies: Mapping[str, AgentReply], text: str) -> AgentReply:
    """Return one reply. Tokens and cost are journaled with the agents' own calls, so they are not counted again."""
    return AgentReply(text, data={"replies": {name: reply.text for name, reply in replies.items()}})


ORDERS: Final[Mapping[str, Callable[[Members], Callable[..., AgentReply]]]] = {
    "sequential": _in_turn,
    "parallel": _at_once,
}
