"""The newest events of a store: the same as those of a look at all, and no more is read than is wanted."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.storage.errors import ValidationError
from greenroom.storage.events import recent, search
from greenroom.storage.events.model import StoredEvent
from tests.conftest import DrivenClock


def _live(rt: Runtime, clock: DrivenClock, dice: random.Random, folder: Path, steps: int) -> None:
    """Sessions that change in turns, in every status, with forks, imports, deletions, and histories that are cut."""
    sessions = [rt.create_session(tags=["first"])]
    for number in range(steps):
        clock.advance(dice.choice((0, 0, 0.001, 0.3, 2)))
        one = dice.choice(sessions)
        match dice.randrange(9):
            case 0:
                sessions.append(rt.create_session())
            case 1:
                sessions.append(one.fork())
            case 2 if len(sessions) > 3:
                sessions.remove(one)
                one.delete()
            case 3 if len(sessions) > 3:
                sessions.remove(one)
                one.complete()
            case 4:
                bundle = folder / f"{number}.bundle"
                one.export(bundle)
                rt.import_bundle(bundle, keep_ids=False)
            case 5:
                one.store_artifact("other", "a", b"%d" % number)
            case 6:
                for _ in range(dice.randrange(40)):
                    one.set("k", number)
            case _:
                rt.events.publish("custom.thing", {"n": number}, session=one)


@pytest.mark.parametrize("first", [64, 1], ids=["few pages", "many pages"])
@pytest.mark.parametrize("most", [100_000, 3], ids=["by the index", "by all sessions"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_newest_are_those_of_a_look_at_all(
    clock: DrivenClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, most: int, seed: int
) -> None:
    monkeypatch.setattr(recent, "_FIRST_SESSIONS", first)
    monkeypatch.setattr(search, "_MOST_CHANGED", most)
    dice = random.Random(seed)
    with Runtime.open(tmp_path / "store", clock=clock) as rt:
        _live(rt, clock, dice, tmp_path, 60)
        times = [each.timestamp for each in rt.events.query()]
        some = dice.choice(list(rt.list_sessions()))
        asked: list[dict[str, Any]] = [{}, {"type": "artifact.*"}, {"type": "custom.**", "origin": "published"}]
        asked += [{"session_id": some.id}, {"after": times[len(times) // 3], "before": times[len(times) // 2]}]
        asked += [{"type": "none.at.all"}, {"correlation_id": some.id}]
        for criteria in asked:
            every = rt.events.query(**criteria).items[::-1]
            assert rt.events.query(**criteria, descending=True).items == every
            for offset, limit in ((0, 1), (0, 7), (3, 20), (len(every), 2), (0, len(every)), (0, 0)):
                page = rt.events.query(**criteria, descending=True, limit=limit, offset=offset)
                assert page.items == every[offset : offset + limit]
                assert page.has_more == (offset + limit < len(every))
                assert page.total == len(every)


def test_what_changes_meanwhile_hides_nothing_older(clock: DrivenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_FIRST_SESSIONS", 1)
    with Runtime.open(clock=clock) as rt:
        sessions = []
        for number in range(12):
            clock.advance(2)
            sessions.append(rt.create_session(name=str(number)))
        engine, journal = rt.core.store.engine, rt.core.store.journal
        walk = recent.recent(journal, engine, 0, 1 << 63, lambda _: True, lambda *_: True, 100)
        found = [next(walk)]
        clock.advance(2)
        sessions[2].set("k", 1)  # it is now the one with the newest event
        sessions[7].delete()
        found += walk
        names = [stored.data["name"] for _, _, stored in found]
        assert names == [str(number) for number in reversed(range(12)) if number != 7]


def test_only_the_sessions_with_the_newest_events_are_read(clock: DrivenClock) -> None:
    with Runtime.open(clock=clock) as rt:
        for _ in range(50):
            clock.advance(2)
            rt.create_session()
        clock.advance(2)
        long = rt.create_session()
        for number in range(600):
            long.set("k", number)
        looked_at: list[str] = []
        read: list[tuple[bytes, int]] = []

        def visible(session_id: str) -> bool:
            looked_at.append(session_id)
            return True

        def accepts(session: bytes, sequence: int, stored: StoredEvent) -> bool:
            read.append((session, sequence))
            return True

        walk = recent.recent(rt.core.store.journal, rt.core.store.engine, 0, 1 << 63, visible, accepts, 100)
        assert len([*islice(walk, 20)]) == 20
        assert looked_at == [long.id]
        assert len(read) <= 8 + 32
        assert len([*islice(walk, 601 - 20 + 3)]) == 601 - 20 + 3
        assert len(looked_at) == 1 + 3
        assert len(read) == 601 + 3


def test_an_export_begins_with_the_oldest(tmp_path: Path) -> None:
    with Runtime.open() as rt, pytest.raises(ValidationError, match="descending"):
        rt.events.export(tmp_path / "lines", descending=True)
