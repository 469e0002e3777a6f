"""Text is found however Unicode spells it, and within runs of Chinese and Japanese."""

from __future__ import annotations

import tarfile
import unicodedata
from pathlib import Path

import pytest

from greenroom.actors.word_listing import ListWords
from greenroom.runtime import Runtime
from greenroom.storage.artifacts.index import BY_WORD
from greenroom.storage.artifacts.words import WORDS_KEY
from greenroom.storage.codec.keys import after_prefix
from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions

NFD = unicodedata.normalize("NFD", "Résumé für Zoë")
CASES = [
    (NFD, "résumé"),
    (NFD, unicodedata.normalize("NFD", "ZOË")),
    ("Résumé", unicodedata.normalize("NFD", "résu")),
    ("ﬁle ＡＢＣ", "file abc"),
    ("東京大学の報告書", "大学"),
    ("東京大学の報告書", "京大学"),
    ("東京大学の報告書", "書"),
    ("東京大学の報告書", "報"),
    ("データベースの設計", "ベース"),
    (unicodedata.normalize("NFD", "データベースの設計"), "データ"),
    ("ﾃﾞｰﾀ", "データ"),
    ("我的iPhone手机很好", "手机"),
    ("我的iPhone手机很好", "iphone"),
    ("我的iPhone手机很好", "IPHONE手机"),
    ("हिन्दी में", "हिन्दी"),
    ("한국어 문서를", unicodedata.normalize("NFD", "문서")),
]
MISSES = [("東京大学", "京東"), ("東京大学", "大阪"), ("Résumé", "resume"), ("我的手机", "手表")]


@pytest.mark.parametrize(("text", "wanted"), CASES)
@pytest.mark.parametrize("field", ["name", "description", "tags", "metadata"])
def test_text_is_found_in_every_spelling(rt: Runtime, text: str, wanted: str, field: str) -> None:
    session = rt.create_session()
    given = {"description": text, "tags": [text], "metadata": {"k": text}}
    name = text if field == "name" else "x"
    info = session.store_artifact("t", name, "1", **({field: given[field]} if field in given else {}))  # type: ignore[arg-type]
    assert [each.id for each in session.query_artifacts(text=wanted)] == [info.id]
    assert [each.id for each in rt.query_artifacts(text=wanted)] == [info.id]
    assert [each.id for each in rt.query_artifacts(text=wanted, fuzzy=True)] == [info.id]


@pytest.mark.parametrize(("text", "wanted"), MISSES)
def test_what_is_not_there_is_not_found(rt: Runtime, text: str, wanted: str) -> None:
    rt.create_session().store_artifact("t", text, "1")
    assert not rt.query_artifacts(text=wanted)


@pytest.mark.parametrize(("text", "wanted"), CASES)
def test_sessions_are_found_in_every_spelling(rt: Runtime, text: str, wanted: str) -> None:
    named, described = rt.create_session(name=text), rt.create_session(description=f"about {text}")
    rt.create_session(name="other")
    if " " not in wanted or wanted in unicodedata.normalize("NFKC", text).casefold():
        assert {each.id for each in rt.list_sessions(search=wanted)} == {named.id, described.id}


def test_a_store_whose_words_are_of_older_rules_is_searched_and_brought_up_to_date(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        for text, _ in CASES:
            session.store_artifact("t", "x", "1", description=text)
        ids = {text: rt.query_artifacts(text=wanted).items[0].id for text, wanted in CASES[3:4]}
        rt._store.ask(ListWords(), 60)
    engine = Engine(store_path, Durability.WAL, EngineOptions())
    words = [key for key, _ in engine.pages(CF.INDEX, BY_WORD, after_prefix(BY_WORD))]
    places = [key[key.index(b"\x00", 1) :] for key in words if key.startswith(BY_WORD + "大学".encode())]
    old = [(CF.INDEX, BY_WORD + "東京大学の報告書".encode()[:32] + place, b"") for place in places]
    assert len(old) == 4
    engine.write([*((CF.INDEX, key, None) for key in words), *old, (CF.META, WORDS_KEY, None)])
    engine.close()
    with Runtime.open(store_path, read_only=True) as rt:
        assert rt.query_artifacts(text="file abc").items[0].id in ids.values()
        assert rt.query_artifacts(text="大学").total == 4
    with Runtime.open(store_path) as rt:
        assert rt.query_artifacts(text="大学").total == 4
        assert rt.verify().problems == []
        rt._store.ask(ListWords(), 60)
        assert rt.query_artifacts(text="大学").total == 4
        assert rt.verify().problems == []


def test_golden_stores_are_as_they_were(tmp_path: Path) -> None:
    with tarfile.open(Path(__file__).parents[2] / "golden" / "format-2.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    where = next(path for path in [tmp_path, *tmp_path.rglob("*")] if (path / "CURRENT").exists())
    with Runtime.open(where) as rt:
        assert rt.verify().problems == []
        assert (
            rt.query_artifacts(text=unicodedata.normalize("NFD", "größe")).total
            == rt.query_artifacts(text="GRÖSSE").total
        )
