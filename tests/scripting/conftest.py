from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import Runtime


@pytest.fixture(scope="module")
def shared_runtime() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


@pytest.fixture
def lua(runtime: Runtime) -> Any:
    """Runs Lua source and returns its value."""

    def run(source: str, **options: Any) -> Any:
        return runtime.run_script(source, **options).value

    return run
