"""The examples run, and say what their comments promise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ...warm import run_warm

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
    done = run_warm([sys.executable, EXAMPLES / script], cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout
