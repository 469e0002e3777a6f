"""Check settings and options from outside: pydantic finds the faults, greenroom words the errors.

Users never see pydantic's own words. A complaint names the place in dotted form, says what is needed there and, for an
unknown name, the nearest known one. It never carries a value.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, Self, TypeVar, Union

import pydantic
import pydantic.fields

from greenroom.storage.concurrency.interrupts import by_signal
from greenroom.storage.errors import GreenroomError, ValidationError

from .arguments import as_items
from .session_ids import SessionHandle, is_session_id
from .times import NAIVE, is_aware

__all__ = ["Checked", "Moment", "SessionId", "complaints", "nearest", "refusal", "validated"]


def _session_id(text: str) -> str:
    if not is_session_id(text):
        raise ValueError("a session id is needed")
    return text


def _named(given: object) -> object:
    return object.__getattribute__(given, "id") if issubclass(type(given), SessionHandle) else given


SessionId = Annotated[str, pydantic.BeforeValidator(_named), pydantic.AfterValidator(_session_id)]
"""The id of a session. A handle on the session is accepted in its place."""


def _aware(when: datetime) -> datetime:
    if not is_aware(when):
        raise ValueError(NAIVE)
    return when


Moment = Annotated[datetime, pydantic.AfterValidator(_aware)]
"""A datetime with a zone, RFC 3339 text with an offset, or epoch seconds: the type of times in pydantic models."""

M = TypeVar("M", bound=pydantic.BaseModel)

_MAX_NAME: Final = 64
_MAX_ITEMS: Final = 10_000
_MAX_COMPLAINTS: Final = 8

_NEEDED: Final[Mapping[str, str]] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "bytes_type": "bytes",
    "callable_type": "a function",
    "dataclass_type": "an object with named fields",
    "date_from_datetime_inexact": "a date without a time",
    "date_from_datetime_parsing": "a date (2026-01-31)",
    "date_parsing": "a date (2026-01-31)",
    "date_type": "a date (2026-01-31)",
    "datetime_from_date_parsing": "a time (a datetime or 2026-01-31T12:00:00Z)",
    "datetime_parsing": "a time (a datetime or 2026-01-31T12:00:00Z)",
    "datetime_type": "a time (a datetime or 2026-01-31T12:00:00Z)",
    "decimal_parsing": "a decimal number",
    "decimal_type": "a decimal number",
    "dict_type": "an object",
    "float_parsing": "a number",
    "float_type": "a number",
    "frozen_set_type": "a list",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_type": "a whole number",
    "is_instance_of": "{class}",
    "is_subclass_of": "a subclass of {class}",
    "iterable_type": "a list",
    "list_type": "a list",
    "mapping_type": "an object",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "needs_python_object": "an object of Python",
    "none_required": "None",
    "path_type": "a path",
    "set_type": "a list",
    "string_type": "text",
    "time_delta_parsing": "a duration",
    "time_delta_type": "a duration",
    "time_parsing": "a time of day",
    "time_type": "a time of day",
    "timezone_aware": "a time with a time zone",
    "timezone_naive": "a time without a time zone",
    "tuple_type": "a list",
    "url_parsing": "a URL",
    "url_type": "a URL",
    "uuid_parsing": "a UUID",
    "uuid_type": "a UUID",
}
"""What is needed if a value is of another type."""

_WRONG: Final[Mapping[str, str]] = {
    "bytes_too_long": "at most {max_length} bytes",
    "bytes_too_short": "at least {min_length} bytes",
    "date_future": "the date must be in the future",
    "date_past": "the date must be in the past",
    "datetime_future": "the time must be in the future",
    "datetime_past": "the time must be in the past",
    "finite_number": "NaN and infinities are not allowed",
    "frozen_field": "it cannot be changed",
    "frozen_instance": "it cannot be changed",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "invalid_key": "keys must be text",
    "json_invalid": "it is not valid JSON",
    "json_type": "it is not JSON",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be at most {le}",
    "missing": "it is needed and not there",
    "missing_argument": "it is needed and not there",
    "missing_keyword_only_argument": "it is needed and not there",
    "multiple_of": "it must be a multiple of {multiple_of}",
    "recursion_loop": "it contains itself",
    "string_pattern_mismatch": "it does not have the form {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "string_unicode": "it is not valid Unicode",
    "too_long": "at most {max_length} items",
    "too_short": "at least {min_length} items",
}
"""What is wrong with a value of the right type."""


class Checked(pydantic.BaseModel):
    """Base of the models that users make themselves. A fault in a field is a greenroom `ValidationError`, however the
    model is made."""

    if not TYPE_CHECKING:  # for a type checker, the fields of each model are its arguments

        def __init__(self, /, *args: Any, **values: Any) -> None:
            if args:
                kind = _told(type(self))
                raise ValidationError(
                    f"{kind}: give its fields by name, or a mapping to {kind}.model_validate", field=""
                )
            try:
                super().__init__(**_with_an_end(values))
            except pydantic.ValidationError as error:
                raise refusal(error, type(self)) from None
            except GreenroomError:
                raise
            except Exception as error:  # a value whose methods raise
                if by_signal(error):
                    raise
                raise ValidationError(f"{_told(type(self))}: a value in it cannot be read", field="") from error

        # Marks this as pydantic's plain way to make a model, which pydantic may skip for a model within a model.
        __init__.__pydantic_base_init__ = True

        def __setattr__(self, name: str, value: Any) -> None:
            raise self._fixed(name)

        def __delattr__(self, name: str) -> None:
            raise self._fixed(name)

    def _fixed(self, name: str) -> ValidationError:
        kind = _told(type(self))
        return ValidationError(
            f"{kind}.{_shown(name)}: a {kind} does not change: make another one with model_copy(update={{…}})",
            field=name,
        )

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Make a model from a mapping. Raises ValidationError."""
        try:
            return super().model_validate(obj, **options)
        except pydantic.ValidationError as error:
            raise refusal(error, cls) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Make a model from the text of a JSON object. Raises ValidationError."""
        try:
            return super().model_validate_json(json_data, **options)
        except pydantic.ValidationError as error:
            raise refusal(error, cls) from None

    @classmethod
    def model_validate_strings(cls, obj: Any, **options: Any) -> Self:
        """Make a model from a mapping of texts. Raises ValidationError."""
        try:
            return super().model_validate_strings(obj, **options)
        except pydantic.ValidationError as error:
            raise refusal(error, cls) from None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Make another model with changes, which are checked. Raises ValidationError."""
        if not update:
            return super().model_copy(deep=deep)
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**given, **update})


