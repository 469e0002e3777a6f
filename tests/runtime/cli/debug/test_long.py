"""Sessions of any length: the debugger holds and reads a few pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from greenroom.runtime import Event, IntegrityError, PastState, StateChange
from greenroom.runtime.cli.debug.recorded import PAGE, Pages, matcher_of

from .driving import Person, watch

BEGIN = datetime(2026, 1, 31, tzinfo=UTC)
MOST_HELD = 1024


class Long:
    """A recording of 100,000 events that counts what is read of it."""

    title = "Long"
    first = 1
    last = 100_000

    def __init__(self, damaged: int = 0) -> None:
        self.read = 0
        self.most = 0
        self._damaged = damaged

    def events(self, after: int, limit: int) -> Iterator[Event]:
        self.most = max(self.most, limit)
        for at in range(after + 1, min(after + limit, self.last) + 1):
            if at == self._damaged:
                raise IntegrityError("a damaged event", sequence=at)
            self.read += 1
            yield self.event(at)

    def event(self, at: int) -> Event:
        return Event(f"s/{at}", f"custom.n{at % 7}", "s", at, BEGIN + timedelta(seconds=at), {"n": at})

    def state(self, sequence: int) -> dict[str, Callable[[], Any]]:
        return {}

    def conversation(self, sequence: int) -> list[dict[str, Any]]:
        return []

    def changes(self, sequence: int) -> list[StateChange]:
        return []

    def moment(self, sequence: int) -> PastState:
        raise NotImplementedError

    def refresh(self) -> None:
        pass

    def fork(self, sequence: int) -> str:
        raise NotImplementedError


def test_scrolling_through_all_of_it_holds_and_reads_a_few_pages() -> None:
    recorded = Long()

    async def look(person: Person) -> None:
        app = person.app
        window = app.events.size.height
        for keys in (["home"], ["pagedown"] * 5, ["end"], ["pageup"] * 5):
            await person.press(*keys)
        assert app.at == recorded.last - 5 * (window - 1)
        assert f"{app.at:,} of 100,000" in person.lines[0]
        assert f"custom.n{app.at % 7}" in person.screen
        read = recorded.read
        for place in range(500, 100_000, 4999):
            app.events.select(place)
            await person.settle()
            assert app.at == place
            assert f"{place} custom.n{place % 7}" in person.screen
            assert app.pages.held <= MOST_HELD
        # A window is at most two pages, the event before the selected one may be on a third; that one is read whole.
        assert recorded.read - read <= 20 * (3 * PAGE + 1)
        assert recorded.most == PAGE

    watch(recorded, look, at=1)


def test_a_search_reads_page_by_page_and_holds_none() -> None:
    recorded = Long()
    pages = Pages(recorded)
    finds = pages.search(matcher_of("type:custom.n5 99999"), 1, 1, lambda: False)
    assert list(finds)[-1] is None  # 99999 is of another type
    assert list(pages.search(matcher_of('"N": 70,'), 1, 1, lambda: False))[-1] is None
    assert list(pages.search(matcher_of("type:custom.n0 70"), 1, 1, lambda: False))[-1] == 70
    assert list(pages.search(matcher_of("type:custom.n0"), 69, -1, lambda: False))[-1] == 63
    assert recorded.most == PAGE
    assert pages.held == 0
    asked = iter([False, False, True])
    assert list(pages.search(lambda event: False, 1, 1, lambda: next(asked))) == [None, None]


@pytest.mark.parametrize("damaged", [1, 64, 500, 100_000])
def test_damage_costs_what_it_hit(damaged: int) -> None:
    pages = Pages(Long(damaged))
    for sequence in (damaged - 1, damaged + 1):
        if 1 <= sequence <= 100_000:
            row = pages.row(sequence)
            assert row.type == f"custom.n{sequence % 7}"
    assert (pages.row(damaged).time, pages.row(damaged).told) == (None, "damaged: a damaged event")
    if damaged > 1:
        assert list(pages.search(lambda event: event.sequence < damaged, 100_000, -1, lambda: False))[-1] == damaged - 1
