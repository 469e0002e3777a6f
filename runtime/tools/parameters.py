"""The parameters of a tool: their schema, the check of an input, and the call with it."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import pydantic
from pydantic.json_schema import GenerateJsonSchema

from greenroom.actors.scheduling.callables import signature_of
from greenroom.actors.schema import compiled, schema_of
from greenroom.runtime.calls.work import CallContext
from greenroom.storage.codec.records import Value
from greenroom.storage.common.validation import complaints, refusal
from greenroom.storage.errors import ValidationError

__all__ = ["Checked", "Parameters", "arguments_of", "context_parameters", "hints_of"]

Parameter = inspect.Parameter

_WHOLE: Final = frozenset({"input", "args", "arguments", "params", "parameters"})
_OBJECTS: Final = (dict, Mapping)
_ANYTHING: Final[dict[str, Any]] = {"type": "object"}
_CONTEXT: Final = "context"
_STARRED: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_UNKNOWN: Final = object()
"""Marks an annotation that cannot be resolved."""


class Checked(NamedTuple):
    """An input that fits, and the arguments in it, converted to the annotated types."""

    input: dict[str, Any]
    arguments: dict[str, Any]


class Parameters:
    """The parameters of one callable.

    A given JSON schema decides which inputs are accepted. Otherwise pydantic checks them by the annotations, and
    refuses missing and unexpected arguments. A signature that no input can match is refused at registration.

    Arguments are passed by the names of parameters of any kind: `*names` gets the list called "names", `**more` all
    further arguments. Some callables with a single parameter (besides the context) get the whole input: if the
    parameter is annotated as a dict, or is positional-only without annotation. Without annotation, also if it is called
    input, args, arguments, params or parameters, or if the input is not an object with just its name; with a schema, if
    the schema has no property of its name.
    """

    def __init__(self, fn: Callable[..., Any], schema: Mapping[str, Any] | None) -> None:
        """Read the signature. Raises ValidationError for an invalid schema, and for a parameter that no JSON value
        matches."""
        self._fn = fn
        self._given = schema_of(schema) if schema is not None else None
        self._signature = signature_of(fn)
        self._hints = hints_of(fn, self._signature)
        parameters = dict(self._signature.parameters) if self._signature is not None else {}
        self._contexts = context_parameters(self._signature, self._hints)
        for name in self._contexts:
            del parameters[name]
        self._parameters = parameters
        single = next(iter(parameters.values())) if len(parameters) == 1 else None
        self._single = single if single is not None and single.kind not in _STARRED else None
        self._is_open = self._single is not None and self._hints.get(self._single.name, Any) is Any
        self._takes_whole = self._always_whole()
        self._may_take_whole = self._given is None and self._is_open and not self._takes_whole
        self._named = self._signature is not None and not any(
            each.kind in (each.POSITIONAL_ONLY, each.VAR_POSITIONAL) for each in self._signature.parameters.values()
        )
        """Whether all arguments can be passed by their names."""
        self._model: type[pydantic.BaseModel] | None = None
        self._aliases: dict[str, str] = {}
        """The parameters by the names that the model has for them."""
        self._more: pydantic.TypeAdapter[Any] | None = None
        if self._given is not None:
            self._validator = compiled(self._given)
            self.schema = self._given
        elif self._takes_whole or self._may_take_whole:
            self.schema = dict(_ANYTHING)
        else:
            self.schema = self._modelled()

    def _always_whole(self) -> bool:
        """Return whether the callable always gets the whole input."""
        single = self._single
        if self._signature is None:
            return True
        if single is None:
            return False
        hint = self._hints.get(single.name)
        if hint in _OBJECTS or typing.get_origin(hint) in _OBJECTS:
            return True
        if not self._is_open:
            return False
        if single.kind is single.POSITIONAL_ONLY:
            return True
        return single.name in _WHOLE if self._given is None else single.name not in self._given.get("properties", {})

    def _modelled(self) -> dict[str, Any]:
        """Create the pydantic model of the annotations and return its JSON schema."""
        fields: dict[str, Any] = {}
        extra: typing.Literal["allow", "forbid"] = "forbid"
        for name, parameter in list(self._parameters.items()):
            hint = self._hints.get(name, Any)
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
                if hint is not Any and typing.get_origin(hint) is not typing.Unpack:
                    self._more = _adapter(name, hint)
                continue
            if parameter.kind is parameter.VAR_POSITIONAL:
                hint = list[hint]  # type: ignore[valid-type]
            default: Any = ... if parameter.default is parameter.empty else parameter.default
            if parameter.kind is parameter.VAR_POSITIONAL:
                default = []
            try:
                _adapter(name, hint)
            except ValidationError:
                if default is ...:
                    raise
                del self._parameters[name]  # no input can match it: it keeps its default
                continue
            # an alias allows names that pydantic reserves
            field = f"p{len(fields)}"
            self._aliases[field] = name
            fields[field] = (hint, pydantic.Field(default, alias=name, validate_default=False))
        self._model = pydantic.create_model("Input", __config__=pydantic.ConfigDict(extra=extra), **fields)
        schema = self._model.model_json_schema(by_alias=True, schema_generator=_Quiet)
        schema.pop("title", None)
        for each in schema.get("properties", {}).values():
            each.pop("title", None)
        if self._more is not None:
            schema["additionalProperties"] = self._more.json_schema(schema_generator=_Quiet)
        return schema

    def check(self, input: Value) -> Checked:
        """Check an input. Raises ValidationError, whose `field` is the path of the error."""
        if input is None or input == []:  # an empty Lua table can be either
            input = {}
        if not isinstance(input, dict):
            raise ValidationError("input: an object of arguments is needed", field="input")
        if self._given is not None:
            self._validator(input)
        return Checked(input, self._read(self._model, input) if self._model is not None else input)

    def _read(self, model: type[pydantic.BaseModel], input: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments in an input, converted to the annotated types."""
        try:
            values = model.model_validate(input)
            given = values.model_fields_set
            arguments = {alias: getattr(values, name) for name, alias in self._aliases.items() if name in given}
        except pydantic.ValidationError as error:
            complaint = refusal(error, model)
            raise ValidationError(f"input: {complaint}", field=f"input.{complaint.field}") from None
        for name, value in (values.model_extra or {}).items():
            try:
                arguments[name] = self._more.validate_python(value) if self._more is not None else value
            except pydantic.ValidationError as error:
                place = f"input.{name[:64]}"
                raise ValidationError(f"{place}: {complaints(error, model)[0].text}", field=place) from None
        return arguments

    def call(self, checked: Checked, context: CallContext) -> Any:
        """Call the callable with a checked input. The result may be awaitable."""
        single, input = self._single, checked.input
        if self._signature is None:
            return self._fn(input)
        if self._takes_whole and single is not None:
            arguments: dict[str, Any] = {single.name: input}
        elif self._may_take_whole and single is not None and input.keys() != {single.name}:
            arguments = {} if not input and single.default is not single.empty else {single.name: input}
        else:
            arguments = checked.arguments
        if self._contexts:
            arguments = {**arguments, **dict.fromkeys(self._contexts, context)}
        if self._named:
            return self._fn(**arguments)
        args, kwargs = arguments_of(self._signature, arguments)
        return self._fn(*args, **kwargs)


