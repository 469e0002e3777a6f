"""What a saver keeps of the newest checkpoints is never older than the thread, and belongs to nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import ERROR, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.langgraph import GreenroomSaver
from greenroom.runtime.integrations.langgraph.checkpoints.recent import Recent, Stored
from greenroom.runtime.integrations.langgraph.checkpoints.rows import CheckpointRow


class ByElement(JsonPlusSerializer):
    """A serializer of whose lists each element is written on its own."""


def config(namespace: str = "", checkpoint: str | None = None) -> Any:
    place = {"thread_id": "1", "checkpoint_ns": namespace}
    return {"configurable": place if checkpoint is None else {**place, "checkpoint_id": checkpoint}}


def put(saver: GreenroomSaver, number: int, where: Any = None) -> Any:
    values = {"n": number, "log": [f"line {each} of {number}" for each in range(20)]}
    versions = dict.fromkeys(values, f"{number}")
    made: Any = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": values, "channel_versions": versions}
    return saver.put(where or config(), made, {"step": number}, made["channel_versions"])


CHANGES: list[Callable[[GreenroomSaver, Any], object]] = [
    lambda saver, _: put(saver, 2),
    lambda saver, newest: saver.put_writes(newest, [("n", 3)], "task"),
    lambda saver, newest: saver.put_writes(newest, [(ERROR, "no")], "task"),
    lambda saver, newest: put(saver, 4, newest),
    lambda saver, _: put(saver, 5, config("inner")),
    lambda saver, _: saver.prune(["1"]),
    lambda saver, _: saver.delete_thread("1"),
    lambda saver, _: put(saver, 6),
    lambda saver, _: saver.copy_thread("1", "2"),
    lambda saver, _: saver.prune(["1"], strategy="delete"),
]


@pytest.mark.parametrize("serde", [None, ByElement()], ids=["as one", "by element"])
def test_whatever_changes_a_thread_the_next_reading_has_it(tmp_path: Path, serde: Any) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        saver, other = GreenroomSaver(rt, serde=serde), GreenroomSaver(rt, serde=serde)
        put(saver, 1)
        for number, change in enumerate(CHANGES):
            before = saver.get_tuple(config())
            change(saver if number % 2 else other, before.config if before is not None else config())
            for namespace in ("", "inner"):
                fresh = GreenroomSaver(rt, serde=serde).get_tuple(config(namespace))
                for _ in range(2):
                    assert saver.get_tuple(config(namespace)) == fresh
                if fresh is not None:
                    same = config(namespace, fresh.checkpoint["id"])
                    assert saver.get_tuple(same) == GreenroomSaver(rt, serde=serde).get_tuple(same)


def test_who_changes_what_was_read_changes_it_for_nobody_else(tmp_path: Path) -> None:
    with GreenroomSaver(tmp_path / "store") as saver:
        newest = put(saver, 1)
        saver.put_writes(newest, [("log", ["a"])], "task")
        first = saver.get_tuple(config())
        assert first is not None
        first.checkpoint["channel_values"]["log"].append("mine")
        first.checkpoint["channel_versions"]["log"] = "mine"
        first.metadata["step"] = 9
        assert first.pending_writes is not None
        first.pending_writes[0][2].append("mine")
        again = saver.get_tuple(config())
        assert again is not None
        assert len(again.checkpoint["channel_values"]["log"]) == 20
        assert again.checkpoint["channel_versions"]["log"] == "1"
        assert again.metadata == {"step": 1}
        assert again.pending_writes == [("task", "log", ["a"])]


def test_few_and_small_checkpoints_are_kept() -> None:
    def stored(size: int) -> Stored:
        row = CheckpointRow(None, ("msgpack", b""), ("msgpack", b""), {}, "")
        return Stored("1", row, {"a": ("bytes", bytes(size)), "b": [("bytes", bytes(size))]}, [])

    recent = Recent()
    for number in range(1000):
        recent.keep(str(number), 1, "", stored(10))
    recent.keep("large", 1, "", stored(200_000))
    assert len(recent._kept) == 64
    assert recent.find("999", 1, "", None) == recent.find("999", 1, "", "1") == stored(10)
    assert recent.find("999", 2, "", None) is recent.find("999", 1, "inner", None) is recent.find("0", 1, "", "1")
    assert recent.find("999", 1, "", "2") is recent.find("large", 1, "", None) is None
