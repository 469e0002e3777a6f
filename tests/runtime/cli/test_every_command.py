"""What holds for every command: its options, its words, its errors, and the times it takes."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

import greenroom.actors
import greenroom.runtime
import greenroom.storage
from greenroom.runtime import Runtime, StorageError, StoreLocked, ValidationError
from greenroom.runtime.cli.app import app
from greenroom.runtime.cli.failures import in_our_words
from greenroom.runtime.cli.times import moment_of


def every_command(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in (group or get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(every_command())


@pytest.fixture
def session(tmp_path: Path) -> str:
    """The id of a session in the store that the commands find by themselves."""
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        made = runtime.create_session(name="one")
        made.set("raw", b"\x00\xff")
        made.set("nested", {"raw": b"\x00", "list": [b"x"]})
        made.records.put_many({"step/1": b"raw\n", "step/2": {"n": 2}, b"\xff": 3})
        for content in ("first", "second", "third"):
            made.store_artifact("t", "a.txt", content)
        return made.id


# -- options


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_takes_the_options_of_all(path: tuple[str, ...]) -> None:
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert {"--data", "--json", "--quiet"} <= options


@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_they_are_taken_before_and_after_the_command(greenroom: Any, session: str, tmp_path: Path, place: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "greenroom-data").rename(elsewhere)
    common = ("--data", elsewhere, "--json", "--quiet")
    words = {
        "before": (*common, "sessions", "list"),
        "between": ("sessions", *common, "list"),
        "after": ("sessions", "list", *common),
    }[place]
    said = greenroom(*words)
    assert [row["id"] for row in json.loads(said.stdout)] == [session]
    assert said.stderr == ""


@pytest.mark.usefixtures("session")
def test_quiet_leaves_out_what_was_not_asked_for(greenroom: Any, session: str) -> None:
    assert greenroom("sessions", "suspend", session, "--quiet") == ("", "")
    assert greenroom("--quiet", "templates", "save", "t") == ("", "")
    assert session in greenroom("sessions", "list", "-q").stdout
    assert "no session" in greenroom("sessions", "show", "abcdef", "-q", code=1).stderr


# -- errors


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (("sessions", "show", "abcdef"), 1, "SessionNotFound"),
        (("sessions", "show", "not an id"), 1, "ValidationError"),
        (("sessions", "list", "--data", "nowhere"), 1, "StorageError"),
        (("artifacts", "put", "SESSION", "/nowhere"), 1, "StorageError"),
        (("sessions", "list", "--limit", "many"), 2, "UsageError"),
        (("sessions", "lost"), 2, "UsageError"),
        (("artifacts", "list", "--after", "soon"), 2, "UsageError"),
        ((), 2, "UsageError"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_errors_are_json_when_json_is_asked_for(
    greenroom: Any, session: str, words: tuple[str, ...], code: int, name: str
) -> None:
    words = tuple(session if word == "SESSION" else word for word in words)
    for arguments in (("--json", *words), (*words, "--json")):
        said = greenroom(*arguments, code=code)
        error = json.loads(said.stderr)["error"]
        assert error["code"] == name
        assert error["message"]
        assert said.stdout == ""


def test_scripts_that_fail_say_so_in_json_too(greenroom: Any, session: str) -> None:
    error = json.loads(greenroom("run", "-", "--json", stdin="error('oh')", code=1).stderr)["error"]
    assert error["code"] == "ScriptError"
    assert error["fields"]["line"] == 1


PYTHON = re.compile(r"\w\(\)|=True|=None|=False|\bread_only\b|\brt\.|\bRuntime\.|\ba Path\b|; run verify")
# What the command line never asks for: the advice is for who registers tools, agents, hooks, or records blocks.
NEVER_ASKED = re.compile(r"replace=True|agents\.register|tools\.list|call rt\.(recording|replaying)\(\) for each block")


def test_no_advice_for_python_reaches_the_command_line() -> None:
    """Every text that the runtime's errors are made of, read from its source."""
    left = []
    for package in (greenroom.storage, greenroom.actors, greenroom.runtime):
        for file in Path(package.__file__ or "").parent.rglob("*.py"):
            if "cli" in file.parts:
                continue
            for raised in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Raise)):
                told = (text for text in texts_in(raised) if PYTHON.search(in_our_words(text)))
                left += [f"{file.name}:{raised.lineno}: {text}" for text in told if not NEVER_ASKED.search(text)]
    assert left == []


