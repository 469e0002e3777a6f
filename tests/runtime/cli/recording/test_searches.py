"""``greenroom doctor`` and ``greenroom blame``."""

from __future__ import annotations

import sys
from typing import Any

from .conftest import CALLS, Programs

UNSTABLE = """\
import os, random, time

def read():
    with open("notes.txt") as file:
        return file.read()

print("at", time.time(), random.random())
print("notes", read())
with open("notes.txt", "a") as file:
    file.write("more\\n")
"""


def test_the_doctor_names_each_source_by_its_place(programs: Programs) -> None:
    (programs.directory / "unstable.py").write_text(UNSTABLE)
    (programs.directory / "notes.txt").write_text("note\n")
    command = [sys.executable, "unstable.py"]
    found = programs.json("doctor", "--", *command)
    named = {(each["kind"], each["place"]): each["covered"] for each in found["findings"]}
    assert named["clock", "unstable.py:7 in <module>"]
    assert named["randomness", "unstable.py:7 in <module>"]
    assert named["file", "unstable.py:4 in read"] is False
    assert all(each["advice"] for each in found["findings"])
    out, _ = programs("doctor", "--fail-on-uncovered", "--", *command, code=3)
    assert "unstable.py:4 in read  file  NOT COVERED" in out
    assert not (programs.directory / "greenroom-data").exists()


def test_the_order_of_a_set_is_named(programs: Programs) -> None:
    ordered = "print({'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'})"
    (found,) = programs.json("doctor", "--", sys.executable, "-c", ordered)["findings"]
    assert (found["kind"], found["covered"]) == ("hash seed", True)


def test_an_agent_is_covered_and_a_plain_program_has_nothing_to_find(programs: Programs) -> None:
    out, _ = programs("doctor", "--fail-on-uncovered", "--", *CALLS)
    assert "a recording covers them all" in out
    programs("doctor", "--fail-on-findings", "--", *CALLS, code=3)
    plain = [sys.executable, "-c", "print(1)"]
    assert "nothing made the two runs different" in programs("doctor", "--fail-on-findings", "--", *plain)[0]


def test_the_step_that_decides_is_blamed(programs: Programs) -> None:
    def says(number: int, asked: dict[str, Any]) -> str:
        return "wrong" if number == 2 else "right"

    programs.model.says = says
    session = programs.record()
    check = "grep -q right"
    found = programs.json("blame", session, "--check", check, "--tries", 2)
    assert found["passed"] is False
    assert [(each["step"], each["changed"], each["tries"]) for each in found["steps"]] == [(3, 2, 2), (1, 2, 2)]
    assert (found["runs"], found["stopped"]) == (4, None)
    assert found["cost_microusd"] == 2 * 350 + 2 * 700
    out, err = programs("blame", session, "--check", check, "--tries", 2)
    assert "0 live runs now" in out
    assert "look at step 3" in err
    found = programs.json("blame", session, "--check", check, "--tries", 3, "--budget", 1, code=3)
    assert (found["runs"], found["stopped"]) == (1, "budget")
    found = programs.json("blame", session, "--check", check, "--tries", 9, "--max-cost", "0.0001", code=3)
    assert (found["runs"], found["stopped"]) == (1, "max_cost")


def test_steps_can_be_named_and_the_check_knows_the_exit_code(programs: Programs) -> None:
    session = programs.record()
    check = 'test "$GREENROOM_EXIT_CODE" = 0 && test -n "$GREENROOM_SESSION"'
    found = programs.json("blame", session, "--check", check, "--tries", 1, "--steps", "2-3")
    assert found["passed"] is True
    assert [(each["step"], each["changed"]) for each in found["steps"]] == [(3, 0), (2, 0)]
