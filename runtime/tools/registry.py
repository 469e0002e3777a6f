"""The tools of a runtime: callables that the host registers, and the standard tools."""

from __future__ import annotations

import difflib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.hooks import Performed
from greenroom.actors.hooks.interception.around import settled
from greenroom.actors.messages.calls import CallTool, packed_input
from greenroom.actors.messages.checks import tag_list
from greenroom.actors.scheduling.operation import CURRENT
from greenroom.runtime.calls.calls import Calls
from greenroom.runtime.calls.collectors import ToolResultCollector
from greenroom.runtime.calls.work import CallContext, Work
from greenroom.storage.codec.records import Value, unpack_value
from greenroom.storage.common.checked_call import checked
from greenroom.storage.errors import InvalidOperation, OperationTimeout, ValidationError

from .tool import Tool, ToolResult, attempt

if TYPE_CHECKING:
    from greenroom.actors.hooks import Hooks
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.handles.session import Session

    from .parameters import Checked

__all__ = ["Tools"]

Found = list[Tool]
Names = list[str]

_MAX_TOOLS: Final = 10_000
_MAX_FILTER: Final = 1000
FILE_OPERATIONS: Final = "file_operations"


class Tools:
    """Registers and calls tools. Thread-safe.

    Example:
        ```py
        def weather(city: str, days: int = 1) -> dict:
            "The weather of a city."
            return {"city": city, "sunny": True}

        rt.tools.register("weather", weather)
        s.call_tool("weather", {"city": "Berlin"})                # journaled in the session; raises what goes wrong
        rt.tools.invoke("weather", {"town": "Berlin"}).success    # False: outside of a session, and never raises
        ```
    """

    def __init__(self, core: RuntimeCore, calls: Calls, timeout: float) -> None:
        self._core = core
        self._calls = calls
        self._timeout = timeout
        self._lock = threading.Lock()
        self._registered: dict[str, Tool] = {}
        self._hidden: set[str] = set()
        self.collector: ToolResultCollector | None = ToolResultCollector()
        """Stores results as artifacts of the session; None stores nothing."""

    def __repr__(self) -> str:
        return f"<Tools {len(self._registered)} registered>"

    # -- registering

    @checked
    def register(
        self,
        name: str,
        fn: Callable[..., Any],
        schema: Mapping[str, Any] | None = None,
        description: str | None = None,
        category: str | None = None,
        timeout: float | None = None,
        tags: Iterable[str] = (),
        *,
        replace: bool = False,
        side_effects: bool = True,
        quick: bool = False,
        version: str = "1.0.0",
    ) -> Tool:
        """Register a callable, synchronous or `async def`, as a tool.

        `schema` is the JSON schema (draft 2020-12) of the input; the default follows from the annotations. The default
        description is the docstring. A parameter `context` gets a CallContext. docs/control/tools.md says how input
        becomes arguments. `side_effects=False` says that the tool only computes its result, so that a replay in mode
        `simulate` may run it. `quick=True` runs it on its caller's thread, which saves the change of threads; but then
        no timeout frees the caller. Raises ValidationError, also for a name that is taken, unless `replace`.
        """
        self._core.require_host("tools.register", "write")
        tool = Tool(
            name,
            fn,
            schema=schema,
            description=description,
            category=category,
            tags=tags,
            timeout=timeout,
            side_effects=side_effects,
            quick=quick,
            version=version,
        )
        with self._lock:
            if not replace and self.exists(name):
                raise ValidationError(
                    f"name: there is a tool {name!r} already; replace=True takes its place", field="name"
                )
            if len(self._registered) >= _MAX_TOOLS and name not in self._registered:
                raise ValidationError(f"at most {_MAX_TOOLS} tools can be registered: unregister some", field="name")
            self._registered = {**self._registered, name: tool}
            self._hidden.discard(name)
        return tool

    @checked
    def unregister(self, name: str) -> bool:
        """Remove a tool, also a standard one, and return whether it existed. Running calls go on."""
        self._core.require_host("tools.unregister", "write")
        with self._lock:
            there = self.exists(name)
            self._registered = {key: each for key, each in self._registered.items() if key != name}
            if name in _standard():
                self._hidden.add(name)
        return there

    @checked
    def register_file_operations(self, directories: Iterable[str | os.PathLike[str]], *, replace: bool = False) -> Tool:
        """Register the tool `file_operations`: read, write, append, delete, exists, list, info, move, copy and
        create_dir within these directories.

        Links are resolved first, so they cannot lead outside. Raises ValidationError for a path that is no directory.
        """
        from greenroom.runtime.tools.standard.file_operations import file_operations

        return self.register(
            FILE_OPERATIONS, file_operations([Path(each) for each in directories]), category="files", replace=replace
        )

    # -- finding

    def _all(self) -> dict[str, Tool]:
        return {**{name: each for name, each in _standard().items() if name not in self._hidden}, **self._registered}

    def _find(self, name: str) -> Tool | None:
        found = self._registered.get(name)
        if found is None and name not in self._hidden:
            found = _standard().get(name)
        return found

    @property
    def _hooks(self) -> Hooks:
        return self._core.hooks

    @checked
    def exists(self, name: str) -> bool:
        """Return whether there is a tool with this name."""
        return self._find(name) is not None

    @checked
    def get(self, name: str) -> Tool | None:
        """Return the tool with this name, or None."""
        return self._find(name)

    def list(self) -> Found:
        """Return all tools, by name."""
        return self.discover()

    def categories(self) -> Names:
        """Return the categories of the registered tools."""
        return sorted({each.category for each in self._all().values() if each.category is not None})

    @checked
    def discover(
        self,
        text: str | None = None,
        *,
        category: str | None = None,
        tags: Iterable[str] = (),
        name_pattern: str | None = None,
    ) -> Found:
        """Return the tools that match the filter, by name. Every word of `text` must be in name or description
        (ignoring case); category, all tags and the glob `name_pattern` must match. The hooks at BeforeToolDiscovery and
        AfterToolDiscovery may change the filter and the names."""
        wanted = {"text": text, "category": category, "tags": tag_list(tags), "name_pattern": name_pattern}
        hooks = self._hooks
        if hooks.at("BeforeToolDiscovery") is not None:
            outcome = hooks.fire(
                "BeforeToolDiscovery", {"filter": wanted}, component="tools", operation="DiscoverTools"
            )
            if outcome.kind == "replace":
                return self._named(outcome.value)
            changed = outcome.data.get("filter")
            if isinstance(changed, Mapping):
                wanted = {**wanted, **changed, "tags": tag_list(changed.get("tags") or ())}
        for field in ("text", "name_pattern"):
            if len(str(wanted[field] or "")) > _MAX_FILTER:
                raise ValidationError(f"{field}: at most {_MAX_FILTER} characters", field=field)
        found = [each for _, each in sorted(self._all().items()) if each.matches(wanted)]
        if hooks.at("AfterToolDiscovery") is not None:
            names = [each.name for each in found]
            data = {"filter": wanted, "tools": names}
            outcome = hooks.fire("AfterToolDiscovery", data, component="tools", operation="DiscoverTools")
            return self._named(outcome.value if outcome.kind == "replace" else outcome.data.get("tools", names))
        return found

    def _named(self, names: Any) -> Found:
        """Return the tools with the names that a hook has chosen."""
        known = self._all()
        if not isinstance(names, list | tuple):
            return []
        return [known[each] for each in names if isinstance(each, str) and each in known]

    # -- calling

    def call(
        self,
        name: str,
        input: object = None,
        *,
        session: Session | str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Call a tool and return its result, a JSON value or bytes. A session journals the call and its return.

        `timeout` is in seconds; the default is the tool's, else `tool_timeout`. Raises ValidationError for an invalid
        input, OperationTimeout, CallFailed with what the tool raised as its cause, HookCancelled, ResourceLimitExceeded
        when no thread is free, InvalidOperation for an unknown tool.
        """
        return self.send(CallTool(name, input, timeout=timeout), session)

    def send(self, message: CallTool, session: Session | str | None, timeout: float | None = None) -> Any:
        """Make the call of a message, within `timeout` seconds. Raises what `call` raises."""
        return self._calls.send(message, session, timeout)

    def invoke(
        self,
        name: str,
        input: object = None,
        *,
        session: Session | str | None = None,
        timeout: float | None = None,
    ) -> ToolResult:
        """Call a tool like `call`, but report errors in the ToolResult instead of raising them, as agents need it."""
        return attempt(lambda: self.call(name, input, session=session, timeout=timeout))

    def perform(self, session_id: str | None, message: CallTool, timeout: float) -> Any:
        """Make the call that a message asks for, on this thread, outside of any turn."""
        data = {"name": message.name, "input": message.input}
        deadline = time.monotonic() + timeout
        if not self._hooks.any("BeforeToolExecution", "AfterToolExecution", "ToolError"):
            return settled(self._begin(session_id, message, message.name, data["input"], deadline, message.packed))

        def perform(data: dict[str, Any], target: str | None) -> Performed:
            return self._begin(session_id, message, target or data.get("name"), data.get("input"), deadline)

        return self._hooks.around(
            data,
            perform,
            before="BeforeToolExecution",
            after="AfterToolExecution",
            error="ToolError",
            session_id=session_id,
            component=f"tool:{message.name}",
            operation="CallTool",
        )

    def _begin(
        self,
        session_id: str | None,
        message: CallTool,
        name: Any,
        given: Value,
        deadline: float,
        packed: bytes | None = None,
    ) -> Performed:
        """Begin the call with an input; `packed` is the encoded input, if it is known already."""
        tool = message.subject if message.subject is not None and name == message.name else self._require(name)
        if tool.name == FILE_OPERATIONS and tool is not message.subject and _of_a_script():
            raise InvalidOperation(f"scripts call {FILE_OPERATIONS} by Tool, on files of their own", tool=tool.name)
        checked = self._checked(session_id, tool, given)
        wanted = message.timeout or tool.timeout or self._timeout
        left = min(wanted, deadline - time.monotonic())
        if left <= 0:
            raise OperationTimeout(f"tool {tool.name!r}: no time is left for it", timeout=0.0, started=False)
        work = Work(
            "tool",
            tool.name,
            packed if packed is not None and checked.input is given else packed_input(checked.input),
            lambda context: tool.parameters.call(checked, context),
            left,
            about={"stage": message.stage} if message.stage is not None else {},
            durability=message.durability,
            condition=message.condition,
            collector=self.collector,
            inline=tool.quick,
        )
        return self._calls.begin(work, session_id)

    def rerun(self, name: str, packed: bytes) -> Callable[[], Any] | None:
        """Return what runs a tool with an encoded input once more, past hooks and outside of any session; None if the
        tool has side effects or is not there. It raises what the tool raises."""
        tool = self._find(name)
        if tool is None or tool.side_effects:
            return None

        def run(context: CallContext) -> Any:
            return tool.parameters.call(tool.parameters.check(unpack_value(packed)), context)

        work = Work("tool", tool.name, packed, run, tool.timeout or self._timeout)
        return lambda: settled(self._calls.begin(work, None))

    def _require(self, name: Any) -> Tool:
        tool = self._find(name) if isinstance(name, str) else None
        if tool is None:
            near = difflib.get_close_matches(str(name)[:64], self._all(), 1)
            advice = f"did you mean {near[0]!r}?" if near else "tools.list() says which there are"
            raise InvalidOperation(f"there is no tool {str(name)[:64]!r}: {advice}", tool=str(name)[:64])
        return tool

    def _checked(self, session_id: str | None, tool: Tool, input: Value) -> Checked:
        if self._hooks.at("ToolValidation") is None:
            return tool.parameters.check(input)
        errors: list[str] = []
        try:
            tool.parameters.check(input)
        except ValidationError as error:
            errors.append(str(error))
        data = {"name": tool.name, "input": input, "errors": errors}
        outcome = self._hooks.fire(
            "ToolValidation", data, session_id=session_id, component=f"tool:{tool.name}", operation="CallTool"
        )
        return tool.parameters.check(outcome.value if outcome.kind == "replace" else outcome.data.get("input"))


def _of_a_script() -> bool:
    """Return whether a script makes the call, also by a workflow or a hook's redirection, and not a tool or an agent of
    the host."""
    operation = CURRENT.get()
    return (
        operation is not None
        and operation.language is not None
        and (operation.source or "").startswith(("script:", "workflow:"))
    )


def _standard() -> dict[str, Tool]:
    from .standard import standard_tools

    return standard_tools()
