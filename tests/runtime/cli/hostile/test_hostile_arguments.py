"""What a command makes of hostile arguments, whichever command it is: an error in greenroom's words, and an end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from greenroom.runtime import Runtime
from greenroom.runtime.cli.app import app
from greenroom.runtime.ingest import sources


def every_command(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The commands of the parser: one that is added later is tried without being listed."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = {path: command for path, command in every_command(get_command(app)) if path != ("demo",)}
WORDS = [
    "", " ", "-", "--", "-1", "0", "1e999", "inf", "nan", "9" * 40, "a\nb", "\x1b[2J", "\udcff\udcfe", "é" * 300,
    "x" * 70_000, "../../etc", "*", "[", "{", "null", "0001-01-01T00:00:00+14:00", "9999-12-31", "2026-01-31T12:00:00",
    "1e300w", "%s{}", "abcdef", "./directory", "./missing/file", "./fifo", "./socket", "./loop", "./binary", "./text",
    "/dev/null", "/dev/full", "/dev/zero", "./text/below",
]  # fmt: skip
PER_PARAMETER = 2
TOO_LONG = 20  # seconds; nothing here takes a tenth of it


class Hangs(BaseException):
    """Raised into a command that does not end."""


def values() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each parameter of each command that takes a value."""
    for path, command in COMMANDS.items():
        for parameter in command.params:
            if not getattr(parameter, "is_flag", False):
                yield path, parameter


@contextmanager
def an_end() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(TOO_LONG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def given(command: Any, session: str, hostile: Any, word: str) -> list[str]:
    """Return arguments for a command in which one parameter is the hostile word and what else it needs is sound."""
    options: list[str] = []
    arguments: list[str] = []
    for parameter in command.params:
        value = word if parameter is hostile else session if "SESSION" in str(parameter.metavar) else "a.txt"
        if parameter is not hostile and not parameter.required:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(value)
        else:
            options.append(f"{parameter.opts[0]}={value}")
    return [*options, "--", *arguments]


def check(words: list[str]) -> None:
    """Run a command under --json and look at how it ends."""
    with an_end():
        ended = CliRunner().invoke(app, words, input="")
    told = f"{[word[:60] for word in words]}: {ended.exit_code}, {ended.output[:300]!r}"
    assert ended.exception is None or isinstance(ended.exception, SystemExit), (told, ended.exception)
    assert ended.exit_code in (0, 1, 2, 3), told
    assert "Traceback" not in ended.output, told
    assert "a bug in greenroom" not in ended.output, told
    if ended.exit_code in (1, 2) and ended.stderr:
        error = json.loads(ended.stderr.splitlines()[-1], parse_constant=pytest.fail)["error"]
        assert error["message"].strip(), told
        assert "[Errno" not in error["message"], told


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIPE_TIMEOUT", 0.01)


@pytest.fixture
def session(greenroom: Any, tmp_path: Path) -> str:
    (tmp_path / "directory").mkdir()
    (tmp_path / "text").write_text("text")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        made = runtime.create_session(name="one")
        made.store_artifact("t", "a.txt", "text")
        made.set("odd", [b"\xff\x00", 2**62, "\x1b[2J"])
        return made.id


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_value_of_any_parameter_breaks_a_command(path: tuple[str, ...], session: str, tmp_path: Path) -> None:
    """Each parameter gets some of the words, another lot each, so that together they get all."""
    for place, (command, parameter) in enumerate(values()):
        if command == path:
            start = place * 7 % len(WORDS)
            for word in islice(WORDS[start:] + WORDS, PER_PARAMETER):
                check(["--json", *path, *given(COMMANDS[path], session, parameter, word)])
    assert sorted(tmp_path.glob("greenroom-data*")) == [tmp_path / "greenroom-data"]


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("days", ["1e300", "9" * 40])
def test_any_finite_number_of_days_is_an_age(greenroom: Any, days: str) -> None:
    for option in ("--max-age-days", "--ended-days", "--keep-journal-days"):
        assert greenroom.json("retention", option, days)["removed"] == []


def test_a_pipe_without_a_writer_is_waited_for_no_longer_than_said(greenroom: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "nothing has come through this pipe" in greenroom("ingest", "fifo", code=1).stderr


def test_a_pipe_whose_writer_comes_later_is_read_to_its_end(
    greenroom: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PIPE_TIMEOUT", 60.0)
    os.mkfifo(tmp_path / "fifo")
    line = '{"messages": [{"role": "user", "content": "hello"}]}'
    with subprocess.Popen(["/bin/sh", "-c", f"exec >fifo; echo '{line}'"], cwd=tmp_path):
        assert greenroom.json("ingest", "fifo")["sessions"] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("sessions", "import", "missing"),
        ("sessions", "import", "text"),
        ("sessions", "import", "/dev/null"),
        ("run", "--session", "abcdef", "-"),
        ("run", "missing"),
        ("ingest", "missing"),
        ("restore", "missing"),
        ("templates", "save", "t", "--nothing"),
    ],
    ids=" ".join,
)
def test_a_command_that_fails_leaves_no_empty_store(greenroom: Any, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "text").write_text("no bundle")
    code = 2 if words[:2] in {("run", "missing"), ("templates", "save")} else 1
    greenroom(*words, code=code, stdin="return 1")
    assert not (tmp_path / "greenroom-data").exists()


SETTINGS = [b"\xff\xfe", b"[[[", b"data = 3", b"nope = 1", b"workers = nan", b"workers = 'x'", b"a.b.c = {}", b"\x00"]


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("content", SETTINGS)
def test_no_settings_break_a_command(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "greenroom.toml").write_bytes(content)
    for path in (("config", "show"), ("sessions", "list"), ("stats",)):
        check(["--json", *path])


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("kind", ["directory", "fifo", "loop", "socket", "binary"])
def test_settings_that_are_no_file_break_no_command(tmp_path: Path, kind: str) -> None:
    (tmp_path / kind).rename(tmp_path / "greenroom.toml")
    check(["--json", "config", "show"])
    check(["--json", "sessions", "list"])
