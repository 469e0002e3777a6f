"""What is wrong is told in words, before anything runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.recording.journal.writing import JournalSink
from greenroom.runtime.recording.tape.model import Crossing

RUNS = [sys.executable, "-c", "open('ran', 'w')"]


@pytest.fixture
def session(tmp_path: Path) -> str:
    """The id of a recording: a model is called, which calls a tool, and then the tool."""
    url = "https://api.openai.com/v1/chat/completions"
    asked = {"messages": [{"role": "user", "content": "Weather?"}]}
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    said = {"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        session = rt.create_session()
        sink = JournalSink(session, {"command": RUNS})
        request = {"method": "POST", "url": url, "headers": [], "body": json.dumps(asked).encode()}
        answer = {"status": 200, "headers": [], "chunks": [json.dumps(said).encode()], "gaps": [0], "complete": True}
        sink.crossing(Crossing(1, "http", f"POST {url}", "a.py:1 in f", "main", request, answer, 1, [2]))
        sink.crossing(Crossing(2, "tool", "weather", "a.py:2 in f", "main", {"arguments": {}}, {"value": 1}, 3, [4]))
        sink.end({"exit_code": 0})
        return session.id


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("fork", "ID"), 2, "--at"),
        (("fork", "ID", "--at", "9"), 1, "has 2 steps, not 9"),
        (("fork", "ID", "--at", "-1"), 2, "--at"),
        (("fork", "ID", "--at", "1", "-p", "llm.sytem=x"), 2, "the nearest is llm.system"),
        (("fork", "ID", "--at", "2", "-p", "response.text=x"), 1, "step 2 is no HTTP call"),
        (("fork", "ID", "--at", "0", "-p", "response.text=x"), 1, "no step is replayed"),
        (("fork", "ID", "--at", "1", "-p", "tool.wether.result=x"), 1, "its tools are weather"),
        (("fork", "ID", "--at", "1", "-p", "llm.top_k=1"), 1, "OpenAI chat requests have no top_k"),
        (("fork", "ID", "--at", "0"), 1, "api.openai.com needs OPENAI_API_KEY"),
        (("fork", "ID", "--at", "2", "--edit"), 1, "nothing was changed in the editor"),
        (("blame", "ID"), 2, "--check"),
        (("blame", "ID", "--check", "true"), 1, "api.openai.com needs OPENAI_API_KEY"),
        (("blame", "ID", "--check", "true", "--steps", "x"), 2, "M-N"),
        (("blame", "ID", "--check", "true", "--steps", "2-9", "--assume-credentials"), 1, "steps 1 to 2"),
        (("record",), 2, "CMD"),
        (("record", "--", "no-such-command-here"), 1, "cannot be started"),
        (("record", "--", "true"), 1, "without a recorder"),
        (("doctor", "--", sys.executable, "-c", "raise SystemExit(1)"), 1, "ended with exit code 1"),
        (("replay", "ID", "--mode", "exact", "--strict"), 2, "--strict"),
        (("replay", "ID", "--", "no-such-command-here"), 1, "cannot be started"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_it_is_told_in_words(
    greenroom: Any, tmp_path: Path, session: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    said = greenroom(*(session if each == "ID" else each for each in arguments), code=code, EDITOR="true")
    assert told in " ".join(said.stderr.split())
    assert "Traceback" not in said.stderr
    assert said.stdout == ""
    assert not (tmp_path / "ran").exists()


def test_a_recording_of_a_part_of_a_program_needs_a_command(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        session = rt.create_session()
        JournalSink(session, {}).end({})
    for words in (("replay", session.id), ("fork", session.id, "--at", "0")):
        assert "say which to run, with -- CMD" in greenroom(*words, code=1).stderr
