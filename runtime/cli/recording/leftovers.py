"""Take up what was recorded by a `greenroom record` that was killed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from greenroom.runtime.cli.output import note
from greenroom.runtime.cli.store import Store
from greenroom.storage.errors import StoreLocked

if TYPE_CHECKING:
    from greenroom.runtime import Runtime

__all__ = ["take_leftovers", "take_leftovers_of"]


def take_leftovers(store: Store) -> None:
    """Take up leftovers before a command that only reads. While another process has the store open, they are left."""
    from greenroom.runtime.recording.programs.live import has_leftovers

    if has_leftovers(store.settings().data):
        with suppress(StoreLocked), store.writing() as runtime:
            take_leftovers_of(runtime)


def take_leftovers_of(runtime: Runtime) -> None:
    """Take up leftovers in a store that is open for writing, and say so."""
    from greenroom.runtime.recording.programs.live import take_up

    for each in take_up(runtime.path, runtime.session):
        note(f"taken up: what was recorded in session {each.id} before its recorder was killed")
