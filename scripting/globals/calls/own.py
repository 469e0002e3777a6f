"""What a script has of its own to call: its agents, its tools, and its functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import Agent, ResourceLimitExceeded, Tool, ValidationError
from greenroom.runtime.tools import FILE_OPERATIONS
from greenroom.runtime.tools.standard.file_operations import file_operations_on
from greenroom.scripting.definition.callback import Callback
from greenroom.scripting.definition.values import defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.references import named

__all__ = ["Own", "ScriptFunction"]

_MOST: Final = 1000


class ScriptFunction:
    """A function of a script, for the host to call. Nothing (nil, undefined) that it returns is None."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    @property
    def thread(self) -> int:
        """The thread of the script, the only one that may call the function."""
        return self._callback.thread

    def __call__(self, *arguments: Any) -> Any:
        return defined(self._callback(*arguments))


class Own:
    """The agents and tools that only one run of a script has."""

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._agents: list[Agent | None] = []
        self._tools: dict[str, Tool] = {}
        self._files: Tool | None = None

    @classmethod
    def of(cls, context: ScriptContext) -> Own:
        """Return those of a run."""
        found = context.shared.get(cls)
        if found is None:
            found = context.shared[cls] = cls(context)
        own: Own = found
        return own

    # -- agents, which rows name by their numbers

    def add_agent(self, agent: Agent) -> int:
        """Keep an agent and return its number. Raises ResourceLimitExceeded."""
        if len(self._agents) >= _MOST:
            raise ResourceLimitExceeded(
                f"a script may create {_MOST} agents", resource="agents", limit=_MOST, value=_MOST
            )
        if FILE_OPERATIONS in agent.tools:
            # an agent would call the host's file_operations, which scripts must not use
            raise ValidationError(f"tools: agents of scripts have no {FILE_OPERATIONS}", field="tools")
        self._agents.append(agent)
        return len(self._agents) - 1

    def agents(self) -> list[tuple[int, Agent]]:
        """Return the script's own agents with their numbers."""
        return [(number, each) for number, each in enumerate(self._agents) if each is not None]

    def agent(self, given: Any) -> Agent | str:
        """Return the agent that a script names by its row, its number or its name. Raises ValidationError."""
        if isinstance(given, Mapping):
            given = given.get("handle", given.get("name"))
        if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(self._agents):
            found = self._agents[given]
            if found is None:
                raise ValidationError("agent: it was removed", field="agent")
            return found
        if isinstance(given, str):
            return next((each for _, each in reversed(self.agents()) if each.name == given), given)
        raise ValidationError("agent: an agent or its name is needed", field="agent")

    def remove_agent(self, given: Any) -> bool:
        """Forget an agent of the script and return whether it was there."""
        found = self.agent(given)
        for number, each in self.agents():
            if each is found:
                self._agents[number] = None
                return True
        return False

    # -- tools

    def add_tool(self, tool: Tool) -> None:
        """Keep a tool. Raises ResourceLimitExceeded."""
        if len(self._tools) >= _MOST:
            raise ResourceLimitExceeded(f"a script may have {_MOST} tools", resource="tools", limit=_MOST, value=_MOST)
        self._tools[tool.name] = tool

    def tools(self) -> dict[str, Tool]:
        """Return the script's own tools by name: also `file_operations`, on its own files, if it has any."""
        files = self._context.files
        if self._files is None and files.granted:
            self._files = Tool(FILE_OPERATIONS, file_operations_on(files, None), category="files")
        return {**self._tools, **({FILE_OPERATIONS: self._files} if self._files is not None else {})}

    def tool(self, given: Any) -> Tool | None:
        """Return the tool that a script names by its row or its name, its own one first; None if there is none. In a
        name "-" may stand for "_"."""
        name = named(given)
        if not isinstance(name, str):
            return None
        own, hosts = self.tools(), self._context.runtime.tools
        for each in (name, name.replace("-", "_")):
            found = own.get(each) or (hosts.get(each) if each != FILE_OPERATIONS else None)
            if found is not None:
                return found
        return None

    def is_own(self, tool: Tool) -> bool:
        """Return whether only the script has a tool."""
        return self.tools().get(tool.name) is tool

    # -- functions

    def callable(self, value: Any) -> Any:
        """Return a value with the functions in it as the host calls them."""
        if isinstance(value, Callback):
            return ScriptFunction(value)
        if isinstance(value, Mapping):
            return {key: self.callable(each) for key, each in value.items()}
        return [self.callable(each) for each in value] if isinstance(value, list | tuple) else value
