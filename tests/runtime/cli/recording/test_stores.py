"""The store is free while a program is recorded, and a disk that takes nothing more is no harm to the program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.runtime import Runtime

from .conftest import CALLS, Programs, until

GROWS = """
from greenroom.runtime import tool

@tool
def read(number):
    return "x" * 40_000

for number in range(20):
    read(number)
print("done")
raise SystemExit(7)
"""


def test_the_store_is_free_while_a_program_is_recorded(programs: Programs) -> None:
    programs.model.gate.clear()
    recorder = programs.start("record", "--", *CALLS)
    until(lambda: len(programs.model.asked) == 2)
    (row,) = programs.json("recordings")
    assert programs.json("recordings", row["id"])["steps"] == 2
    with Runtime.open(programs.directory / "greenroom-data") as host:
        assert host.session(row["id"]).info().status == "active"
    programs.model.gate.set()
    _, err = recorder.communicate(timeout=30)
    assert programs.recorded(err) == row["id"]
    found = programs.json("recordings", row["id"])
    assert (found["steps"], found["exit_code"]) == (3, 0)
    assert not [*(programs.directory / "greenroom-data" / "recordings").iterdir()]


def test_a_program_is_recorded_beside_a_store_that_another_process_has_open(programs: Programs) -> None:
    with Runtime.open(programs.directory / "greenroom-data") as host:
        programs.model.gate.clear()
        recorder = programs.start("record", "--key", "mine", "--", *CALLS)
        until(lambda: len(programs.model.asked) == 2)
        assert [*host.list_sessions()] == []
        programs.model.gate.set()
        host.create_session(key="mine")
        _, err = programs("recordings")
        assert "is not in it yet" in err
    out, err = recorder.communicate(timeout=30)
    assert recorder.returncode == 0, err
    assert out.startswith("answer: 2")
    assert "another process has the store open" in err
    assert "the key 'mine' was taken" in err
    assert "identical" in programs("replay", programs.recorded(err))[1]


def test_a_fork_leaves_the_store_free_too(programs: Programs) -> None:
    session = programs.record()
    programs.model.gate.clear()
    fork = programs.start("fork", session, "--at", "2", "--", *CALLS)
    until(lambda: len(programs.model.asked) == 3)
    with Runtime.open(programs.directory / "greenroom-data") as host:
        assert len([*host.list_sessions()]) == 2
    programs.model.gate.set()
    _, err = fork.communicate(timeout=30)
    assert programs.json("recordings", programs.recorded(err))["steps"] == 3


@pytest.mark.parametrize("kib", [128, 512])
def test_a_full_disk_ends_the_recording_and_not_the_program(programs: Programs, kib: int) -> None:
    (programs.directory / "grows.py").write_text(GROWS)
    programs("record", "--", sys.executable, "-c", "from greenroom.runtime import tool; tool(len)([])")
    limited = ["bash", "-c", f'ulimit -f {kib}; exec "$@"', "bash"]
    done = subprocess.run(
        [*limited, sys.executable, "-m", "greenroom.runtime.cli", "record", "--", sys.executable, "grows.py"],
        cwd=programs.directory,
        env=programs.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "done\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert "not all of the program was recorded, which ran on: File too large" in done.stderr
    out, _ = programs("recordings")  # with room again, what was kept is there
    (row,) = [line for line in out.splitlines() if "grows.py" in line]
    session = row.split()[0]
    assert 0 < programs.json("recordings", session)["steps"] < 20
    assert "the recording ended before the program: File too large" in programs("recordings", session)[0]
    assert "the recording ended before the program" in programs("replay", session, code=4)[1]


def test_a_program_runs_where_nothing_can_be_recorded(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    out, err = programs("--data", tmp_path / "file" / "store", "record", "--", *CALLS, "word", code=1)
    assert out.startswith("answer: 2")
    (told,) = err.splitlines()
    assert told.startswith("greenroom: the program runs without being recorded")
    assert not (tmp_path / "greenroom-data").exists()
