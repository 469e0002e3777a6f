"""Parts that are made when somebody first asks for them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenroom.storage.common.late import late

THREADS = 8


class Whole:
    def __init__(self) -> None:
        self._making = threading.RLock()
        self.made = 0
        self.together = threading.Barrier(THREADS)

    @late
    def part(self) -> object:
        """A part."""
        self.made += 1
        return object()

    @late
    def outer(self) -> tuple[object, str]:
        return self.part, "outer"

    @late
    def fragile(self) -> object:
        self.made += 1
        if self.made == 1:
            raise ValueError("not yet")
        return object()


def test_a_part_is_made_once_however_many_threads_ask() -> None:
    whole = Whole()
    assert whole.made == 0

    def ask(_: int) -> object:
        whole.together.wait(30)
        return whole.part

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(ask, range(THREADS)))
    assert whole.made == 1
    assert {id(each) for each in found} == {id(whole.part)}


def test_a_part_may_need_another_one() -> None:
    whole = Whole()
    assert whole.outer == (whole.part, "outer")
    assert whole.made == 1


def test_a_part_that_could_not_be_made_is_made_the_next_time() -> None:
    whole = Whole()
    with pytest.raises(ValueError, match="not yet"):
        _ = whole.fragile
    assert whole.fragile is whole.fragile


def test_the_class_has_the_part_with_its_text() -> None:
    assert isinstance(Whole.part, late)
    assert Whole.part.__doc__ == "A part."
