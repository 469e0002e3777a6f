"""A workflow that a crash interrupted is resumed from its journal, and nothing that had ended is done again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ...warm import run_warm

CRASHING = Path(__file__).with_name("crashing.py")

LEAVES = ("a", "b", "c", "x", "y", "z", "n", "first", "cell", "last", "large", "size", "own")
"""The steps that are no workflows."""
EXPECTED: dict[str, Any] = {
    "sequential": (["a", "b", "c"], "C"),
    "parallel": (["a", "b", "c"], {"a": "A", "b": "B", "c": "C"}),
    "loop": (
        ["x1", "y0 of X1", "x2", "y1 of X2", "x3", "y2 of X3"],
        ["Y0 OF X1", "Y1 OF X2", "Y2 OF X3"],
    ),
    "nested": (["first", "p 0", "p 1", "q 0", "q 1", "Q 1"], "Q 1"),
    "branches": (["y", "z"], "Z"),
    "functions": (["a", "large", "20000", "own"], None),
}


@pytest.mark.parametrize(
    ("kind", "step"),
    [("sequential", 1), ("parallel", 2), ("loop", 3), ("nested", 5), ("branches", 2), ("functions", 2)],
)
def test_a_killed_workflow_goes_on_where_it_was(tmp_path: Path, kind: str, step: int) -> None:
    command = [sys.executable, str(CRASHING), str(tmp_path), kind, str(step)]
    done = run_warm(command, timeout=100)
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout)
    effects, output = EXPECTED[kind]
    assert len(reports) > 3 * len(effects) // step
    begun = [report for report in reports if report]
    assert len(begun) >= len(reports) - 1
    for report in begun:
        assert report["success"], report["error"]
        assert report["problems"] == 0
        assert report["runs"] == [True, []]
        if output is not None:
            assert report["output"] == output
        assert sorted(report["after"]) == sorted(effects)
        # All that had ended is there once. What was under way may have had its effect before the process died.
        again = {what for what, count in report["after"].items() if count > 1}
        assert all(report["after"][what] == 2 and report["before"][what] == 1 for what in again)
        assert len(again) <= (3 if kind == "parallel" else 1)
        assert sum(report["before"].values()) - len(again) >= report["returned"]
        assert report["resumed"] >= sum(report["stages"].get(name, 0) for name in LEAVES)
    assert any(report["resumed"] for report in begun)
    # A call that had returned is not made again either, even if its stage was not journaled.
    between = [each for each in begun if each["returned"] > sum(each["stages"].values())]
    assert between or step > 1