def texts_in(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in each.values)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def test_a_locked_store_is_told_in_the_words_of_the_command_line(greenroom: Any, session: str, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data"):
        said = greenroom("sessions", "suspend", session, code=1).stderr
    assert "another process has it open for writing" in said
    assert not PYTHON.search(said)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValidationError("sort_by: one of …"), "--sort: one of …"),
        (ValidationError("tags[3]: at most 64 characters"), "--tag: at most 64 characters"),
        (ValidationError("limit: 1 or more"), "--limit: 1 or more"),
        (StorageError("unknown: something"), "unknown: something"),
        (StoreLocked("cannot open x: another runtime has it open for writing"), "cannot open x: another process has"),
    ],
)
def test_fields_are_named_as_options(error: Exception, words: str) -> None:
    assert in_our_words(str(error), COMMANDS["sessions", "list"]).startswith(words)


@pytest.mark.usefixtures("session")
def test_arguments_are_refused_in_plain_words(greenroom: Any) -> None:
    said = greenroom("sessions", "list", "--limit", "x", code=2).stderr
    assert "'--limit': a whole number is needed" in said
    assert "at least 1" in greenroom("sessions", "list", "--limit", "0", code=2).stderr
    for words in (("--limit", "x"), ("--limit", "0"), ("--offset", "1.5")):
        assert "Input" not in greenroom("sessions", "list", *words, code=2).stderr


# -- times


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        (" 7d ago", timedelta(7)),
        ("2w", timedelta(weeks=2)),
        ("1.5h", timedelta(minutes=90)),
        ("now", timedelta()),
    ],
)
def test_times_may_be_said_as_how_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC) - ago
    found = moment_of(text, "--after")
    assert found is not None
    assert before <= found <= datetime.now(UTC) - ago


def test_times_may_be_days_and_rfc_3339() -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert moment_of("today", "--after") in (midnight, midnight + timedelta(1))
    assert moment_of("Yesterday", "--after") in (midnight - timedelta(1), midnight)
    assert moment_of("2026-01-31", "--after") == datetime(2026, 1, 31, tzinfo=UTC)
    assert moment_of("2026-01-31T12:00:00+02:00", "--after") == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert moment_of("2026-01-31 12:00Z", "--after") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    in_a_day = moment_of("24h", "--expires", ahead=True)
    assert in_a_day is not None
    assert timedelta(hours=23) < in_a_day - datetime.now(UTC) <= timedelta(hours=24)
    assert moment_of(None, "--after") is None


@pytest.mark.parametrize(
    "text", ["", "soon", "24", "999999w", "2026-13-01", "0001-01-01T00:00:00+14:00", "-1h", "\ud800"]
)
def test_what_is_no_time_says_what_is(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"time|range"):
        moment_of(text, "--after")


def test_a_time_without_its_zone_is_not_guessed() -> None:
    with pytest.raises(typer.BadParameter, match="zone"):
        moment_of("2026-01-31T12:00:00", "--after")


def test_every_time_is_given_the_same_way(greenroom: Any, session: str) -> None:
    """Each option of each command whose value is a time."""
    options = [
        (path, parameter.opts[0])
        for path, command in COMMANDS.items()
        for parameter in command.params
        if parameter.metavar == "TIME"
    ]
    assert len(options) >= 9
    for path, option in options:
        needed = {
            ("search",): ("one",),
            ("stats",): ("--sessions",),
            ("artifacts", "share"): (session, "a.txt", "--with", session),
            ("sessions", "share"): (session, "--with", session),
        }.get(path, ())
        for time in ("24h", "yesterday", "2026-01-31T12:00:00Z", "2026-01-31"):
            said = greenroom(*path, *needed, option, time, code=1 if path[-1] == "share" else 0)
            assert path[-1] != "share" or "time" not in said.stderr or "past" in said.stderr or time == "24h"
        assert option in greenroom(*path, *needed, option, "soon", code=2).stderr


