"""Trajectories of agents: OpenHands and tau-bench. SWE-agent's are in `apis.py` and `swe_agent.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from greenroom.runtime.ingest.records import Conversation, UnknownRecord

from .common import call, read_turns, text_or_none, turns_under, whole, without

__all__ = ["is_event", "is_openhands", "is_tau_bench", "openhands", "tau_bench"]

_LISTS: Final = ("history", "trajectory", "events")
_SOURCES: Final = ("agent", "user", "environment")


# --- tau-bench ------------------------------------------------------------------------------------


def is_tau_bench(value: dict[str, Any]) -> bool:
    """Return whether a value is a run of tau-bench."""
    return isinstance(value.get("traj"), list)


def tau_bench(value: dict[str, Any]) -> Conversation:
    """Return a run of tau-bench: OpenAI's messages under `traj`; the task, reward and info beside them."""
    turns, extra, notes = turns_under(value, "traj")
    task, trial = value.get("task_id"), value.get("trial")
    title = None
    if isinstance(task, (str, int)) and not isinstance(task, bool):
        title = f"task {task}" + (f" trial {trial}" if isinstance(trial, int) else "")
    return whole("tau-bench", value, turns, extra, notes, title=title)


# --- OpenHands ------------------------------------------------------------------------------------


def is_event(value: Any) -> bool:
    """Return whether a value is an event of OpenHands: an action or an observation."""
    if not isinstance(value, dict) or "role" in value or "response" in value:
        return False
    known = value.get("source") in _SOURCES
    if isinstance(value.get("action"), str) and "observation" not in value:
        return known or isinstance(value.get("args"), dict)
    return isinstance(value.get("observation"), str) and "content" in value and (known or "extras" in value)


def is_openhands(value: dict[str, Any]) -> bool:
    """Return whether a value is a trajectory of OpenHands."""
    return any(_begins(value.get(key)) for key in _LISTS)


def _begins(events: Any) -> bool:
    first = next(_each(events), None) if isinstance(events, list) else None
    return is_event(first)


def openhands(value: dict[str, Any]) -> Conversation:
    """Return a trajectory of OpenHands. What the user and the agent do are messages, and what is observed are results
    of tools; events without any text, such as changes of the agent's state, are kept with the other fields."""
    key = next(key for key in _LISTS if _begins(value.get(key)))
    messages: list[dict[str, Any]] = []
    states: list[Any] = []
    calls: dict[str, Any] = {}
    for event in _each(value[key]):
        made = _message(event, calls) if isinstance(event, dict) else None
        if made is None:
            states.append(event)
        else:
            messages.append(made)
    if not messages:
        raise UnknownRecord("no event of the trajectory says anything")
    turns, notes = read_turns(messages)
    extra = without(value, key)
    if states:
        extra["events"] = states
    title = text_or_none(value.get("instance_id"))
    return whole("openhands", value, turns, extra, notes, title=title, source_id=value.get("conversation_id"))


def _each(events: list[Any]) -> Iterator[Any]:
    """Yield events. Early versions wrote pairs of an action and its observation."""
    for event in events:
        if isinstance(event, list):
            yield from event
        else:
            yield event


def _message(event: dict[str, Any], calls: dict[str, Any]) -> dict[str, Any] | None:
    """Return an event as a message, or None if it has no text. `calls` remembers which event called which tool."""
    action, observation = event.get("action"), event.get("observation")
    about = event.get("tool_call_metadata")
    about = about if isinstance(about, dict) else {}
    if isinstance(observation, str):
        content = event.get("content")
        if not content and not about:
            return None
        made = {**without(event, "content"), "role": "tool", "content": content if content is not None else ""}
        made["tool_call_id"] = about.get("tool_call_id") or calls.get(str(event.get("cause")))
        made["name"] = text_or_none(about.get("function_name")) or observation
        return _cut(made, about)
    if not isinstance(action, str):
        return None
    args = event.get("args")
    args = args if isinstance(args, dict) else {}
    said = next((args[key] for key in ("content", "final_thought", "thought") if text_or_none(args.get(key))), None)
    source = event.get("source")
    if action in ("message", "system"):
        if said is None:
            return None
        role = "system" if action == "system" else ("user" if source == "user" else "assistant")
        rest = {key: item for key, item in args.items() if item is not said}
        return {**without(event, "args"), "role": role, "content": said, **({"args": rest} if rest else {})}
    if source != "agent" or not args:
        return None if said is None else {**event, "role": "user" if source == "user" else "assistant", "content": said}
    id_ = about.get("tool_call_id") or (f"event-{event['id']}" if isinstance(event.get("id"), (int, str)) else None)
    if id_ is not None:
        calls[str(event.get("id"))] = id_
    if action not in ("think", "finish"):
        said = text_or_none(args.get("thought"))
    arguments = {key: item for key, item in args.items() if item != said or not said}
    made = {**without(event, "args"), "role": "assistant", "content": said or ""}
    made["tool_calls"] = [call(id_, text_or_none(about.get("function_name")) or action, arguments)]
    return _cut(made, about)


def _cut(made: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """Return a message whose facts about the call are short: OpenHands repeats the model's whole answer in each."""
    if "model_response" not in about:
        return made
    response = about["model_response"]
    if isinstance(response, dict):
        response = without(response, "choices")
    return {**made, "tool_call_metadata": {**about, "model_response": response}}
