from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from greenroom.runtime import ArtifactInfo, Runtime, Session

SECRET = "the secret"
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass
class Two:
    """Two sessions of a runtime, of which the first acts and the second has what it must not reach."""

    rt: Runtime
    mine: Session
    other: Session
    artifact: ArtifactInfo
    folder: Path

    def sequence(self) -> int:
        return self.other.info().sequence


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with Runtime.open() as rt:
        rt.tools.register("noop", lambda: None)
        mine, other = rt.create_session("mine"), rt.create_session("other", tags=[SECRET])
        other.set("k", SECRET)
        other.add_message("user", SECRET)
        yield Two(rt, mine, other, other.store_artifact("log", "n", SECRET), tmp_path_factory.mktemp("isolation"))
