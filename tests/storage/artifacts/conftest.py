from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()


@pytest.fixture
def golden_1(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A store that greenroom wrote in format 1, and what must be found in it."""
    return golden(tmp_path, "format-1")


@pytest.fixture
def golden_2(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The same of format 2."""
    return golden(tmp_path, "format-2")


def golden(tmp_path: Path, name: str) -> tuple[Path, dict[str, Any]]:
    path = tmp_path / name
    path.mkdir()
    with tarfile.open(GOLDEN / f"{name}.tar.xz") as archive:
        archive.extractall(path, filter="data")
    return path, json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
