"""What scripts can call: `@export` marks a method as a function of a global, and `Function` holds its facts.

A global is a class with a `NAME` whose methods are marked. Several classes may share a name. ::

    class SessionGlobal:
        \"\"\"Creates, finds and changes sessions.\"\"\"
        NAME = "Session"

        def __init__(self, context: ScriptContext) -> None: ...

        @export("addTag", returns=TRUE, on=SESSION, options={"options": HOW}, example=call(SESSION_ID, "nlp"))
        def add_tag(self, session: Any, tag: Text, options: Any = UNDEFINED) -> bool:
            \"\"\"Add a tag to a session.\"\"\"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from greenroom.runtime import ValidationError

from .options import Options
from .shapes import VALUE, Object, Shape
from .types import CONTENT, JSON, TYPES, Type
from .values import UNDEFINED

__all__ = ["MANY", "Function", "Parameter", "export", "functions_of"]

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK: Final = "_greenroom_export"
MANY: Final = 16
"""How many arguments a function takes at most."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function: name, type, the options that it takes, and the default if it is not required."""

    name: str
    type: Type
    options: Options | None
    required: bool
    default: Any = UNDEFINED
    many: bool = False
    """Takes all further arguments."""


@dataclass(frozen=True, eq=False)
class Function:
    """A function of a global."""

    of: str
    """The name of the global; "" for a function of its own, such as print."""
    names: tuple[str, ...]
    """Its names, the first one first. A name with a point is in a namespace of the global: "schedules.once"."""
    owner: type
    attribute: str
    parameters: tuple[Parameter, ...]
    returns: Shape
    on: Object | None
    """The object whose method it is too."""
    callbacks: bool
    """Takes functions of the script, which may stand anywhere inside its arguments."""
    counted: bool
    """The answer may be long, so it is counted against the script's memory while it is built."""
    soft: bool
    """Never raises: where even an argument cannot travel to the host, it returns a failed outcome."""
    native: bool
    """Each language has it itself; the host does not."""
    hidden: bool
    """For bindings, not for scripts."""
    summary: str
    example: Any = None
    forms: tuple[str, ...] = ()
    """How it is called, where its parameters do not say it: "set(key, value)"."""
    least: int = 0
    most: int = 0
    reads: tuple[tuple[int, str, Type | Options, bool, Any], ...] = field(default=(), repr=False)
    """The parameters whose values are converted: position, name, type or options, whether it is required, default."""
    defaults: tuple[Any, ...] = field(default=(), repr=False)
    binary: frozenset[int] = frozenset()
    """The positions of content, for which a binding need not decode text."""

    @property
    def name(self) -> str:
        """Its name in errors and in the reference: "Session.create"."""
        return f"{self.of}.{self.names[0]}" if self.of else self.names[0]

    def read(self, values: list[Any]) -> list[Any]:
        """Return the arguments as the method takes them, and a table for each that has options. Raises
        ValidationError."""
        count = len(values)
        for at, name, kind, required, default in self.reads:
            if at >= count:
                if required or isinstance(kind, Options):
                    values.extend(self.defaults[count : at + 1])
                    count = at + 1
                else:
                    continue
            value = values[at]
            if isinstance(kind, Options):
                values[at] = kind.read(value, self.name)
            elif (value is UNDEFINED or value is None) and not required:
                values[at] = default
            elif value is not UNDEFINED or not kind.missing:
                values[at] = kind.read(value, self.name, name)
        return values

    def fit(self, values: list[Any]) -> list[Any]:
        """Return as many arguments as the function takes. Raises ValidationError."""
        while len(values) > self.most and values[-1] is UNDEFINED:
            values.pop()
        if self.on is not None and not values:
            values.append(UNDEFINED)  # the current session
        if not self.least <= len(values) <= self.most:
            count = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
            raise ValidationError(f"{self.names[0]} takes {count} arguments, not {len(values)}")
        return values


def export(
    *names: str,
    returns: Shape = VALUE,
    on: Object | None = None,
    options: Mapping[str, Options] | None = None,
    example: Any = None,
    forms: tuple[str, ...] = (),
    callbacks: bool = False,
    counted: bool = False,
    soft: bool = False,
    read: bool = True,
    native: bool = False,
    hidden: bool = False,
) -> Callable[[_F], _F]:
    """Export a method to scripts under these names. The other arguments are facts of `Function`; `options` are the
    tables of options that parameters take, by the names of the parameters. Without `read` the method reads them itself,
    because it is called in several forms."""
    facts = {
        "returns": returns,
        "on": on,
        "example": example,
        "forms": forms,
        "callbacks": callbacks,
        "counted": counted,
        "soft": soft,
        "native": native,
        "hidden": hidden,
    }

    def mark(method: _F) -> _F:
        setattr(method, _MARK, (names, options or {}, read, facts))
        return method

    return mark


def functions_of(owner: type) -> tuple[Function, ...]:
    """Return the functions that a class exports, in the order of their writing."""
    found: dict[str, Function] = {}
    for kind in reversed(owner.__mro__):
        for attribute in vars(kind):
            mark = getattr(getattr(owner, attribute, None), _MARK, None)
            if mark is not None:
                found[attribute] = _function(owner, attribute, *mark)
    return tuple(found.values())


def _function(
    owner: type,
    attribute: str,
    names: tuple[str, ...],
    options: Mapping[str, Options],
    read: bool,
    facts: dict[str, Any],
) -> Function:
    method = getattr(owner, attribute)
    parameters = _parameters(method, options)
    most = MANY if any(each.many for each in parameters) else len(parameters)
    reads = tuple(
        (at, each.name, kind, each.required, each.default)
        for at, each in enumerate(parameters)
        if not each.many and (kind := (each.options if read else None) or each.type) is not JSON
    )
    return Function(
        of=owner.NAME,  # type: ignore[attr-defined]
        names=names,
        owner=owner,
        attribute=attribute,
        parameters=parameters,
        summary=inspect.cleandoc(method.__doc__ or ""),
        least=sum(each.required for each in parameters),
        most=most,
        reads=reads,
        defaults=tuple(each.default for each in parameters),
        binary=frozenset(at for at, each in enumerate(parameters) if each.type is CONTENT),
        **facts,
    )


def _parameters(method: Callable[..., Any], options: Mapping[str, Options]) -> tuple[Parameter, ...]:
    found = []
    for each in list(inspect.signature(method).parameters.values())[1:]:
        many = each.kind is each.VAR_POSITIONAL
        required = each.default is each.empty and not many
        default = UNDEFINED if each.default is each.empty else each.default
        kind = TYPES.get(each.annotation, JSON)
        found.append(Parameter(each.name.strip("_"), kind, options.get(each.name), required, default, many))
    return tuple(found)
