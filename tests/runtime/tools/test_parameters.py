from __future__ import annotations

import enum
import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import pytest
from annotated_types import Ge
from pydantic import BaseModel

from greenroom.runtime import CallContext, InvalidOperation, Runtime, Session, ValidationError

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1},
        "days": {"type": "array", "items": {"type": "integer", "maximum": 14}},
        "unit": {"enum": ["C", "F"]},
    },
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture
def weather(rt: Runtime) -> list[Any]:
    """The inputs that a tool with a schema was called with."""
    seen: list[Any] = []

    def weather(input: Any) -> None:
        seen.append(input)

    rt.tools.register("weather", weather, schema=SCHEMA, replace=True)
    return seen


@pytest.mark.parametrize(
    ("input", "path"),
    [
        ({}, "input"),
        ({"city": ""}, "input.city"),
        ({"city": 7}, "input.city"),
        ({"city": "x", "days": [1, 99]}, "input.days[1]"),
        ({"city": "x", "unit": "K"}, "input.unit"),
        ({"city": "x", "secret": "hunter2"}, "input"),
        ("Berlin", "input"),
        ([1], "input"),
    ],
)
def test_an_input_that_does_not_fit_the_schema_is_refused_by_its_path(
    rt: Runtime, session: Session, weather: list[Any], input: Any, path: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        session.call_tool("weather", input)
    assert refused.value.field == path
    assert "hunter2" not in str(refused.value)
    assert not weather
    assert "tool.called" not in {each.type for each in session.events()}


def test_an_input_that_fits_gets_through(session: Session, weather: list[Any]) -> None:
    session.call_tool("weather", {"city": "x", "days": [1, 14], "unit": "F"})
    assert weather == [{"city": "x", "days": [1, 14], "unit": "F"}]


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"properties": []}, {"required": "city"}])
def test_a_schema_that_is_none_is_refused_when_the_tool_is_registered(rt: Runtime, schema: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="schema"):
        rt.tools.register("wrong", print, schema=schema)
    assert not rt.tools.exists("wrong")


def test_a_schema_never_makes_us_fetch_anything(rt: Runtime) -> None:
    rt.tools.register("remote", print, schema={"$ref": "http://127.0.0.1:9/schema.json"}, replace=True)
    with pytest.raises(ValidationError, match="leads nowhere"):
        rt.tools.call("remote", {})


def test_without_a_schema_the_annotations_decide(rt: Runtime) -> None:
    def forecast(city: str, days: Annotated[int, Ge(1)] = 3, unit: str | None = None) -> Any:
        "The weather to come.\n\nNot always."
        return [city, days, unit]

    tool = rt.tools.register("forecast", forecast, replace=True)
    assert tool.description == "The weather to come."
    assert tool.schema["required"] == ["city"]
    assert tool.schema["properties"]["days"] == {"default": 3, "minimum": 1, "type": "integer"}
    assert rt.tools.call("forecast", {"city": "x"}) == ["x", 3, None]
    assert rt.tools.call("forecast", {"city": "x", "days": 1, "unit": "C"}) == ["x", 1, "C"]
    for input, path in (
        ({}, "input.city"),
        ({"city": "x", "days": 0}, "input.days"),
        ({"city": "x", "town": 1}, "input.town"),
    ):
        with pytest.raises(ValidationError) as refused:
            rt.tools.call("forecast", input)
        assert refused.value.field == path


class Unit(enum.Enum):
    C = "C"
    F = "F"


@dataclass
class Place:
    lat: float
    lon: float


def at(place: Place, unit: Unit) -> Any:
    return [type(place).__name__, place.lat, unit is Unit.F]


def test_annotated_types_are_made_of_the_input(rt: Runtime) -> None:
    rt.tools.register("at", at, replace=True)
    assert rt.tools.call("at", {"place": {"lat": 1, "lon": 2}, "unit": "F"}) == ["Place", 1.0, True]


def _shout(input: str) -> str:
    return input.upper()


class _Callable:
    def __call__(self, n: int) -> int:
        return n + 1


def _whole_mapping(options: Mapping[str, Any]) -> Any:
    return options["n"]


def _by_position(a: int, /, b: int = 2, *, c: int = 3) -> Any:
    return [a, b, c]


def _all_by_position(a: int, b: str = "b", /) -> Any:
    return [a, b]


def _starred(first: str, *numbers: int, **named: int) -> Any:
    return [first, list(numbers), named]


def _context_first(ctx: CallContext, a: int) -> Any:
    return [ctx.name, a]


def _context_last(a: int, call: CallContext | None = None, /) -> Any:
    return [a, call is not None and call.name]


def _context_is_a_word(context: str, ctx: Annotated[CallContext, "the call"]) -> Any:
    return [context, ctx.name]


