"""Runs of several processes: each step has its number, and forks answer the first of them whoever makes them."""

from __future__ import annotations

import json
import re
import sys

import pytest

from .conftest import Programs

PARTS = """
import concurrent.futures, os, subprocess, sys

from greenroom.runtime import tool


@tool
def step(name):
    return f"{name}={os.urandom(6).hex()}"


if len(sys.argv) > 1:
    print(step("one of " + sys.argv[1]), step("two of " + sys.argv[1]), flush=True)
else:
    print(step("first"), flush=True)
    for child in "ab":
        subprocess.run([sys.executable, "parts.py", child], check=True)
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print(*pool.map(step, ["w", "x", "y", "z"]), flush=True)
"""
STEPS = ["first", "one of a", "two of a", "one of b", "two of b", "w", "x", "y", "z"]


def answers(out: str) -> dict[str, str]:
    found = dict(re.findall(r"(\w+(?: of \w)?)=(\w+)", out))
    assert sorted(found) == sorted(STEPS)
    return found


@pytest.fixture
def recorded(programs: Programs) -> tuple[str, dict[str, str]]:
    """The recording of a program of several processes, and what each of its steps has answered."""
    (programs.directory / "parts.py").write_text(PARTS)
    out, err = programs("record", "--", sys.executable, "parts.py")
    return programs.recorded(err), answers(out)


def in_order(programs: Programs, session: str) -> list[str]:
    calls = programs.json("recordings", session)["calls"]
    return [re.sub(r"step\(name=(.*)\)", r"\1", each["called"]) for each in calls]


def test_a_fork_answers_the_first_steps_of_all_processes(
    programs: Programs, recorded: tuple[str, dict[str, str]]
) -> None:
    session, first = recorded
    steps = in_order(programs, session)
    assert sorted(steps) == sorted(STEPS)
    for at in (0, 4, 7, 9):
        out, err = programs("fork", session, "--at", at)
        found = answers(out)
        assert {name for name in STEPS if found[name] == first[name]} == set(steps[:at])
        fork = programs.recorded(err)
        assert sorted(in_order(programs, fork)) == sorted(STEPS)
        out, err = programs.start("replay", "--json", fork).communicate(timeout=60)
        report = json.loads(out)
        assert answers(err) == found
        # Which worker does which work first is not the same in each run: so the order may be another one.
        assert [report[name] for name in ("exact", "moved", "drifted", "missing", "unused")] == [9, 0, 0, 0, 0]


def test_steps_of_several_processes_are_blamed(programs: Programs, recorded: tuple[str, dict[str, str]]) -> None:
    session, first = recorded
    steps = in_order(programs, session)
    check = f"grep -q {first[steps[3]]}"
    found = programs.json("blame", session, "--check", check, "--tries", 1, "--steps", "3-5")
    assert {each["step"]: each["changed"] for each in found["steps"]} == {3: 1, 4: 1, 5: 0}
