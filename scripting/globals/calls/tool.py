"""The global `Tool`: finds and calls the host's tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import Tool, ValidationError, messages
from greenroom.runtime.tools import FILE_OPERATIONS, attempt
from greenroom.scripting.definition.examples import Variable, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import DICT, FLAG, LIST, Maybe, Page
from greenroom.scripting.definition.types import ANYTHING, TEXT, Json
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import TOOL
from greenroom.scripting.globals.references import named
from greenroom.scripting.globals.rows import filled

from .own import Own

__all__ = ["ToolGlobal", "invoked", "tool_row"]

_FILTER: Final = Options({"text": TEXT, "category": TEXT, "tags": ANYTHING, "name_pattern": TEXT}, {"tag": "tags"})
_CALCULATOR: Final = Variable("calculator", call("Tool.get", "calculator"))


class ToolGlobal:
    """Finds and calls tools. The current session, if any, journals the calls.

    `file_operations` exists only under a profile with files, and works on the script's files. `Tool.calculator` is the
    tool of this name.
    """

    NAME = "Tool"
    FINDER = "get"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._own = Own.of(context)

    @export("list", returns=Page(TOOL), example=example())
    def list(self) -> Any:
        """Return the tools, by name."""
        return self.discover()

    @export(
        "discover",
        returns=Page(TOOL),
        forms=("discover([text])", "discover(filter)"),
        options={"filter": _FILTER},
        example=example({"category": "math"}),
        read=False,
    )
    def discover(self, filter: Json = UNDEFINED) -> Any:
        """Return the tools that match."""
        if isinstance(filter, str):
            filter = {"text": filter}
        wanted = _FILTER.read(filter, "Tool.discover")
        if isinstance(wanted.get("tags"), str):
            wanted["tags"] = [wanted["tags"]]
        found = {each.name: each for each in self._context.runtime.tools.discover(**wanted)}
        found.pop(FILE_OPERATIONS, None)
        found |= {name: each for name, each in self._own.tools().items() if each.matches(wanted)}
        return [tool_row(found[name]) for name in sorted(found)]

    @export("get", "getByName", returns=Maybe(TOOL), example=example("calculator"))
    def get(self, name: Json) -> Any:
        """Return a tool by its name; nil if there is none."""
        tool = self._own.tool(name)
        return tool_row(tool) if tool is not None else UNDEFINED

    @export("exists", returns=FLAG, example=example("calculator"))
    def exists(self, name: Json) -> bool:
        """Return whether there is a tool of this name."""
        return self._own.tool(name) is not None

    @export("categories", returns=LIST, example=example())
    def categories(self) -> Any:
        """Return the categories of the tools."""
        own = {each.category for each in self._own.tools().values() if each.category is not None}
        return sorted(own.union(self._context.runtime.tools.categories()))

    @export("getSchema", "get_schema", returns=DICT, on=TOOL, example=example(_CALCULATOR))
    def schema(self, tool: Json) -> dict[str, Any]:
        """Return the JSON schema of a tool's input."""
        found = self._own.tool(tool)
        if found is None:
            raise ValidationError(f"there is no tool {str(named(tool))[:64]!r}", field="tool")
        return found.schema

    @export(
        "invoke",
        "execute",
        "executeAsync",
        returns=DICT,
        on=TOOL,
        soft=True,
        options={"options": HOW},
        example=example("calculator", {"expression": "6 * 7"}),
    )
    def invoke(self, name: Json, input: Json = UNDEFINED, options: Any = UNDEFINED) -> dict[str, Any]:
        """Call a tool and return {success, result, text, error, error_code, duration}. Never raises for a tool that
        fails or does not exist."""
        return invoked(self._context, self._own, name, input, options)


def invoked(context: ScriptContext, own: Own, name: Any, input: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Call a tool for a script, and return its outcome as a row."""

    def call() -> Any:
        wanted = named(name)
        if not isinstance(wanted, str):
            raise ValidationError("name: the name of a tool is needed", field="name")
        tool = own.tool(wanted)
        if tool is None and wanted == FILE_OPERATIONS:
            # scripts without files must not use the host's file_operations
            raise ValidationError(f"there is no tool {wanted!r} without a profile with files", field="name")
        message = messages.CallTool(tool.name if tool is not None else wanted, defined(input), **options)
        message.subject = tool if tool is not None and own.is_own(tool) else None
        left = max(0.001, context.remaining())
        return context.runtime.tools.send(message, context.current_id, left)

    return filled(attempt(call).to_dict())


def tool_row(tool: Tool) -> dict[str, Any]:
    """Return the description of a tool."""
    return filled(tool.to_dict())
