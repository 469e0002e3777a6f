"""A server of models, boundaries that stand, and a network that can be cut."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.runtime.recording.boundaries.install import install

from .fake_models import FakeModels

install()


@pytest.fixture
def fake() -> Iterator[FakeModels]:
    with FakeModels() as models:
        yield models


@pytest.fixture
def cut(fake: FakeModels, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Kill the server, and forbid this process to connect to anything or to look a name up."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a replay opens no socket")

    def now() -> None:
        fake.stop()
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket.socket, "connect_ex", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    return now
