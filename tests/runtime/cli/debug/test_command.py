"""``greenroom debug`` as a command: in a terminal, and where it cannot be."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Debugger, Runtime
from greenroom.runtime.cli.debug import command


@pytest.fixture
def session(tmp_path: Path) -> str:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        session = rt.create_session(name="Trip")
        session.add_message("user", "hello")
        return session.id


def test_without_a_terminal_it_names_what_prints_the_same(greenroom: Any, session: str) -> None:
    said = greenroom.process("debug", session, code=1)
    assert "needs a terminal" in said.stderr
    assert "greenroom timeline" in said.stderr
    assert greenroom("debug", session, "--json", code=1).stdout == ""
    greenroom("debug", code=2)
    greenroom("debug", session, "--at", "0", code=2)


def test_without_textual_it_says_how_to_install_it(
    greenroom: Any, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "textual" else find_spec(name))
    assert "pip install 'greenroom[debug]'" in greenroom("debug", session, code=1).stderr


def test_in_a_terminal_it_draws_and_leaves(session: str, tmp_path: Path, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "greenroom.runtime.cli", "debug", session[:8]]
    size = {"COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
    started = subprocess.Popen(words, cwd=tmp_path, env=environment | size, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    drawn = b""
    asked = False
    try:
        while select.select([ours], [], [], 60)[0]:
            try:
                some = os.read(ours, 65536)
            except OSError:  # the other side has gone
                break
            drawn += some
            if b"Keys" in drawn and b"hello" in drawn and not asked:
                asked = True
                os.write(ours, b"q")
        assert started.wait(60) == 0, drawn.decode()
    finally:
        started.kill()
        started.wait()
        os.close(ours)
    assert asked
    assert b"Traceback" not in drawn


def test_a_file_is_written_and_opened_without_the_store(greenroom: Any, session: str, tmp_path: Path) -> None:
    said = greenroom("debug", session, "--export", "trip.json")
    assert "written to trip.json; look at it: greenroom debug trip.json" in said.stdout
    assert greenroom.json("debug", session, "--export", "again.json")["path"] == "again.json"
    assert "hello" in (tmp_path / "trip.json").read_text()
    greenroom("debug", session, "--export", "first.json", "--at", "1")
    assert Debugger.load(tmp_path / "first.json").position == 1
    assert "99" in greenroom("debug", session, "--export", "none.json", "--at", "99", code=1).stderr
    shutil.rmtree(tmp_path / "greenroom-data")
    assert "needs a terminal" in greenroom("debug", "trip.json", code=1).stderr
    greenroom("debug", "trip.json", "--export", "other.json", code=2)
    assert "end with .json" in greenroom("debug", session, "--export", "trip", code=2).stderr


def test_files_that_are_no_exports_are_told_in_words(
    greenroom: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_require_screen", lambda: None)
    (tmp_path / "broken.json").write_text("{oops")
    assert "broken.json" in greenroom("debug", "broken.json", code=1).stderr
    assert "none.json" in greenroom("debug", "none.json", code=1).stderr


def test_the_command_line_starts_without_what_only_the_screen_needs() -> None:
    program = (
        "import sys, greenroom.runtime.cli.app; print([name for name in ('textual', 'rich') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
