"""The global `Hook`: registers functions of a script at hook points of the script's own operations."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from greenroom.runtime import HookContext, ResourceLimitExceeded, ValidationError, hooks, messages
from greenroom.runtime.hooks import plain
from greenroom.runtime.tools import FILE_OPERATIONS
from greenroom.scripting.definition.callback import Callback
from greenroom.scripting.definition.examples import Function as Fn
from greenroom.scripting.definition.examples import Variable, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import FLAG, Page
from greenroom.scripting.definition.types import ANYTHING, TEXT, TEXTS, Function, Json, Text, as_whole
from greenroom.scripting.definition.types import FLAG as IS_FLAG
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import HOOK, HOOK_ROW
from greenroom.scripting.globals.rows import filled

__all__ = ["HookGlobal"]

_MAX_HOOKS: Final = 100
_OPTIONS: Final = Options(
    {"priority": ANYTHING, "name": TEXT, "tags": TEXTS, "required": IS_FLAG, "replayable": IS_FLAG}
)
_FILTER: Final = Options(
    {
        "point": TEXT,
        "tag": TEXT,
        "name": TEXT,
        "enabled": IS_FLAG,
        "session_id": ANYTHING,
        "language": TEXT,
        "priority": ANYTHING,
    },
    {"hook_point": "point"},
)
_REGISTERED: Final = Variable("hook", call("Hook.register", "BeforeStateWrite", Fn(("context",), returns="continue")))


class HookGlobal:
    """Registers a script's functions as hooks. They run on the script's thread, so they are called only for operations
    of the script itself, including the tools and agents it calls, until the script ends. Their time counts as the
    script's."""

    NAME = "Hook"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._hooks = context.runtime.hooks
        self._handles: dict[str, tuple[hooks.HookHandle, Callback]] = {}
        self._residence = context.residence
        context.at_end(self._unregister_all)

    @export(
        "register",
        returns=HOOK,
        callbacks=True,
        forms=("register(point, fn [, priority | options])",),
        options={"priority": _OPTIONS},
        example=example(
            "BeforeStateWrite", Fn(("context",), returns={"type": "cancel", "reason": "not here"}), {"priority": "high"}
        ),
        read=False,
    )
    def register(self, point: Text, fn: Function, priority: Json = UNDEFINED) -> dict[str, Any]:
        """Register a function at a hook point and return its handle."""
        alone = {"priority": defined(priority)}
        wanted = _OPTIONS.read(priority if isinstance(priority, Mapping) else alone, "Hook.register")
        _whole_priority(wanted)
        if len(self._handles) >= _MAX_HOOKS:
            raise ResourceLimitExceeded(
                f"a script may have {_MAX_HOOKS} hooks: unregister those that it does not need",
                resource="hooks",
                limit=_MAX_HOOKS,
                value=len(self._handles),
            )
        handle = self._hooks.register_at(
            hooks.resolve(point),
            _Function(fn, self._context),
            **{"name": "script", "priority": "normal", **wanted},
            inline=True,
            thread=fn.thread if self._residence is None else None,
        )
        self._handles[handle.id] = handle, fn
        if self._residence is not None:
            self._residence.registered(handle, point)
        elif self._context.ended:  # abandoned meanwhile
            self._unregister_all()
        return {"id": handle.id, "hook_point": point}

    @export("unregister", returns=FLAG, example=example(_REGISTERED))
    def unregister(self, handle: Json) -> bool:
        """Remove a hook of this script and return whether it was registered."""
        named = handle.get("id") if isinstance(handle, Mapping) else handle
        found = self._handles.pop(named, None) if isinstance(named, str) else None
        if found is None:
            return False
        found[1].release()
        if self._residence is not None:
            self._residence.dropped(found[0].id)
        return found[0].unregister()

    @export(
        "list",
        returns=Page(HOOK_ROW),
        forms=("list([point])", "list(filter)"),
        options={"filter": _FILTER},
        example=example({"point": "BeforeStateWrite"}, before=[_REGISTERED]),
        read=False,
    )
    def list(self, filter: Json = UNDEFINED) -> Any:
        """Return the hooks in the order of calling. A bound script sees its own only."""
        if isinstance(filter, str):
            filter = {"point": filter}
        wanted = _FILTER.read(filter, "Hook.list")
        _whole_priority(wanted)
        if isinstance(wanted.get("session_id"), Mapping):
            wanted["session_id"] = wanted["session_id"].get("id")
        rows = []
        for info in self._hooks.list(**wanted):
            # A priority is shown as it is given: by its name, where it has one.
            more = {"hook_point": info.points[0], "priority": info.level or info.priority}
            rows.append({**filled(info.to_dict()), **more})
        return rows

    def _unregister_all(self) -> None:
        if self._residence is not None:
            return  # they are the residence's: without its hooks, what they guard would be open
        with contextlib.suppress(KeyError):
            while True:
                self._handles.popitem()[1][0].unregister()


