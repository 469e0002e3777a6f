"""The global `Tool`: finds and calls the host's tools."""

from __future__ import annotations

from typing import Any, Final

from greenroom.runtime import Tool, ValidationError, messages
from greenroom.runtime.tools import FILE_OPERATIONS as _FILES
from greenroom.runtime.tools import attempt
from greenroom.runtime.tools.standard.file_operations import file_operations_on
from greenroom.scripting.definition.examples import example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import DICT, FLAG, LIST, Maybe, Page
from greenroom.scripting.definition.types import ANYTHING, TEXT, Json
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import TOOL
from greenroom.scripting.globals.rows import filled

__all__ = ["ToolGlobal"]

_FILTER: Final = Options({"text": TEXT, "category": TEXT, "tags": ANYTHING, "name_pattern": TEXT}, {"tag": "tags"})


class ToolGlobal:
    """Finds and calls tools. The current session, if any, journals the calls.

    `file_operations` exists only under a profile with files, and works on the script's files.
    """

    NAME = "Tool"
    FINDER = "get"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._files = context.files
        self._own: Tool | None = None

    @property
    def _file_operations(self) -> Tool | None:
        if self._own is None and self._files.granted:
            self._own = Tool(_FILES, file_operations_on(self._files, None), category="files")
        return self._own

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
        own = self._file_operations
        found = [each for each in self._context.runtime.tools.discover(**wanted) if each.name != _FILES]
        if own is not None and own.matches(wanted):
            found.append(own)
        return [_row(each) for each in sorted(found, key=lambda each: each.name)]

    @export("get", returns=Maybe(TOOL), example=example("calculator"))
    def get(self, name: Json) -> Any:
        """Return a tool by its name; nil if there is none."""
        tool = self._find(name)
        return _row(tool) if tool is not None else UNDEFINED

    @export("exists", returns=FLAG, example=example("calculator"))
    def exists(self, name: Json) -> bool:
        """Return whether there is a tool of this name."""
        return self._find(name) is not None

    @export("categories", returns=LIST, example=example())
    def categories(self) -> Any:
        """Return the categories of the tools."""
        own = self._file_operations
        return sorted({*self._context.runtime.tools.categories(), *([own.category] if own is not None else [])})

    @export(
        "invoke",
        returns=DICT,
        soft=True,
        options={"options": HOW},
        example=example("calculator", {"expression": "6 * 7"}),
    )
    def invoke(self, name: Json, input: Json = UNDEFINED, options: Any = UNDEFINED) -> dict[str, Any]:
        """Call a tool and return {success, result, error, duration}. Never raises for a tool that fails or does not
        exist."""
        outcome = attempt(lambda: self._call(name, input, options))
        return filled(outcome.to_dict())

    def _call(self, name: Any, input: Any, more: dict[str, Any]) -> Any:
        if not isinstance(name, str):
            raise ValidationError("name: the name of a tool is needed", field="name")
        own = self._file_operations if name == _FILES else None
        if name == _FILES and own is None:
            # scripts without files must not use the host's file_operations
            raise ValidationError(f"there is no tool {_FILES!r} without a profile with files", field="name")
        message = messages.CallTool(name, defined(input), **more)
        message.subject = own
        left = max(0.001, self._context.remaining())
        return self._context.runtime.tools.send(message, self._context.current_id, left)

    def _find(self, name: Any) -> Tool | None:
        if name == _FILES:
            return self._file_operations
        return self._context.runtime.tools.get(name) if isinstance(name, str) else None


def _row(tool: Tool) -> dict[str, Any]:
    return filled(tool.to_dict())
