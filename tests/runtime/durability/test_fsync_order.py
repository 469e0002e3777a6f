"""At `fsync` durability nothing is acknowledged before it is on disk, whatever the operation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session, messages

_Operation = Callable[[Runtime, Session, Path], Any]


def _ended(rt: Runtime) -> Session:
    s = rt.create_session()
    s.complete()
    return s


_OPERATIONS: dict[str, _Operation] = {
    "create_session": lambda rt, s, path: rt.create_session(name="n"),
    "create a child": lambda rt, s, path: rt.create_session(parent=s),
    "set": lambda rt, s, path: s.set("k", 1),
    "delete_variable": lambda rt, s, path: s.delete_variable("a"),
    "add_message": lambda rt, s, path: s.add_message("user", "x" * 10_000),
    "store_artifact": lambda rt, s, path: s.store_artifact("t", "b", b"x" * 300_000),
    "store_many": lambda rt, s, path: s.store_many([{"type": "t", "name": "c", "content": b"c"}]),
    "delete_artifact": lambda rt, s, path: s.delete_artifact("a"),
    "add_tag": lambda rt, s, path: s.add_tag("t"),
    "update_metadata": lambda rt, s, path: s.update_metadata({"k": 1}),
    "update_config": lambda rt, s, path: s.update_config(max_operations=None, max_artifacts=5),
    "suspend": lambda rt, s, path: s.suspend(),
    "complete": lambda rt, s, path: s.complete(),
    "fail": lambda rt, s, path: s.fail("why"),
    "archive": lambda rt, s, path: _ended(rt).archive(),
    "save": lambda rt, s, path: s.save(),
    "publish": lambda rt, s, path: rt.ask(s.id, messages.PublishEvent("custom.x", {})),
    "share": lambda rt, s, path: s.share("a", rt.create_session().id),
    "fork": lambda rt, s, path: s.fork(),
    "delete": lambda rt, s, path: s.delete(),
    "delete by id": lambda rt, s, path: rt.delete_session(s.id),
    "a scope's first write": lambda rt, s, path: rt.state_scope("user:1").set("k", 1),
    "templates.save": lambda rt, s, path: rt.templates.save("t", {"tags": ["x"]}),
    "call_tool": lambda rt, s, path: s.call_tool("calculator", {"expression": "1"}),
    "import_bundle": lambda rt, s, path: (
        rt.export_session(s.id, path / "b"),
        rt.import_bundle(path / "b", keep_ids=False),
    ),
    "retention of journals": lambda rt, s, path: rt.retention(max_journal_events=1, dry_run=False),
    "a script that creates": lambda rt, s, path: rt.run_script("return Session.create{}"),
    "a script that deletes": lambda rt, s, path: rt.run_script("Session.delete(...)", args=[s.id]),
}


@pytest.mark.parametrize("operation", _OPERATIONS)
def test_what_is_acknowledged_is_on_disk(tmp_path: Path, operation: str) -> None:
    with Runtime.open(tmp_path / "store", config={"durability": "fsync"}) as rt:
        s = rt.create_session()
        s.set("a", 0)
        s.set("a", 1)
        s.store_artifact("t", "a", b"a")
        engine = rt._store.engine
        engine.sync()
        before = engine.commit_number
        _OPERATIONS[operation](rt, s, tmp_path)
        written, synced = engine.commit_number, engine._synced
        assert written > before, "it writes something"
        assert synced >= written
