"""What a program is told about itself: what makes it run differently, and whether a recording covers it."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime.recording.boundaries.watch import Watched
from greenroom.runtime.recording.searching.doctor import Examined, findings
from greenroom.runtime.recording.tape.model import Reads, Tape


def _run(time: float = 1.5, output: bytes = b"done\n", code: int = 0, **more: Any) -> Examined:
    read = ("clock", "time.time", "agent.py:14 in step", "main", time)
    return Examined(Tape({}, [], [Reads([read])]), output, code, **more)


def test_a_clock_is_covered_and_two_runs_alike_have_no_source() -> None:
    (found,) = findings(_run(1.5), _run(2.5), _run(1.5), _run(1.5))
    assert (found.kind, found.place, found.covered) == ("clock", "agent.py:14 in step", True)
    assert found.what == "time.time: 1.5 and 2.5"
    assert findings(_run(), _run(), _run(), _run()) == []


@pytest.mark.parametrize(
    ("replayed", "kind", "what"),
    [
        (_run(output=b"done\nmore\n"), "unknown", "line 2 of the output was missing, and 'more' in the replay"),
        (_run(code=3), "unknown", "the exit code was 0, and 3 in the replay"),
        (_run(drifts=[("agent.py:9 in f", "a and b")]), "unknown", "a and b"),
        (_run(drifts=[("agent.py:9 in f", "<X at 0x7f00aa1b>, y")]), "address", "<X at 0x7f00aa1b>, y"),
        (_run(refused="nothing that was recorded fits"), "unknown", "nothing that was recorded fits"),
    ],
)
def test_what_a_replay_cannot_give_the_same_way_is_not_covered(replayed: Examined, kind: str, what: str) -> None:
    (found,) = findings(_run(), _run(), replayed, _run())
    assert (found.kind, found.what, found.covered) == (kind, what, False)
    assert found.advice


def test_what_only_another_hash_seed_changes_is_the_order_of_a_set() -> None:
    (found,) = findings(_run(), _run(), _run(), _run(output=b"other\n"))
    assert (found.kind, found.covered) == ("hash seed", True)


def test_files_count_if_they_changed_and_connections_always() -> None:
    place = "agent.py:3 in load"
    one = _run(watched=Watched([("file", "a\0001 1", place, 1), ("file", "b\0001 1", place, 1)]))
    other = _run(
        watched=Watched(
            [
                ("file", "a\0001 1", place, 1),
                ("file", "b\0002 2", place, 1),
                ("network", "db:5432", place, 2),
                ("process", "git", place, 1),
            ]
        )
    )
    found = findings(one, other, _run(), _run())
    assert [(each.kind, each.name, each.covered) for each in found] == [
        ("file", "b", False),
        ("network", "db:5432", False),
        ("subprocess", "git", False),
        ("file", "a", False),
    ]
    assert [each.differed for each in found] == [True, True, True, False]
