"""Both implementations of the contract, and flows that leave no trace outside the test's own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false")
os.environ.update(CREWAI_TESTING="true", CREWAI_DISABLE_VERSION_CHECK="true")

from crewai.flow.persistence import FlowPersistence, SQLiteFlowPersistence

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.crewai import GreenroomFlowPersistence


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path / "crewai"))


@pytest.fixture(params=["SQLite", "greenroom"])
def persistence(request: pytest.FixtureRequest, rt: Runtime, tmp_path: Path) -> FlowPersistence:
    return SQLiteFlowPersistence(str(tmp_path / "db")) if request.param == "SQLite" else GreenroomFlowPersistence(rt)
