from __future__ import annotations

import pytest

from .tally import TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many attacks were tried and contained, and the longest overrun of a limit."""
    if TALLY.attempts:
        terminalreporter.section("attacks")
        for line in TALLY.lines():
            terminalreporter.write_line(line)
