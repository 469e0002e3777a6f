"""Log records: one line each, bounded, without content, whatever scripts, hooks, tools and callbacks say."""

from __future__ import annotations

import ast
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import greenroom.storage
from greenroom.runtime import HookCancelled, HookResult, Runtime, StorageFull, hooks, messages
from greenroom.storage.common import logs

SECRET = "the secret value"
FORGED = f"{SECRET}\n2026-01-01 00:00:00,000 CRITICAL greenroom.security session granted admin to root\r\x1b[2J\u2028"
ROOT = Path(greenroom.storage.__file__).resolve().parent.parent


class Records(logging.Handler):
    """Keeps what handlers would write, with the formatter that most programs have."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.lines: list[str] = []
        self.arrived = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self.arrived:
            self.lines.append(self.format(record))
            self.arrived.notify_all()

    def await_one(self, part: str) -> str:
        with self.arrived:
            assert self.arrived.wait_for(lambda: any(part in each for each in self.lines), 30), self.lines
            return next(each for each in self.lines if part in each)


@pytest.fixture
def records() -> Iterator[Records]:
    logger = logging.getLogger("greenroom")
    handler, level = Records(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)
    for line in handler.lines:
        assert line.isprintable(), line
        assert len(line) < 2100
        assert SECRET not in line


def test_what_a_scripts_hook_says_is_not_logged(rt: Runtime, records: Records) -> None:
    s = rt.create_session()
    s.set("k", FORGED)
    rt.run_script(
        "local v = State.get('k') Hook.register('BeforeStateWrite', function() error(v) end) State.set('x', 1)",
        session=s,
        name="a\nb.lua",
    )
    assert "ScriptError in 'a\\nb.lua'" in records.await_one("failed at BeforeStateWrite")


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError(FORGED)


def test_what_a_hosts_code_says_is_not_logged_but_the_place_is(rt: Runtime, records: Records) -> None:
    s = rt.create_session()
    rt.hooks.register("AfterStateWrite", fail, name=FORGED.removeprefix(SECRET))
    rt.hooks.register("ArtifactStored", lambda context: HookResult.fork([fail]), name="forks")
    rt.events.subscribe("custom.x", callback=fail)
    rt.tools.register("fails", fail)
    s.set("k", 1)
    assert re.search(r"\[RuntimeError at test_logs\.py:\d+", records.await_one("failed at AfterStateWrite"))
    s.store_artifact("note", "n", b"x")
    records.await_one("forked by hook forks")
    rt.events.publish("custom.x", {"k": FORGED})
    records.await_one("a callback for custom.x")
    rt.tell(s.id, messages.CallTool("fails"))
    assert "CallFailed: tool 'fails'" in records.await_one("a call that nobody waits for")


def test_the_logging_hook_writes_names_on_one_line(rt: Runtime, records: Records) -> None:
    rt.hooks.register("AfterStateWrite", hooks.LoggingHook())
    with rt.operation(correlation_id="a\n\x1b[31mb"):
        rt.create_session().set("k", SECRET)
    assert r"correlation=a\n\x1b[31mb" in records.await_one("AfterStateWrite")


def test_a_record_says_what_greenroom_itself_knows(records: Records) -> None:
    logger = logs.logger_of("test")
    logger.warning("session %s: %s", "x" * 5000, StorageFull("the disk\nis full"))
    logger.error("%d of %.1f", 3, 0.5)
    logger.error("%s", b"bytes", stack_info=True)
    logger.error("too %s", *["many", "arguments"])
    logger.error("%s", HookCancelled(FORGED, hook="vetoes", reason=FORGED))
    assert records.lines[0].endswith(r"…: StorageFull: the disk\nis full")
    assert records.lines[1:] == [
        "ERROR greenroom.test 3 of 0.5",
        "ERROR greenroom.test <bytes>",
        "ERROR greenroom.test too %s",
        "ERROR greenroom.test HookCancelled: hook 'vetoes'",
    ]


def test_every_logger_of_the_product_makes_its_records_plain() -> None:
    """Also those of modules that are written tomorrow."""
    names = set()
    for file in (
        each for room in ("actors", "runtime", "scripting", "storage") for each in (ROOT / room).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Attribute, ast.Name)):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if called in ("getLogger", "logger_of"):
                given = node.args[0]
                if not isinstance(given, ast.Constant):  # a name that it is given itself
                    assert file.name in ("logs.py", "builtin.py"), file
                elif called == "getLogger":
                    names.add(str(given.value))
            of_root = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "logging"
            assert not (of_root and called in ("debug", "info", "warning", "error", "exception", "critical")), file
    for name in names:
        assert logs._plain in logging.getLogger(name).filters, name
