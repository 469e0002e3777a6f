from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ....warm import WarmPopen
from .models import AGENT, Model

CALLS = [sys.executable, "agent.py"]


def until(done: Callable[[], bool]) -> None:
    """Wait for something that another process is about to do."""
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.stop()


class Programs:
    """The command line in a directory with an agent, in processes of its own."""

    def __init__(self, directory: Path, environment: dict[str, str], model: Model) -> None:
        self.directory = directory
        self.model = model
        self.environment = environment | {"MODEL_URL": model.url}
        (directory / "agent.py").write_text(AGENT)

    def start(self, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        """Start a command."""
        return WarmPopen(
            [sys.executable, "-m", "greenroom.runtime.cli", *map(str, arguments)],
            cwd=self.directory,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: object, code: int = 0, **variables: str) -> tuple[str, str]:
        """Run a command, check its exit code, and return what it printed: stdout and stderr."""
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, err or out
        return out, err

    def json(self, *arguments: object, code: int = 0) -> Any:
        name, *rest = arguments
        return json.loads(self(name, "--json", *rest, code=code)[0])

    def record(self, *command: str, code: int = 0) -> str:
        """Record the agent, or another command; return the id of the session."""
        _, err = self("record", "--", *(command or CALLS), code=code)
        return self.recorded(err)

    @staticmethod
    def recorded(err: str) -> str:
        """Return the session that a command says to have recorded."""
        found = re.search(r"^recorded  (\S+)", err, re.MULTILINE)
        assert found is not None, err
        return found[1]

    def tool_calls(self) -> int:
        path = self.directory / "tool-calls"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def programs(tmp_path: Path, environment: dict[str, str], model: Model) -> Programs:
    return Programs(tmp_path, environment, model)
