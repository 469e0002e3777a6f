"""``greenroom sessions export --format``: conversations for other tools; and how turns are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from greenroom.runtime import Runtime


def test_the_command_line_exports_conversations(tmp_path: Path, greenroom: Any) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        one, other = runtime.create_session(name="talk"), runtime.create_session()
        one.add_messages([{"role": "system", "content": "You help."}, {"role": "user", "content": "Weather?"}])
        one.edit_message(2, content="You \x1b[31mhelp.")
        other.stream_message("assistant").__enter__().write("half")
    said = greenroom("sessions", "export", one.id[:8], other.id, "--format", "openai")
    assert [len(json.loads(line)["messages"]) for line in said.stdout.splitlines()] == [2, 1]
    greenroom("sessions", "export", one.id, "--format", "markdown", "-o", "talk.md")
    assert "You \x1b[31mhelp." in (tmp_path / "talk.md").read_text()
    report = greenroom.json("sessions", "export", one.id, other.id, "--format", "sharegpt", "--output", "s.jsonl")
    assert (report["conversations"], report["messages"]) == (2, 3)
    assert len((tmp_path / "s.jsonl").read_text().splitlines()) == 2
    assert "system (edited)" in greenroom("sessions", "show", one.id, "--messages", "9").stdout
    assert "assistant (partial)" in greenroom("sessions", "show", other.id, "--messages", "9").stdout
    greenroom("sessions", "export", one.id, "-o", "s.bundle")
    assert (tmp_path / "s.bundle").stat().st_size > 1024
    assert "--format" in greenroom("sessions", "export", one.id, code=2).stderr
    assert "markdown" in greenroom("sessions", "export", one.id, "--format", "csv", code=2).stderr