def validated(model: type[M], values: Any) -> M:
    """Return the model made from a mapping, or a given model itself. Raises ValidationError, which names places but no
    values."""
    if issubclass(type(values), model):
        model_itself: M = values
        return model_itself
    try:
        given = values if type(values) is dict else dict(values)
        return model.model_validate(_with_an_end(given))
    except pydantic.ValidationError as error:
        raise refusal(error, model) from None
    except GreenroomError:
        raise
    except Exception as error:  # not really a mapping, or its methods raise
        if by_signal(error):
            raise
        raise ValidationError(
            f"{_told(model)}: an object with known names is needed, not {type(values).__name__[:_MAX_NAME]}",
            field="",
        ) from error


def _with_an_end(values: dict[str, Any]) -> dict[str, Any]:
    """Return the same values, with lists in place of iterators, which may have no end."""
    for name, value in values.items():
        if issubclass(type(value), Iterator):
            values = {**values, name: as_items(str(name), value, _MAX_ITEMS)}
    return values


def refusal(error: pydantic.ValidationError, model: type[pydantic.BaseModel]) -> ValidationError:
    """Return pydantic's complaint about the values of a model as a greenroom error, which names places but no
    values."""
    found = complaints(error, model)
    text = "; ".join(f"{each.place or _told(model)}: {each.text}" for each in found[:_MAX_COMPLAINTS])
    if len(found) > _MAX_COMPLAINTS:
        text += f"; and {len(found) - _MAX_COMPLAINTS} more"
    first = found[0]
    more = {"nearest": first.nearest} if first.nearest is not None else {}
    return ValidationError(text, field=str(first.path[0]) if first.path else "", **more)


_ONE_OF: Final = "one of "


class Complaint(NamedTuple):
    """What is wrong at one place. `nearest` is the known name that an unknown one may stand for."""

    path: tuple[str | int, ...]
    text: str
    nearest: str | None = None

    @property
    def place(self) -> str:
        """The path as users write it: a.b[3]."""
        parts = (f"[{each}]" if isinstance(each, int) else "." + _shown(each) for each in self.path)
        return "".join(parts).removeprefix(".")


def complaints(error: pydantic.ValidationError, model: Any, *, foreign: bool = False) -> list[Complaint]:
    """Return pydantic's complaints, one for each place. Leaves out the words of `foreign` validators, which may repeat
    the value."""
    by_choice: dict[tuple[str | int, ...], list[tuple[Complaint, bool]]] = {}
    for each in error.errors(include_url=False):
        path, choice, names = _walk(each["loc"], model)
        by_choice.setdefault(path if choice is None else path[:choice], []).append(_said(each, path, names, foreign))
    found: list[Complaint] = []
    for said in by_choice.values():
        # If a value may have several forms, the form that it matches to the greatest depth was meant.
        depth = max(len(complaint.path) for complaint, _ in said)
        meant = {complaint: needed for complaint, needed in said if len(complaint.path) == depth}
        by_path: dict[tuple[str | int, ...], list[Complaint]] = {}
        for complaint in meant:
            by_path.setdefault(complaint.path, []).append(complaint)
        for path, same in by_path.items():
            needed = [each.text for each in same if meant[each]]
            others = [each for each in same if not meant[each]]
            if needed and not others:
                found.append(Complaint(path, f"{' or '.join(_merged(needed))} is needed"))
            else:
                found.append(others[0])
    return found


