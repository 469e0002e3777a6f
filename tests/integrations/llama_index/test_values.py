"""What messages of LlamaIndex may carry: it comes back as it was, or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.llama_index import GreenroomChatStore

from ..values import VALUES, keeps_or_refuses

PLACES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "keywords": (lambda value: {"k": value}, lambda more: more["k"]),
    "calls": (lambda value: {"tool_calls": [{"id": "i", "k": value}]}, lambda more: more["tool_calls"][0]["k"]),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_a_message_comes_back_or_is_refused(rt: Runtime, place: str, name: str) -> None:
    make, find = PLACES[place]
    store = GreenroomChatStore(rt)

    def put(value: Any) -> Any:
        store.add_message("7", ChatMessage(role="assistant", content="a", additional_kwargs=make(value)))
        return find(store.get_messages("7")[0].additional_kwargs)

    keeps_or_refuses(name, put)
