"""What items of the Agents SDK may carry: it comes back as it was, or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.openai_agents import GreenroomSession

from ..values import VALUES, keeps_or_refuses

PLACES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a field": (lambda value: {"role": "user", "content": "a", "k": value}, lambda item: item["k"]),
    "the content": (lambda value: {"role": "user", "content": value}, lambda item: item["content"]),
    "the item": (lambda value: value, lambda item: item),
    "arguments": (
        lambda value: {"type": "function_call", "call_id": "c", "name": "f", "arguments": value},
        lambda item: item["arguments"],
    ),
    "an output": (
        lambda value: {"type": "function_call_output", "call_id": "c", "output": value},
        lambda item: item["output"],
    ),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_an_item_comes_back_or_is_refused(rt: Runtime, place: str, name: str) -> None:
    session = GreenroomSession("7", rt)
    make, find = PLACES[place]

    async def put(value: Any) -> Any:
        await session.add_items([make(value)])
        return find((await session.get_items())[0])

    keeps_or_refuses(name, put)
