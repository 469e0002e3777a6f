"""Other ways to do the same: plain pykka actors, each with a thread of its own."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import msgpack
import pykka

__all__ = ["ThreadedVariables"]


class _Variables(pykka.ThreadingActor):
    """Holds encoded variables, as a session does."""

    def __init__(self) -> None:
        super().__init__()
        self._variables = {"k": msgpack.packb(1)}

    def on_receive(self, message: Any) -> Any:
        return msgpack.unpackb(self._variables[message.key])


class ThreadedVariables:
    """A `pykka.ThreadingActor` that answers the same question, alone in its process but for what is measured."""

    def __init__(self) -> None:
        self._ref = _Variables.start()
        self.ask = self._ref.ask

    def __enter__(self) -> ThreadedVariables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ref.stop()
