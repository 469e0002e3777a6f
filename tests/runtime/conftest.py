from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crashes", type=int, default=50, help="how often the crash test kills its writer")
    parser.addoption("--sessions", type=int, default=100_000, help="how many sessions the scale test makes")
