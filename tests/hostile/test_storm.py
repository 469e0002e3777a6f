"""Exceptions thrown in at random moments: nothing is locked for ever, lost or passed over by them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).parent / "storm.py"
LONG = float(os.environ.get("GREENROOM_STORM_SECONDS", "0"))
"""How long the storm lasts, such as 3600; 0: until there were some thousand interrupts."""


@pytest.mark.timeout(LONG + 300)
def test_a_storm_of_interrupts_leaves_nothing_behind(tmp_path: Path) -> None:
    interrupts, seconds = (10**9, LONG) if LONG else (3000, 10)
    command = [sys.executable, str(WORKER), str(tmp_path / "store"), "1", str(interrupts), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG + 280, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["faults"] == []
    # Each of them has done something, struck or not.
    assert all(report["counts"][who] for who in ("struck", "victim", "innocent", "interrupted")), report
