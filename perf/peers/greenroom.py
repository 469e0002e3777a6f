"""greenroom itself: a runtime at `wal` or `fsync`. A step is a tool that runs on its caller's thread."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

from greenroom.runtime import Runtime, Session
from peers import side as s

REQUIRES: Final = "greenroom"
_DURABILITY: Final = {"process": "wal", "machine": "fsync"}


def sides(folder: Path, level: s.Level) -> s.Side:
    rt = Runtime.open(folder / "store", config={"durability": _DURABILITY[level]})
    session = rt.create_session(config={"max_artifacts": 10_000_000, "max_storage_bytes": 1 << 40})
    rt.tools.register("step", lambda n: {"n": n}, quick=True)
    numbers = itertools.count()
    session.set("k", s.VALUE)
    full = rt.create_session()
    for number in range(s.TURNS // 2):
        _append(full, number)

    def store() -> None:
        name, content = s.artifact()
        session.store_artifact("tool_result", name, content)

    return s.Side(
        "greenroom",
        {
            s.CREATE: lambda: rt.create_session(name="peer"),
            s.APPEND: lambda: _append(session, next(numbers)),
            s.READ_20: lambda: [each.content for each in full.messages(limit=20)],
            s.READ_1000: lambda: [each.content for each in full.messages(limit=1000)],
            s.SET: lambda: session.set("k", s.VALUE),
            s.GET: lambda: session.get("k"),
            s.STORE: store,
            s.STEP: lambda: session.call_tool("step", {"n": next(numbers)}),
        },
        lambda: s.grown(folder / "growth", _write),
        rt.close,
    )


def _append(session: Session, number: int) -> None:
    question, answer = s.turn(number)
    session.add_messages([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])


def _write(folder: Path) -> None:
    with Runtime.open(folder / "store") as rt:
        session = rt.create_session()
        for number in range(s.TURNS):
            _append(session, number)
