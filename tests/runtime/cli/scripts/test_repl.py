"""``greenroom repl``: what is typed is run at once, and what it leaves stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime

from .terminal import Terminal


def entries(*each: str) -> str:
    return "\n".join(each)


# -- from a pipe


def test_variables_stay_and_values_are_shown(greenroom: Any) -> None:
    said = greenroom(
        "repl", stdin="x = 20\nlocal y = 22\nx + y\n_ * 2\nlocal function f(n) return n, 'two' end\nf(1)\nnil"
    )
    assert said.stdout == '42\n84\n1, "two"\nnil\n'
    assert said.stderr == ""


def test_an_entry_goes_on_until_it_is_whole(greenroom: Any) -> None:
    said = greenroom("repl", stdin="for i = 1, 2 do\n\n  print(i)\nend\nprint([[a\nb]])\n({\n  1,\n  2 })[2]")
    assert said.stdout == "1\n2\na\nb\n2\n"


def test_errors_are_told_and_the_session_goes_on(greenroom: Any) -> None:
    script = entries(
        "x = 1",
        "error('oh no')",
        "x = = 2",
        "local function f()\n  return nil .. 'x'\nend",
        "f()",
        "error{code = 'Mine', message = 'm'}",
        "x",
    )
    said = greenroom("repl", stdin=script, code=1)
    assert said.stdout == "1\n"
    told = said.stderr.splitlines()
    assert told[0] == "repl:1: oh no"
    assert "unexpected symbol near '='" in told[1]
    assert "attempt to concatenate a nil value" in told[2]
    assert told[-1].endswith("Mine: m")


def test_what_an_unfinished_entry_misses_is_told_at_the_end(greenroom: Any) -> None:
    assert "<eof>" in greenroom("repl", stdin="for i = 1, 2 do", code=1).stderr


def test_javascript_is_spoken_too(greenroom: Any) -> None:
    pytest.importorskip("quickjs_rs")
    script = entries(
        "const x = 20",
        "let y = 22",
        "x + y",
        "function twice(n) {",
        "  return n * 2;",
        "}",
        "twice(y)",
        "const chat = Session.create({",
        "  name: 'js' })",
        "chat.name",
        "throw new Error('oh no')",
        "while (true) {}",
        "typeof x",
        ".help Session.create",
    )
    said = greenroom("repl", "--language", "js", "--timeout", "0.5", stdin=script, code=1)
    assert said.stdout.startswith('42\n44\n"js"\n"number"\n')
    assert "Session.create(" in said.stdout
    assert "oh no" in said.stderr
    assert "longer than 0.5 s" in said.stderr


def test_a_limit_ends_an_entry_and_the_variables_stay(greenroom: Any) -> None:
    script = entries(
        "x = 'kept'",
        "while true do end",
        "pcall(function() while true do end end)",
        "x",
        "string.rep('x', 1 << 40)",
        "t = {}",
        "while true do t[#t + 1] = {} end",
        "t = nil",
        "x",
    )
    said = greenroom("repl", "--timeout", "0.5", stdin=script, code=1)
    assert said.stdout == '"kept"\n"kept"\n'
    assert said.stderr.count("longer than 0.5 s") >= 2
    assert "bytes of memory" in said.stderr


def test_every_entry_has_its_own_time(greenroom: Any) -> None:
    entry = "do local begun = os.clock() while os.clock() < begun + 0.1 do end end"
    said = greenroom("repl", "--timeout", "1", stdin=entries(*[entry] * 12, "'done'"))
    assert said.stdout == '"done"\n'


def test_values_are_shown_readably_and_bounded(greenroom: Any) -> None:
    script = """{ 1, "two", three = { x = true } }
{}
"a\\nb\\x00\\xff"
t = {} t.me = t
t
{ print }
local big = {} for i = 1, 100000 do big[i] = i end
big
string.rep("x", 100000)
local deep = {} for i = 1, 100 do deep = { deep } end
deep
JSON.null
{ [1.5] = 1, [true] = 2, ["a b"] = 3 }"""
    shown = greenroom("repl", stdin=script).stdout
    assert '{ 1, "two", three = { x = true } }\n{}\n' in shown
    assert '"a\\nb\\x00\\xff"' in shown
    assert "{ me = <the table around it> }" in shown
    assert "{ <function> }" in shown
    assert "… 99950 more" in shown
    assert "… (100000 bytes)" in shown
    assert "{…}" in shown
    assert "\nnull\n" in shown
    assert '{ [1.5] = 1, ["a b"] = 3, [true] = 2 }' in shown
    assert len(shown) < 20_000


def test_shown_text_cannot_steer_the_terminal(greenroom: Any) -> None:
    said = greenroom("repl", stdin="'\\x1b[2J'\nerror('\\x1b[2J')", code=1)
    assert "\x1b" not in said.stdout + said.stderr


@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_a_script_may_end_the_repl(greenroom: Any, language: str) -> None:
    if language == "javascript":
        pytest.importorskip("quickjs_rs")
    script = entries("print(1)", "nonsense.x", "os.exit(3)", "print(2)")
    assert greenroom("repl", "--profile", "trusted", "--language", language, stdin=script, code=3).stdout == "1\n"


@pytest.mark.parametrize(
    "content", ["\x00", "x = '\x00'", "(" * 100_000, "x = '" + "a" * 2_000_000 + "'", ".session \x00", ".", ". x"]
)
def test_whatever_is_typed_is_an_entry_or_an_error(greenroom: Any, content: str) -> None:
    said = greenroom("repl", stdin=entries(content, "", "'still here'"), code=None)
    assert "a bug in greenroom" not in said.stderr
    assert said.stdout.endswith('"still here"\n')


def test_commands(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        session = runtime.create_session(name="one", key="k").id
    script = entries(
        ".session",
        ".session key:k",
        "Session.current()",
        ".help Session.create",
        ".help",
        ".nonsense",
        ".session none",
        ".session",
        ".exit",
        "print('never')",
    )
    said = greenroom("repl", stdin=script, code=1)
    assert "no session is current" in said.stdout
    assert f"{session}  active  one" in said.stdout
    assert f'"{session}"' in said.stdout
    assert "Session.create(" in said.stdout
    assert "globals: " in said.stdout
    assert "never" not in said.stdout
    assert ".help, .session, .exit" in said.stderr


def test_a_repl_that_is_bound_to_a_session_reaches_no_other(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        mine, other = runtime.create_session(name="mine").id, runtime.create_session(name="other").id
    said = greenroom("repl", "--session", mine, stdin=f"Session.current()\nSession.get('{other}')", code=1)
    assert said.stdout == f'"{mine}"\n'
    assert "AccessDenied" in said.stderr


def test_agents_plugins_and_callbacks(greenroom: Any) -> None:
    script = """Session.setCurrent(Session.create { name = "heard" })
