"""The tool `json_processor`: parse, stringify, validate, query, keys and merge."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

from greenroom.storage.codec.records import Value
from greenroom.storage.errors import ValidationError

from .inputs import any_case

__all__ = ["json_processor"]

_STEP: Final = re.compile(r"""\.?([^.\[\]"']+)|\[(-?\d{1,9})\]|\[(\*?)\]|\["([^"]*)"\]|\['([^']*)'\]""")
_MAX_QUERY: Final = 1000
_MAX_FOUND: Final = 100_000


def json_processor(
    operation: Annotated[Literal["parse", "stringify", "validate", "query", "keys", "merge"] | None, any_case()] = None,
    input: Any = None,
    query: str | None = None,
    pretty: bool = False,
    other: Any = None,
) -> Any:
    """Work on JSON; `input` is JSON text or a value.

    parse: the value of a text. stringify: the text of a value. validate: whether a text is JSON. query: what is at a
    path such as `$.users[0].name`, `users[*].name` or `.users[].name`, null if nothing is. keys: of an object. merge:
    an object with what `other` has over it.
    """
    operation = operation or ("query" if query is not None else "parse")
    if operation == "stringify":
        return json.dumps(input, ensure_ascii=False, indent=2 if pretty else None)
    if operation == "validate":
        try:
            _parsed(input)
        except ValidationError:
            return False
        return True
    value = _parsed(input)
    if operation == "query":
        return _found(value, query or "$")
    if operation == "keys":
        return sorted(_object(value, "input"))
    if operation == "merge":
        return {**_object(value, "input"), **_object(_parsed(other), "other")}
    return value


def _parsed(value: Value) -> Value:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_refused)
    except json.JSONDecodeError as error:
        raise ValidationError(
            f"input: no JSON at line {error.lineno}, column {error.colno}: {error.msg}", field="input"
        ) from None
    except (ValueError, RecursionError):
        raise ValidationError("input: no JSON, or too deep or long to be read", field="input") from None


def _refused(name: str) -> Value:
    raise ValueError(name)


def _object(value: Value, what: str) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise ValidationError(f"{what}: an object is needed", field=what)
    return value


def _found(value: Value, query: str) -> Value:
    if len(query) > _MAX_QUERY:
        raise ValidationError(f"query: at most {_MAX_QUERY} characters", field="query")
    at, found, many = (1 if query[:1] == "$" else 0), [value], False
    if query in (".", ""):
        return value
    while at < len(query):
        step = _STEP.match(query, at)
        if step is None:
            raise ValidationError(f"query: not understood from character {at + 1} on", field="query")
        at = step.end()
        if step[3] is not None:
            many = True
            found = [item for each in found for item in _items(each)][:_MAX_FOUND]
        elif step[2]:
            index = int(step[2])
            found = [each[index] for each in found if isinstance(each, list) and -len(each) <= index < len(each)]
        else:
            key = next(name for name in (step[1], step[4], step[5]) if name is not None)
            found = [each[key] for each in found if isinstance(each, dict) and key in each]
    if many:
        return found
    return found[0] if found else None


def _items(value: Value) -> list[Value]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
