"""Give stored values back as the types that they came from."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeVar, overload

import pydantic
import pydantic_core

from greenroom.storage.common.arguments import kind_of
from greenroom.storage.common.validation import complaints
from greenroom.storage.concurrency.interrupts import by_signal
from greenroom.storage.errors import ValidationError, shown

__all__ = ["as_type"]

T = TypeVar("T")

_MAX_TYPES: Final = 256
_MAX_COMPLAINTS: Final = 8


@overload
def as_type(value: object, kind: type[T], name: str) -> T: ...
@overload
def as_type(value: object, kind: pydantic.TypeAdapter[T], name: str) -> T: ...
def as_type(value: object, kind: Any, name: str) -> Any:
    """Return a stored value as a type: a pydantic model, a dataclass, a datetime, `list[int]` or whatever else pydantic
    validates; or as what a `pydantic.TypeAdapter` says.

    Raises ValidationError, which names `name` and the places that do not fit, but no values.
    """
    adapter = _adapter(kind)
    try:
        return adapter.validate_python(value, by_alias=True, by_name=True)
    except pydantic.ValidationError as error:
        found = error
    except Exception as error:
        raise _failed(error, name) from error
    try:
        # What a strict model refuses in Python, it reads from JSON: a time as text, a tuple as a list.
        return adapter.validate_json(pydantic_core.to_json(value), by_alias=True, by_name=True)
    except pydantic.ValidationError as error:
        found = error
    except (UnicodeError, pydantic_core.PydanticSerializationError):
        pass  # bytes or text that JSON cannot have: the first complaints stand
    except Exception as error:
        raise _failed(error, name) from error
    raise _refusal(found, kind, name) from None


def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    if type(kind) is pydantic.TypeAdapter:
        return kind
    try:
        try:
            return _made(kind)
        except TypeError:  # some annotations have no hash
            return pydantic.TypeAdapter(kind)
    except Exception as error:
        if by_signal(error):
            raise
        raise ValidationError(
            "as_: a type is needed that pydantic can validate, such as a model, a dataclass or list[int], "
            f"not {_name(kind) or kind_of(kind)}",
            field="as_",
        ) from error


@lru_cache(_MAX_TYPES)
def _made(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)


def _failed(error: Exception, name: str) -> Exception:
    """Return the error to raise for a validator that failed with an error of another kind."""
    if by_signal(error):
        return error
    return ValidationError(f"{shown(name)[1:-1]}: a validator of its type failed with {kind_of(error)}", field=name)


def _refusal(error: pydantic.ValidationError, kind: Any, name: str) -> ValidationError:
    model = kind if _name(kind) is not None and issubclass(kind, pydantic.BaseModel) else Any
    said = complaints(error, model, foreign=True)
    text = "; ".join(f"{each.place}: {each.text}" if each.path else each.text for each in said[:_MAX_COMPLAINTS])
    if len(said) > _MAX_COMPLAINTS:
        text += f"; and {len(said) - _MAX_COMPLAINTS} more"
    wanted = _name(kind) or "the type asked for"
    return ValidationError(f"{shown(name)[1:-1]}: the value does not fit {wanted}: {text}", field=name)


def _name(kind: Any) -> str | None:
    """Return the name of a class; None for anything else, of which no code runs."""
    return shown(type.__dict__["__name__"].__get__(kind))[1:-1] if issubclass(type(kind), type) else None