class _Quiet(GenerateJsonSchema):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}


def _adapter(name: str, hint: Any) -> pydantic.TypeAdapter[Any]:
    """Return the validator of a parameter. Raises ValidationError for a type that no JSON value matches."""
    if hint is not _UNKNOWN:
        try:
            adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(hint)
            adapter.json_schema(schema_generator=_Quiet)
            return adapter
        except Exception:  # pydantic raises many types of errors here
            pass
        wrong = f"no JSON value can be made a {getattr(hint, '__name__', hint)}"
    else:
        wrong = "its annotation cannot be resolved: the name is not known in the module of the function"
    raise ValidationError(
        f"fn: parameter {name!r}: {wrong}; annotate it with a JSON type, a dataclass or a pydantic model of that"
        " module, give it a default, or give a schema",
        field="fn",
    )


def arguments_of(signature: inspect.Signature, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Split named arguments into positional and keyword arguments for a signature."""
    left = dict(arguments)
    parameters = signature.parameters.values()
    starred = next((each.name for each in parameters if each.kind is each.VAR_POSITIONAL), None)
    by_position = bool(starred is not None and left.get(starred))
    args: list[Any] = []
    for each in parameters:
        if each.kind is each.POSITIONAL_ONLY or (by_position and each.kind is each.POSITIONAL_OR_KEYWORD):
            if each.name in left:
                args.append(left.pop(each.name))
            elif each.default is not each.empty:
                args.append(each.default)
            else:
                break  # the call raises an error for the missing argument
        elif each.kind is each.VAR_POSITIONAL:
            args += left.pop(each.name, ())
    return args, left


def context_parameters(signature: inspect.Signature | None, hints: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the parameters that get the CallContext: those annotated with it, else one called `context`
    unless it has another annotation."""
    if signature is None:
        return ()
    plain = [name for name, each in signature.parameters.items() if each.kind not in _STARRED]
    annotated = tuple(
        name
        for name in plain
        if _is_context(
            hints[name] if hints.get(name, _UNKNOWN) is not _UNKNOWN else signature.parameters[name].annotation
        )
    )
    if annotated or _CONTEXT not in plain or hints.get(_CONTEXT, Any) not in (Any, object, _UNKNOWN):
        return annotated
    return (_CONTEXT,)


def _is_context(hint: Any) -> bool:
    if isinstance(hint, str):  # imported for type checkers only, or quoted
        return hint.rpartition(".")[2].strip("'\" ").removesuffix(" | None") in ("CallContext", "AgentContext")
    if isinstance(hint, type):
        return issubclass(hint, CallContext)
    if typing.get_origin(hint) in (typing.Union, types.UnionType, typing.Annotated):
        return any(_is_context(each) for each in typing.get_args(hint))
    return False


def hints_of(fn: Callable[..., Any], signature: inspect.Signature | None) -> dict[str, Any]:
    """Return the annotations of a callable by parameter. Resolve those given as text; if that fails, use `_UNKNOWN`."""
    hints: dict[str, Any] = {}
    known: tuple[dict[str, Any], dict[str, Any]] | None = None
    for name, parameter in (signature.parameters if signature is not None else {}).items():
        if parameter.annotation is parameter.empty:
            continue
        known = known if known is not None else _names_known_to(fn)
        holder = types.SimpleNamespace(__annotations__={name: parameter.annotation})
        try:
            hints[name] = typing.get_type_hints(holder, *known, include_extras=True)[name]
        except Exception:  # evaluating an annotation can raise anything
            hints[name] = _UNKNOWN
    return hints


def _names_known_to(fn: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the names visible to a callable's code: globals, and names of enclosing functions."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = inspect.unwrap(fn)
    if inspect.isclass(fn):
        fn = fn.__init__
    elif not inspect.isroutine(fn):
        fn = type(fn).__call__
    fn = getattr(fn, "__func__", fn)
    code, cells = getattr(fn, "__code__", None), getattr(fn, "__closure__", None) or ()
    around: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars if code is not None else (), cells, strict=False):
        try:
            around[name] = cell.cell_contents
        except ValueError:  # not yet bound
            continue
    return getattr(fn, "__globals__", {}), around
