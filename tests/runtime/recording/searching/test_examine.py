"""Small programs, each with a source of nondeterminism, alone and together: the doctor names the line of each."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.runtime.recording.searching.doctor import Finding
from greenroom.runtime.recording.searching.examine import examine

Examine = Callable[[str], list[Finding]]

CLOCK = "import time\nprint(time.time())  # clock\n"
RANDOM = "import random\nprint(random.random())  # randomness\n"
FILE = """\
import os
def count():
    if os.path.exists("count.txt"):
        return open("count.txt").read()  # file
    return ""
print("count", count())  # unknown
with open("count.txt", "a") as file:
    file.write("1")
"""
SAME_FILE = "print(open('fixed.txt').read())  # file\n"
LISTING = "import os, tempfile\ntempfile.mkstemp(dir='.')\nprint(sorted(os.listdir('.')))  # listing unknown\n"
HASH = """\
for word in {'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'}:
    print(word)  # hash seed
"""
HASH_IN_CALL = """\
from greenroom.runtime import tool
@tool
def call(argument):
    return len(argument)
for word in {'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'}:
    call(word)  # hash seed
"""
THREADS = """\
import threading
def work(number):
    print("work", number)  # threads
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
ENVIRONMENT = """\
import os
print(len(os.environ["PATH"]) > 0)  # environment
print(len(dict(os.environ)) > 0)  # environment
"""
ADDRESS = "class Thing: pass\nprint(Thing())  # address\n"
PROGRAMS = {
    "clock": CLOCK,
    "random": RANDOM,
    "file": FILE,
    "same-file": SAME_FILE,
    "listing": LISTING,
    "hash": HASH,
    "hash-in-call": HASH_IN_CALL,
    "threads": THREADS,
    "environment": ENVIRONMENT,
    "address": ADDRESS,
}


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fixed.txt").write_text("fixed")

    def run(program: str) -> list[Finding]:
        (tmp_path / "agent.py").write_text(program)
        return examine([sys.executable, "agent.py"])

    return run


def _marked(program: str) -> set[tuple[str, int]]:
    """Return the kinds that the lines of a program are marked with."""
    kinds = ("clock", "randomness", "file", "unknown", "listing", "hash seed", "threads", "environment", "address")
    lines = enumerate(program.splitlines(), 1)
    return {(kind, at) for at, line in lines for kind in kinds if kind in line.partition("#")[2]}


def _found(found: list[Finding]) -> set[tuple[str, int]]:
    return {(each.kind, int(each.place.partition(":")[2].split()[0])) for each in found}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_each_source_is_named_by_its_line(examined: Examine, program: str) -> None:
    assert _found(examined(program)) == _marked(program)


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
def test_no_source_hides_another(examined: Examine, order: int) -> None:
    parts = [FILE, CLOCK, HASH, RANDOM, THREADS, ENVIRONMENT, ADDRESS, HASH_IN_CALL, SAME_FILE][::order]
    program = "".join(parts)
    assert _found(examined(program)) == _marked(program)


def test_what_was_the_same_in_all_runs_is_told_and_does_not_count(examined: Examine) -> None:
    found = examined(SAME_FILE + ENVIRONMENT)
    assert [(each.kind, each.covered, each.differed) for each in found] == [
        ("file", False, False),
        ("environment", False, False),
        ("environment", True, False),
    ]


def test_a_call_that_was_never_recorded_does_not_hide_what_lies_behind_it(examined: Examine) -> None:
    program = textwrap.dedent("""\
        import os
        from greenroom.runtime import tool
        @tool
        def call(argument):
            return 1
        for number in range(os.path.exists("second") + 2 * os.path.exists("third") + 1):
            call(number)  # unknown
        open("third" if os.path.exists("second") else "second", "w").close()
        for word in {"alpha", "beta", "gamma", "delta", "epsilon"}:
            print(word)  # hash seed
    """)
    found = _found(examined(program))
    assert ("hash seed", 10) in found
    assert ("unknown", 7) in found
