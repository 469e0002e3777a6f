"""What a script asks the host for is counted against its memory before it is built: the host never holds many times
what the script may have. Each case in a process of its own, whose peak is measured."""

from __future__ import annotations

import pytest

from .children import run_child

LIMIT_MIB = 16
MOST_MIB = 160
"""Without the count the answers here take 200 MiB and more."""

PROGRAM = """
import re
from greenroom.runtime import GreenroomError, Runtime, ScriptMemoryExceeded

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10

def forget_peak():
    open("/proc/self/clear_refs", "w").write("5")

TEXT = "x" * 1_000_000
NUMBERS = [n + 1000 for n in range(60_000)]
LISTS = [[] for _ in range(400_000)]
NOTES = {{"k%d" % n: "m" * 1000 for n in range(60)}}

with Runtime.open(config={{"script_memory_bytes": {limit} << 20, "script_timeout": 60.0}}) as runtime:
    session = runtime.create_session(name="victim")
    scope = runtime.state_scope("global")
    {setup}
    for script in {scripts!r}:
        forget_peak()
        before = peak()
        try:
            outcome = runtime.run_script(script, args=[session.id]).value
        except ScriptMemoryExceeded as error:
            outcome = error.code
        print(outcome, peak() - before, script)
"""

CASES = {
    "texts": (
        "for n in range(120): session.set(f'k{n % 58}', TEXT)",
        [
            "return #Session.listVariables(...)",
            "return #State.list('session:' .. ...)",
            "return #Event.query { session_id = ... }",
            "return #Session.timeline(...)",
        ],
    ),
    "lists": (
        "for n in range(12): session.set(f'k{n}', LISTS)",
        ["return #Session.listVariables(...)", "return #Event.query { session_id = ... }"],
    ),
    "records": (
        "for n in range(40): session.records.put(f'k{n}', TEXT), session.records.put(f'n{n}', NUMBERS)",
        ["return #Session.scanRecords(...)", "return #Session.scanRecords(..., { prefix = 'n' })"],
    ),
    "scope": (
        "for n in range(40): scope.set(f'k{n}', TEXT)\n    for n in range(60): scope.set(f'n{n}', NUMBERS)",
        ["return #State.list('global')", "return #State.list('global', 'n')"],
    ),
    "messages": (
        "for n in range(12): session.add_message('user', TEXT * 14)",
        ["return #Session.messages(...)"],
    ),
    "messages-of-parts": (
        "for n in range(60): session.add_message('user', NUMBERS)",
        ["return #Session.messages(...)"],
    ),
    "sessions": (
        "for n in range(1500): runtime.create_session(parent=session, metadata=NOTES, created_by='me')",
        [
            "return #Session.list { sort_by = 'name', limit = 100000 }",
            "return #Session.list { created_by = 'me', sort_by = 'artifact_count', limit = 100000 }",
            "return #Session.children(...)",
            "return #Session.list { sort_by = 'updated_at', limit = 1400 }",
        ],
    ),
    "artifacts": (
        "for n in range(1500): session.store_artifact('t', 'a', str(n), metadata=NOTES)",
        [
            "return #Artifact.list(...)",
            "return #Artifact.query(..., { artifact_type = 't', limit = 1400 })",
            "Session.setCurrent(nil) return #Artifact.query { name_pattern = 'a', order_by = 'name', limit = 100000 }",
            "Session.setCurrent(nil) return #Artifact.query { artifact_type = 't', limit = 1400 }",
            "return #Artifact.versions(..., 'a')",
        ],
    ),
    "content": (
        "session.store_artifact('t', 'a', b'0123456789' * 9_000_000)",
        ["return #Artifact.getContent(..., 'a')", "return #Artifact.get(..., 'a').content"],
    ),
}


def outcomes(setup: str, scripts: list[str]) -> list[list[str]]:
    out = run_child(PROGRAM.format(limit=LIMIT_MIB, setup=setup, scripts=scripts))
    return [line.split(None, 2) for line in out.splitlines()]


@pytest.mark.parametrize("case", CASES)
def test_an_answer_that_cannot_fit_is_not_built(case: str) -> None:
    setup, scripts = CASES[case]
    found = outcomes(setup, scripts)
    assert len(found) == len(scripts)
    assert [each for each in found if each[0] != "ScriptMemoryExceeded" or int(each[1]) >= MOST_MIB] == []


def test_clearing_reads_no_values() -> None:
    setup = "for n in range(40): session.set(f'k{n}', TEXT), scope.set(f'k{n}', TEXT)"
    scripts = [f"return State.clear({name}) + 100 * #State.list({name})" for name in ("'session:' .. ...", "'global'")]
    assert [each[0] for each in outcomes(setup, scripts)] == ["40", "40"]


def test_who_keeps_an_error_does_not_keep_its_script() -> None:
    out = run_child(
        """
        import gc, re
        from greenroom.runtime import GreenroomError, Runtime

        def resident():
            return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10

        gc.disable()  # nothing waits for a collection either
        keep = "local a, b = ('x'):rep(20000000), ('y'):rep(20000000) "
        ends = [
            "error('x')", "local s = 1 + nil", "while true do end", "while true do a = a .. a end",
            "Session.get('gone')", "print('x')",
            "Hook.register('BeforeStateWrite', function() error('x') end) State.set('k', 1) error('y')",
        ]
        def echo(line):
            raise OSError("the host's own")
        errors = []
        with Runtime.open() as runtime:
            before = resident()
            for number in range(28):
                end = ends[number % len(ends)]
                try:
                    runtime.run_script(keep + end, timeout=0.1, echo=echo)
                except (GreenroomError, OSError) as error:
                    errors.append(error)
            print(len(errors), resident() - before)
        """
    ).split()
    assert int(out[0]) == 28
    assert int(out[1]) < 250, out
