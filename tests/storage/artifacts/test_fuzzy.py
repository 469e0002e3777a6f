from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import ArtifactQuery, Runtime


@pytest.fixture(scope="module")
def shared() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


def distance(a: str, b: str) -> int:
    """Edits from one text to the other, by the definition: insert, remove, replace, swap two neighbours."""

    @cache
    def upto(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        best = min(upto(i - 1, j) + 1, upto(i, j - 1) + 1, upto(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
        if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
            best = min(best, upto(i - 2, j - 2) + 1)
        return best

    return upto(len(a), len(b))


def expected(text: str, words: list[str]) -> bool:
    allowed = (0, 0, 0, 1, 1, 1)
    return all(
        any(
            wanted in word or distance(wanted, word) <= (allowed[len(wanted)] if len(wanted) < 6 else 2)
            for word in words
        )
        for wanted in re.findall(r"\w+", text.casefold())
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("report", True),
        ("REPROT", True),  # neighbours swapped
        ("rprt", False),  # two letters short, and only one edit allowed
        ("quaterly", True),
        ("quartrely reprot", True),
        ("ort", True),  # a part
        ("qx", False),  # too short to be misspelt
        ("größse", True),
        ("temprature", True),  # in a custom value
        ("report banana", False),
        ("x" * 40, True),  # keys know only the beginning of so long a word
        ("y" + "x" * 39, True),
    ],
)
def test_words_are_found_in_parts_and_misspelt(shared: Runtime, text: str, found: bool) -> None:
    session = shared.create_session()
    info = session.store_artifact(
        "t",
        "quarterly-report.md",
        text.encode(),
        description="Größe " + "x" * 40,
        metadata={"of": ["temperature"]},
    )
    for query in ({"text": text, "fuzzy": True}, ArtifactQuery().containing(text, fuzzy=True)):
        inside = (
            session.query_artifacts(query) if isinstance(query, ArtifactQuery) else session.query_artifacts(**query)
        )
        assert [each.id for each in inside] == ([info.id] if found else [])
    everywhere = shared.query_artifacts(text=text, fuzzy=True)
    assert (info.id in [each.id for each in everywhere]) is found
    tagged = shared.query_artifacts(text=text, fuzzy=True, artifact_type="t", limit=1000)
    assert (info.id in [each.id for each in tagged]) is found
    session.delete()


def test_without_fuzzy_words_must_begin_alike(shared: Runtime) -> None:
    session = shared.create_session()
    session.store_artifact("t", "report", b"")
    assert session.query_artifacts(text="rep").total == 1
    assert session.query_artifacts(text="ort").total == 0
    assert session.query_artifacts(text="reprot").total == 0


WORDS = st.text(alphabet="abcé1", min_size=1, max_size=8)


@settings(max_examples=40)
@given(
    artifacts=st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=6),
    queries=st.lists(st.lists(WORDS, min_size=1, max_size=2), min_size=1, max_size=5),
)
def test_fuzzy_search_finds_what_the_definition_says(
    shared: Runtime, artifacts: list[list[str]], queries: list[list[str]]
) -> None:
    session = shared.create_session()
    stored: dict[Any, list[str]] = {}
    for words in artifacts:
        info = session.store_artifact("t", words[0], b"", description=" ".join(words[1:]) or None, tags=["f"])
        stored[info.id] = [word.casefold() for word in words]
    for query in queries:
        text = " ".join(query)
        wanted = {id_ for id_, words in stored.items() if expected(text, words)}
        assert {info.id for info in session.query_artifacts(text=text, fuzzy=True)} == wanted
        assert {info.id for info in shared.query_artifacts(text=text, fuzzy=True)} == wanted
        page = shared.query_artifacts(text=text, fuzzy=True, limit=2, sort="name")
        assert page.total == len(wanted)
    session.delete()
