"""What was acknowledged survives the death of the program, and of what records it."""

from __future__ import annotations

import json
import os
import signal

from .conftest import CALLS, Programs, until


def _pid(programs: Programs) -> int:
    """Return the process of the program that is recorded."""
    from greenroom.runtime.recording.tape.spool import read_spools

    (folder,) = (programs.directory / "greenroom-data" / "recordings").iterdir()
    return int(read_spools(folder).about["pid"])


def test_a_program_that_is_killed_has_a_recording_up_to_there(programs: Programs) -> None:
    programs.model.gate.clear()
    recorder = programs.start("record", "--", *CALLS)
    until(lambda: len(programs.model.asked) == 2)
    os.kill(_pid(programs), signal.SIGKILL)
    _, err = recorder.communicate(timeout=30)
    assert recorder.returncode == 128 + signal.SIGKILL
    session = programs.recorded(err)
    assert "2 calls, 1 of models" in err
    found = programs.json("recordings", session)
    assert (found["steps"], found["exit_code"], found["signal"]) == (2, 137, signal.SIGKILL)
    assert "signal 9" in programs("recordings")[0]
    assert "killed by signal 9 (SIGKILL)" in programs("recordings", session)[0]
    programs.model.stop()
    _, err = programs("replay", session, code=4)
    killed = "the recorded program was killed by signal 9 (SIGKILL), and its recording ends there"
    assert f"{killed}: the program is answered up to there" in err
    (refused,) = [line for line in err.splitlines() if line.startswith("nothing was recorded for")]
    assert killed in refused


def test_the_rest_is_taken_up_if_the_recorder_is_killed(programs: Programs) -> None:
    programs.model.gate.clear()
    recorder = programs.start("record", "--", *CALLS)
    until(lambda: len(programs.model.asked) == 2)
    program = _pid(programs)
    recorder.kill()
    programs.model.gate.set()
    out, _ = recorder.communicate(timeout=30)
    assert out == 'answer: 2: {"city": "Rome", "temp": 21}\n'
    until(lambda: not _is_running(program))
    out, err = programs("recordings", "--json")
    assert "taken up: what was recorded in session" in err
    (row,) = json.loads(out)
    session = row["id"]
    assert programs.json("recordings", session)["steps"] == 3
    assert list((programs.directory / "greenroom-data" / "recordings").iterdir()) == []
    programs.model.stop()
    assert "identical" in programs("replay", session)[1]


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
