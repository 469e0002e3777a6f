"""What a tool takes: its schema, the check of an input, and how the callable gets it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

import pydantic

from greenroom.storage.errors import ValidationError
from greenroom.storage.records import Value
from greenroom.storage.validation import refusal

from ..calls import CallContext
from .schema import compiled, schema_of

__all__ = ["Parameters"]

_WHOLE: Final = frozenset({"input", "args", "arguments", "params", "parameters"})
_OBJECTS: Final = (dict, Mapping)
_ANYTHING: Final[dict[str, Any]] = {"type": "object"}
_CONTEXT: Final = "context"


class Parameters:
    """The parameters of one callable.

    With a JSON schema given, that decides what is accepted. Without, the annotations do, as pydantic reads them, and
    what is missing or not expected is refused.

    A callable gets its input as keyword arguments, unless it has one parameter only (`context` apart) that is
    positional-only or annotated as a dict: that gets the whole input. So does a single parameter without annotation
    that is called input, args, arguments, params or parameters, or when the input is not an object with just its name;
    with a schema, when that has no property of its name.
    """

    def __init__(self, fn: Callable[..., Any], schema: Mapping[str, Any] | None) -> None:
        self._fn = fn
        self._given = schema_of(schema) if schema is not None else None
        self._signature = _signature(fn)
        parameters = dict(self._signature.parameters) if self._signature is not None else {}
        self._wants_context = parameters.pop(_CONTEXT, None) is not None
        self._parameters = parameters
        single = next(iter(parameters.values())) if len(parameters) == 1 else None
        self._single = single if single is not None and single.kind not in _STARRED else None
        if self._given is not None:
            self._validator = compiled(self._given)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            target = self._fn if inspect.isroutine(self._fn) else type(self._fn).__call__
            return typing.get_type_hints(target, include_extras=True)
        except Exception:  # a name that exists for type checkers only
            return {}

    @cached_property
    def _takes_whole(self) -> bool:
        """Whether the callable always gets the whole input."""
        single = self._single
        if self._signature is None:
            return True
        if single is None:
            return False
        hint = self._hints.get(single.name)
        if single.kind is single.POSITIONAL_ONLY or hint in _OBJECTS or typing.get_origin(hint) in _OBJECTS:
            return True
        if not self._is_open:
            return False
        return single.name in _WHOLE if self._given is None else single.name not in self._given.get("properties", {})

    @property
    def _is_open(self) -> bool:
        """Whether the single parameter may be anything, for all that is known."""
        single = self._single
        return single is not None and (single.annotation is single.empty or self._hints.get(single.name) is Any)

    @cached_property
    def _may_take_whole(self) -> bool:
        return self._given is None and self._is_open

    @cached_property
    def _model(self) -> type[pydantic.BaseModel] | None:
        """Of the annotations; None where there is nothing to check by."""
        if self._given is not None or self._takes_whole or self._may_take_whole:
            return None
        fields: dict[str, Any] = {}
        extra: typing.Literal["allow", "forbid"] = "forbid"
        for parameter in self._parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                default = ... if parameter.default is parameter.empty else parameter.default
                # by an alias, so that no name is refused for what pydantic uses it for
                name = f"p{len(fields)}"
                fields[name] = (
                    self._hints.get(parameter.name, Any),
                    pydantic.Field(default, alias=parameter.name, validate_default=False),
                )
        config = pydantic.ConfigDict(extra=extra, arbitrary_types_allowed=True)
        try:
            model: type[pydantic.BaseModel] = pydantic.create_model("Input", __config__=config, **fields)
        except Exception:
            return None
        return model

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the input."""
        if self._given is not None:
            return self._given
        if self._model is None:
            return dict(_ANYTHING)
        try:
            schema = self._model.model_json_schema(by_alias=True)
        except Exception:  # a type that JSON does not have: it takes what validates
            return dict(_ANYTHING)
        schema.pop("title", None)
        for each in schema.get("properties", {}).values():
            each.pop("title", None)
        return schema

    def check(self, input: Value) -> dict[str, Any]:
        """The input as an object. Raises ValidationError, with the path of what is wrong as `field`."""
        if input is None or input == []:  # an empty table of Lua is both
            input = {}
        if not isinstance(input, dict):
            raise ValidationError("input: an object of arguments is needed", field="input")
        if self._given is not None:
            self._validator(input)
        elif self._model is not None:
            try:
                self._model.model_validate(input)
            except pydantic.ValidationError as error:
                complaint = refusal(error, self._model)
                raise ValidationError(f"input: {complaint}", field=f"input.{complaint.field}") from None
        return input

    def call(self, input: dict[str, Any], context: CallContext) -> Any:
        """Call the callable with a checked input. What it returns may be awaitable."""
        more: dict[str, Any] = {_CONTEXT: context} if self._wants_context else {}
        single = self._single
        if self._takes_whole:
            return self._fn(input, **more)
        if self._may_take_whole and single is not None and input.keys() != {single.name}:
            return self._fn(**more) if not input and single.default is not single.empty else self._fn(input, **more)
        if self._model is None:
            return self._fn(**input, **more)
        values = self._model.model_validate(input)
        arguments: dict[str, Any] = {**(values.model_extra or {})}
        names = {field.alias: name for name, field in type(values).model_fields.items()}
        for name, attribute in names.items():
            if name is not None and attribute in values.model_fields_set:
                arguments[name] = getattr(values, attribute)
        return self._fn(**arguments, **more)


_STARRED: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _signature(fn: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(fn)
    except (ValueError, TypeError):
        return None  # a callable written in C
