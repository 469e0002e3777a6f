"""The command line does what the API does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from greenroom.runtime import Runtime
from greenroom.runtime.cli.app import app


def test_the_command_line_lists_shows_answers_and_cancels(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        s, other = rt.create_session(), rt.create_session()
        first = s.ask_human("Send it?", schema={"type": "boolean"}, expires=3600)
        second = s.ask_human("Which?")
        third = other.ask_human("Who?")

    def run(*words: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["--data", str(store_path), "approvals", *words])
        assert done.exit_code == code, done.output
        return done.output

    def listed(*words: str) -> list[str]:
        return [row["id"] for row in json.loads(run("list", *words, "--json"))]

    assert listed() == [first, second, third]
    assert listed(s.id[:13]) == [first, second]
    assert "Send it?" in run("list")
    assert '"type": "boolean"' in run("show", first) or "boolean" in run("show", first)
    assert "does not fit 'type': boolean" in run("answer", first, "maybe", code=1)
    assert "answered" in run("answer", first, "true", "--by", "ada")
    assert "answered at" in run("answer", first, "true", code=1)
    run("answer", third, "some text")
    assert json.loads(run("cancel", second, "--reason", "late", "--json"))["reason"] == "late"
    assert listed() == []
    assert listed("--status", "all") == [first, second, third]
    assert listed("--status", "answered") == [first, third]
    assert json.loads(run("show", third, "--json"))["value"] == "some text"
    run("show", "nonsense", code=1)
