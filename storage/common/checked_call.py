"""Check the arguments of a call by their annotations: one rule for each kind of annotation, in one place.

A `checked` method never sees an object of a kind that its signature does not name: no object whose every method raises,
no subclass of `str` or `dict` with methods of its own. The method itself checks bounds and meaning. Arguments that
become a message to a session need no such check: messages check their own parts.

No annotation goes unchecked in silence. A name that a module imports for type checkers only stands in the module's
`_LATE`, with the module that has it, which is imported at the first call. An annotation that cannot be read, or for
which there is no rule, is a TypeError at the first call.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from greenroom.storage.errors import ValidationError

from .arguments import as_items, as_mapping, as_number, kind_of

__all__ = ["checked", "checked_fields"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_MOST: Final = 10_000
"""The most items of a list: an iterable may have no end."""


class _Rule(NamedTuple):
    """What an annotation requires of a value: how to say it, whether a value is of the kind, and what makes the value
    plain."""

    needed: str
    fits: Callable[[Any], bool]
    plain: Callable[[str, Any], Any] | None = None


class _Checks:
    """The rules of one function, and which of its parameters an argument belongs to. Made at its first call: most
    functions of a program are never called."""

    __slots__ = ("_defaults", "_names", "_others", "_rules")

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._names = [each.name for each in parameters if each.kind in positional]
        self._others = next((each.name for each in parameters if each.kind is each.VAR_POSITIONAL), "")
        self._defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
        self._rules = _rules_of(function, parameters)

    def plain(self, name: str, value: Any) -> Any:
        """Return an argument as plain as its annotation wants it. Raises ValidationError."""
        rule = self._rules.get(name)
        return value if rule is None or value is self._defaults.get(name, self) else _applied(rule, name, value)

    def all_plain(self, values: tuple[Any, ...]) -> list[Any]:
        """Return the arguments that have no name in the call."""
        named = len(self._names)
        given = [self.plain(name, value) for name, value in zip(self._names, values, strict=False)]
        return given + [self.plain(self._others, value) for value in values[named:]]


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function check its arguments by their annotations before it begins. Raises ValidationError, which names
    the argument and never its value."""
    checks: _Checks | None = None

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal checks
        if checks is None:
            checks = _Checks(function)
        given: list[Any] = checks.all_plain(args)
        options: dict[str, Any] = {name: checks.plain(name, value) for name, value in kwargs.items()}
        return function(*given, **options)

    return call


def checked_fields(kind: type[T]) -> type[T]:
    """Make a dataclass check the arguments of its constructor as `checked` does."""
    kind.__init__ = checked(kind.__init__)  # type: ignore[method-assign]
    return kind


def _applied(rule: _Rule, name: str, value: Any) -> Any:
    if not rule.fits(value):
        raise ValidationError(f"{name}: {rule.needed} is needed, not {kind_of(value)}", field=name)
    return value if rule.plain is None else rule.plain(name, value)


class _Late(dict[str, Any]):
    """What a module imports for type checkers only, by the modules that its `_LATE` gives for the names."""

    def __init__(self, module: Mapping[str, Any]) -> None:
        self._modules: Mapping[str, str] = module.get("_LATE", {})

    def __missing__(self, name: str) -> Any:
        return getattr(import_module(self._modules[name]), name)


def _resolved(annotation: Any, module: dict[str, Any]) -> Any:
    """Return what an annotation in a module stands for. Raises TypeError if a name in it is not known at run time."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, module, _Late(module))
    except NameError as error:
        problem = f"{module['__name__']}: {annotation!r} cannot be checked, {error}: import it, or name it in _LATE"
        raise TypeError(problem) from error


def _rules_of(function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> dict[str, _Rule]:
    inner = inspect.unwrap(function)
    found: dict[str, _Rule] = {}
    for each in parameters:
        annotation = _resolved(each.annotation, inner.__globals__)
        if each.kind is each.VAR_KEYWORD:
            annotations = _options(annotation)
        else:
            annotations = {each.name: annotation if annotation is not each.empty else Any}
        found |= {name: rule for name, one in annotations.items() if (rule := _rule(one)) is not None}
    return found


def _options(annotation: Any) -> dict[str, Any]:
    """Return the annotations of the options that `**options: Unpack[…]` stands for."""
    if typing.get_origin(annotation) is not typing.Unpack:
        if _rule(annotation) is not None:
            raise TypeError(f"options of any name cannot be checked to be {annotation}")
        return {}
    options = typing.get_args(annotation)[0]
    return {
        name: _resolved(each.__forward_arg__, vars(sys.modules[each.__forward_module__ or options.__module__]))
        if isinstance(each, typing.ForwardRef)
        else each
        for name, each in options.__annotations__.items()
    }


def _rule(annotation: Any) -> _Rule | None:
    """Return the rule of an annotation; None for one that accepts anything. Raises TypeError for one that has none."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _rule(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _one_of([_rule(each) for each in arguments])
    if origin is typing.Literal:
        return _Rule(
            f"one of {', '.join(map(repr, arguments))}", lambda value: type(value) is str and value in arguments
        )
    if annotation is None or annotation is types.NoneType:
        return _Rule("None", lambda value: value is None)
    kind = origin if origin is not None else annotation
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is os.PathLike:
        return _PATH
    if kind is collections.abc.Callable:
        return _Rule("a function", callable)
    if kind is object or kind is Any:
        return None
    if not isinstance(kind, type) or issubclass(kind, typing.IO):
        raise TypeError(f"there is no rule for arguments that are to be {annotation!r}")
    if issubclass(kind, Mapping):
        return _mapping(_rule(arguments[1]) if len(arguments) == 2 else None)
    if (issubclass(kind, Iterable) and issubclass(kind, (list, tuple, set, frozenset))) or kind in _LISTS:
        return _list(_rule(arguments[0]) if arguments else None)
    if getattr(kind, "_is_protocol", False):
        wanted = [name for name in vars(kind) if not name.startswith("_")]
        return _Rule(
            f"an object with {' and '.join(wanted)}",
            lambda value: all(inspect.getattr_static(type(value), name, None) is not None for name in wanted),
        )
    return _Rule(f"{_article(kind.__name__)} {kind.__name__}", lambda value: issubclass(type(value), kind))


