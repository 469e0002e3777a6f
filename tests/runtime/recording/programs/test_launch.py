"""What a replay leaves is read as it is, also where the disk was full."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.runtime.recording.programs.launch import read_report
from greenroom.runtime.recording.tape.report import ReportFile, Tally


@pytest.mark.parametrize("cut", ["0.report", "unused.report"])
def test_a_report_that_could_not_be_written_whole_proves_nothing(tmp_path: Path, cut: str) -> None:
    ReportFile(str(tmp_path / "0.report")).write(Tally(), is_last=True)
    assert read_report(tmp_path).refused is None
    (tmp_path / cut).write_text("")
    assert "is the disk of TMPDIR full?" in str(read_report(tmp_path).refused)