def _optional(a: int | None = None, place: Place | None = None) -> Any:
    return [a, place.lat if place is not None else None]


def _keeps_its_default(a: int, log: threading.Event = threading.Event()) -> Any:  # noqa: B008
    return [a, log.is_set()]


class _Methods:
    def bound(self, ctx: CallContext, n: int) -> Any:
        return [ctx.name, n]

    @classmethod
    def of_class(cls, n: int, /) -> Any:
        return [cls.__name__, n]

    @staticmethod
    def of_nobody(*, n: int) -> int:
        return n


def _decorated(fn: Any) -> Any:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("fn", "input", "expected"),
    [
        (_by_position, {"a": 1}, [1, 2, 3]),
        (_by_position, {"c": 7, "b": 5, "a": 1}, [1, 5, 7]),
        (_all_by_position, {"a": 1}, [1, "b"]),
        (lambda a=1, b=2, /: [a, b], {"b": 5}, [1, 5]),
        (lambda a, /: a, {"a": 5}, {"a": 5}),
        (lambda a, /, *, context: [a, context.name], {"a": 5}, [{"a": 5}, "shape"]),
        (_starred, {"first": "f", "numbers": [1, 2], "more": 3}, ["f", [1, 2], {"more": 3}]),
        (_starred, {"first": "f"}, ["f", [], {}]),
        (lambda *values: list(values), {"values": [1, "a"]}, [1, "a"]),
        (_context_first, {"a": 1}, ["shape", 1]),
        (_context_last, {"a": 1}, [1, "shape"]),
        (_context_is_a_word, {"context": "x"}, ["x", "shape"]),
        (_optional, {}, [None, None]),
        (_optional, {"a": None, "place": {"lat": 1, "lon": 2}}, [None, 1.0]),
        (_keeps_its_default, {"a": 1}, [1, False]),
        (functools.partial(_by_position, 9), {"b": 5}, [9, 5, 3]),
        (functools.partial(_by_position, b=8), {"a": 1, "c": 4}, [1, 8, 4]),
        (functools.partial(_context_first, a=4), {}, ["shape", 4]),
        (_Methods().bound, {"n": 1}, ["shape", 1]),
        (_Methods.of_class, {"n": 1}, ["_Methods", 1]),
        (_Methods.of_nobody, {"n": 1}, 1),
        (_decorated(_context_first), {"a": 1}, ["shape", 1]),
        (_decorated(_by_position), {"a": 1}, [1, 2, 3]),
        (Place, {"lat": 1, "lon": 2}, {"lat": 1.0, "lon": 2.0}),
        (Point, {"x": 1, "y": 2}, [1, 2]),
        (lambda: "none", {}, "none"),
        (lambda input: input["n"], {"n": 1}, 1),
        (lambda params: params["n"], {"n": 1}, 1),
        (lambda x: x, {"n": 1}, {"n": 1}),
        (_shout, {"input": "a"}, "A"),
        (lambda n: n, {"n": 1}, 1),
        (lambda a, b=2: [a, b], {"a": 1}, [1, 2]),
        (lambda **more: more, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (lambda input, context: [input["n"], context.name], {"n": 1}, [1, "shape"]),
        (lambda n, *, context: [n, context.session_id], {"n": 1}, [1, None]),
        (_whole_mapping, {"n": 5}, 5),
        (_Callable(), {"n": 1}, 2),
        (dict, {"n": 1}, {"n": 1}),
    ],
)
def test_callables_of_all_shapes_get_their_input(rt: Runtime, fn: Any, input: Any, expected: Any) -> None:
    rt.tools.register("shape", fn, replace=True)
    assert rt.tools.call("shape", input) == expected


def test_annotations_within_a_function_are_found_where_its_code_uses_them(rt: Runtime) -> None:
    class Here(BaseModel):
        n: int

    def tool(here: Here, also: list[Here]) -> Any:
        return [type(here) is Here, here.n, also[0].n]

    rt.tools.register("local", tool, replace=True)
    assert rt.tools.call("local", {"here": {"n": 1}, "also": [{"n": 2}]}) == [True, 1, 2]
    assert set(rt.tools.get("local").schema["properties"]) == {"here", "also"}  # type: ignore[union-attr]


def test_the_schema_asks_for_no_context_and_tells_of_all_else(rt: Runtime) -> None:
    def tool(ctx: CallContext, first: str, /, *numbers: int, flag: bool = False, **more: float) -> None: ...

    schema = rt.tools.register("told", tool, replace=True).schema
    assert schema["properties"].keys() == {"first", "numbers", "flag"}
    assert schema["required"] == ["first"]
    assert schema["properties"]["numbers"]["items"] == {"type": "integer"}
    assert schema["additionalProperties"] == {"type": "number"}
    for input in ({}, {"first": 1}, {"first": "a", "numbers": ["x"]}, {"first": "a", "more": "x"}):
        with pytest.raises(ValidationError):
            rt.tools.call("told", input)


