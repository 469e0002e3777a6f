"""Skips the tests of JavaScript where the extra `[js]` is not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime

MISSING = [name for name in ("quickjs_rs", "wasmtime") if importlib.util.find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MISSING:
        reason = f"JavaScript needs {' and '.join(MISSING)}: pip install 'greenroom[js]'"
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def js(shared_runtime: Runtime) -> Any:
    """Runs JavaScript and returns its value."""

    def run(source: str, **options: Any) -> Any:
        return shared_runtime.run_script(source, language="js", **{"timeout": 60} | options).value

    return run
