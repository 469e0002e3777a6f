"""What is typed becomes words, phrases and beginnings; what is found is shown as it was written."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.storage.common.words import phrase_words, split_words
from greenroom.storage.errors import ValidationError
from greenroom.storage.search.query import MAX_TERMS, Term, parse_text
from greenroom.storage.search.snippet import snippet_of

CJK = "東京都大阪ひらカナ"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Lisbon flight", [Term(("lisbon",)), Term(("flight",))]),
        ("flight flight", [Term(("flight",))]),
        ('"cheap  flight" x', [Term(("cheap", "flight")), Term(("x",))]),
        ("wor*", [Term(("wor",), True)]),
        ("a-b", [Term(("a", "b"))]),
        ("東京都", [Term(("東京", "京都"))]),
        ("都", [Term(("都",), True)]),
        ("ＡＢＣ", [Term(("abc",))]),
        ("Cafe\u0301", [Term(("café",))]),
        ("Straße", [Term(("strasse",))]),
        ('OR "NOT"', [Term(("or",)), Term(("not",))]),
        ("--- x ()", [Term(("x",))]),
    ],
)
def test_a_text_is_read_as_words_phrases_and_beginnings(text: str, terms: list[Term]) -> None:
    assert list(parse_text(text)) == terms


@pytest.mark.parametrize("text", ["", " ", '"', 'a "b', "*", "a*", "a*b", "*ab", "ab**", "()", "😀", '""', "-", "\x00"])
def test_a_text_that_asks_for_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_text(text)
    assert caught.value.field == "text"


def test_too_many_words_are_refused() -> None:
    assert len(parse_text(" ".join(f"w{number}" for number in range(MAX_TERMS)))) == MAX_TERMS
    with pytest.raises(ValidationError):
        parse_text(" ".join(f"w{number}" for number in range(MAX_TERMS + 1)))


@given(st.text(alphabet=CJK + "ab 1-é", min_size=1, max_size=12), st.data())
def test_a_part_of_a_text_is_found_in_it(text: str, data: st.DataObject) -> None:
    """Every part that begins and ends with whole words (of Chinese and Japanese: anywhere) stands in the text."""
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    whole = [at for at in (begin, end) if 0 < at < len(text) and not _splits(text[at - 1], text[at])]
    words, begins = phrase_words(text[begin:end])
    if words and not whole:
        assert Term(tuple(words), begins).count_in(f" {' '.join(split_words(text))} ")


def _splits(left: str, right: str) -> bool:
    return left in CJK or right in CJK or not (left.isalnum() and right.isalnum())


def test_a_snippet_shows_the_first_hits_as_they_were_written() -> None:
    text = "word " * 100 + "Here is Lisbon,\nthe capital." + " more" * 100
    part, marks = snippet_of(text, parse_text("lisbon capital"))
    assert [part[first:last] for first, last in marks] == ["Lisbon", "capital"]
    assert "\n" not in part
    assert len(part) <= 160


@given(st.text(max_size=300), st.sampled_from(["a", "東", "e\u0301x", "ss", "1"]))
def test_marks_of_any_text_are_in_order_and_within_it(text: str, wanted: str) -> None:
    part, marks = snippet_of(text + " " + wanted + " " + text, parse_text(wanted))
    assert all(0 <= first < last <= len(part) for first, last in marks)
    assert all(before[1] <= after[0] for before, after in pairwise(marks))
