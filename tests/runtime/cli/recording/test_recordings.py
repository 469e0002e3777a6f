"""``greenroom recordings``: what was recorded, and the steps of one recording."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, tool
from greenroom.runtime.recording.journal.writing import JournalSink
from greenroom.runtime.recording.tape.model import Crossing, Reads

from .conftest import Programs


def crossing(number: int, kind: str, name: str, input: dict[str, Any], outcome: dict[str, Any]) -> Crossing:
    return Crossing(
        number, kind, name, f"agent.py:{number} in step", "main", input, outcome, number, [number], 1, 2_000_000
    )


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    """The id of a recording: a model is called, then a tool, which fails."""
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Weather?"}]}
    said = {
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "It is warm."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
    url = "https://api.openai.com/v1/chat/completions"
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        session = rt.create_session(name="agent.py")
        sink = JournalSink(session, {"command": ["python", "agent.py", "a b"], "started_at": 1_700_000_000_000_000_000})
        sink.reads(Reads([("clock", "time.time", "agent.py:1 in main", "main", 1.5)]))
        sink.crossing(
            crossing(
                1,
                "http",
                f"POST {url}",
                {"method": "POST", "url": url, "headers": [], "body": json.dumps(asked).encode()},
                {"status": 200, "headers": [], "chunks": [json.dumps(said).encode()], "gaps": [0], "complete": True},
            )
        )
        error = {"module": "builtins", "name": "LookupError", "text": "no such city", "args": ["no such city"]}
        sink.crossing(crossing(2, "tool", "weather", {"arguments": {"city": "Atlantis"}}, {"error": error}))
        sink.end({"exit_code": 3})
        return session.id


def test_the_steps_of_a_recording_are_told_in_words(greenroom: Any, recorded: str) -> None:
    lines = greenroom("recordings", recorded).stdout.splitlines()
    assert "command      python agent.py 'a b'" in lines
    assert "ended        with exit code 3" in lines
    assert "steps        2, 1 failed" in lines
    assert "cost         $0.0035" in lines
    at = next(place for place, line in enumerate(lines) if line.startswith("   1"))
    assert "(gpt-4o, 1,100 tokens, 2 ms)  agent.py:1 in step" in lines[at]
    assert lines[at + 1] == "      It is warm."
    assert lines[at + 2].startswith("   2  weather(city=Atlantis)")
    assert lines[at + 3] == "      LookupError: no such city"


def test_it_says_how_a_block_has_ended(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        with rt.recording("good") as good:
            pass
        with pytest.raises(LookupError), rt.recording("bad") as bad:
            raise LookupError("no such city")
    assert "ended        without an exception" in greenroom("recordings", good.id).stdout.splitlines()
    assert "ended        by LookupError: no such city" in greenroom("recordings", bad.id).stdout.splitlines()


def test_they_are_json_for_programs(greenroom: Any, recorded: str) -> None:
    found = greenroom.json("recordings", recorded)
    assert (found["steps"], found["model_calls"], found["tokens"], found["cost_microusd"]) == (2, 1, 1100, 3500)
    assert [each["step"] for each in found["calls"]] == [1, 2]
    (row,) = greenroom.json("recordings")
    assert (row["id"], row["name"]) == (recorded, "agent.py")


def test_all_recordings_are_listed(greenroom: Any, recorded: str) -> None:
    assert recorded in greenroom("recordings").stdout


def test_a_session_without_a_recording_says_so(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        other = rt.create_session().id
    assert "nothing was recorded yet" in greenroom("recordings").stderr
    assert "has no recording" in greenroom("recordings", other, code=1).stderr


def test_blocks_of_a_host_are_listed_with_what_they_come_to(greenroom: Any, tmp_path: Path) -> None:
    @tool
    def weather(city: str) -> str:
        return f"fine in {city}"

    with Runtime.open(tmp_path / "greenroom-data") as rt:
        with rt.recording("request") as session:
            weather("Oslo")
        with rt.recording(session=session):
            weather("Oslo")
            weather("Rome")
    (row,) = greenroom.json("recordings")
    assert (row["id"], row["steps"], row["model_calls"], row["failed"]) == (session.id, 2, 0, 0)
    assert re.search(r" request +2 +0 ", greenroom("recordings").stdout)
    told = greenroom("recordings", session.id).stdout
    assert [f"{session.id}, {number} of 2 in this session" in told for number in (1, 2, 3)] == [True, True, False]
    assert len(re.findall(r"^ +\d  .*weather", told, re.MULTILINE)) == 3
    assert len(greenroom.json("recordings", session.id)["calls"]) == 2
    (earlier,) = greenroom.json("recordings", session.id)["earlier"]
    assert earlier["steps"] == 1


def test_what_a_host_has_left_that_was_killed_in_a_block_is_shown(greenroom: Any, tmp_path: Path) -> None:
    worker = Path(__file__).parents[2] / "recording" / "blocks" / "spool_worker.py"
    killed = [sys.executable, str(worker), str(tmp_path / "greenroom-data"), "killed", "blind", "10"]
    session, *told = subprocess.run(killed, stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines()
    found = greenroom.json("recordings", session)
    assert [each["step"] for each in found["calls"]] == [*range(1, len(told) + 1)]


def test_a_step_has_one_number_in_every_command(programs: Programs) -> None:
    session = programs.record()
    found = programs.json("recordings", session)
    assert [each["step"] for each in found["calls"] if each["model"]] == [1, 3]
    for step, asked in ((1, 1), (2, 1), (3, 3)):
        view = programs.json("context", session, step)
        assert view["step"] == asked
        assert f", step {asked}  " in programs("context", session, step)[0].splitlines()[0]
    assert "has the steps 1 to 3, not 4" in programs("context", session, 4, code=1)[1]
    assert programs.json("context", session, "--event", view["call"])["step"] == 3
    fork = programs.recorded(programs("fork", session, "--at", 2, "-p", "llm.temperature=0")[1])
    lines = programs("diff", session, fork)[0].splitlines()
    assert ", step 2: " in lines[0]
    assert sum(line.startswith("   first step 3, event ") for line in lines) == 2


def test_context_before_any_model_was_called_says_where_the_first_is(programs: Programs) -> None:
    (programs.directory / "late.py").write_text(
        "from greenroom.runtime import tool\ntool(len)([])\nimport runpy\nrunpy.run_path('agent.py')\n"
    )
    session = programs.record(sys.executable, "late.py")
    assert "no call of a model up to step 1: the first one is step 2" in programs("context", session, 1, code=1)[1]
