"""What a tape holds of Python values and exceptions comes back as it was."""

from __future__ import annotations

import datetime
import enum
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.recording.tape.held.errors import RecordedError, held_error, raised_again
from greenroom.runtime.recording.tape.held.values import find_class, give_back, hold, hold_loosely
from greenroom.storage.errors import ReplayError, SessionNotFound, ValidationError


class Sky(enum.Enum):
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    at: tuple[float, float]
    tags: frozenset[str] = frozenset()


@dataclass
class Late:
    a: int
    b: int = field(init=False, default=2)


class Weather(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    place: Place
    sky: Sky = Sky.CLEAR
    seen: datetime.datetime | None = None


class Pair(NamedTuple):
    a: int
    b: Any


def there_and_back(value: Any) -> Any:
    held = hold(value)
    plain, marks = msgpack.unpackb(msgpack.packb(list(held)), strict_map_key=False)
    return give_back(plain, marks)


SAMPLES = [
    None,
    {"a": [1, 2.5, True, b"x", "ü"]},
    (1, (2, [3])),
    {1, 2},
    frozenset("a"),
    {1: "a", (2, 3): {"b"}},
    1 << 80,
    -(1 << 70),
    "half \ud83d",
    {"half \ud83d": 1},
    complex(1, 2),
    Decimal("1.10"),
    Fraction(1, 3),
    Path("/a/b"),
    UUID(int=7),
    datetime.date(2026, 3, 1),
    datetime.time(1, 2, 3),
    datetime.timedelta(days=1, microseconds=5),
    datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC),
    datetime.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    Sky.CLEAR,
    Place("here", (1.0, 2.0), frozenset("x")),
    Late(1),
    Weather(place=Place("here", (1.0, 2.0)), extra="e"),
    [Weather(place=Place("a", (0.0, 0.0)), seen=datetime.datetime(2026, 1, 1))],
    Pair(1, Pair(2, {3})),
]


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.binary() | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(st.characters()) | st.integers(), inner)
        | st.builds(Pair, st.integers(), inner)
    ),
    max_leaves=20,
)


@given(plain_values)
def test_nested_values_come_back_as_they_were(value: Any) -> None:
    assert there_and_back(value) == value


def test_the_plain_form_is_what_people_read_and_patch() -> None:
    plain, marks = hold(Weather(place=Place("here", (1.0, 2.0)), seen=datetime.datetime(2026, 1, 1)))
    assert plain == {
        "place": {"name": "here", "at": [1.0, 2.0], "tags": []},
        "sky": "clear",
        "seen": "2026-01-01T00:00:00",
    }
    plain["place"]["name"] = "there"
    del plain["seen"]
    patched = give_back(plain, marks)
    assert patched.place.name == "there"
    assert patched.sky is Sky.CLEAR


def test_giving_back_leaves_the_tape_as_it_is() -> None:
    plain, marks = hold({"a": (1, 2)})
    assert give_back(plain, marks) == give_back(plain, marks) == {"a": (1, 2)}


def test_subclasses_of_plain_types_come_back_as_what_they_are_built_on() -> None:
    class Name(str):
        __slots__ = ()

    assert there_and_back([Name("a"), OrderedDict(b=1), bytearray(b"c")]) == ["a", {"b": 1}, b"c"]


def test_what_a_tape_cannot_hold_is_refused_with_its_place_and_type() -> None:
    with pytest.raises(ValidationError, match=r"value\.a\[1\]: a _thread.lock cannot be put on a tape"):
        hold({"a": [0, __import__("threading").Lock()]})
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValidationError, match="holds itself"):
        hold(endless)


def test_arguments_that_cannot_be_held_say_the_same_in_each_run() -> None:
    assert hold_loosely({"db": object(), "n": 1}) == {"db": "<builtins.object>", "n": 1}


def test_not_a_number_comes_back() -> None:
    assert math.isnan(there_and_back(math.nan))


def test_a_class_that_is_gone_is_named() -> None:
    with pytest.raises(ReplayError, match=r"nowhere\.Gone"):
        give_back({"a": 1}, [[[], "dataclass", "nowhere:Gone"]])


def test_no_module_is_imported_for_a_name_on_a_tape() -> None:
    import sys

    sys.modules.pop("this", None)
    assert find_class("this:Anything") is None
    assert "this" not in sys.modules


class Odd(Exception):
    def __init__(self, city: str, *, code: int) -> None:
        super().__init__(f"{city} is unknown")
        self.code = code


def error_there_and_back(error: BaseException) -> BaseException:
    return raised_again(msgpack.unpackb(msgpack.packb(held_error(error)), strict_map_key=False))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no", 3),
        KeyError("k"),
        FileNotFoundError(2, "No such file", "/x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        SystemExit(3),
        Odd("Atlantis", code=7),
        SessionNotFound("there is none", session_id="s"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_comes_back_as_it_was(error: BaseException) -> None:
    back = error_there_and_back(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    for name in ("filename", "errno", "code", "fields"):
        if hasattr(error, name):
            assert getattr(back, name) == getattr(error, name)


def test_causes_and_groups_come_back() -> None:
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")
    assert repr(error_there_and_back(error).__cause__) == "KeyError('inner')"
    group = error_there_and_back(ExceptionGroup("two", [ValueError("a"), Odd("b", code=1)]))
    assert isinstance(group, ExceptionGroup)
    assert repr(group) == "ExceptionGroup('two', [ValueError('a'), Odd('b is unknown')])"


def test_what_an_exception_carries_and_a_tape_cannot_hold_is_left_out() -> None:
    error = Odd("a", code=1)
    error.connection = object()  # type: ignore[attr-defined]
    back = error_there_and_back(error)
    assert back.code == 1  # type: ignore[attr-defined]
    assert not hasattr(back, "connection")


def test_an_exception_whose_class_is_gone_says_what_it_was() -> None:
    class Local(Exception):
        pass

    back = error_there_and_back(Local("why"))
    assert isinstance(back, RecordedError)
    assert str(back).endswith("Local: why")
