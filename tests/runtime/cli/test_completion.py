"""What shells offer while a command line is being typed: they are asked the way their scripts ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from greenroom.runtime import Runtime
from greenroom.runtime.cli.app import app

HOSTILE = ["$(touch harm)", "\\$(touch harm)", "`touch harm`", "a b", "*", "-x", "a'b", 'a"b', "a;b", "[x", "~", "a:b"]


@pytest.fixture
def session(tmp_path: Path) -> str:
    """The id of a session in the store that the commands find by themselves."""
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        made = runtime.create_session(name="one é $(touch harm)'\"`")
        for name in ("plan.md", "plan.md", "plän", *HOSTILE):
            made.store_artifact("t", name, "text")
        runtime.templates.save("weekly", {})
        other = runtime.create_session(name="[bold]two")
        other.complete()
        return made.id


def offered(line: str, shell: str = "fish") -> list[str]:
    """Return what a shell would offer at the end of a line."""
    words = line.split(" ")
    asked = {
        "_GREENROOM_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": line,
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    said = CliRunner().invoke(app, [], env=asked)
    assert said.stderr == ""
    return [line for line in said.stdout.splitlines() if line]


@pytest.mark.usefixtures("greenroom")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("greenroom ti", ["timeline"]),
        ("greenroom sessions arch", ["archive"]),
        ("greenroom sessions list --off", ["--offset"]),
        ("greenroom sessions list --status ", ["active", "suspended", "completed", "failed", "archived", "all"]),
        ("greenroom sessions list --status=f", ["failed"]),
        ("greenroom sessions list --sort na", ["name"]),
        ("greenroom artifacts list --type agent", ["agent_output"]),
        ("greenroom artifacts list --sort s", ["size"]),
        ("greenroom artifacts share x y --permission w", ["write"]),
        ("greenroom run x --profile t", ["trusted"]),
        ("greenroom templates get ", ["weekly"]),
        ("greenroom --show-completion z", ["zsh"]),
        ("greenroom restore gre", []),
        ("greenroom artifacts put x gre", []),
    ],
)
def test_commands_options_statuses_and_names_are_offered(session: str, line: str, words: list[str]) -> None:
    for shell in ("bash", "fish"):
        assert [each.partition("\t")[0] for each in offered(line, shell)] == words


PLACES = [
    "sessions show",
    "sessions tree",
    "sessions suspend",
    "sessions delete x",
    "sessions export",
    "artifacts list",
    "artifacts share x y --with",
    "events",
    "timeline",
    "debug",
    "replay",
    "diff",
    "diff x",
    "context",
    "audit",
    "run x --session",
    "stats --session",
]


@pytest.mark.usefixtures("greenroom")
@pytest.mark.parametrize("place", PLACES)
def test_ids_are_offered_wherever_a_session_is_named(session: str, place: str) -> None:
    assert offered(f"greenroom {place} {session[:8]}", "bash") == [session]


@pytest.mark.usefixtures("greenroom")
def test_ids_come_with_names_and_statuses_and_of_every_status(session: str) -> None:
    lines = offered("greenroom sessions show ")
    assert len(lines) == 2
    assert f"{session}\tone é touch harm active" in lines
    assert any(line.endswith("\tbold two completed") for line in lines)


@pytest.mark.usefixtures("greenroom")
def test_names_of_artifacts_are_offered_once_and_only_plain_words(session: str) -> None:
    place = f"greenroom artifacts get {session[:8]} "
    assert offered(place, "bash") == ["plan.md", "plän"]
    assert offered(place + "plä", "bash") == ["plän"]
    assert offered(place + "$", "bash") == []


@pytest.mark.usefixtures("greenroom")
@pytest.mark.parametrize("line", ["greenroom --data {} sessions show ", "greenroom sessions show --data={} "])
def test_the_store_is_the_one_that_the_line_names(session: str, tmp_path: Path, line: str) -> None:
    (tmp_path / "greenroom-data").rename(tmp_path / "elsewhere")
    assert session in offered(line.format("elsewhere"), "bash")
    assert not (tmp_path / "greenroom-data").exists()


@pytest.mark.usefixtures("greenroom")
def test_where_nothing_can_be_read_nothing_is_said_and_nothing_made(tmp_path: Path) -> None:
    assert offered("greenroom sessions show ", "bash") == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "greenroom.toml").write_text("[[[")
    assert offered("greenroom sessions show ", "bash") == []
    said = CliRunner().invoke(app, [], env={"_GREENROOM_COMPLETE": "complete_bash"})
    assert (said.exit_code, said.output) == (1, "")


@pytest.mark.usefixtures("greenroom")
@pytest.mark.parametrize(("shell", "words"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --com")])
def test_the_script_is_that_of_the_shell_that_is_named(shell: str, words: str) -> None:
    assert words in CliRunner().invoke(app, ["--show-completion", shell]).stdout


@pytest.mark.usefixtures("greenroom")
@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".bash_completions/greenroom.sh"),
        ("zsh", ".zfunc/_greenroom"),
        ("fish", ".config/fish/completions/greenroom.fish"),
    ],
)
def test_the_script_is_put_where_the_shell_that_is_named_finds_it(tmp_path: Path, shell: str, place: str) -> None:
    said = CliRunner().invoke(app, ["--install-completion", shell], env={"HOME": str(tmp_path)})
    assert (said.exit_code, said.stderr) == (0, "")
    assert place in said.stdout.replace("\n", "")
    script = CliRunner().invoke(app, ["--show-completion", shell]).stdout
    assert (tmp_path / place).read_text().strip() == script.strip()


@pytest.mark.usefixtures("greenroom")
def test_a_shell_that_is_not_known_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["--show-completion", "sh"]).exit_code == 2


SCRIPTS = {
    "bash": """
        source <(greenroom --show-completion bash)
        offered() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _greenroom_completion greenroom; echo "${{COMPREPLY[*]}}"
        }}
        offered greenroom sessions show {start}
        offered greenroom artifacts get {start} ""
    """,
    "zsh": """
        compdef() {{ : }}
        _arguments() {{ local action=${{1#*:*:}}; eval "found=( ${{action[3,-3]}} )"; print -r -- ${{found%%:*}} }}
        eval "$(greenroom --show-completion zsh)"
        words=(greenroom sessions show {start}); CURRENT=4; _greenroom_completion
        words=(greenroom artifacts get {start} ""); CURRENT=5; _greenroom_completion
    """,
    "fish": """
        greenroom --show-completion fish | source
        echo (complete -C "greenroom sessions show {start}" | string split -f 1 \\t)
        echo (complete -C "greenroom artifacts get {start} " | string split -f 1 \\t)
    """,
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_completes(session: str, tmp_path: Path, environment: dict[str, str], shell: str) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell} here")
    program = tmp_path / "bin" / "greenroom"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m greenroom.runtime.cli "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [found, "-c", SCRIPTS[shell].format(start=session[:8])],
        cwd=tmp_path,
        env=environment | {"PATH": f"{program.parent}{os.pathsep}{environment['PATH']}"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    ids, names = done.stdout.splitlines()
    assert ids.strip('"') == session
    assert [name.strip('"') for name in names.split()] == ["plan.md", "plän"]
    assert not (tmp_path / "harm").exists()
