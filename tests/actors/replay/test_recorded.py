"""Stores of older versions, and recorded runs that were ingested, replay exactly."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from greenroom.runtime import Runtime

ROOT = Path(__file__).parents[3]
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.tar.xz"))
SAMPLES = sorted((ROOT / "runtime" / "ingest" / "samples").glob("*.jsonl"))


def replay_all(rt: Runtime) -> int:
    infos = rt.list_sessions(status="all", limit=None)
    for info in infos:
        for config in ({}, {"compare_results": False}, {"target_sequence": max(1, info.sequence // 2)}):
            first = rt.replay_metadata(info.id).first
            if config.get("target_sequence", first) < first:
                continue  # retention has truncated it
            result = rt.replay(info.id, config)
            assert result.identical, (result.divergence, result.errors)
            assert result.unproven == 0
    return len(infos)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_stores_of_every_format_replay_exactly(path: Path, tmp_path: Path) -> None:
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / "store", filter="data")
    with Runtime.open(tmp_path / "store") as rt:
        assert replay_all(rt)


def test_recorded_runs_replay_exactly(tmp_path: Path) -> None:
    assert len(SAMPLES) >= 3
    with Runtime.open(tmp_path / "store") as rt:
        rt.ingest(SAMPLES)
        assert replay_all(rt) >= 3
