"""One runtime on a temporary store for each test, and a session in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenroom.runtime import Runtime, Session


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime.open() as opened:
        yield opened


@pytest.fixture
def session(runtime: Runtime) -> Session:
    return runtime.create_session()
