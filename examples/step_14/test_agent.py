"""The run of the agent, as a test: recorded once with `pytest --greenroom-record=missing`, offline from then on."""

from __future__ import annotations

import agent
import pytest


@pytest.mark.greenroom
def test_everybody_is_paid() -> None:
    assert agent.work() == "All customers have their money."
