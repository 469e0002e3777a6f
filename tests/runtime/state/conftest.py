from __future__ import annotations

import pytest

from greenroom.runtime import Runtime, Session


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()
