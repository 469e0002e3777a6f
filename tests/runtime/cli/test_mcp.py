"""``greenroom mcp`` where it cannot serve. tests/integrations/mcp tests what it serves, where the SDK is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import pytest

from greenroom.runtime.cli import mcp


def test_without_the_sdk_it_says_how_to_install_it(greenroom: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp, "find_spec", lambda name: None if name == "mcp" else find_spec(name))
    assert "pip install 'greenroom[mcp]'" in greenroom("mcp", code=1).stderr
    said = greenroom("mcp", "--json", code=1)
    assert said.stdout == ""
    assert json.loads(said.stderr)["error"]["code"] == "InvalidOperation"


@pytest.mark.parametrize(
    "address", ["", ":", "8000", "host:", ":80", "host:port", "host:65536", "h:1²", "h:" + "9" * 99]
)
def test_an_address_that_is_none_is_a_wrong_usage(greenroom: Any, address: str) -> None:
    assert "HOST:PORT" in greenroom("mcp", "--http", address, code=2).stderr
