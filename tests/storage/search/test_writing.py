"""The index holds the words of the newest version of each text, however the changes were put together."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.storage.search.index import IndexFile
from greenroom.storage.search.model import Document
from greenroom.storage.search.place import index_path
from greenroom.storage.search.writing import SessionChange

PARTS = ("red", "Red", "a-b", "_x_", "İ", "東京都", "e\u0301", "\0", "\n", "x" * 64, "x" * 65, "1.5", '"', "\ud800")
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=4).map(" ".join)
SESSIONS = st.integers(1, 3).map(lambda number: number.to_bytes(16, "big"))


@st.composite
def batches(draw: st.DrawFn) -> list[list[SessionChange]]:
    """Changes as the journals of three sessions make them: new turns have new numbers, others change what is there."""
    position = dict.fromkeys((number.to_bytes(16, "big") for number in (1, 2, 3)), 0)
    made: list[list[SessionChange]] = []
    for _ in range(draw(st.integers(1, 4))):
        batch = []
        for session in draw(st.lists(SESSIONS, max_size=4)):
            begin = position[session]
            position[session] += draw(st.integers(1, 3))
            turns = list(range(begin + 1, position[session] + 1))
            turns += draw(st.lists(st.integers(1, begin), max_size=2)) if begin else []
            documents = [Document(0, turn, position[session], "", draw(TEXTS)) for turn in dict.fromkeys(turns)]
            kinds = draw(st.sets(st.sampled_from((1, 2))))
            documents += [Document(kind, kind - 1, 0, draw(TEXTS), draw(TEXTS)) for kind in sorted(kinds)]
            batch.append(SessionChange(session, position[session], position[session] * 10, documents))
        made.append(batch)
    return made


@settings(max_examples=100, deadline=None)
@given(batches(), st.none() | SESSIONS)
def test_the_index_holds_the_newest_of_each_text(changes: list[list[SessionChange]], forgotten: bytes | None) -> None:
    wanted: dict[bytes, dict[tuple[int, int], Document]] = {}
    at: dict[bytes, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory() as folder, closing(IndexFile(index_path(Path(folder)))) as file:
        for number, batch in enumerate(changes):
            file.write(batch)
            for change in batch:
                at[change.session] = change.position, change.mark
                texts = wanted.setdefault(change.session, {})
                texts.update({(each.kind, each.number): each for each in change.documents})
            if forgotten is not None and number == 0:
                file.forget(forgotten)
                at.pop(forgotten, None)
                wanted.pop(forgotten, None)
        known = file.followed(sorted(at))
        assert {session: each[1:] for session, each in known.items()} == at
        assert len({each.id for each in known.values()}) == len(at)
        for session, documents in wanted.items():
            there = file.texts(session)
            kept = {key: each for key, each in documents.items() if each.title or each.body}
            assert there.keys() == kept.keys()
            assert all(file.has(there[key], each) for key, each in kept.items())
        assert file.damage() is None