local a = Agent.create { name = "a", model = "echo" }
a:invoke("hello").text
Event.on("variable.set", function(event) print("heard " .. event.data.key) end)
State.set("k", 1)
Hook.register("BeforeStateWrite", function() return "cancel" end)
pcall(State.set, "k", 2)"""
    said = greenroom("repl", "--agent", "echo", stdin=script)
    assert '"hello"' in said.stdout
    assert "heard k" in said.stdout
    assert "false, HookCancelled" in said.stdout


def test_it_reads_beside_the_process_that_writes(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        runtime.create_session(name="held")
        said = greenroom.process("repl", stdin="Session.list()[1].name\nSession.create{}\n", code=1)
    assert said.stdout == '"held"\n'
    assert "Another process has the store open" in said.stderr


# -- at a terminal


@pytest.fixture
def terminal(tmp_path: Path, environment: dict[str, str]) -> Any:
    def open_terminal(*arguments: str) -> Terminal:
        return Terminal(tmp_path, environment, "repl", *arguments)

    return open_terminal


def test_a_conversation_at_a_terminal(terminal: Any, tmp_path: Path) -> None:
    with terminal() as screen:
        screen.wait_for("lua>")
        screen.type("x = 41\r", "lua>")
        screen.type("x + 1\r", "42")
        screen.type("for i = 1, 2 do\r", "..")
        screen.type("print('n' .. i)\rend\r", "n2")
        screen.type("print('begun') while true do end\r", "begun\n")
        screen.type("\x03", "stopped")
        screen.type("x * 2\r", "82")
        screen.type("Session.setCurrent(Session.create { name = 'Ada' })\r", "lua Ada>")
        screen.type("half an entry\x03", "lua Ada>")
        assert screen.leave("\x04") == 0
    kept = tmp_path / ".local" / "state" / "greenroom" / "history-lua"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "+for i = 1, 2 do\n+print('n' .. i)\n+end\n" in kept.read_text()
    assert "half" not in kept.read_text()

    with terminal() as screen:  # the arrow brings back what was typed in an earlier session
        screen.wait_for("lua>")
        screen.type("\x1b[A", "name = 'Ada'")
        assert screen.leave("\x03\x04") == 0


def test_completion_and_signatures_at_a_terminal(terminal: Any) -> None:
    with terminal() as screen:
        screen.wait_for("lua>")
        screen.type("Sessi\t", "Sess")
        screen.drawn("lua> Session")
        screen.type(".getOrC\t", "C")
        screen.drawn("lua> Session.getOrCreate")
        screen.drawn("Session.getOrCreate(key")
        screen.type("\x03", "lua>")
        screen.type("wonderful = { inside = 'found' }\r", "lua>")
        screen.type("wonderful.ins\t", "wonderful.ins")
        screen.drawn("lua> wonderful.inside")
        screen.type("\r", '"found"')
        screen.type(".exi\t", ".exi")
        screen.drawn("lua> .exit")
        assert screen.leave("\r") == 0
