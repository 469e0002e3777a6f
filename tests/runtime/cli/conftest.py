from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.testing
from typer.main import get_command
from typer.testing import CliRunner

from greenroom.runtime.cli.app import app

from ...warm import run_warm

# The parser of all commands is made once: for each call anew, it would take five times as long as the command.
typer.testing._get_command = functools.cache(get_command)  # type: ignore[attr-defined]

_OURS = ("GREENROOM_", "FORCE_COLOR", "PY_COLORS", "NO_COLOR", "GITHUB_ACTIONS", "COLUMNS", "TERMINAL_WIDTH")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing outside the test speaks to the command line."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    return clean | {"HOME": str(tmp_path), "PYTHONUTF8": "1"}


class Said(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


class CommandLine:
    """The command line in a directory of its own: in this process, or, where that matters, in one of its own."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        self._environment = environment

    def __call__(self, *arguments: object, code: int | None = 0, stdin: str = "", **variables: str) -> Said:
        """Run a command in this process and check the exit code; with None, any will do."""
        done = CliRunner().invoke(app, [str(each) for each in arguments], input=stdin, env=variables)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert code is None or done.exit_code == code, done.output
        return Said(done.stdout, done.stderr)

    def process(self, *arguments: object, code: int = 0, stdin: str = "", **variables: str) -> Said:
        """Run a command in a process of its own and check the exit code."""
        command = [sys.executable, "-m", "greenroom.runtime.cli", *map(str, arguments)]
        done = run_warm(command, cwd=self._directory, env=self._environment | variables, input=stdin)
        assert done.returncode == code, done.stderr or done.stdout
        assert "Traceback" not in done.stderr
        return Said(done.stdout, done.stderr)

    def json(self, *arguments: object, **options: Any) -> Any:
        """Run a command with --json; what it printed."""
        return json.loads(self(*arguments, "--json", **options).stdout)


@pytest.fixture
def greenroom(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    return CommandLine(tmp_path, environment)