def _impossible(connection: threading.Thread) -> None: ...
def _function(callback: Callable[[int], int]) -> None: ...
def _unknown(value: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("fn", [_impossible, _function, _unknown])
def test_what_no_input_could_fit_is_refused_when_it_is_registered(rt: Runtime, fn: Any) -> None:
    with pytest.raises(ValidationError, match=f"parameter '{next(iter(inspect.signature(fn).parameters))}'"):
        rt.tools.register("never", fn)
    assert not rt.tools.exists("never")
    rt.tools.register("never", fn, schema={"type": "object"}, replace=True)
    assert rt.tools.unregister("never")


def test_with_a_schema_its_properties_tell_what_a_single_parameter_gets(rt: Runtime) -> None:
    schema = {"type": "object", "properties": {"input": {"type": "string"}}}
    rt.tools.register("one", lambda input: input, schema=schema, replace=True)
    assert rt.tools.call("one", {"input": "x"}) == "x"
    rt.tools.register("one", lambda given: given, schema=schema, replace=True)
    assert rt.tools.call("one", {"input": "x"}) == {"input": "x"}


def test_a_parameter_may_have_any_name(rt: Runtime) -> None:
    def odd(model_config: int, p0: int, schema: int) -> Any:
        return [model_config, p0, schema]

    rt.tools.register("odd", odd, replace=True)
    assert rt.tools.call("odd", {"schema": 3, "model_config": 1, "p0": 2}) == [1, 2, 3]


def test_what_a_tool_does_to_its_input_nobody_else_sees(rt: Runtime, session: Session) -> None:
    rt.tools.register("greedy", lambda input: input.clear(), replace=True)
    mine = {"a": [1]}
    session.call_tool("greedy", mine)
    assert mine == {"a": [1]}
    assert next(e for e in session.events() if e.type == "tool.called").data["input"] == {"a": [1]}


def test_names_are_taken_once_unless_replaced_and_given_back(rt: Runtime) -> None:
    rt.tools.register("mine", lambda: 1)
    with pytest.raises(ValidationError, match="already"):
        rt.tools.register("mine", lambda: 2)
    with pytest.raises(ValidationError, match="already"):
        rt.tools.register("calculator", lambda: 2)
    rt.tools.register("mine", lambda: 3, replace=True)
    assert rt.tools.call("mine") == 3
    assert rt.tools.unregister("mine")
    assert not rt.tools.unregister("mine")
    with pytest.raises(InvalidOperation):
        rt.tools.call("mine")


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ä", "../x\n", None, 7])
def test_names_that_no_tool_may_have(rt: Runtime, name: Any) -> None:
    with pytest.raises(ValidationError):
        rt.tools.register(name, print)


def test_tools_are_found_by_text_category_tags_and_pattern(rt: Runtime) -> None:
    rt.tools.register("find.me", print, description="Looks things up", category="search", tags=["a", "b"], replace=True)
    rt.tools.register("find.you", print, description="Looks away", category="search", tags=["b"], replace=True)

    def names(*args: Any, **wanted: Any) -> list[str]:
        return [each.name for each in rt.tools.discover(*args, **wanted)]

    assert names("looks THINGS") == ["find.me"]
    assert names(category="search") == ["find.me", "find.you"]
    assert names(tags=["b", "a"]) == ["find.me"]
    assert names(name_pattern="*.you") == ["find.you"]
    assert names("no such words") == []
    assert "search" in rt.tools.categories()
    assert {"calculator", "find.me"} <= {each.name for each in rt.tools.list()}
    assert rt.tools.get("find.me") in rt.tools.list()
    assert rt.tools.get("nothing") is None


def test_a_standard_tool_can_be_taken_away(rt: Runtime) -> None:
    with Runtime.open() as own:
        assert own.tools.unregister("calculator")
        assert not own.tools.exists("calculator")
    assert rt.tools.exists("calculator"), "of other runtimes it is not taken"


def test_the_context_tells_of_the_call(rt: Runtime, session: Session) -> None:
    seen: list[CallContext] = []

    def look(context: CallContext) -> None:
        seen.append(context)

    rt.tools.register("look", look, replace=True)
    session.call_tool("look", timeout=20)
    (context,) = seen
    called = next(each for each in session.events() if each.type == "tool.called")
    assert (context.session, context.call_id) == (session, called.id)
    assert 0 < context.remaining() <= 20
    assert not context.cancelled.is_set()
