"""Put into the store what recorded programs have left beside it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from greenroom.runtime.cli.failures import in_our_words
from greenroom.runtime.cli.output import counted, note, size, tell_beside
from greenroom.runtime.cli.store import Store
from greenroom.storage.errors import GreenroomError, StorageError, StoreLocked

from .words import dollars

if TYPE_CHECKING:
    from greenroom.runtime import Runtime
    from greenroom.runtime.recording.programs.live import Journaled, Recorded

__all__ = ["put_into_store", "take_leftovers", "take_leftovers_of", "tell_recorded"]

_LARGE: Final = 8 << 20
"""Bytes of spools that take so long to come into the store that it is said."""


def take_leftovers(store: Store) -> None:
    """Put into the store what recorded programs have done so far, before a command that only reads. While another
    process has the store open, it stays beside it."""
    from greenroom.runtime.core import has_recordings

    if has_recordings(store.settings().data):
        try:
            with store.writing() as runtime:
                take_leftovers_of(runtime)
        except StoreLocked:
            note("another process has the store open: what programs have recorded meanwhile is not in it yet")
        except StorageError as error:
            note(f"what programs have recorded is not in the store yet: {in_our_words(str(error), None)}")


def take_leftovers_of(runtime: Runtime) -> None:
    """Do the same in a store that is open for writing, and say what was left."""
    from greenroom.runtime.recording.programs.live import take_up

    for each in take_up(runtime):
        if each.has_ended:
            note(f"taken up: what was recorded in session {each.session_id} and had not come into the store")


def put_into_store(store: Store, recorded: Recorded) -> Journaled | None:
    """Put a run that has ended into the store, and say on stderr what was recorded. None if that has to wait: the
    program has run, whatever the store says."""
    from greenroom.runtime.recording.programs.live import journal

    if recorded.lost is not None:
        tell_beside(f"greenroom: not all of the program was recorded, which ran on: {recorded.lost}")
    with suppress(OSError):
        if (waiting := recorded.folder.size) > _LARGE:
            note(f"putting what was recorded into the store: {size(waiting)}")
    try:
        done = journal(lambda: store.writing(create=True), recorded)
    except (GreenroomError, OSError) as error:
        why = in_our_words(str(error), None) if isinstance(error, GreenroomError) else error.strerror or str(error)
        with suppress(OSError):
            tell_beside(
                f"greenroom: what was recorded is not in the store yet: {why}. It waits in {recorded.folder.path} "
                f"({size(recorded.folder.size)}) and is taken up by: greenroom recordings"
            )
        return None
    tell_recorded(done)
    return done


def tell_recorded(done: Journaled) -> None:
    """Say on stderr what was recorded, and what to do with it."""
    totals = done.totals
    if not totals.steps:
        note(
            "nothing crossed a boundary: the program called no model or server through a library that is recorded, or "
            "it was started without this Python's packages"
        )
    parts = [counted(totals.steps, "call"), f"{totals.model_calls:,} of models"]
    parts += [counted(totals.tokens, "token")] if totals.tokens else []
    parts += [dollars(totals.cost_microusd)] if totals.cost_microusd else []
    parts += [f"{totals.failed:,} failed"] if totals.failed else []
    tell_beside(f"recorded  {done.session_id}  {', '.join(parts)}")
    note(f"next: greenroom recordings {done.session_id[:8]}, greenroom replay {done.session_id[:8]}")
