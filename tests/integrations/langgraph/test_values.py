"""What the store and the checkpoints may carry: it comes back as it was, or it is refused.

Checkpoints are written by LangGraph's own serializer: the text that it makes of half a surrogate pair, and of null
characters in metadata, is the same in all savers.
"""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from greenroom.runtime import GreenroomError, Runtime
from greenroom.runtime.integrations.langgraph import GreenroomSaver, GreenroomStore

from ..values import VALUES, keeps_or_refuses


@pytest.mark.parametrize("name", VALUES)
def test_an_item_comes_back_or_is_refused(rt: Runtime, name: str) -> None:
    store = GreenroomStore(rt)

    def put(value: Any) -> Any:
        store.put(("n",), "k", {"k": value})
        item = store.get(("n",), "k")
        assert item is not None
        return item.value["k"]

    keeps_or_refuses(name, put)


@pytest.mark.parametrize("name", VALUES)
def test_a_channel_comes_back_as_from_the_saver_in_memory_or_is_refused(rt: Runtime, name: str) -> None:
    seen: list[Any] = []
    for saver in (InMemorySaver(), GreenroomSaver(rt)):
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"], checkpoint["channel_versions"] = {"k": VALUES[name]}, {"k": "1"}
        config: Any = {"configurable": {"thread_id": "7", "checkpoint_ns": ""}}
        try:
            put = saver.put(config, checkpoint, {"source": "input", "step": 1, "parents": {}}, {"k": "1"})
            saver.put_writes(put, [("k", VALUES[name])], "task")
            got = saver.get_tuple(put)
        except GreenroomError:
            return
        except Exception as error:
            seen.append(type(error))
        else:
            assert got is not None
            assert got.pending_writes is not None
            values = (got.checkpoint["channel_values"]["k"], got.pending_writes[0][2])
            seen.append([type(each) if type(each) is object else repr(each) for each in values])
    assert seen[0] == seen[1]
