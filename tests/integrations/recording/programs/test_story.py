"""The tutorial "Your agent failed at step 14" is true: its commands run, in its order, and print what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest.importorskip("openai")
pytest.importorskip("anthropic")

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "tutorials" / "failed-at-step-14.md"
EXAMPLE = ROOT / "examples" / "step_14"
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
OLD = """SYSTEM = "You refund orders. Call refund with the number of the order and the amount in cents."
"""
NEW = re.compile(r"^```python\n(SYSTEM = \(\n.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = {
    "greenroom": [sys.executable, "-m", "greenroom.runtime.cli"],
    "python": [sys.executable],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
}
if not any(each.name == "greenroom" for each in entry_points(group="pytest11")):
    PROGRAMS["pytest"] += ["-p", "greenroom.runtime.cassettes.plugin"]


class Models:
    """The server of the example."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.process = subprocess.Popen([sys.executable, "models.py", str(self.port)], cwd=folder)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert self.process.poll() is None, "the server has ended"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "step_14", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def models(folder: Path) -> Iterator[Models]:
    server = Models(folder)
    try:
        yield server
    finally:
        server.stop()


class Shell:
    """Runs the commands of the page, in the environment that it sets."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        base = f"http://127.0.0.1:{port}"
        self.keys = {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none"}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")},
            "OPENAI_BASE_URL": f"{base}/v1",
            "ANTHROPIC_BASE_URL": base,
            "COLUMNS": "300",
        }
        self.mended = ""

    def run(self, line: str, *, keys: bool = True) -> str:
        """Run one command, and return all that it prints."""
        words = shlex.split(line.replace("MENDED", self.mended))
        command = [part for word in words for part in PROGRAMS.get(word, [word])]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **(self.keys if keys else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout

    def newest(self) -> str:
        """Return the id of the newest recording."""
        found = json.loads(self.run("greenroom --json recordings"))
        rows = found if isinstance(found, list) else found["items"]
        return str(next(each["id"] for each in rows if each["name"] == "mended"))


@pytest.mark.timeout(300)  # it starts dozens of processes
def test_the_story_is_true(folder: Path, models: Models) -> None:
    text = PAGE.read_text("utf-8").replace("8099", str(models.port))
    new = NEW.search(text)
    assert new is not None
    agent = folder / "agent.py"
    assert OLD in agent.read_text("utf-8")
    shell = Shell(folder, models.port)
    tests = 0
    for block in CONSOLE.findall(text)[1:]:  # the first begins the server
        lines = block.splitlines()
        command = lines[0].removeprefix("$ ")
        if command.startswith("pytest"):
            tests += 1
            if tests == 1:
                agent.write_text(agent.read_text("utf-8").replace(OLD, new[1]), "utf-8")
            elif tests == 2:
                models.stop()
                paid = (folder / "bank.txt").read_bytes()
            else:
                agent.write_text(agent.read_text("utf-8").replace(new[1], OLD), "utf-8")
            printed = shell.run(command, keys=tests == 1)
        else:
            printed = shell.run(command)
            if " fork " in command:
                shell.mended = shell.newest()
        for line in lines[1:]:
            if line.startswith("$ "):
                printed = shell.run(line.removeprefix("$ "))
            else:
                for part in re.split(r" {2,}|(?<=messages)$", line.strip()):
                    assert part.strip() in printed, f"{command}: {line}\n\n{printed}"
    assert tests == 3
    assert (folder / "bank.txt").read_bytes() == paid, "a replayed tool has paid"
    assert (folder / "cassettes" / "test_agent" / "test_everybody_is_paid.bundle").is_file()


def test_six_refunds_are_paid_once(folder: Path, models: Models) -> None:
    shell = Shell(folder, models.port)
    shell.run("greenroom record --key refunds -- python agent.py")
    before = (folder / "bank.txt").read_text().splitlines()
    assert [line.split()[0] for line in before] == ["1", "2", "3", "4", "5", "6"]
    shell.run("greenroom replay key:refunds")
    assert (folder / "bank.txt").read_text().splitlines() == before
    shell.run("greenroom fork key:refunds --at 13 --patch 'llm.system+=\" A dot stands between thousands.\"'")
    assert (folder / "bank.txt").read_text().splitlines() == [*before, "7 125000", "8 1500"]


def test_pytest_finds_the_example_where_it_stands() -> None:
    command = [*PROGRAMS["pytest"], "--collect-only", "-q"]
    unwritten = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=EXAMPLE, env=unwritten, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_agent.py::test_everybody_is_paid" in done.stdout


def test_the_page_shows_the_example() -> None:
    source = (EXAMPLE / "agent.py").read_text("utf-8")
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[0]
    for piece in re.split(r"^ *\.\.\.\n|\n\n", code, flags=re.MULTILINE):
        assert piece.strip() in source
    test = re.findall(r"^```python\n(import agent\n.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[0]
    assert test in (EXAMPLE / "test_agent.py").read_text("utf-8")
