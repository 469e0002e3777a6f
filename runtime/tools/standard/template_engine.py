"""The tool `template_engine`: `{{name}}` in a text becomes the value of a variable."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

from greenroom.storage.errors import ValidationError

from .inputs import AnyText, any_case

__all__ = ["template_engine"]

_NAME: Final = re.compile(r"\{\{[ \t]*([\w.-]+)[ \t]*\}\}")
_MAX_RESULT: Final = 4 << 20


def template_engine(
    template: AnyText | None = None,
    input: AnyText | None = None,
    variables: dict[str, Any] | list[Any] | None = None,
    context: dict[str, Any] | list[Any] | None = None,
    operation: Annotated[Literal["render"], any_case()] = "render",
) -> str:
    """Put variables into a text: `{{name}}`, or `{{user.name}}` for what is inside of one. What is put in is not
    looked at again. `input` is another name of `template`, `context` of `variables`. Raises ValidationError for a
    variable that is not there."""
    template = template if template is not None else input
    if template is None:
        raise ValidationError("template: a text is needed", field="template")
    variables = variables if variables is not None else context
    given = variables if isinstance(variables, dict) else {}  # an empty Lua table arrives as a list
    parts: list[str] = []
    size = at = 0
    for found in _NAME.finditer(template):
        for part in (template[at : found.start()], _text(_variable(given, found[1]))):
            parts.append(part)
            size += len(part)
        at = found.end()
        if size > _MAX_RESULT:
            raise ValidationError(
                f"template: the result would have more than {_MAX_RESULT} characters", field="template"
            )
    return "".join([*parts, template[at:]])


def _variable(variables: dict[str, Any], name: str) -> Any:
    if name in variables:
        return variables[name]
    value: Any = variables
    for step in name.split("."):
        if not isinstance(value, dict) or step not in value:
            raise ValidationError(f"variables: {name[:100]!r} is not among them", field="variables")
        value = value[step]
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, default=lambda each: each.decode("utf-8", "replace"))