def _merged(needed: list[str]) -> list[str]:
    """Return what is needed, each once, with one list of all choices."""
    choices = [text.removeprefix(_ONE_OF).replace(" or ", ", ") for text in needed if text.startswith(_ONE_OF)]
    if len(choices) > 1:
        needed = [_ONE_OF + ", ".join(choices), *(text for text in needed if not text.startswith(_ONE_OF))]
    return list(dict.fromkeys(needed))


def _said(each: Any, path: tuple[str | int, ...], names: Iterable[str], foreign: bool) -> tuple[Complaint, bool]:
    """Return one complaint in greenroom's words, and whether they say what is needed instead."""
    kind: str = each["type"]
    context = {name: _shown(value) for name, value in each.get("ctx", {}).items() if type(value) in (int, float, str)}
    if kind == "extra_forbidden" and path:
        near = nearest(str(path[-1]), names)
        return Complaint(
            path, f"unknown{f'; the nearest known one is {near}' if near is not None else ''}", near
        ), False
    if kind in ("enum", "literal_error"):
        return Complaint(path, _ONE_OF + each["ctx"]["expected"]), True
    if kind == "value_error":
        reason = each["ctx"]["error"]
        return Complaint(path, str(reason) if reason is not None and not foreign else "it is not valid"), False
    try:
        if kind in _NEEDED:
            return Complaint(path, _NEEDED[kind].format_map(context)), True
        if kind in _WRONG:
            return Complaint(path, _WRONG[kind].format_map(context)), False
    except KeyError:
        pass
    return Complaint(path, f"it is not accepted ({kind.replace('_', ' ')})"), False


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like an unknown one; None if there is none.

    Of several that end with it, as artifact_type and mime_type with type, the first one is meant.
    """
    names, name = list(known), name[:_MAX_NAME]
    ends = [each for each in names if each.endswith(f"_{name}")]
    within = ends[:1] or [each for each in names if len(name) > 2 and name in each]
    found = difflib.get_close_matches(name, within or names, n=1, cutoff=0.0)
    return found[0] if found else None


def _shown(value: object) -> str:
    """Return a name from outside, on one line and not too long."""
    text = str(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= _MAX_NAME else text[: _MAX_NAME - 1] + "…"


def _told(model: type[pydantic.BaseModel]) -> str:
    return model.__name__.lstrip("_")


# -- pydantic's places, which have the forms of a union in them, as the user's


def _walk(loc: tuple[str | int, ...], model: Any) -> tuple[tuple[str | int, ...], int | None, list[str]]:
    """Return the user's path to a place, the position in it where forms were tried, and the names known there."""
    path: list[str | int] = []
    choice: int | None = None
    current: Any = model
    names: list[str] = []
    rest = list(loc)
    while rest:
        current = _bare(current)
        if typing.get_origin(current) in (Union, types.UnionType):
            forms = [_bare(each) for each in typing.get_args(current) if each is not type(None)]
            if len(forms) > 1:
                rest.pop(0)  # the name of the form that pydantic tried
                choice = len(path) if choice is None else choice
            current = next((form for form in forms if not rest or _may_hold(form, rest[0])), Any)
            continue
        part = rest.pop(0)
        if isinstance(part, str) and _is_model(current):
            fields = current.model_fields
            named = {each: field for name, field in fields.items() for each in (name, *_aliases(field))}
            names = list(named) if part not in named else []
            current = named[part].annotation if part in named else Any
            path.append(part)
        elif part == "[key]":  # about a key, which stands before it
            continue
        elif isinstance(part, int) or typing.get_origin(current) in (dict, Mapping) or current is Any:
            arguments = [each for each in typing.get_args(current) if each is not Ellipsis]
            current = arguments[-1] if arguments else Any
            path.append(part)
        # Anything else is a name that pydantic gives to one of its own steps.
    return tuple(path), choice, names


def _bare(annotation: Any) -> Any:
    """Return an annotation without its metadata."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _aliases(field: pydantic.fields.FieldInfo) -> list[str]:
    other = field.validation_alias
    found = other.choices if isinstance(other, pydantic.AliasChoices) else [other]
    return [each for each in (field.alias, *found) if isinstance(each, str)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _may_hold(form: Any, part: str | int) -> bool:
    """Return whether values of this form have parts of this kind."""
    if isinstance(part, int):
        return typing.get_origin(form) in (list, tuple, set, frozenset)
    return _is_model(form) or typing.get_origin(form) in (dict, Mapping)
