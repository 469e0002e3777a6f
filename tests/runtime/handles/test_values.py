"""Values of Python are stored as JSON, and come back as the types that they came from."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from greenroom.runtime import (
    GreenroomError,
    ResourceLimitExceeded,
    Runtime,
    Scope,
    Session,
    SessionNotFound,
    ValidationError,
    VariableNotFound,
    messages,
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Step(pydantic.BaseModel):
    title: str
    due: datetime | None = None
    colour: Colour = Colour.RED


class Plan(pydantic.BaseModel):
    id: UUID
    steps: list[Step] = []
    price: Decimal = Decimal("1.50")
    by_number: dict[int, str] = {}
    tags: set[str] = set()


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5
    at: datetime | None = None
    inner: Step | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    words: tuple[str, ...] = ()


@pydantic.dataclasses.dataclass
class Checked:
    when: date
    amount: Decimal


class Pair(NamedTuple):
    a: int
    b: str


class Row(TypedDict):
    name: str
    size: int


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    at: datetime
    parts: tuple[int, ...]


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    size: int = pydantic.Field(alias="theSize")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2 * self.size


class Binary(pydantic.BaseModel):
    blob: bytes


class Numbers(pydantic.RootModel[list[int]]):
    pass


NOON = datetime(2026, 1, 31, 12, 0, 0, 250, tzinfo=UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")

STORED: list[tuple[Any, Any, Any]] = [
    (NOON, "2026-01-31T12:00:00.000250Z", datetime),
    (NOON.astimezone(timezone(timedelta(hours=5))), "2026-01-31T17:00:00.000250+05:00", datetime),
    (datetime(2026, 1, 31), "2026-01-31T00:00:00", datetime),
    (date(2026, 1, 31), "2026-01-31", date),
    (time(1, 2), "01:02:00", time),
    (timedelta(days=1, seconds=2), "P1DT2S", timedelta),
    (ID, str(ID), UUID),
    (Decimal("1.50"), "1.50", Decimal),
    (Colour.BLUE, "blue", Colour),
    (Level.LOW, 1, Level),
    (Word.YES, "yes", Word),
    ({"b", "a"}, ["a", "b"], set[str]),
    (frozenset({2, 1}), [1, 2], frozenset[int]),
    ((1, "x"), [1, "x"], tuple[int, str]),
    (Pair(1, "x"), [1, "x"], Pair),
    (PurePosixPath("a/b"), "a/b", Path),
    (IPv4Address("10.0.0.1"), "10.0.0.1", IPv4Address),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}, dict[str, int]),
    ({Colour.RED: NOON, ID: 1}, {"red": "2026-01-31T12:00:00.000250Z", str(ID): 1}, None),
    (bytearray(b"x"), b"x", bytes),
    (memoryview(b"abcd")[::2], b"ac", bytes),
    (Step(title="t", due=NOON), {"title": "t", "due": "2026-01-31T12:00:00.000250Z", "colour": "red"}, Step),
    (
        Plan(id=ID, steps=[Step(title="t")], by_number={1: "one"}, tags={"x"}),
        {
            "id": str(ID),
            "steps": [{"title": "t", "due": None, "colour": "red"}],
            "price": "1.50",
            "by_number": {"1": "one"},
            "tags": ["x"],
        },
        Plan,
    ),
    (
        Point(1, at=NOON, inner=Step(title="t")),
        {
            "x": 1,
            "y": 0.5,
            "at": "2026-01-31T12:00:00.000250Z",
            "inner": {"title": "t", "due": None, "colour": "red"},
        },
        Point,
    ),
    (Slotted(("a", "b")), {"words": ["a", "b"]}, Slotted),
    (Checked(date(2026, 1, 31), Decimal(2)), {"when": "2026-01-31", "amount": "2"}, Checked),
    (Row(name="n", size=1), {"name": "n", "size": 1}, Row),
    (Strict(at=NOON, parts=(1, 2)), {"at": "2026-01-31T12:00:00.000250Z", "parts": [1, 2]}, Strict),
    (Aliased(theSize=2), {"size": 2}, Aliased),
    (Binary(blob=b"text"), {"blob": "text"}, Binary),
    (Binary(blob=b"\xff\x00"), {"blob": b"\xff\x00"}, Binary),
    (Numbers([1, 2]), [1, 2], Numbers),
    ([Step(title="t"), {"deep": (NOON, {ID})}], None, None),
]


@pytest.mark.parametrize(("value", "stored", "kind"), STORED, ids=lambda each: type(each).__name__)
def test_a_value_is_stored_as_json_and_comes_back_as_its_type(
    session: Session, value: Any, stored: Any, kind: Any
) -> None:
    session.set("k", value)
    if stored is not None:
        assert session.get("k") == stored
        session.set("list", [{"in": value}])
        assert session.get("list") == [{"in": stored}]
    if kind is not None:
        assert session.get("k", as_=kind) == value
        if isinstance(kind, type) and kind is not Path and kind is not Row:
            assert type(session.get("k", as_=kind)) is kind
        assert session.get("list", as_=list[dict[str, kind]]) == [{"in": value}]
    session.set("k", "swapped", expected=value)  # the same value is the same bytes
    assert session.get("k") == "swapped"


def test_everything_that_holds_values_takes_them(rt: Runtime) -> None:
    step, plain = Step(title="t", due=NOON), {"title": "t", "due": "2026-01-31T12:00:00.000250Z", "colour": "red"}
    s = rt.create_session(metadata={"step": step, "id": ID})
    assert s.info().custom_metadata == {"step": plain, "id": str(ID)}
    assert rt.create_session(metadata=step).info().custom_metadata == plain  # type: ignore[arg-type]
    assert [each.id for each in rt.list_sessions(metadata={"step": step})] == [s.id]
    assert s.update_metadata({"at": NOON}).custom_metadata["at"] == "2026-01-31T12:00:00.000250Z"
    turn = s.add_message("user", [{"type": "text", "text": "t"}, step], metadata={"at": NOON}, tool_calls=[step])  # type: ignore[list-item]
    assert turn.content == [{"type": "text", "text": "t"}, plain]
    assert turn.tool_calls == [plain]
    assert s.messages()[0].metadata == {"at": "2026-01-31T12:00:00.000250Z"}
    info = s.store_artifact("note", "a", b"", metadata={"step": step})
    assert info.custom == {"step": plain}
    assert [each.name for each in s.query_artifacts(custom={"step": step})] == ["a"]
    assert rt.events.publish("custom.step", {"step": step}, session=s).data == {"step": plain}
    assert rt.events.publish("custom.step", step, session=s).data == plain  # type: ignore[arg-type]
    given: list[Any] = []
    rt.tools.register("look", lambda step: given.append(step) or Step(title="made"))
    assert s.call_tool("look", {"step": step}) == {"title": "made", "due": None, "colour": "red"}
    assert given == [plain]
    scope = rt.state_scope("global")
    scope.set("step", step)
    assert scope.get("step") == plain
    assert scope.get("step", as_=Step) == step
    rt.templates.save("preset", {"metadata": {"step": step}})
    assert rt.create_session(template="preset").info().custom_metadata == {"step": plain}
    assert rt.verify().ok


class _Sour(pydantic.BaseModel):
    x: int = 1

    @pydantic.field_serializer("x")
    def _fail(self, value: int) -> int:
        raise RuntimeError("secret words")


@dataclasses.dataclass
class _Lazy:
    x: int

    def __getattribute__(self, name: str) -> Any:
        if name == "x":
            raise RuntimeError("secret words")
        return object.__getattribute__(self, name)


def _knot() -> Any:
    knot = Point(1)
    knot.inner = knot  # type: ignore[assignment]
    return knot


def _model_knot() -> Any:
    class Node(pydantic.BaseModel):
        next: Any = None

    node = Node()
    node.next = node
    return node


class _Endless(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("secret words")


def _forever() -> Iterator[int]:
    while True:
        yield 1


@pytest.mark.parametrize(
    "make",
    [
        _Sour,
        lambda: _Lazy(1),
        _knot,
        _model_knot,
        lambda: Step.model_construct(title=object()),  # type: ignore[arg-type]
        lambda: Point("x" * (17 << 20)),  # type: ignore[arg-type]
        lambda: {"k": [Point(1)] * 1_000_000},
        lambda: {"when": Decimal("inf")},
        _forever,
        Step,
        lambda: {Colour.RED: 1, "red": 2},
        lambda: Point(float("nan")),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_stored_is_refused_and_changes_nothing(session: Session, make: Any) -> None:
    before = session.info().sequence
    value = Step if make is Step else make()
    with pytest.raises((ValidationError, ResourceLimitExceeded)) as caught:
        session.set("k", value)
    assert "secret words" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert session.info().sequence == before


def test_a_subclass_of_a_built_in_type_is_stored_without_its_own_code(session: Session) -> None:
    session.set("k", _Endless(a=1))
    assert session.get("k") == {"a": 1}


def test_a_value_that_does_not_fit_is_refused_by_its_key_without_its_content(session: Session) -> None:
    session.set("plan", {"id": "secret words", "steps": [{"title": 5}]})
    with pytest.raises(ValidationError) as caught:
        session.get("plan", as_=Plan)
    assert (
        str(caught.value) == "plan: the value does not fit Plan: id: a UUID is needed; steps[0].title: text is needed"
    )
    assert caught.value.field == "plan"
    assert caught.value.__cause__ is None
    session.set("n", "many")
    for kind in (int, Literal[1], list[int], datetime, Annotated[int, pydantic.Field(gt=3)], Slotted):
        with pytest.raises(ValidationError, match="n: the value does not fit") as caught:
            session.get("n", as_=kind)  # type: ignore[call-overload]
        assert "many" not in str(caught.value)

    class Guarded(pydantic.BaseModel):
        word: str

        @pydantic.field_validator("word")
        @classmethod
        def _look(cls, value: str) -> str:
            raise (ValueError if value == "known" else KeyError)(f"not {value}")

    for word in ("known", "other"):
        session.set("g", {"word": word})
        with pytest.raises(ValidationError) as caught:
            session.get("g", as_=Guarded)
        assert word not in str(caught.value)


def test_only_types_can_be_asked_for(session: Session) -> None:
    session.set("k", 1)
    for kind in (object(), 5, "no such type", print, Session):
        with pytest.raises(ValidationError, match="as_: a type is needed"):
            session.get("k", as_=kind)  # type: ignore[call-overload]


def test_a_default_is_given_as_it_is_and_none_is_a_value(session: Session) -> None:
    default = object()
    assert session.get("k", as_=int) is None
    assert session.get("k", default, as_=int) is default
    session.set("k", None)
    with pytest.raises(ValidationError):
        session.get("k", default, as_=int)
    assert session.get("k", default, as_=pydantic.TypeAdapter(int | None)) is None


def test_types_without_end_take_no_memory_without_end(session: Session) -> None:
    from greenroom.runtime.model import typed

    session.set("k", 1)
    for number in range(300):
        model = pydantic.create_model(f"Model{number}", k=(int, 1))
        assert session.get("none", as_=model) is None
        session.set("k", {})
        assert session.get("k", model(), as_=model) == model()
    assert typed._made.cache_info().currsize <= 256


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_any_json_in_a_model_is_what_it_is_without_one(value: Any) -> None:
    @dataclasses.dataclass
    class Held:
        value: Any

    assert messages.SetVariable("k", Held(value)).value == {"value": messages.SetVariable("k", value).value}


# -- as a mapping


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()


@pytest.fixture(params=["session", "scope"])
def variables(request: pytest.FixtureRequest, rt: Runtime) -> Session | Scope:
    return rt.create_session() if request.param == "session" else rt.state_scope("user:1")


def test_a_handle_is_a_mapping_of_its_variables(variables: Session | Scope) -> None:
    assert "k" not in variables
    assert list(variables) == []
    variables["k"] = {"a": 1}
    variables["b"] = None
    assert variables["k"] == {"a": 1}
    assert variables["b"] is None
    assert "b" in variables
    assert list(variables) == ["b", "k"]
    del variables["b"]
    assert list(variables) == ["k"]
    assert variables
    for key in ("none", "b"):
        with pytest.raises(KeyError) as caught:
            variables[key]
        assert isinstance(caught.value, VariableNotFound)
        assert str(caught.value) == f"there is no variable '{key}'"
        with pytest.raises(VariableNotFound):
            del variables[key]
    for wrong in (1, None, "", "x" * 500, object()):
        assert wrong not in variables
        with pytest.raises(ValidationError):
            variables[wrong]  # type: ignore[index]


def test_several_variables_are_set_in_one_write(rt: Runtime, variables: Session | Scope) -> None:
    with rt.events.subscribe("variable.set") as told:
        variables.update({"a": 1, "b": NOON}, c=[Colour.RED])
        assert [variables[key] for key in variables] == [1, "2026-01-31T12:00:00.000250Z", ["red"]]
        variables.update()
        variables.update({}, a=2)
        assert told.pending == 4
    for wrong in ({"d": 1, "e": object()}, {"d": 1, 5: 1}, {"d": 1, "x" * 300: 1}, 7, [("d", 1)]):
        with pytest.raises(ValidationError):
            variables.update(wrong)  # type: ignore[arg-type]
    assert "d" not in variables
    assert variables["a"] == 2


def test_an_update_is_one_write_and_can_be_part_of_a_larger_one(rt: Runtime) -> None:
    s = rt.create_session(config={"max_state_bytes": 1000})
    before = s.info().sequence
    with pytest.raises(ResourceLimitExceeded):
        s.update({"a": 1, "b": "x" * 2000})
    assert (s.info().sequence, s.variables()) == (before, {})
    with s.batch() as b:
        b.update({"a": 1, "b": 2})
        b["c"] = 3
        b.add_message("user", "x")
        assert s.variables() == {}
    assert s.variables() == {"a": 1, "b": 2, "c": 3}
    with contextlib.suppress(ZeroDivisionError), s.batch() as b:
        b.update(a=5)
        raise ZeroDivisionError
    assert s["a"] == 1


def test_a_mapping_of_a_session_that_is_gone_says_so(rt: Runtime) -> None:
    s = rt.create_session()
    s.delete()
    for attempt in (lambda: "k" in s, lambda: s["k"], lambda: list(s)):
        with pytest.raises(SessionNotFound):
            attempt()
    assert bool(s)


def test_hooks_see_a_read_through_the_mapping(rt: Runtime) -> None:
    s = rt.create_session()
    s["k"] = 1
    seen: list[Any] = []
    rt.hooks.register("BeforeStateRead", lambda context: seen.append((context.operation, context.data["key"])))
    rt.hooks.register("AfterStateWrite", lambda context: seen.append(context.data["value"]))
    assert s["k"] == 1
    s["at"] = NOON
    assert seen == [("GetVariable", "k"), "2026-01-31T12:00:00.000250Z"]
    with pytest.raises(GreenroomError):
        s["no"]


def test_records_come_back_as_types_too(session: Session) -> None:
    step = Step(title="t", due=NOON)
    session.records.put("step", step)
    assert session.records.get("step") == {"title": "t", "due": "2026-01-31T12:00:00.000250Z", "colour": "red"}
    assert session.records.get("step", as_=Step) == step
    assert session.records.get("none", as_=Step) is None
    assert session.records.get("none", [], as_=list[Step]) == []
    with pytest.raises(ValidationError, match="record: the value does not fit Point"):
        session.records.get("step", as_=Point)
    assert [value for _, value in session.records.scan()] == [session.records.get("step")]


def test_a_tool_answers_with_a_type(rt: Runtime, session: Session) -> None:
    rt.tools.register("make", lambda: Step(title="made", due=NOON))
    assert session.call_tool("make", as_=Step) == Step(title="made", due=NOON)
    with pytest.raises(ValidationError, match="result: the value does not fit Point"):
        session.call_tool("make", as_=Point)
