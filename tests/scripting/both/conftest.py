from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenroom.runtime import Runtime


@pytest.fixture(params=["lua", "javascript"])
def both(request: pytest.FixtureRequest, runtime: Runtime) -> Callable[..., Any]:
    """Runs a script of one language and returns its value: the test is for both."""

    def run(lua: str, javascript: str, **options: Any) -> Any:
        source = lua if request.param == "lua" else javascript
        return runtime.run_script(source, language=request.param, **options).value

    return run
