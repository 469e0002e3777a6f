from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.storage.engine.engine import Durability, Engine, EngineOptions


@pytest.fixture
def engine(store_path: Path) -> Iterator[Engine]:
    opened = Engine(store_path, Durability.WAL, EngineOptions())
    yield opened
    opened.close()
