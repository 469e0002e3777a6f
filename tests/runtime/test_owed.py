"""Work that sessions are owed: done in the background, by whoever reads first, or while the runtime closes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from greenroom.runtime.owed import Owed


@pytest.fixture
def owed() -> Iterator[Owed]:
    owed = Owed()
    yield owed
    owed.begin_to_close()
    owed.close(10)


@pytest.fixture
def busy(owed: Owed) -> Iterator[threading.Event]:
    """Keep the thread of `owed` at work until the event is set."""
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(60)

    owed.add("busy", work)
    assert begun.wait(60)
    yield go_on
    go_on.set()


def test_it_is_done_in_the_background(owed: Owed) -> None:
    done = threading.Event()
    owed.add("one", done.set)
    assert done.wait(60)


def test_whoever_reads_a_session_does_what_it_is_owed(owed: Owed, busy: threading.Event) -> None:
    done: list[tuple[str, int]] = []
    for each in ("one", "two"):
        owed.add(each, lambda each=each: done.append((each, threading.get_ident())))  # type: ignore[misc]
    assert done == []
    owed.settle("two")
    owed.settle("two")
    assert done == [("two", threading.get_ident())]
    busy.set()
    owed.settle()
    assert [each for each, _ in done] == ["two", "one"]
    assert not owed.sessions


def test_what_waits_and_has_not_begun_does_for_two(owed: Owed, busy: threading.Event) -> None:
    done: list[int] = []
    for number in (1, 2):
        owed.add("one", lambda number=number: done.append(number))  # type: ignore[misc]
    owed.settle("one")
    assert done == [1]
    owed.add("one", lambda: done.append(3))
    owed.settle("one")
    assert done == [1, 3]


def test_a_reader_waits_for_what_is_under_way(owed: Owed, busy: threading.Event) -> None:
    found: list[bool] = []
    reader = threading.Thread(target=lambda: (owed.settle("busy"), found.append(busy.is_set())))
    reader.start()
    busy.set()
    reader.join(60)
    assert found == [True]


def test_works_of_one_session_are_done_one_after_the_other(owed: Owed, busy: threading.Event) -> None:
    was_set: list[bool] = []
    owed.add("busy", lambda: was_set.append(busy.is_set()))
    release = threading.Timer(0.1, busy.set)
    release.start()
    owed.settle("busy")
    release.join(60)
    assert was_set == [True]


def test_work_may_read_its_own_session(owed: Owed, busy: threading.Event) -> None:
    done: list[int] = []

    def work() -> None:
        owed.settle("one")
        done.append(1)

    owed.add("one", work)
    owed.settle("one")
    assert done == [1]


def test_a_failure_is_logged_and_nothing_waits_for_it(owed: Owed, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    owed.add("one", fail)
    owed.settle("one")
    assert not owed.sessions
    assert "has failed" in caplog.text


def test_so_many_wait_and_no_more(owed: Owed, busy: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.runtime.owed.MOST_WAITING", 3)
    done: list[int] = []
    for number in range(5):
        owed.add(f"{number}", lambda number=number: done.append(number))  # type: ignore[misc]
        assert len(owed.sessions) <= 4
    assert done == [0, 1, 2]


def test_what_is_left_is_done_while_it_closes(owed: Owed, busy: threading.Event) -> None:
    done: list[str] = []
    owed.add("one", lambda: done.append("one"))
    owed.begin_to_close()
    owed.add("late", lambda: done.append("late"))
    assert done == ["late"]
    busy.set()
    owed.close(60)
    assert done == ["late", "one"]
