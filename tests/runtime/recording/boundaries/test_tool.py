"""Functions marked with `@tool`, where nothing is recorded."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from greenroom.runtime import Runtime, ValidationError, tool


@tool
def twice(number: int, times: int = 2) -> int:
    "Multiply."
    return number * times


@tool(name="count-up")
def count(to: int) -> Iterator[int]:
    got = yield from range(to)
    assert got is None


@tool
async def later(number: int) -> int:
    return number + 1


@tool
async def later_each(to: int) -> AsyncIterator[int]:
    for each in range(to):
        yield each


def test_a_tool_is_called_as_the_function_it_is() -> None:
    assert twice(3) == 6
    assert twice(3, times=3) == 9
    assert list(count(3)) == [0, 1, 2]
    assert asyncio.run(later(1)) == 2

    async def collected() -> list[int]:
        return [each async for each in later_each(3)]

    assert asyncio.run(collected()) == [0, 1, 2]
    with pytest.raises(TypeError, match="number"):
        twice()  # type: ignore[call-arg]


def test_a_tool_looks_like_the_function_it_is() -> None:
    assert twice.__name__ == "twice"
    assert twice.__doc__ == "Multiply."
    assert str(inspect.signature(twice)) == "(number: 'int', times: 'int' = 2) -> 'int'"
    assert inspect.iscoroutinefunction(later)
    assert inspect.isgeneratorfunction(count)
    assert inspect.isasyncgenfunction(later_each)


def test_methods_can_be_tools() -> None:
    class Desk:
        def __init__(self) -> None:
            self.factor = 2

        @tool
        def twice(self, number: int) -> int:
            return number * self.factor

        @staticmethod
        @tool
        def thrice(number: int) -> int:
            return number * 3

        @classmethod
        @tool
        def name(cls) -> str:
            return cls.__name__

    assert (Desk().twice(1), Desk.thrice(1), Desk().name()) == (2, 3, "Desk")


def test_a_tool_is_registered_as_any_function(rt: Runtime) -> None:
    registered = rt.tools.register("twice", twice)
    rt.tools.register("later", later)
    assert registered.description == "Multiply."
    assert registered.schema["required"] == ["number"]
    session = rt.create_session()
    assert session.call_tool("twice", {"number": 2}) == 4
    assert session.call_tool("later", {"number": 2}) == 3


@pytest.mark.parametrize("wrong", [int, 3], ids=["class", "number"])
def test_only_functions_can_be_marked(wrong: object) -> None:
    with pytest.raises(ValidationError, match="@tool marks a function"):
        tool(wrong)  # type: ignore[call-overload]


def test_marking_a_tool_does_not_import_the_runtime() -> None:
    source = """
import sys
from greenroom.runtime import tool
assert not {"rocksdict", "pydantic", "greenroom.runtime.runtime", "asyncio"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", source], check=True)
