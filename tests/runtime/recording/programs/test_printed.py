"""What a program prints is kept with its recording, and a replay says whether it prints the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..tape.programs import Programs


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def test_a_program_that_prints_something_else_after_its_last_answer_is_no_exact_replay(programs: Programs) -> None:
    programs.write("""
        import sys
        @tool
        def number():
            return 7
        print("got", number())
        print("read", open("notes.txt").read())
        print("log", file=sys.stderr)
    """)
    (programs.folder / "notes.txt").write_text("one")
    recorded = programs.run("record")
    again = programs.run("replay", recorded.tape)
    assert again.output == recorded.output == "got 7\nread one\n"
    assert again.report.is_exact
    assert again.report.streams == {"stdout": "same", "stderr": "same"}
    (programs.folder / "notes.txt").write_text("two")
    other = programs.run("replay", recorded.tape)
    assert (other.report.exact, other.report.is_exact) == (1, False)
    (drift,) = other.report.drifts
    assert (drift.what, drift.name, drift.difference) == ("output", "stdout", "line 2: 'read one' → 'read two'")
    assert other.report.streams == {"stdout": "differs", "stderr": "same"}


def test_only_stdout_counts_because_logs_have_times_of_their_own(programs: Programs) -> None:
    programs.write("import os, sys\nprint(os.getpid(), file=sys.stderr)\nprint('done')\n")
    report = programs.run("replay", programs.run("record").tape).report
    assert report.is_exact
    assert report.streams == {"stdout": "same", "stderr": "differs"}


@pytest.mark.parametrize(
    "end", ["", "import os; os._exit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"]
)
@pytest.mark.parametrize("options", [[], ["-u"]])
def test_the_output_of_a_program_is_its_own_however_it_ends(
    programs: Programs, end: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    programs.write(f"""
        import sys
        assert sys.stdout.fileno() == 1 and sys.stdout.name == "<stdout>" and sys.stdout.mode == "w"
        assert sys.stdout is sys.__stdout__ and not sys.stdout.isatty()
        print("é", flush=True)
        sys.stdout.buffer.write(b"\\xff")
        {end}
    """)
    command = [sys.executable, *options, "agent.py"]
    recorded = programs.run("record", command=command, encoding="latin-1")
    unbuffered = "ÿ" if options or not end else ""  # a process that dies at once leaves its buffer
    assert recorded.output == "Ã©\n" + unbuffered
    again = programs.run("replay", recorded.tape, command=command, encoding="latin-1")
    assert again.output == recorded.output
    assert again.report.streams["stdout"] == "same"


def test_of_much_output_a_beginning_is_kept_and_all_is_compared(programs: Programs) -> None:
    program = "for number in range(100_000):\n    print('line', number)\nprint('{}')\n"
    programs.write(program.format("end"))
    recorded = programs.run("record")
    assert len(str(recorded.tape.about["output"])) < 100_000
    assert programs.run("replay", recorded.tape).report.is_exact
    programs.write(program.format("another end"))
    (drift,) = programs.run("replay", recorded.tape).report.drifts
    assert drift.difference.startswith("behind its first 65,536 bytes")


def test_secrets_in_the_output_are_not_kept_and_others_match(programs: Programs) -> None:
    programs.write("print('name', open('name').read())\n")
    (programs.folder / "name").write_text("anna@example.org")
    recorded = programs.run("record", redact=[r"\w+@example\.org"])
    assert "anna" not in str(recorded.tape.about)
    (programs.folder / "name").write_text("bert@example.org")
    report = programs.run("replay", recorded.tape).report
    assert report.is_exact
    assert report.streams["stdout"] == "redacted"
    programs.write("print('nom', open('name').read())\n")
    assert programs.run("replay", recorded.tape).report.output == 1


def test_of_a_killed_program_no_output_is_known_and_none_is_compared(programs: Programs) -> None:
    programs.write("import os, signal\nprint('here', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    report = programs.run("replay", programs.run("record").tape).report
    assert report.streams == {}
    assert report.is_exact
