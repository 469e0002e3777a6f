"""What mypy and pyright say of users' programs: of a right one nothing, and no Any; of a wrong one every mistake."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from greenroom.actors.messages.artifacts import StoreArtifact
from greenroom.actors.messages.core import How
from greenroom.runtime import PolicyConfig, RetentionPolicy, SessionConfig
from greenroom.runtime.config.policies import PolicyKeywords
from greenroom.runtime.config.retention import RetentionKeywords
from greenroom.runtime.handles.keywords import ArtifactOptions, ConfigKeywords
from greenroom.storage.events.query import EventKeywords, EventQuery

PROGRAMS = Path(__file__).parent / "programs"
_LINE = re.compile(r"(?:.*[/ ])?(?P<file>\w+)\.py:(?P<line>\d+)(?::\d+)?(?: -|:) error: (?P<text>.*)")
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}

Found = dict[str, dict[int, list[str]]]


def _mypy(folder: Path) -> list[str]:
    settings = folder / "mypy.ini"
    settings.write_text("[mypy]\nstrict = True\n[mypy-right]\ndisallow_any_expr = True\n")
    return ["mypy", "--config-file", str(settings), "--cache-dir", str(folder / "cache"), "right.py", "wrong.py"]


def _pyright(folder: Path) -> list[str]:
    settings = {"typeCheckingMode": "strict", "reportAny": True, "include": [str(PROGRAMS)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return ["basedpyright", "--project", str(folder), "--pythonpath", sys.executable]


@pytest.fixture(scope="module", params=[_mypy, _pyright], ids=["mypy", "pyright"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The complaints of a type checker in strict mode by program and line."""
    done = subprocess.run(
        [sys.executable, "-m", *request.param(tmp_path_factory.mktemp("checker"))],
        cwd=PROGRAMS,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    by_file: Found = {"right": defaultdict(list), "wrong": defaultdict(list)}
    for line in done.stdout.splitlines():
        match = _LINE.match(line)
        if match is not None:
            by_file[match["file"]][int(match["line"])].append(match["text"])
    assert by_file["wrong"], done.stdout + done.stderr
    return by_file


def test_a_right_program_is_right_and_sees_no_any(found: Found) -> None:
    assert found["right"] == {}


def test_every_mistake_is_found(found: Found) -> None:
    lines = (PROGRAMS / "wrong.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}
    missed = [lines[number - 1].strip() for number in sorted(wrong - found["wrong"].keys())]
    assert not missed
    assert found["wrong"].keys() <= wrong


def test_typed_keywords_are_those_that_there_are() -> None:
    assert ConfigKeywords.__annotations__.keys() == SessionConfig.model_fields.keys() | How.__annotations__.keys()
    assert RetentionKeywords.__annotations__.keys() == RetentionPolicy.model_fields.keys()
    assert PolicyKeywords.__annotations__.keys() == PolicyConfig.model_fields.keys()
    assert EventKeywords.__annotations__.keys() == EventQuery.model_fields.keys()
    stored = set(StoreArtifact.__init__.__annotations__) - {"type", "name", "content", "version_of", "how", "return"}
    assert stored <= ArtifactOptions.__annotations__.keys()
