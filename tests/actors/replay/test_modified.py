"""A modified replay of any story changes what it was told to, and only that."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenroom.runtime import ReplayResult

from .story import STORY, Does, Teller, drive

_BEGIN = [("approval", 0)] * 12 + [("batch", 0), ("batch", 1), ("cut", 0), ("delete", 1), ("travel", 0), ("travel", 1)]
CUT_FORK = [*(Does(what, one, 0) for what, one in _BEGIN), Does("fork", 4, 2), Does("cut", 0, 0)]
"""A fork of a journal that retention has cut is cut itself."""


@contextmanager
def told(story: list[Does]) -> Iterator[Teller]:
    with tempfile.TemporaryDirectory() as folder:
        teller = drive(Path(folder) / "store", story, None)
        try:
            yield teller
        finally:
            teller.close()


def different(result: ReplayResult) -> set[str]:
    return {each.type for each in result.comparisons if each.kind != "equal"}


@settings(max_examples=10)
@example(story=CUT_FORK)
@given(story=STORY)
def test_only_what_is_named_is_changed(story: list[Does]) -> None:
    with told(story) as teller:
        for session in teller.sessions:
            before = session.variables()
            result = teller.rt.replay(session, {"mode": "modified", "modifications": {"variables.a": "other"}})
            assert different(result) <= {"variable.set"}
            assert result.errors == ()
            assert {**result.variables, "a": 0} == {**before, "a": 0}
            assert ("a" in result.variables) == ("a" in before)
            if "variables.a" not in result.unused and "a" in before and different(result):
                assert result.variables["a"] in ("other", before["a"])  # set before the journal was cut
            calls = teller.rt.replay(session, {"mode": "modified", "modifications": {"tools.weather.result": 1}})
            assert different(calls) <= {"tool.returned"}
            assert calls.variables == before
            assert calls.info.sequence == session.info().sequence


@settings(max_examples=10)
@given(story=STORY, most=st.integers(1, 40), state_bytes=st.integers(0, 2000))
def test_what_becomes_impossible_is_refused_and_the_rest_finds_its_place(
    story: list[Does], most: int, state_bytes: int
) -> None:
    changes = {"config.max_operations": most, "config.policies.resources.max_state_bytes": state_bytes}
    with told(story) as teller:
        for session in teller.sessions:
            for config in (changes, {"config.policies.resources.max_artifacts": 1}):
                result = teller.rt.replay(session, {"mode": "modified", "modifications": config})
                assert result.stopped is None
                assert result.last == session.info().sequence
                exact = teller.rt.replay(session)
                assert result.recorded_digest == exact.digest
                # A setting that is there already is not set again, which is no event.
                if not result.errors and result.unproven == 0 and "missing" not in result.counts:
                    assert different(result) <= {"session.created", "session.configured"}
                for fault in result.errors:
                    assert fault.code in (
                        "ResourceLimitExceeded",
                        "ReplayError",
                        "InvalidSessionState",
                        "InvalidStateTransition",
                        "InvalidOperation",
                        "ArtifactNotFound",
                        "ValidationError",
                    )
