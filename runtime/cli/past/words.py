"""Events and times in a few words, for the timeline and the debugger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from greenroom.runtime.cli.output import brief, one_line, size
from greenroom.runtime.handles.debugging.errors import failure_of
from greenroom.storage.common.message_text import text_of_message

if TYPE_CHECKING:
    from greenroom.runtime import Event

__all__ = ["detail", "failure", "said_in", "style_of"]

_LONGEST: Final = 160
_STYLES: Final = {
    "tool": "magenta",
    "agent": "blue",
    "hook": "yellow",
    "script": "green",
    "workflow": "cyan",
    "message": "bold",
    "policy": "yellow",
    "approval": "yellow",
    "session": "dim",
}


def style_of(type: str) -> str:
    """Return the style in which events of a type are shown."""
    return _STYLES.get(type.partition(".")[0], "")


def failure(event: Event) -> str | None:
    """Return what an event says of a failure, in a few words; None if it tells of none."""
    found = failure_of(event)
    return _text(": ".join(each for each in found[1:] if each)) if found is not None else None


def detail(event: Event) -> str:
    """Return what one wants to know of an event beside its type, on one line."""
    tell = _DETAILS.get(event.type) if event.origin == "runtime" else None
    try:
        text = tell(event.data) if tell is not None else _data(event.data)
    except (KeyError, TypeError, ValueError):  # an event of another version, or a damaged one
        text = _data(event.data)
    return one_line(text)


def _text(value: Any) -> str:
    return one_line(brief(value, _LONGEST))


def _data(data: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in data.items() if value not in (None, [], {}, "")}
    return brief(shown, _LONGEST) if shown else ""


def said_in(message: Mapping[str, Any]) -> str:
    """Return what a message says: its text, and the tools that it calls; else its content as JSON."""
    calls = [_call(each) for each in message.get("tool_calls") or () if isinstance(each, Mapping)]
    text = text_of_message(message.get("content"), message)
    parts = [text] if text else []
    parts += [f"calls {each}" for each in calls]
    return "\n".join(parts) or (brief(message["content"], 4000) if message.get("content") else "")


def _call(call: Mapping[str, Any]) -> str:
    inner = call.get("function")
    named = inner if isinstance(inner, Mapping) else call
    return f"{named.get('name', '')} {brief(named.get('arguments', named.get('input', '')), 4000)}".strip()


def _message(data: Mapping[str, Any]) -> str:
    said = said_in(data)[:_LONGEST] or ("a large text" if "content_hash" in data else "")
    said = f"{data['name']}: {said}" if data.get("name") else said
    return f"{data['role']}: {said}" if "role" in data else said


def _called(data: Mapping[str, Any]) -> str:
    given = data.get("input")
    return f"{data['name']} {_text(given)}" if given is not None else str(data["name"])


def _returned(data: Mapping[str, Any]) -> str:
    if data.get("success") is False:
        return f"{data['name']} failed"
    result = data.get("result")
    return f"{data['name']} → {_text(result) if result is not None or 'bytes' not in data else size(data['bytes'])}"


def _hook(data: Mapping[str, Any]) -> str:
    result = data.get("result")
    outcome = f" {result['type']}" if isinstance(result, Mapping) and result.get("type") != "proceed" else ""
    reason = f": {result['reason']}" if outcome and isinstance(result, Mapping) and result.get("reason") else ""
    return f"{data['hook']} at {data['point']}{outcome}{reason}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _stage(data: Mapping[str, Any]) -> str:
    return f"{data['workflow']}: {data['stage']}" + (f" round {data['round']}" if "round" in data else "")


_DETAILS: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "session.created": lambda data: str(data.get("name") or ""),
    "session.forked": lambda data: f"of {data['from_session']} after event {data['sequence']}",
    "session.renamed": lambda data: str(data["name"]),
    "session.configured": lambda data: _data(data["config"]),
    "session.failed": lambda data: str(data.get("reason") or ""),
    "tags.changed": lambda data: ", ".join(data["tags"]) or "none",
    "variable.set": lambda data: f"{data['key']} = {_text(data.get('value'))}",
    "variable.deleted": lambda data: str(data["key"]),
    "message.added": _message,
    "message.started": _message,
    "message.finished": _message,
    "message.edited": lambda data: f"{data['sequence']}: {text_of_message(data.get('content'), data)[:_LONGEST]}",
    "message.delta": lambda data: f"{data['sequence']}: {data['text'][:_LONGEST]}",
    "message.retracted": lambda data: ", ".join(_range(first, last) for first, last in data["turns"]),
    "artifact.stored": lambda data: f"{data['name']} v{data['version']} {size(data['size'])}",
    "tool.called": _called,
    "agent.called": _called,
    "tool.returned": _returned,
    "agent.returned": _returned,
    "hook.executed": _hook,
    "approval.requested": lambda data: str(data["question"]),
    "script.started": lambda data: str(data["script"]),
    "script.finished": lambda data: str(data["script"]),
    "recording.crossing": lambda data: str(data["name"]),
    "recording.reads": lambda data: f"{len(data['reads'][1])} reads" if "reads" in data else "",
    "workflow.started": lambda data: str(data["workflow"]),
    "workflow.finished": lambda data: str(data["workflow"]),
    "workflow.stage": _stage,
    "workflow.decided": lambda data: f"{data['workflow']}: {data['place']} {_text(data.get('value'))}",
    "workflow.resumed": lambda data: str(data["workflow"]),
    "workflow.rolled_back": _stage,
}
