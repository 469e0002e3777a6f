"""Python values on a tape: a plain form of them, and marks that say how to give them back.

The plain form is what MessagePack can hold and people can read: a dataclass is the map of its fields, a date a text. So
tools show it, and a fork can patch it. Marks stand beside it, each with the path of one value in it, and make it exact.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from operator import attrgetter
from typing import Any, Final, NamedTuple

from greenroom.storage.errors import ReplayError, ValidationError

__all__ = ["Held", "find_class", "give_back", "hold", "hold_loosely", "path_of_class"]

_MAX_DEPTH: Final = 64
_SMALLEST: Final = -(1 << 63)
_LARGEST: Final = (1 << 64) - 1

_TEXTS: Final = {
    "builtins.complex": ("complex", str),
    "datetime.date": ("date", str),
    "datetime.time": ("time", str),
    "decimal.Decimal": ("decimal", str),
    "fractions.Fraction": ("fraction", str),
    "pathlib.PosixPath": ("path", str),
    "pathlib.WindowsPath": ("path", str),
    "uuid.UUID": ("uuid", str),
}
"""Types whose values are held as text, by top-level module and name: the name of the mark, and how the text is made.
Types are found by name, since importing them all would cost each recorded program some milliseconds."""
_FROM_TEXT: Final = {
    "complex": ("builtins", "complex"),
    "date": ("datetime", "date.fromisoformat"),
    "time": ("datetime", "time.fromisoformat"),
    "decimal": ("decimal", "Decimal"),
    "fraction": ("fractions", "Fraction"),
    "path": ("pathlib", "Path"),
    "uuid": ("uuid", "UUID"),
}
"""The module and the callable that make a value of a text again, by mark."""
_SEQUENCES: Final[dict[str, Callable[[Any], Any]]] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class Held(NamedTuple):
    """A value as it stands on a tape."""

    plain: Any
    marks: list[list[Any]]
    """Each is [path, kind, what the kind needs], the marks of inner values first. Empty for what is plain itself."""


def hold(value: Any) -> Held:
    """Return the form of a value on a tape. Raises ValidationError, which names the type, if a tape cannot hold it."""
    marks: list[list[Any]] = []
    return Held(_hold(value, (), marks, strict=True), marks)


def hold_loosely(value: Any) -> Any:
    """Return the plain form of a value that need not be given back. "<module.Class>" stands for what a tape cannot
    hold, which says the same in each run."""
    return _hold(value, (), [], strict=False)


def _hold(value: Any, path: tuple[Any, ...], marks: list[list[Any]], *, strict: bool) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is bytes:
        return value
    if kind is float:
        if math.isfinite(value):
            return value
        marks.append([list(path), "float", None])  # which no JSON value can be
        return repr(value)
    if kind is str:
        return _text(value, path, marks)
    if kind is int:
        if _SMALLEST <= value <= _LARGEST:
            return value
        marks.append([list(path), "int", None])
        return hex(value)
    if len(path) >= _MAX_DEPTH:
        return _not_held(kind, path, strict, f"more than {_MAX_DEPTH} levels, or a value that holds itself")
    if kind is list:
        return [_hold(each, (*path, at), marks, strict=strict) for at, each in enumerate(value)]
    if kind is dict:
        return _map(value, path, marks, strict)
    if kind in (tuple, set, frozenset):
        items = value if kind is tuple else _sorted(value)
        plain: Any = [_hold(each, (*path, at), marks, strict=strict) for at, each in enumerate(items)]
        marks.append([list(path), kind.__name__, None])
        return plain
    if (as_text := _TEXTS.get(f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}")) is not None:
        name, text = as_text
        marks.append([list(path), name, None])
        return text(value)
    if kind is datetime.datetime:
        return _datetime(value, path, marks, strict)
    if kind is datetime.timedelta:
        marks.append([list(path), "timedelta", None])
        return [value.days, value.seconds, value.microseconds]
    return _object(value, path, marks, strict)


def _object(value: Any, path: tuple[Any, ...], marks: list[list[Any]], strict: bool) -> Any:
    """Return the plain form of a value of a class of the program's or a library's own."""
    kind = type(value)
    where = path_of_class(kind)
    if isinstance(value, enum.Enum):
        plain = _hold(value.value, path, marks, strict=strict)
        marks.append([list(path), "enum", where])
        return plain
    if dataclasses.is_dataclass(value):
        names = [each.name for each in dataclasses.fields(value)]
        fields = {name: getattr(value, name) for name in names if hasattr(value, name)}
        plain = _map(fields, path, marks, strict)
        marks.append([list(path), "dataclass", where])
        return plain
    if (given := _fields_of_model(value)) is not None:
        plain = _map({**value.__dict__, **(value.__pydantic_extra__ or {})}, path, marks, strict)
        marks.append([list(path), "model", [where, given]])
        return plain
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        plain = [_hold(each, (*path, at), marks, strict=strict) for at, each in enumerate(value)]
        marks.append([list(path), "namedtuple", where])
        return plain
    # Other subclasses come back as what they are built on.
    bases: tuple[Any, ...] = (str, int, float, bytes)
    for base in bases:
        if isinstance(value, base):
            return _hold(base(value), path, marks, strict=strict)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Mapping):
        return _map(dict(value), path, marks, strict)
    if isinstance(value, Sequence):
        return _hold(list(value), path, marks, strict=strict)
    return _not_held(kind, path, strict, f"a {kind.__module__}.{kind.__qualname__}")


def _not_held(kind: type, path: tuple[Any, ...], strict: bool, what: str) -> str:
    if not strict:
        return f"<{kind.__module__}.{kind.__qualname__}>"
    place = "".join(f"[{each!r}]" if isinstance(each, int) else f".{each}" for each in path)[:200]
    raise ValidationError(f"value{place}: {what} cannot be put on a tape", field=f"value{place}")


def _text(value: str, path: tuple[Any, ...], marks: list[list[Any]]) -> str | bytes:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:  # a half of a pair that stands alone
        marks.append([list(path), "surrogates", None])
        return value.encode("utf-8", "surrogatepass")
    return value


def _map(value: dict[Any, Any], path: tuple[Any, ...], marks: list[list[Any]], strict: bool) -> Any:
    if all(type(key) is str and (key.isascii() or not _has_surrogates(key)) for key in value):
        return {key: _hold(each, (*path, key), marks, strict=strict) for key, each in value.items()}
    pairs = [list(each) for each in value.items()]
    plain = _hold(pairs, path, marks, strict=strict)
    marks.append([list(path), "map", None])
    return plain


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= each <= "\udfff" for each in text)


def _sorted(value: Any) -> list[Any]:
    """Return the members of a set in an order that is the same in each run, if they have one."""
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=repr)


def _datetime(value: datetime.datetime, path: tuple[Any, ...], marks: list[list[Any]], strict: bool) -> Any:
    zone = value.tzinfo
    name = getattr(zone, "key", None)
    if zone is not None and type(zone) is not datetime.timezone and not isinstance(name, str):
        return _not_held(type(zone), path, strict, f"a datetime with a {type(zone).__qualname__}")
    marks.append([list(path), "datetime", [name, value.fold] if isinstance(name, str) else None])
    return value.replace(tzinfo=None, fold=0).isoformat() if isinstance(name, str) else value.isoformat()


def _fields_of_model(value: Any) -> list[str] | None:
    """Return the fields that were given to a pydantic model; None if the value is none. pydantic is not imported."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(value, pydantic.BaseModel):
        return None
    return sorted(value.model_fields_set)


