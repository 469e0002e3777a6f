from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenroom.runtime import Runtime


@pytest.fixture(scope="module")
def shared_runtime() -> Iterator[Runtime]:
    """A runtime for tests that look only at sessions of their own."""
    with Runtime.open() as runtime:
        yield runtime
