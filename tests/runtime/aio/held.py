"""Keeps a session busy."""

from __future__ import annotations

import threading

from greenroom.runtime import AsyncRuntime, AsyncSession

__all__ = ["Held"]


class Held:
    """Holds the turn of a session on another thread until it is told to release it."""

    def __init__(self, rt: AsyncRuntime, session: AsyncSession) -> None:
        self._go = threading.Event()
        self._held = threading.Event()
        actor = rt.runtime.core.supervisor.table.actors[session.id]
        self._thread = threading.Thread(target=lambda: actor.in_turn(self._wait, 5))

    def _wait(self) -> None:
        self._held.set()
        assert self._go.wait(30)

    def __enter__(self) -> Held:
        self._thread.start()
        assert self._held.wait(30)
        return self

    def release(self) -> None:
        self._go.set()

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join(30)