def give_back(plain: Any, marks: Sequence[Sequence[Any]]) -> Any:
    """Return the value that was held. A mark whose path is not there any more, since a patch has changed the plain
    form, is passed over.

    Raises ReplayError if the program has no such class any more, or if the class does not take the values."""
    box = [plain if not marks else _copied(plain)]
    for path, kind, detail in marks:
        holder: Any = box
        key: Any = 0
        try:
            for step in path:
                holder, key = holder[key], step
            value = holder[key]
        except (LookupError, TypeError):
            continue
        try:
            holder[key] = _restored(value, kind, detail)
        except ReplayError:
            raise
        except Exception as error:
            raise ReplayError(
                f"a recorded value cannot be made a {detail if isinstance(detail, str) else kind} again"
                f" ({type(error).__name__}): record anew, or give the class its fields back"
            ) from error
    return box[0]


def _copied(plain: Any) -> Any:
    """Return a copy of the lists and maps of a plain value, so that the tape keeps its own."""
    if isinstance(plain, Mapping):
        return {key: _copied(each) for key, each in plain.items()}
    if isinstance(plain, list | tuple):
        return [_copied(each) for each in plain]
    return plain


def _restored(value: Any, kind: str, detail: Any) -> Any:
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](value)
    if kind in _FROM_TEXT:
        module, name = _FROM_TEXT[kind]
        return attrgetter(name)(import_module(module))(value)
    match kind:
        case "int":
            return int(value, 16)
        case "float":
            return float(value)
        case "surrogates":
            return value.decode("utf-8", "surrogatepass")
        case "map":
            return dict(value)
        case "timedelta":
            return datetime.timedelta(*value)
        case "datetime":
            at = datetime.datetime.fromisoformat(value)
            if detail is None:
                return at
            from zoneinfo import ZoneInfo

            return at.replace(tzinfo=ZoneInfo(detail[0]), fold=detail[1])
        case "enum":
            return _class(detail)(value)
        case "namedtuple":
            return _class(detail)(*value)
        case "dataclass":
            made = object.__new__(_class(detail))
            for name, each in value.items():
                object.__setattr__(made, name, each)
            return made
        case "model":
            return _class(detail[0]).model_construct(_fields_set=set(detail[1]), **value)
    raise ReplayError(f"a recorded value is marked as {kind[:64]!r}, which this version of greenroom does not know")


def path_of_class(kind: type) -> str:
    """Return the name under which `find_class` finds a class."""
    return f"{kind.__module__}:{kind.__qualname__}"


def find_class(path: str) -> type | None:
    """Return the class of a name; None if its module is not imported, or has no such class. No module is imported: a
    name on a tape must not decide what code runs."""
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module)
    for each in name.split("."):
        found = getattr(found, each, None)
    return found if isinstance(found, type) else None


def _class(path: str) -> Any:
    found = find_class(path)
    if found is None:
        raise ReplayError(
            f"the recorded value is a {path.replace(':', '.')[:128]}, which the program does not have: import its"
            " module before the tool is called, or record anew"
        )
    return found
