"""Compiles JSON schemas (draft 2020-12) to checks that hostile inputs and schemas cannot block for long."""

from __future__ import annotations

import contextvars
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import islice
from typing import Any, Final

from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema

from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.errors import ValidationError

__all__ = ["compiled", "schema_of"]

_MAX_ERRORS: Final = 100
_MAX_SHOWN: Final = 100
_MAX_REFERENCES: Final = 20_000
"""The limit of references that one check follows: a few can multiply each other without end."""
_LITERAL: Final = frozenset({"const", "default", "enum", "examples"})

Check = Callable[..., None]
Errors = Iterator[Any]


class _Endless(Exception):
    pass


_left: Final[contextvars.ContextVar[list[int]]] = contextvars.ContextVar("greenroom_schema_references")


def schema_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a schema. Raises ValidationError if it is not JSON, or nested too deep for a list of tools."""
    packed = pack_value([[[dict(given)]]], "schema")
    copy: dict[str, Any] = unpack_value(packed)[0][0][0]
    return copy


def compiled(schema: dict[str, Any], *, trusted: bool = True) -> Check:
    """Return the check of a value by a JSON schema: `check(value, name="input")` raises ValidationError with the path
    of what does not fit, which begins with the name. Raises ValidationError for an invalid schema.

    The patterns of a schema that is not `trusted` must be such that they can be matched in linear time: those with
    look-arounds or back-references are refused.
    """
    # The import takes a tenth of a second and is only needed for given schemas.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValidationError(
            f"schema: {error.json_path} is not right: {error.message[:200]}", field="schema"
        ) from None
    except RecursionError:
        raise ValidationError("schema: it is nested too deep", field="schema") from None
    if not trusted:
        _require_linear(schema)
    # An empty registry: a check never fetches an address in a schema.
    validator = _validator_class()(_of_one_draft(schema), registry=Registry())

    def check(input: Any, name: str = "input") -> None:
        token = _left.set([_MAX_REFERENCES])
        try:
            error = best_match(islice(validator.iter_errors(input), _MAX_ERRORS))
        except Unresolvable:
            raise ValidationError("schema: a reference in it leads nowhere", field="schema") from None
        except ArithmeticError:
            raise ValidationError(f"{name}: a number in it is too large for the schema", field=name) from None
        except (RecursionError, _Endless):
            raise ValidationError(
                "schema: its references lead round and round for this input", field="schema"
            ) from None
        finally:
            _left.reset(token)
        if error is not None:
            path = name + error.json_path.removeprefix("$")
            raise ValidationError(f"{path}: {_complaint(error)}", field=path)

    return check


def _of_one_draft(schema: Any) -> Any:
    """Return the schema without `$schema`, which would select the validator of another draft for a part."""
    if isinstance(schema, list):
        return [_of_one_draft(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: each if key in _LITERAL else _of_one_draft(each)
        for key, each in schema.items()
        if not (key == "$schema" and isinstance(each, str))
    }


@cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError as Complaint
    from jsonschema.validators import extend

    known = Draft202012Validator.VALIDATORS

    def pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Errors:
        if validator.is_type(instance, "string") and not _matcher(wanted)(instance):
            yield Complaint("")

    def pattern_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
        if not validator.is_type(instance, "object"):
            return
        for each, part in wanted.items():
            matches = _matcher(each)
            for name, value in instance.items():
                if matches(name):
                    yield from validator.descend(value, part, path=name, schema_path=each)

    def additional_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
        if not validator.is_type(instance, "object"):
            return
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        more = [name for name in instance if name not in named and not any(_matcher(each)(name) for each in patterns)]
        if validator.is_type(wanted, "object"):
            for name in more:
                yield from validator.descend(instance[name], wanted, path=name)
        elif not wanted and more:
            yield Complaint("")

    def unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
        # Compare encoded values in a set: comparing all pairs would take quadratic time.
        if (
            wanted
            and validator.is_type(instance, "array")
            and len({pack_value(_canonical(each)) for each in instance}) < len(instance)
        ):
            yield Complaint("")

    def counted(follow: Any) -> Any:
        def reference(validator: Any, wanted: str, instance: Any, schema: Any) -> Errors:
            left = _left.get()
            left[0] -= 1
            if left[0] < 0:
                raise _Endless
            yield from follow(validator, wanted, instance, schema) or ()

        return reference

    return extend(
        Draft202012Validator,
        {
            "pattern": pattern,
            "patternProperties": pattern_properties,
            "additionalProperties": additional_properties,
            "uniqueItems": unique_items,
            "$ref": counted(known["$ref"]),
            "$dynamicRef": counted(known["$dynamicRef"]),
        },
    )


@lru_cache(maxsize=1000)
def _matcher(pattern: str) -> Callable[[str], Any]:
    """Return a function that searches a text for a pattern, in linear time unless the pattern has look-arounds or
    back-references. Python's own engine can take years for a short text, and blocks all other threads meanwhile."""
    try:
        return _linear(pattern)
    except PatternError:
        return re.compile(pattern).search


def _linear(pattern: str) -> Callable[[str], Any]:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, strict=True)).isinstance_python


def _require_linear(schema: Any) -> None:
    """Raise ValidationError for a pattern that Python's own engine would have to match."""
    if isinstance(schema, list):
        for each in schema:
            _require_linear(each)
    if not isinstance(schema, dict):
        return
    own, named = schema.get("pattern"), schema.get("patternProperties")
    for pattern in (*([own] if isinstance(own, str) else []), *(named if isinstance(named, dict) else [])):
        try:
            _linear(pattern)
        except PatternError:
            raise ValidationError(
                f"schema: the pattern {pattern[:_MAX_SHOWN]!r} has look-arounds or back-references, or is too large:"
                " no bound would hold for the time that it takes. Write it without them",
                field="schema",
            ) from None
    for key, each in schema.items():
        if key not in _LITERAL:
            _require_linear(each)


def _canonical(value: Value) -> Value:
    """Return a form that is the same for values that are equal in JSON."""
    if isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) < 1 << 63 else value
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, dict):
        return {key: _canonical(each) for key, each in sorted(value.items())}
    return value


def _complaint(error: Any) -> str:
    """Return the description of an error, without the wrong value."""
    rule, wanted = error.validator, error.validator_value
    if rule == "required":
        missing = [each for each in wanted if each not in error.instance]
        return f"{', '.join(map(repr, missing))} is missing"
    if rule == "additionalProperties" and wanted is False:
        known = sorted(error.schema.get("properties", {}))
        return f"has a property that is not expected; there are: {', '.join(known) or 'none'}"
    shown = str(wanted)
    return f"does not fit {rule!r}: {shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + '…'}"
