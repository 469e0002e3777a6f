"""The console of JavaScript: pieces one after another in one heap, their values as text, names, and limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError, ScriptMemoryExceeded, ScriptTimeout
from greenroom.runtime.scripts.console import open_console


def _open(runtime: Runtime, timeout: float = 20.0) -> Any:
    options: dict[str, Any] = {"profile": "sandboxed", "session": None, "directories": (), "echo": lambda line: None}
    return open_console(runtime, "js", timeout=timeout, **options)


@pytest.fixture(scope="module")
def console() -> Iterator[Any]:
    with Runtime.open(config={"handle_signals": False}) as runtime:
        opened = _open(runtime)
        yield opened
        opened.close()


PIECES = [
    ("1 + 1", "2"),
    ("'text'", '"text"'),
    ("let x = 5", ""),
    ("x + 1", "6"),
    ("const x = 7", ""),
    ("_ + x", "13"),
    ("{ a: 1 }", '{"a": 1}'),
    ("function f(n) { return n * 2 }", ""),
    ("f(4)", "8"),
    ("class Point { constructor() { this.x = 1 } }", ""),
    ("new Point()", '{"x": 1}'),
    ("await Promise.resolve([1, 2])", "[1, 2]"),
    ("const y = await Promise.resolve(3);", ""),
    ("y", "3"),
    ("for (let i = 0; i < 3; i++) x += i", "10"),
    ("const id = Session.create({ name: 'typed' })", ""),
    ("id.name", '"typed"'),
    ("undefined", ""),
    ("null", "null"),
    ("2n ** 70n", "1180591620717411303424n"),
    ("", ""),
    ("// nothing", ""),
]


def test_pieces_keep_what_they_declare(console: Any) -> None:
    for text, shown in PIECES:
        reply = console.enter(text)
        assert (text, reply.shown, reply.error) == (text, shown, None)


def test_errors_end_a_piece_and_nothing_else(console: Any) -> None:
    console.enter("var kept = 1")
    for text, message in (
        ("null.x", "cannot read property"),
        ("let = 5 5", "SyntaxError"),
        ("Session.get('none')", "SessionNotFound"),
        ("Promise.reject(new Error('lost'))", "lost"),
        ("(async () => { throw new Error('alone') })(); 1", "alone"),
        ("await new Promise(() => {})", "nothing settles"),
    ):
        reply = console.enter(text)
        assert isinstance(reply.error, ScriptError)
        assert message in str(reply.error)
        assert not reply.restarted
    assert console.enter("kept").shown == "1"


def test_limits_hold_for_each_piece() -> None:
    with Runtime.open(config={"handle_signals": False}) as runtime:
        console = _open(runtime, 0.3)
        console.enter("var kept = 1")
        assert isinstance(console.enter("for (;;);").error, ScriptTimeout)
        assert console.enter("kept").shown == "1"
        assert isinstance(console.enter("JSON.parse('[' + '1,'.repeat(3e6) + '1]'); for (;;);").error, ScriptError)
        assert console.enter("1 + 1").shown == "2"
        reply = console.enter("function deep() { deep() } deep()")
        assert isinstance(reply.error, ScriptError)
        assert reply.restarted
        assert console.enter("typeof kept").shown == '"undefined"'
        console.close()
        console = _open(runtime)
        reply = console.enter("var all = []; for (;;) all.push('x'.repeat(1e5) + all.length)")
        assert isinstance(reply.error, ScriptMemoryExceeded)
        console.enter("all = null")
        assert console.enter("1 + 1").shown == "2"
        console.close()


def test_names_are_found_without_running_code(console: Any) -> None:
    console.enter(
        "var holder = { inner: { deep: 1 }, get bad() { throw 1 } }, text = 'plain', own = Session.create({})"
    )
    assert {"Session", "Artifact", "State", "print", "holder", "JSON"} <= set(console.names([]))
    assert {"create", "get", "addTag"} <= set(console.names(["Session"]))
    assert console.names(["holder"]) == ["inner", "bad"]
    assert console.names(["holder", "inner"]) == ["deep"]
    assert console.names(["holder", "bad"]) == console.names(["holder", "none"]) == []
    assert {"addTag", "status"} <= set(console.names(["own"]))
    assert "addTag" not in console.names(["text"])


@pytest.mark.parametrize(
    ("text", "unfinished"),
    [
        ("1 + 1", False),
        ("function f() {", True),
        ("function f() { return '}' }", False),
        ("f(1,", True),
        ("`a ${ b", True),
        ("`a ${ b } c", True),
        ("`a ${ { b: '`' } } c`", False),
        ("/* a", True),
        ("/* a */ 1", False),
        ("// {", False),
        ("'{'", False),
        ("}", False),
        ("[1, 2", True),
    ],
)
def test_a_piece_is_unfinished_while_something_is_open(text: str, unfinished: bool) -> None:
    from greenroom.scripting.js.console import is_unfinished

    assert is_unfinished(text) is unfinished


def test_languages_without_the_extra_say_so(console: Any) -> None:
    assert console.language == "js"
    assert any(each.name == "Session.create" for each in console.functions)
