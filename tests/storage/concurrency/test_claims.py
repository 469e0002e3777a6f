"""Claims: one thread at a time has a name."""

from __future__ import annotations

import threading

import pytest

from greenroom.runtime import InvalidOperation, OperationTimeout
from greenroom.storage.concurrency.claims import Claims


def test_a_name_has_one_holder_at_a_time() -> None:
    claims, holders, most = Claims(), set[int](), []

    def work(at: int) -> None:
        for turn in range(20):
            with claims.claimed((f"n{turn % 2}", "all"), 60):
                holders.add(at)
                most.append(len(holders))
                holders.remove(at)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 160


def test_other_names_are_free() -> None:
    claims = Claims()
    with claims.claimed(("a",), 0), claims.claimed(("b",), 0):
        pass


def test_a_holder_cannot_wait_for_itself() -> None:
    claims = Claims()
    with claims.claimed(("a",), 60), pytest.raises(InvalidOperation), claims.claimed(("b", "a"), 60):
        pass
    with claims.claimed(("a", "b"), 0):
        pass


def test_waiting_ends() -> None:
    claims = Claims()

    def wait() -> None:
        with pytest.raises(OperationTimeout), claims.claimed(("a",), 0):
            pass
        done.append(True)

    done: list[bool] = []
    with claims.claimed(("a",), 0):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert done == [True]


def test_a_holder_that_was_interrupted_holds_nothing() -> None:
    """An interrupt may come between any two steps: here the holder never comes to its end."""
    claims = Claims()
    manager = claims.claimed(("a",), 0)
    manager.__enter__()
    del manager
    with claims.claimed(("a",), 60):
        pass
