"""The examples run, and say what their comments promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.ingest import ingest, sample_paths

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "quickstart.py",
            ["bakeries.csv is at version 2", "artifact.stored", "deleted, and nothing is left of it"],
        ),
        ("chat_with_crash.py", ["begins with 2 answers in the store", "complete with 4 answers"]),
        ("agent_with_tools.py", ["Today in Berlin: sunny.", "LookupError", "tool_result weather-3.json", "6 * 7 = 42"]),
        (
            "batch_pipeline.py",
            ["third run", "this run: 30 there already", "moods: 18 good, 6 bad; given up: 6; failures: 24"],
        ),
        (
            "messages_api.py",
            ["the last step told was 99", "100, 100, 100, 100]", "InvalidSessionState", "still readable: suspended"],
        ),
    ],
)
def test_python_example(script: str, words: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout


def _live_sessions(store: Path) -> None:
    """The conversations of the samples, each going on."""
    with Runtime.open(store) as runtime:
        ingest(runtime, sample_paths())
        for info in runtime.list_sessions(status="completed"):
            runtime.session(info.id).fork()
            runtime.session(info.id).archive()


def test_lua_examples(greenroom: Any, tmp_path: Path) -> None:
    _live_sessions(tmp_path / "greenroom-data")
    counts = dict(line.split("\t") for line in greenroom("run", EXAMPLES / "tag_sessions.lua", 8).stdout.splitlines())
    assert counts == {"used-tools": "6", "long": "4"}
    assert len(greenroom.json("sessions", "list", "--tag", "used-tools")) == 6

    session = greenroom.json("sessions", "list", "--search", "kitchen")[0]["id"]
    assert "stored summary.md" in greenroom("run", EXAMPLES / "summarize.lua", "--session", session).stdout
    assert "words in all" in greenroom("artifacts", "get", session, "summary.md").stdout
    assert "bind me" in greenroom("run", EXAMPLES / "summarize.lua", code=1).stderr
