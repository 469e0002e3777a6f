"""What the command line makes of an environment and of streams that are not as they should be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenroom.runtime import ConfigurationError, Runtime
from greenroom.runtime.cli.app import app
from greenroom.runtime.config.settings import known_keys, load_settings

GARBAGE = [
    " ", "-", "-1", "0", "-0.0", "0.5", "1e999", "-inf", "nan", "1e300", "1e-300", "9" * 40, "9" * 5000, str(2**63 - 1),
    str(2**63), str(2**64), "1000000000", "0x10", "1_000", "a\nb", "\x1b[2J", "\udcff\udcfe", "é" * 300, "x" * 70_000,
    "true", "none", "[]", "{}", "{", '["("]', "a(", "(a+)+$", "/dev/zero", "/dev/full", "../../etc", "1; true",
]  # fmt: skip
SCRIPT = "local s = SessionManager.create({name = 'x'}); return s"


@pytest.fixture
def store(tmp_path: Path, greenroom: Any) -> str:
    """A store that the commands find; returns the id of the session in it."""
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        made = runtime.create_session(name="é漢")
        made.add_message("user", "é漢\u202e")
        return made.id


def wrong(name: str, word: str) -> ConfigurationError | None:
    """Return what is wrong with a variable."""
    try:
        load_settings(environ={name: word})
    except ConfigurationError as error:
        return error
    return None


@pytest.mark.parametrize("key", known_keys())
def test_whatever_a_variable_says_is_a_setting_or_an_error_that_names_it(key: str) -> None:
    name = f"GREENROOM_{key.upper()}"
    for word in GARBAGE:
        error = wrong(name, word)
        if error is not None:
            assert str(error).startswith(f"{key} ({name}): "), (word[:50], str(error))
            assert len(str(error)) < 500, word[:50]
            json.dumps(error.fields, allow_nan=False)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("word", ["1", "1e-300", "0.5", "1000000000", "1e9", "4194304", str(2**63 - 1), "none"])
def test_a_store_opens_with_whatever_the_variables_may_say(word: str) -> None:
    """Every setting that takes the word has it at once."""
    names = [f"GREENROOM_{key.upper()}" for key in known_keys() if key not in ("data", "analytics_key_file")]
    taken = {name: word for name in names if wrong(name, word) is None}
    assert taken
    for words in (["sessions", "list"], ["run", "-"]):
        said = CliRunner().invoke(app, ["--json", *words], input=SCRIPT, env=taken)
        assert "a bug in greenroom" not in said.stderr, said.stderr
        assert said.exit_code in (0, 1), said.output
        json.loads(said.stdout or said.stderr)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["GREENROOM_", "GREENROOM_É", "GREENROOM_\udcff", "GREENROOM_" + "X" * 10_000])
def test_a_variable_of_no_setting_is_an_error(name: str) -> None:
    said = CliRunner().invoke(app, ["--json", "sessions", "list"], env={name: "x"})
    assert json.loads(said.stderr)["error"]["code"] == "ConfigurationError"


@pytest.mark.usefixtures("greenroom")
def test_a_directory_that_the_database_cannot_name_is_an_error_in_words(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["--json", "--data", "\udcff", "run", "-"], input=SCRIPT)
    assert "RocksDB takes no path that is not in UTF-8" in json.loads(said.stderr)["error"]["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("store")
def test_what_a_script_returns_is_strict_json(greenroom: Any) -> None:
    script = "return {0/0, 1/0, -1/0, 2^70, math.maxinteger, '\\xff\\xfe', '\\u{2028}'}"
    said = json.loads(greenroom("run", "-", "--json", stdin=script).stdout, parse_constant=pytest.fail)
    assert said["value"] == [None, None, None, 2.0**70, 2**63 - 1, {"base64": "//4="}, "\u2028"]


def process(line: str, environment: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `greenroom` is the command."""
    return subprocess.run(
        ["bash", "-c", f'greenroom() {{ "{sys.executable}" -m greenroom.runtime.cli "$@"; }}; {line}'],
        cwd=directory,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", ["--help", "sessions list", "--json sessions list"])
def test_output_that_nothing_can_take_is_an_error_in_words(
    store: str, environment: dict[str, str], tmp_path: Path, words: str
) -> None:
    done = process(f"greenroom {words} >/dev/full", environment, tmp_path)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_standard_streams_a_command_works_and_harms_no_store(
    store: str, environment: dict[str, str], tmp_path: Path
) -> None:
    assert process("greenroom sessions suspend " + store + " <&- >&- 2>&-", environment, tmp_path).returncode == 0
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        assert runtime.session(store).info().status == "suspended"
        assert runtime.verify().ok


def test_following_ends_when_its_reader_has_gone(store: str, environment: dict[str, str], tmp_path: Path) -> None:
    done = process(f"greenroom events {store} --follow | head -n 1", environment, tmp_path)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_a_terminal_without_unicode_gets_escapes(store: str, environment: dict[str, str], tmp_path: Path) -> None:
    ascii_only = environment | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = process(f"greenroom sessions show {store} --messages 1", ascii_only, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xe9\\u6f22" in done.stdout
    said = process(f"greenroom sessions show {store} --json", ascii_only, tmp_path).stdout
    assert said.isascii()
    assert json.loads(said)["name"] == "é漢"


def test_a_width_that_is_no_number_breaks_no_help(environment: dict[str, str], tmp_path: Path) -> None:
    done = process("greenroom --help", environment | {"TERMINAL_WIDTH": "wide", "COLUMNS": "many"}, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
