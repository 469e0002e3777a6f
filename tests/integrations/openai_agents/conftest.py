"""The sessions that the contract is tested on: the SDK's own, and greenroom's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import SQLiteSession, set_tracing_disabled

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.openai_agents import GreenroomSession

set_tracing_disabled(True)  # it would be sent over the network

Make = Callable[..., Any]
"""Makes a session of an id, with options, on the store of the test."""


@pytest.fixture(params=["SQLite", "greenroom"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    if request.param == "SQLite":
        made: list[SQLiteSession] = []

        def sqlite(session_id: str, **options: Any) -> SQLiteSession:
            made.append(SQLiteSession(session_id, tmp_path / "sessions.db", **options))
            return made[-1]

        yield sqlite
        for each in made:
            each.close()
    else:
        with Runtime.open(tmp_path / "store") as rt:
            yield lambda session_id, **options: GreenroomSession(session_id, rt, **options)


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as runtime:
        yield runtime
