"""A registered tool, and the result of a call."""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any, Final

from greenroom.actors.messages.checks import tag_list
from greenroom.runtime.model.callee import Callee
from greenroom.storage.codec.records import Json
from greenroom.storage.common.arguments import as_flag, as_text
from greenroom.storage.errors import GreenroomError, ValidationError

__all__ = ["Tool", "ToolResult", "attempt"]

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,63}")
_MAX_DESCRIPTION: Final = 64 << 10


class Tool(Callee):
    """A registered tool: name, description, version, category, tags, timeout (seconds, None for the runtime's default).
    `schema` is the JSON schema of its input. `side_effects` is False for a tool that a simulated replay may run,
    `quick` True for one that runs on its caller's thread."""

    __slots__ = (
        "category",
        "description",
        "fn",
        "name",
        "parameters",
        "quick",
        "side_effects",
        "tags",
        "timeout",
        "version",
    )

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        *,
        schema: Mapping[str, Any] | None = None,
        description: str | None = None,
        category: str | None = None,
        tags: Iterable[str] = (),
        timeout: float | None = None,
        side_effects: bool = True,
        quick: bool = False,
        version: str = "1.0.0",
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValidationError("name: 1 to 64 letters, digits and _ . : / - are needed", field="name")
        if not callable(fn):
            raise ValidationError("fn: a callable is needed", field="fn")
        if schema is not None and not isinstance(schema, Mapping):
            raise ValidationError("schema: a JSON schema, as a dict, is needed", field="schema")
        if timeout is not None and (type(timeout) not in (int, float) or not timeout > 0):
            raise ValidationError("timeout: a number of seconds above 0 is needed", field="timeout")
        self.name = name
        self.fn = fn
        from .parameters import Parameters

        self.parameters = Parameters(fn, schema)
        text = description if description is not None else (inspect.getdoc(fn) or "").partition("\n\n")[0]
        if not isinstance(text, str) or len(text) > _MAX_DESCRIPTION:
            raise ValidationError(f"description: at most {_MAX_DESCRIPTION} characters are needed", field="description")
        self.description = " ".join(text.split())
        if category is not None and not (isinstance(category, str) and 0 < len(category) <= 64):
            raise ValidationError("category: 1 to 64 characters are needed", field="category")
        self.category = category
        self.tags = tuple(tag_list(tags))
        self.timeout = timeout
        self.side_effects = as_flag("side_effects", side_effects)
        self.quick = as_flag("quick", quick)
        if self.quick and inspect.iscoroutinefunction(fn):
            raise ValidationError("quick: an `async def` needs a thread of its own", field="quick")
        if self.quick and timeout is not None:
            raise ValidationError(
                "timeout: a quick tool has none, because it runs on its caller's thread", field="timeout"
            )
        self.version = as_text("version", version, 64)

    @property
    def schema(self) -> dict[str, Any]:
        return self.parameters.schema

    def to_dict(self) -> dict[str, Any]:
        """Return the description of the tool for a model: name, description, version, schema, category, tags."""
        return {
            "name": self.name,
            "description": self.description,
            "version": self.version,
            "schema": self.schema,
            "category": self.category,
            "tags": list(self.tags),
        }

    def matches(self, wanted: Mapping[str, Any]) -> bool:
        """Return whether the tool matches a filter of `Tools.discover`."""
        words = str(wanted.get("text") or "").lower().split()
        category, pattern = wanted.get("category"), wanted.get("name_pattern")
        shown = f"{self.name} {self.description}".lower()
        return (
            all(word in shown for word in words)
            and (not category or self.category == category)
            and set(wanted.get("tags") or ()) <= set(self.tags)
            and (not pattern or _glob(str(pattern)).match(self.name) is not None)
        )

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"


@lru_cache(maxsize=64)  # small, because callers may use any number of patterns
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The outcome of a call: `result` on success, else `error` with code and message. `duration` is in seconds."""

    success: bool
    result: Json = None
    error: str | None = None
    error_code: str | None = None
    duration: float = 0.0

    def __repr__(self) -> str:
        return f"<ToolResult {'success' if self.success else self.error_code}>"

    @property
    def text(self) -> str | None:
        """The result as text: a text itself, anything else as JSON. None if the call failed."""
        if not self.success:
            return None
        if isinstance(self.result, str):
            return self.result
        return json.dumps(self.result, ensure_ascii=False, default=_as_text)

    def to_dict(self) -> dict[str, Any]:
        return {
            "success": self.success,
            "result": self.result,
            "text": self.text,
            "error": self.error,
            "error_code": self.error_code,
            "duration": self.duration,
        }


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def attempt(call: Callable[[], Any]) -> ToolResult:
    """Make a call and return its outcome as a ToolResult."""
    started = time.perf_counter()
    try:
        result = call()
    except GreenroomError as error:
        return ToolResult(False, error=str(error), error_code=error.code, duration=time.perf_counter() - started)
    return ToolResult(True, result, duration=time.perf_counter() - started)
