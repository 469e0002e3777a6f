"""Microsoft Agent Framework: its own stores are files and memory."""

from __future__ import annotations

import asyncio
import itertools
import logging
import warnings
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from agent_framework import (
    FileCheckpointStorage,
    FileHistoryProvider,
    InMemoryCheckpointStorage,
    InMemoryHistoryProvider,
    Message,
    WorkflowCheckpoint,
)
from measure import Row, size_of

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.agent_framework import GreenroomCheckpointStorage, GreenroomHistoryProvider


def rows(folder: Path) -> Iterator[Row]:
    warnings.simplefilter("ignore")
    logging.getLogger("agent_framework").setLevel(logging.ERROR)
    rt = Runtime.open(folder / "store")
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    providers = {
        "greenroom": GreenroomHistoryProvider(rt),
        "files": FileHistoryProvider(folder / "files"),
        "memory": InMemoryHistoryProvider(),
    }
    states: dict[tuple[str, str], dict[str, Any]] = {}
    numbers = itertools.count()

    def append(side: str, session: str, count: int = 2) -> None:
        state = states.setdefault((side, session), {})
        messages = [Message("user", [f"question {next(numbers)} " + "word " * 20]) for _ in range(count)]
        run(providers[side].save_messages(session, messages, state=state))

    def read(side: str, session: str) -> None:
        assert run(providers[side].get_messages(session, state=states[side, session]))

    for side in providers:
        append(side, "20", 20)
        append(side, "1000", 1000)
    yield Row("append 2 to 20 and more", {side: _call(append, side, "20") for side in providers})
    for side in providers:
        append(side, "read", 20)
    yield Row("read 20", {side: _call(read, side, "read") for side in providers})
    yield Row("read 1000", {side: _call(read, side, "1000") for side in providers})
    yield Row("append 2 to 1000", {side: _call(append, side, "1000") for side in providers})

    storages: dict[str, Any] = {
        "greenroom": GreenroomCheckpointStorage(rt),
        "files": FileCheckpointStorage(folder / "checkpoints"),
        "memory": InMemoryCheckpointStorage(),
    }
    state = {"log": [f"line {number} of the state" for number in range(50)]}

    def do(make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        run(make())

    ids = {side: run(each.save(WorkflowCheckpoint("one", "g", state=state))) for side, each in storages.items()}
    for each in storages.values():
        for _ in range(19):
            run(each.save(WorkflowCheckpoint("one", "g", state=state)))
    yield Row("load a checkpoint", {s: _call(do, _call(each.load, ids[s])) for s, each in storages.items()})
    yield Row(
        "latest of 20", {s: _call(do, lambda e=e: e.get_latest(workflow_name="one")) for s, e in storages.items()}
    )
    yield Row(
        "list 20", {s: _call(do, lambda e=e: e.list_checkpoints(workflow_name="one")) for s, e in storages.items()}
    )
    yield Row(
        "save a checkpoint",
        {s: _call(do, lambda e=e: e.save(WorkflowCheckpoint("w", "g", state=state))) for s, e in storages.items()},
    )
    rt.close()
    yield _growth(folder, run)
    loop.close()


def _growth(folder: Path, run: Callable[..., Any]) -> Row:
    ours, theirs = folder / "ours", folder / "theirs"
    for path, provider in (ours, GreenroomHistoryProvider(ours)), (theirs, FileHistoryProvider(theirs)):
        for number in range(1000):
            run(provider.save_messages("s", [Message("user", [f"question {number} " + "word " * 20])]))
        if isinstance(provider, GreenroomHistoryProvider):
            provider.close()
        assert path.exists()
    return Row("on disk after 1000 turns", sizes={"greenroom": size_of(ours), "files": size_of(theirs)})


def _call(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    return lambda: function(*args)
