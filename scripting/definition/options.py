"""The tables of options that functions take: which keys there are, and what each holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

from greenroom.runtime import ValidationError

from .types import ANYTHING, FLAG, NUMBER, TEXT, TEXTS, TIME, WHOLE, Type
from .values import UNDEFINED

if TYPE_CHECKING:  # the process of a script does without
    from pydantic import BaseModel

__all__ = ["Options"]

_NONE: Final[Mapping[str, str]] = {}


class Options:
    """A table of options: its keys with their types, and other spellings of keys.

    `what` names the table in errors where no function does, such as the metadata of an artifact.
    """

    def __init__(
        self, keys: Mapping[str, Type] | Iterable[str], same: Mapping[str, str] = _NONE, what: str = ""
    ) -> None:
        self.keys: dict[str, Type] = dict(keys) if isinstance(keys, Mapping) else dict.fromkeys(keys, ANYTHING)
        self.same = dict(same)
        self.what = what

    def __or__(self, other: Options) -> Options:
        return Options(self.keys | other.keys, self.same | other.same, self.what)

    @classmethod
    def of(cls, model: type[BaseModel], same: Mapping[str, str] = _NONE, **others: Type) -> Options:
        """Return the fields of a model as options. `others` gives the types of some of them, or further options."""
        keys = {name: _type_of(field.annotation) for name, field in model.model_fields.items()}
        return cls(keys | others, same)

    def without(self, *names: str) -> Options:
        """Return these options but for some."""
        return Options({key: each for key, each in self.keys.items() if key not in names}, self.same, self.what)

    def read(self, given: Any, what: str) -> dict[str, Any]:
        """Return a script's table under the names of the keys, without null values.

        Raises ValidationError for an unknown key, with the nearest known one, and for a value of another type.
        """
        if given is UNDEFINED or given is None:
            return {}
        what = self.what or what
        if not isinstance(given, Mapping):
            raise ValidationError(f"{what} takes a table of options", field=what)
        found: dict[str, Any] = {}
        name: Any
        for name, each in given.items():
            key = self.same.get(name, name)
            kind = self.keys.get(key)
            if kind is None:
                shown = str(name)[:100]
                from greenroom.runtime.scripts import nearest  # the process of a script does not need it

                near = nearest(shown, (*self.keys, *self.same))
                raise ValidationError(
                    f"{what}: unknown option {shown!r}; the nearest known one is {near!r}", field=shown, nearest=near
                )
            if each is None:
                continue
            if key in found:
                names = " and ".join(sorted(spelt for spelt in given if self.same.get(spelt, spelt) == key))
                raise ValidationError(f"{what}: {names} are the same: give one", field=key)
            found[key] = kind.read(each, what, name)
        return found


_SIMPLE: Final[Mapping[Any, Type]] = {str: TEXT, int: WHOLE, float: NUMBER, bool: FLAG, datetime: TIME}


def _type_of(annotation: Any) -> Type:
    """Return the type of a model's field; the model itself checks what is not one simple type."""
    kinds = _kinds(annotation)
    if get_origin(annotation) in (list, tuple):
        return TEXTS if kinds == {str} else ANYTHING
    if datetime in kinds:
        return TIME
    return _SIMPLE.get(kinds.pop(), ANYTHING) if len(kinds) == 1 else ANYTHING


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that an annotation is made of, without None."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (list, tuple, Union, UnionType):
        return {kind for each in get_args(annotation) if each is not ... for kind in _kinds(each)}
    return {annotation} - {NoneType}