# -- words


def test_bytes_are_not_printed_as_python_prints_them(greenroom: Any, session: str) -> None:
    said = greenroom("sessions", "show", session).stdout
    assert "b'" not in said
    assert "2 B" in said
    assert json.loads(greenroom("sessions", "show", session, "--json").stdout)["variables"]["raw"] == {"base64": "AP8="}


def test_records_are_listed_and_written_out(greenroom: Any, session: str) -> None:
    assert greenroom("records", session, "--prefix", "step/").stdout.splitlines() == [
        "KEY     VALUE",
        "step/1  4 B",
        'step/2  {"n": 2}',
    ]
    rows = json.loads(greenroom("records", session, "--reverse", "--limit", "2", "--json").stdout)
    assert rows == [
        {"key": {"base64": "/w=="}, "value": 3},
        {"key": {"base64": "c3RlcC8y"}, "value": {"n": 2}},
    ]
    assert "1 of 3 records; more with --limit" in greenroom("records", session, "--limit", "1").stderr
    assert json.loads(greenroom("records", session, "step/2").stdout) == {"n": 2}
    assert greenroom("records", session, "step/1").stdout == "raw\n"
    assert "no record" in greenroom("records", session, "step/3", code=1).stderr


def test_one_thing_is_one_thing(greenroom: Any, session: str) -> None:
    greenroom("artifacts", "delete", session, "a.txt", "--all")
    greenroom("artifacts", "put", session, "-", "--name", "b", stdin="x")
    assert "1 artifact\n" in greenroom("sessions", "tree").stdout
    assert "stored       4 artifacts," in greenroom("stats", "--session", session).stdout


def test_deleting_says_how_many_versions_go(greenroom: Any, session: str) -> None:
    assert greenroom("artifacts", "delete", session, "a.txt").stdout == (
        "deleted  a.txt version 3; 2 versions left, --all deletes all\n"
    )
    assert "version 1" in greenroom("artifacts", "delete", session, "a.txt", "--version", 1).stdout
    assert [row["version"] for row in greenroom.json("artifacts", "versions", session, "a.txt")] == [2]
    greenroom("artifacts", "put", session, "-", "--name", "a.txt", stdin="fourth")
    assert greenroom("artifacts", "delete", session, "a.txt", "--all").stdout == "deleted  a.txt with 2 versions\n"
    assert greenroom.json("artifacts", "list", session) == []
    greenroom("artifacts", "delete", session, "a.txt", "--all", "--version", 1, code=2)


def test_a_script_comes_through_stdin(greenroom: Any, session: str) -> None:
    said = greenroom("run", "-", "one", "two", stdin="\ufeffprint(#arg, arg[1]) return Session.get(arg[1])", code=1)
    assert said.stdout == "2\tone\n"
    assert "stdin" in said.stderr
    assert greenroom("run", "-", stdin="return 1 + 1").stdout.strip() == "2"


# -- help


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_says_every_word_of_the_docstring_in_lines_as_long_as_the_terminal(
    greenroom: Any, path: tuple[str, ...]
) -> None:
    said = greenroom(*path, "--help", COLUMNS="1000", TERMINAL_WIDTH="1000").stdout
    lines = [line.strip() for line in said.splitlines()]
    for paragraph in (inspect.getdoc(COMMANDS[path].callback) or "").split("\n\n"):
        if paragraph.startswith(" "):  # a table or examples, which a narrow terminal must not break
            assert {line.strip() for line in paragraph.splitlines()} <= {*lines}
            assert max(map(len, paragraph.splitlines())) <= 78
        else:
            assert " ".join(paragraph.split()) in lines