def _article(name: str) -> str:
    return "an" if name[:1] in "AEIOU" else "a"


def _text(field: str, value: Any) -> str:
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValidationError(f"{field}: it is not valid Unicode", field=field) from None
    return text


def _number(field: str, value: Any) -> float | int:
    if issubclass(type(value), int):
        if not -(1 << 63) <= (whole := int.__int__(value)) < 1 << 63:
            raise ValidationError(f"{field}: a number that 64 bits hold is needed", field=field)
        return whole
    number = float.__float__(value)
    if math.isnan(number):
        raise ValidationError(f"{field}: a number is needed, not NaN", field=field)
    return number


def _is_number(value: Any) -> bool:
    return issubclass(type(value), (int, float)) and type(value) is not bool


_PLAIN: Final[Mapping[Any, _Rule]] = {
    str: _Rule("text", lambda value: issubclass(type(value), str), _text),
    bool: _Rule("True or False", lambda value: type(value) is bool),
    int: _Rule(
        "a whole number",
        lambda value: issubclass(type(value), int) and type(value) is not bool,
        lambda field, value: as_number(field, value, -(1 << 63)),
    ),
    float: _Rule("a number", _is_number, _number),
    bytes: _Rule(
        "bytes",
        lambda value: issubclass(type(value), bytes),
        lambda field, value: bytes.__getitem__(value, slice(None)),
    ),
}
_PATH: Final = _Rule("a path", lambda value: inspect.getattr_static(type(value), "__fspath__", None) is not None)
_FILE_NAME: Final = _Rule("text", lambda value: issubclass(type(value), str), lambda field, value: str.__str__(value))
"""Text that may name a file: file names need not be Unicode."""
_LISTS: Final = (
    collections.abc.Iterable,
    collections.abc.Sequence,
    collections.abc.Collection,
    collections.abc.Set,
)


def _one_of(rules: list[_Rule | None]) -> _Rule | None:
    known = [_FILE_NAME if each is _PLAIN[str] and _PATH in rules else each for each in rules if each is not None]
    if len(known) < len(rules):  # one of them accepts anything
        return None
    known.sort(key=lambda each: each.fits is callable)  # a value of a plain kind may have `__call__` as well

    def plain(field: str, value: Any) -> Any:
        rule = next(each for each in known if each.fits(value))
        return value if rule.plain is None else rule.plain(field, value)

    needed = [each.needed for each in known if each.needed != "None"]
    return _Rule(" or ".join(needed), lambda value: any(each.fits(value) for each in known), plain)


def _mapping(rule: _Rule | None) -> _Rule:
    def plain(field: str, value: Any) -> dict[str, Any]:
        found = as_mapping(field, value)
        return (
            found
            if rule is None
            else {name: _applied(rule, f"{field}.{name}"[:64], each) for name, each in found.items()}
        )

    return _Rule("an object with text keys", lambda value: issubclass(type(value), Mapping), plain)


def _list(rule: _Rule | None) -> _Rule:
    def plain(field: str, value: Any) -> list[Any]:
        found = as_items(field, value, _MOST)
        return found if rule is None else [_applied(rule, f"{field}[{at}]", each) for at, each in enumerate(found)]

    def fits(value: Any) -> bool:
        kind = type(value)
        return issubclass(kind, Iterable) and not issubclass(kind, (str, bytes, bytearray, memoryview, Mapping))

    return _Rule("a list", fits, plain)
