"""Run programs that are recorded and replayed, as real processes."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.runtime.recording.programs.launch import read_report, run
from greenroom.runtime.recording.tape.model import Tape
from greenroom.runtime.recording.tape.report import ReplayReport
from greenroom.runtime.recording.tape.spool import read_spools, write_tape

PREAMBLE = "from greenroom.runtime.recording.boundaries.tools import tool\n"


@dataclass
class Ran:
    code: int
    output: str
    tape: Tape
    report: ReplayReport


class Programs:
    """Runs programs in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = 0

    def write(self, text: str, name: str = "agent.py") -> None:
        (self.folder / name).write_text(PREAMBLE + textwrap.dedent(text))

    def run(
        self,
        mode: Any,
        tape: Tape | None = None,
        command: list[str] | None = None,
        encoding: str = "utf-8",
        **options: Any,
    ) -> Ran:
        self.runs += 1
        spools = self.folder / f"spools{self.runs}"
        spools.mkdir()
        tape_file = None
        if tape is not None:
            tape_file = self.folder / f"tape{self.runs}"
            write_tape(tape_file, tape)
        with open(self.folder / f"output{self.runs}", "w+", encoding=encoding) as output:
            code = run(
                command or [sys.executable, "agent.py"],
                mode,
                spools,
                tape_file=tape_file,
                cwd=self.folder,
                stdout=output,
                **options,
            )
            output.seek(0)
            return Ran(
                code, output.read(), read_spools(spools), read_report(spools) if mode == "replay" else ReplayReport()
            )
