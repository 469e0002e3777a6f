"""``greenroom run``: what it says of a failing script, what it registers, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime

from ....warm import WarmPopen

PLUGINS = """
def tools(runtime):
    runtime.tools.register("shout", lambda text: text.upper())
    runtime.agents.register("wise", lambda input: "42")

def failing(runtime):
    raise LookupError("no such table")

def leaving(runtime):
    raise SystemExit("enough")

async def later(runtime):
    pass

number = 7
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in the working directory."""
    name = "plugins_for_a_test"
    (tmp_path / f"{name}.py").write_text(PLUGINS)
    (tmp_path / "broken_for_a_test.py").write_text("import no_such_thing_for_a_test\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield name
    for each in (name, "broken_for_a_test"):
        sys.modules.pop(each, None)


def test_an_error_shows_the_line_it_came_from_and_the_way_there(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.lua").write_text("local function first()\n\tlocal t = nil\n\treturn t.field\nend\nfirst()\n")
    said = greenroom("run", "bad.lua", code=1).stderr.splitlines()
    assert said[0] == "greenroom: bad.lua:3: attempt to index a nil value (local 't')"
    assert said[1].split(" | ") == ["   3", "\treturn t.field"]
    assert said[2] == "stack traceback:"
    assert [line.split(": ")[0].strip() for line in said[3:]] == ["bad.lua:3", "bad.lua:5"]


def test_a_syntax_error_and_a_limit_show_their_line_too(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "half.lua").write_text("print('never')\nlocal x = = 1\n")
    said = greenroom("run", "half.lua", code=1)
    assert said.stdout == ""
    assert "half.lua:2:" in said.stderr
    assert "   2 | local x = = 1" in said.stderr
    said = greenroom("run", "-", "--timeout", "0.2", stdin="print('begun')\nwhile true do end", code=1)
    assert said.stdout == "begun\n"
    assert "   2 | while true do end" in said.stderr


def test_a_line_of_a_script_cannot_steer_the_terminal(greenroom: Any) -> None:
    said = greenroom("run", "-", stdin="local x = '\x1b[2J' .. nil", code=1)
    assert "\x1b" not in said.stderr
    assert "\\x1b[2J" in said.stderr


def test_the_agent_that_ships_is_registered_for_a_run(greenroom: Any) -> None:
    script = "return Agent and Agent.create{name = 'a', model = 'echo'}:invoke('hello').text"
    assert greenroom("run", "-", "--agent", "echo", stdin=script).stdout == "hello\n"
    assert greenroom("run", "-", stdin=script).stdout == ""
    assert "there is: echo" in greenroom("run", "-", "--agent", "gpt", stdin=script, code=2).stderr


def test_a_plugin_registers_tools_and_agents(greenroom: Any, plugins: str) -> None:
    script = """print(Tool.invoke("shout", {text = "hi"}).result)
    print(Agent.create{name = "w", model = "wise"}:invoke("why?").text)"""
    assert greenroom("run", "-", "--plugin", f"{plugins}:tools", stdin=script).stdout == "HI\n42\n"


@pytest.mark.parametrize(
    ("plugin", "code", "words"),
    [
        ("{}:failing", 1, ["LookupError: no such table", "plugins_for_a_test.py:7"]),
        ("{}:leaving", 1, ["SystemExit: enough", "plugins_for_a_test.py:10"]),
        ("{}:later", 1, ["async"]),
        ("{}:number", 2, ["no function"]),
        ("{}:missing", 2, ["has no 'missing'"]),
        ("{}", 2, ["MODULE:FUNCTION"]),
        ("{}:", 2, ["MODULE:FUNCTION"]),
        ("no_such_module_here:f", 2, ["no module 'no_such_module_here'"]),
        ("broken_for_a_test:f", 1, ["broken_for_a_test.py:1", "no_such_thing_for_a_test"]),
    ],
)
def test_a_plugin_that_does_not_work_says_what_is_wrong(
    greenroom: Any, plugins: str, plugin: str, code: int, words: list[str]
) -> None:
    said = greenroom("run", "-", "--plugin", plugin.format(plugins), stdin="print(1)", code=code)
    assert said.stdout == ""
    assert "a bug in greenroom" not in said.stderr
    for word in ["--plugin", *words]:
        assert word in said.stderr.replace("\n", " ")


def test_a_script_reads_beside_the_process_that_writes(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        runtime.create_session(name="held")
        said = greenroom.process("run", "-", code=1, stdin="print(Session.list{}[1].name)\nSession.create{name = 'x'}")
        assert said.stdout == "held\n"
        assert "Another process has the store open" in said.stderr
        assert "reading only" in said.stderr
        assert runtime.list_sessions().total == 1


def test_the_settings_limits_hold_where_they_are_set(greenroom: Any) -> None:
    loop = "while true do end"
    said = greenroom("run", "-", stdin=loop, code=1, GREENROOM_SCRIPT_TIMEOUT="0.2")
    assert "longer than 0.2 s" in said.stderr
    said = greenroom("run", "-", stdin=loop, code=1, GREENROOM_SCRIPT_INSTRUCTIONS="100000")
    assert "more than 100000 instructions" in said.stderr


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_output_comes_while_the_script_runs_and_ctrl_c_ends_it(
    environment: dict[str, str], tmp_path: Path, isolation: str
) -> None:
    (tmp_path / "long.lua").write_text("print('begun')\nwhile true do end\n")
    running = WarmPopen(
        [sys.executable, "-m", "greenroom.runtime.cli", "run", "long.lua", "--isolation", isolation],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in errors


def test_the_way_there_is_shown_in_javascript_too(greenroom: Any) -> None:
    pytest.importorskip("quickjs_rs")
    script = "function inner() {\n  throw new Error('boom');\n}\nfunction outer() {\n  inner();\n}\nouter();\n"
    said = greenroom("run", "-", "--language", "js", stdin=script, code=1).stderr.splitlines()
    assert said[0] == "greenroom: stdin:2: boom"
    assert said[1] == "   2 |   throw new Error('boom');"
    assert said[2] == "     |             ^"
    assert [each.split()[1] for each in said[3:5]] == ["inner", "outer"]


def test_json_has_everything(greenroom: Any) -> None:
    said = json.loads(greenroom("run", "-", "--json", stdin="print('x') return {1}").stdout)
    assert (said["value"], said["output"], said["exit_code"]) == ([1], "x\n", 0)
    assert {"duration", "instructions", "memory_peak"} <= said.keys()


def test_what_others_wrote_runs_in_a_process_of_its_own(greenroom: Any) -> None:
    loop = "print('begun') local t = setmetatable({}, {}) getmetatable(t).__call = t return t()"
    said = greenroom("run", "-", "--trust", "untrusted", "--timeout", "0.5", stdin=loop, code=1)
    assert said.stdout == "begun\n"
    assert "longer than 0.5 s" in said.stderr
    assert greenroom("run", "-", "--isolation", "process", stdin="return 1 + 1").stdout == "2\n"
    said = greenroom("run", "-", "--isolation", "process", "--profile", "trusted", stdin="return 1", code=1)
    assert "run it with isolation='thread'" in said.stderr
    said = greenroom("run", "-", "--trust", "friend", stdin="return 1", code=1)
    assert "there are: 'host', 'untrusted'" in said.stderr


def test_a_script_that_is_an_artifact_runs_by_name_version_and_id(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        session = runtime.create_session(name="scripts")
        first = session.store_artifact("script", "hello.lua", "print('one', ...)")
        session.store_artifact("script", "hello.lua", "print('two', Session.current())\nerror('oh')")
    said = greenroom("run", "hello.lua", "--artifact", "--session", session.id, code=1)
    assert said.stdout == f"two\t{session.id}\n"
    assert "   2 | error('oh')" in said.stderr
    assert (
        greenroom("run", "hello.lua", "x", "--artifact", "--session", session.id, "--version", 1).stdout == "one\tx\n"
    )
    assert greenroom("run", str(first.id), "--artifact").stdout == "one\n"
    assert "the session too" in greenroom("run", "hello.lua", "--artifact", code=1).stderr
    assert "--artifact" in greenroom("run", "hello.lua", "--version", 1, code=2).stderr


@pytest.mark.parametrize(
    ("given", "code"), [("", 0), ("0", 0), ("3", 3), ("true", 0), ("false", 1), ("7.0", 7), ("256 + 9", 9)]
)
@pytest.mark.parametrize(("language", "end"), [("lua", ""), ("js", ";")])
def test_the_exit_code_is_that_of_the_script(greenroom: Any, language: str, end: str, given: str, code: int) -> None:
    if language == "js":
        pytest.importorskip("quickjs_rs")
    script = f"print('before'){end} os.exit({given}){end} print('after')"
    said = greenroom("run", "-", "--profile", "trusted", "--language", language, stdin=script, code=code)
    assert said.stdout == "before\n"
    assert said.stderr == ""


def test_arguments_and_the_name_of_the_script(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "named.lua").write_text("print(arg[0], #arg, arg[1], arg[2], ...)")
    assert greenroom("run", "named.lua", "a", "b c").stdout == "named.lua\t2\ta\tb c\ta\tb c\n"
