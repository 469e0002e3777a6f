from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenroom.runtime import Runtime, Session


@pytest.fixture(scope="module")
def shared() -> Iterator[Runtime]:
    """One runtime for the examples of a module."""
    with Runtime.open() as runtime:
        yield runtime


@pytest.fixture
def rt(shared: Runtime) -> Iterator[Runtime]:
    """The module's runtime, without any hook."""
    yield shared
    for info in shared.hooks.list():
        shared.hooks.unregister(info.id)


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session(name="subject")