def _whole_priority(wanted: dict[str, Any]) -> None:
    """Take a whole number for a float without a fraction, as for every number of a script."""
    if "priority" in wanted:
        wanted["priority"] = as_whole(wanted["priority"])


class _Function:
    """A function of the script as a hook."""

    __name__ = "script"

    def __init__(self, function: Callback, context: ScriptContext) -> None:
        self._function = function
        self._context = context

    def __call__(self, context: HookContext) -> Any:
        row = {
            "point": context.point,
            "operation": context.operation,
            "data": plain(context.data),
            "metadata": plain(context.metadata),
            "correlation_id": context.correlation_id,
            "component_id": context.component_id,
            "component": context.component._asdict(),
            "session_id": context.session_id,
            **({"language": context.language} if context.language is not None else {}),
        }
        residence = self._context.residence
        answer = self._function(row) if residence is None else residence.ask(partial(self._function, row))
        if answer is UNDEFINED:
            return None
        if isinstance(answer, bytes):
            return hooks.HookResult.cancel("the hook gave a reason that is no text")
        if isinstance(answer, str) and answer not in ("continue", "cancel"):
            return hooks.HookResult.skipped() if answer in ("skip", "skipped") else hooks.HookResult.cancel(answer)
        if isinstance(answer, Mapping):
            return self._spelled(dict(answer))
        return answer

    def _spelled(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return an answer with the host's names of fields. Limit the delay of a retry to the script's remaining
        time."""
        kind = answer.get("type")
        if kind == "skip":
            answer["type"] = "skipped"
        if kind == "replace" and "data" in answer and "value" not in answer:
            answer["value"] = answer.pop("data")
        if kind == "fork":
            listed = answer.get("operations")
            answer["operations"] = [_operation(each) for each in listed] if isinstance(listed, list) else listed
        if kind == "retry":
            if type(answer.get("delay_ms")) in (int, float) and "delay" not in answer:
                answer["delay"] = answer.pop("delay_ms") / 1000
            if "max_attempts" in answer:
                answer["max_attempts"] = as_whole(answer["max_attempts"])
            if type(answer.get("delay")) in (int, float) and self._context.residence is None:
                answer["delay"] = min(answer["delay"], max(0.0, self._context.remaining()))
        return answer


def _operation(given: Any) -> Any:
    """Return a message from its table: {message = "AddTag", tag = "x" [, session_id = …]}."""
    if not isinstance(given, Mapping) or given.get("message") not in messages.__all__:
        raise hooks.NoResult("fork: tables with the name of a `message` and its fields are needed", field="operations")
    if given.get("name") == FILE_OPERATIONS:
        raise hooks.NoResult(f"fork: scripts call {FILE_OPERATIONS} by Tool", field="operations")
    fields = {key: value for key, value in given.items() if key not in ("message", "session_id")}
    try:
        message = getattr(messages, given["message"])(**fields)
    except ValidationError as error:
        raise hooks.NoResult(f"fork: {error}", field="operations") from None
    except TypeError:
        raise hooks.NoResult(f"fork: these are not the fields of {given['message']}", field="operations") from None
    return (given["session_id"], message) if "session_id" in given else message
