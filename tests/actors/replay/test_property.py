"""The exact replay of any story is identical, and its states are those that were seen then."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.replay.engine import replay
from greenroom.actors.replay.history import History

from .story import STORY, Does, Ticking, drive


@settings(max_examples=40)
@given(story=STORY, driven=st.booleans())
def test_the_exact_replay_of_any_story_is_identical(story: list[Does], driven: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        teller = drive(Path(folder) / "store", story, Ticking() if driven else None)
        try:
            for session in teller.sessions:
                history = History(teller.rt._store, session.id)
                seen = teller.seen[session.id]
                # What came with a bundle may be told anew, as it was and not as it came about.
                brought = any(event.type in ("session.imported", "session.forked") for event in session.events())
                for step in replay(history):
                    assert step.refusals == ()
                    assert [(pair.recorded, pair.replayed) for pair in step.pairs if not pair.equal] == []
                    assert step.unproven == 0 or brought
                    assert step.check is None or (step.check.intact and step.check.replayed == step.check.snapshot)
                    if step.last in seen:
                        assert step.state.encode() == seen[step.last]
                assert step.last == session.info().sequence
                assert teller.rt.replay(session).identical
                assert teller.rt.replay(session, {"compare_results": False}).identical
        finally:
            teller.close()
