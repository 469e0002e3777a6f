"""The repositories that the contract is tested on: Strands' own, and greenroom's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from strands.session.file_session_manager import FileSessionManager

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.strands import GreenroomSessionManager, GreenroomSessionRepository

Managed = Callable[[str], Any]
"""Makes a session manager for an id, on the store of the test."""


@pytest.fixture(params=["files", "greenroom"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as runtime:
        yield runtime


@pytest.fixture
def repository(kind: str, tmp_path: Path, rt: Runtime) -> Any:
    return (
        FileSessionManager("another", storage_dir=str(tmp_path / "files"))
        if kind == "files"
        else GreenroomSessionRepository(rt)
    )


@pytest.fixture
def managed(kind: str, tmp_path: Path, rt: Runtime) -> Managed:
    if kind == "files":
        return lambda session_id: FileSessionManager(session_id, storage_dir=str(tmp_path / "files"))
    return lambda session_id: GreenroomSessionManager(session_id, rt)
