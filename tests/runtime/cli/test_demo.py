"""The demo, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.examples.demo.ledger import Ledger
from greenroom.examples.demo.worker import digest
from greenroom.runtime import Runtime


def test_the_demo_kills_its_worker_and_finds_everything_again(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "mine"}]}))
    done = greenroom.process("--data", "kept", "demo", "own.jsonl", "--seconds", 1)
    assert "SIGKILL" in done.stdout
    assert "nothing that was acknowledged is missing" in done.stdout
    assert "✘" not in done.stdout
    assert "\x1b" not in done.stdout
    names = [row["name"] for row in greenroom.json("--data", "kept", "sessions", "list", "--limit", 500)]
    assert "own line 1" in names
    assert "demo summary" in names


@pytest.mark.parametrize("lost", ["message", "artifact", "variable", "session"])
def test_the_demo_would_notice_a_loss(tmp_path: Path, lost: str) -> None:
    ledger = Ledger()
    with Runtime.open(tmp_path / "store") as runtime:
        session = runtime.create_session()
        message = session.add_message("user", "hello")
        artifact = session.store_artifact("tool_result", "a.txt", "content")
        session.set("progress", 3)
        ledger.add({"kind": "session", "session": session.id})
        ledger.add(
            {
                "kind": "message",
                "session": session.id,
                "sequence": message.sequence,
                "digest": digest("hello"),
            }
        )
        said_of = {"id": str(artifact.id), "digest": digest("content"), "size": artifact.size}
        ledger.add({"kind": "artifact", "session": session.id, **said_of})
        ledger.add({"kind": "variable", "session": session.id, "key": "progress", "value": 3})
        assert all(check.ok for check in ledger.check(runtime))

        ledger.add(
            {
                "message": {
                    "kind": "message",
                    "session": session.id,
                    "sequence": message.sequence,
                    "digest": digest("x"),
                },
                "artifact": {"kind": "artifact", "session": session.id, **said_of, "digest": digest("x")},
                "variable": {"kind": "variable", "session": session.id, "key": "progress", "value": 4},
                "session": {"kind": "session", "session": "00000000-0000-4000-8000-000000000000"},
            }[lost]
        )
        failed = [check.what for check in ledger.check(runtime) if not check.ok]
        assert len(failed) == 1
        assert failed[0].startswith(lost)


def test_a_demo_that_is_ended_from_outside_leaves_no_folder_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "greenroom.runtime.cli", "demo", "--seconds", "30"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith(" 2 "):
                break
        assert list(tmp_path.glob("greenroom-demo-*"))
        demo.terminate()
        demo.stdout.read()
        assert demo.wait(30) == 143
    assert not list(tmp_path.glob("greenroom-demo-*"))
