"""What the repl offers where one types, and the file of what was typed."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.cli.repl.completion import function_at, offers
from greenroom.runtime.cli.repl.history import MAX_ENTRIES, HistoryFile
from greenroom.runtime.scripts.console import Console, open_console


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with Runtime.open() as runtime:
        opened = open_console(
            runtime, "lua", profile="sandboxed", session=None, timeout=10, directories=[], echo=lambda line: None
        )
        opened.enter("mine = { first = 1, second = { inner = 2 } }")
        opened.enter("chat = Session.create { name = 'chat' }")
        opened.enter("row = Session.get(chat)")
        yield opened
        opened.close()


def texts(before: str, console: Console) -> list[str]:
    return [offer.text for offer in offers(before, console)]


@pytest.mark.parametrize(
    ("before", "there"),
    [
        ("Sess", ["Session"]),
        ("print(Sess", ["Session"]),
        ("Session.getO", ["getOrCreate"]),
        ("Session.", ["create", "list", "addMessage"]),
        ("x = Artifact.sto", ["store", "storeMany"]),
        ("mi", ["mine"]),
        ("mine.", ["first", "second"]),
        ("mine.second.", ["inner"]),
        ("chat:addM", ["addMessage"]),
        ("chat.", ["id", "status", "suspend", "upper"]),
        ("row:", ["suspend", "addTag"]),
        ("row.sta", ["status"]),
        ("string.f", ["find", "format"]),
        ("whi", ["while"]),
    ],
)
def test_names_are_offered(before: str, there: list[str], console: Console) -> None:
    found = texts(before, console)
    assert [each for each in there if each not in found] == []
    word = before[-offers(before, console)[0].replaces :] if offers(before, console)[0].replaces else ""
    assert all(each.startswith(word) for each in found)


@pytest.mark.parametrize(
    ("before", "there"),
    [
        ("Session.create { ", ["name", "tags", "metadata", "parent"]),
        ("Session.create({ na", ["name"]),
        ("Session.create { name = 'x', ta", ["tags"]),
        ("print(Session.list { status = 'active', so", ["sort_by"]),
        ("Session.list {\n  tags = { 'a', 'b' },\n  lim", ["limit"]),
    ],
)
def test_keys_of_options_are_offered(before: str, there: list[str], console: Console) -> None:
    found = texts(before, console)
    assert [each for each in there if each not in found] == []


@pytest.mark.parametrize(
    "before",
    [
        "Session.create { name = 'ta",
        "'Sess",
        '"Session.cr',
        "mine.none.",
        "12345.",
        "Session.create { tags = { ta",
        "Session.create { {}, { ta",
        "mine = { ta",
    ],
)
def test_nothing_wrong_is_offered(before: str, console: Console) -> None:
    assert not {"tags", "Session", "create"} & set(texts(before, console))


def test_keys_that_are_there_are_not_offered_again(console: Console) -> None:
    assert "name" not in texts("Session.create { name = 'x', ", console)


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("Session.create(", "Session.create"),
        ("Session.create", "Session.create"),
        ("print(Session.get(chat", "Session.get"),
        ("Session.addMessage(chat, 'user', ", "Session.addMessage"),
        ("chat:addMessage(", "Session.addMessage"),
        ("Session.create { name = 'a', ", "Session.create"),
        ("State.get('(', ", "State.get"),
    ],
)
def test_the_function_in_hand_is_found(before: str, name: str, console: Console) -> None:
    found = function_at(before, console)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("before", ["", "x = 1", "nothing(", "Session.create() ", "'Session.create("])
def test_where_no_function_is_in_hand(before: str, console: Console) -> None:
    assert function_at(before, console) is None


def test_looking_for_names_runs_nothing(console: Console) -> None:
    console.enter(
        "trap = setmetatable({}, { __index = function() error('ran') end, __pairs = function() error('ran') end })"
    )
    assert console.names(["trap"]) == []
    assert console.names(["trap", "inner"]) == []
    assert console.names(["no", "such"]) == []


# -- history


def test_history_is_private_bounded_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "state" / "greenroom" / "history-lua"
    file = HistoryFile(path)
    assert file.load() == []
    entries = ["x = 1", "for i = 1, 2 do\n  print(i)\n\nend", "+plus", "é漢", "a\n+b"]
    for entry in [*entries, " secret = 'not kept'", "", "x" * 100_000]:
        file.add(entry)
    assert HistoryFile(path).load() == entries
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for number in range(MAX_ENTRIES + 10):
        file.add(f"entry {number}")
    found = HistoryFile(path).load()
    assert len(found) == MAX_ENTRIES
    assert found[-1] == f"entry {MAX_ENTRIES + 9}"
    assert path.read_text().count("\n+") <= MAX_ENTRIES + 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_history_that_others_could_read_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "history-lua"
    path.write_text("\n+old\n")
    path.chmod(0o644)
    HistoryFile(path).add("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert HistoryFile(path).load() == ["old", "new"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"no history at all\n", b"+\n+\n\n\n+", b""])
def test_any_file_is_a_history(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "history-lua"
    path.write_bytes(content)
    file = HistoryFile(path)
    file.load()
    file.add("x")
    assert file.load()[-1].endswith("x")


def test_where_no_history_can_be_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file: Any = HistoryFile(tmp_path / "file" / "history-lua")
    assert file.load() == []
    file.add("x")
    assert file.load() == []
