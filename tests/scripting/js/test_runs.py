"""A run of a JavaScript script: its value, output and arguments, its errors, its limits, and what is left of it."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    ConfigurationError,
    ResourceLimitExceeded,
    Runtime,
    ScriptError,
    ScriptMemoryExceeded,
    ScriptTimeout,
)
from greenroom.scripting.globals import layout_for
from greenroom.scripting.js import JavaScriptEngine


def _error(runtime: Runtime, source: str, **options: Any) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        runtime.run_script(source, language="js", name="test.js", **{"timeout": 60} | options)
    return caught.value


VALUES = {
    "1 + 1": 2,
    "return 5": 5,
    "let x = 1": None,
    "await Promise.resolve(7)": None,
    "return await Promise.resolve(7)": 7,
    "async function main() { return 8 }\nmain()": 8,
    "(async () => { await null; return 9 })()": 9,
    "#!/usr/bin/env node\n3": 3,
    "// return\n'a comment is no return'": "a comment is no return",
    "undeclared = 4; undeclared": 4,
    "'use strict'; (function () { return this === undefined })()": True,
    "function f() { return 1 }": None,
    "(() => 1)": None,
    "if (true) { 'block' }": "block",
    "": None,
    "\n": None,
    "const o = { a: 1 }; o": {"a": 1},
}


@pytest.mark.parametrize(("source", "value"), VALUES.items())
def test_the_value_is_what_is_returned_or_the_last_expression(js: Any, source: str, value: Any) -> None:
    assert js(source) == value


def test_javascript_is_named_and_found_by_its_suffix(runtime: Runtime, tmp_path: Path) -> None:
    assert runtime.run_script("1", language="javascript").value == 1
    for suffix in (".js", ".mjs"):
        script = tmp_path / f"script{suffix}"
        script.write_text("return arg[0]")
        assert runtime.run_script(script).value == script.name


def test_output(runtime: Runtime) -> None:
    source = """
      print('a', 1, null, undefined, true, 1.5, -0, 10n)
      console.log({ a: [1, 'x'], f: () => 1 }, [[]], new Map([['k', { v: 1 }]]), new Set([1]))
      console.error(new TypeError('wrong'), new Date(0), Symbol('s'), new Uint8Array(3), Promise.resolve(1))
      const deep = {}; deep.deep = deep; print(deep)"""
    lines: list[str] = []
    result = runtime.run_script(source, language="js", echo=lines.append)
    assert result.output.splitlines() == [
        "a 1 null undefined true 1.5 -0 10n",
        '{"a": [1, "x"], "f": [function f]} [[]] Map {"k" => {"v": 1}} Set {1}',
        "TypeError: wrong 1970-01-01T00:00:00.000Z Symbol(s) Uint8Array(3) [promise]",
        '{"deep": ' * 8 + "{…}" + "}" * 8,
    ]
    assert "".join(lines) == result.output


def test_output_is_limited(runtime: Runtime) -> None:
    result = runtime.run_script("for (let i = 0; i < 3000; i++) print('x'.repeat(1000)); 1", language="js", timeout=60)
    assert len(result.output) < (1 << 20) + 100
    assert "truncated" in result.output
    assert len(runtime.run_script("print('x'.repeat(5e6))", language="js", timeout=60).output) < (1 << 20) + 100
    assert len(runtime.run_script("print(Array(1e6).fill('x'))", language="js", timeout=60).output) < (1 << 20) + 100


def test_arguments(js: Any) -> None:
    assert js("return [arg.slice(1), arguments, arg.length]", args=[1, "two", {"a": None}]) == [
        [1, "two", {"a": None}],
        [1, "two", {"a": None}],
        4,
    ]


ERRORS = {
    "throw new Error('plain')": (None, "test.js:1: plain", 1),
    "let a = 1\nfunction f() {\n  throw new TypeError('bad')\n}\nf()": ("TypeError", "test.js:3: TypeError: bad", 3),
    "let n = null\nlet x = n.x": ("TypeError", "test.js: TypeError: cannot read property 'x' of null", None),
    "let n = null\nreturn n.x": ("TypeError", "test.js: TypeError: cannot read property 'x' of null", None),
    "let n = null\nreturn f(n)": ("ReferenceError", "test.js", None),
    "null.x": ("TypeError", "test.js:1: TypeError: cannot read property 'x' of null", 1),
    "throw 'a text'": (None, "test.js: a text", None),
    "throw { code: 'Mine', message: 'own' }": ("Mine", "test.js: Mine: own", None),
    "throw { a: 1 }": (None, 'test.js: {"a": 1}', None),
    "throw null": (None, "test.js: null", None),
    "throw undefined": (None, "test.js: undefined", None),
    "let x = ;": ("SyntaxError", "test.js:1: SyntaxError: unexpected token in expression: ';'", 1),
    "let x = 1\n)": ("SyntaxError", "test.js:2: SyntaxError", 2),
    "\nreturn )": ("SyntaxError", "test.js:2: SyntaxError: unexpected token in expression: ')'", 2),
    "\n\nSession.get('none')": ("SessionNotFound", "test.js:3: SessionNotFound: there is no session 'none'", 3),
    "throw { get message() { throw 1 } }": (None, "test.js: an error object without a text", None),
    "throw Object.assign(new Error('x'), { name: { toString() { throw 1 } } })": (None, "test.js:1: x", 1),
    "async function f() {\n await null\n throw new Error('late')\n}\nf()": (None, "test.js:3: late", 3),
    "async function f() {\n throw new RangeError('lost')\n}\nf(); 1": ("RangeError", "test.js:2: RangeError: lost", 2),
    "Promise.reject(new Error('nobody')); 1": (None, "test.js:1: nobody", 1),
    "[1].forEach(async () => { await null; throw new Error('each') }); 1": (None, "test.js:1: each", 1),
    "await new Promise(() => {})": (None, "test.js: the script waits for a promise that nothing settles", None),
    "function f() { f() } f()": ("RangeError", "test.js: RangeError: stack overflow", None),
    "import fs from 'fs'": ("SyntaxError", "test.js:1: SyntaxError", 1),
}


@pytest.mark.parametrize(("source", "expected"), ERRORS.items())
def test_errors_name_their_place(shared_runtime: Runtime, source: str, expected: tuple[str | None, str, int]) -> None:
    error = _error(shared_runtime, source)
    cause, message, line = expected
    assert str(error).startswith(message)
    assert (error.fields["cause"], error.fields["line"], error.fields["script"]) == (cause, line, "test.js")


def test_rejections_that_are_handled_are_no_errors(js: Any) -> None:
    sources = (
        "const p = Promise.reject(1); p.catch(() => 0); 5",
        "const p = (async () => { throw 1 })()\n"
        "async function g() { await null; try { await p } catch {} return 5 }\ng()",
        "Promise.allSettled([Promise.reject(1)]).then(() => 5)",
        "for (let i = 0; i < 3000; i++) Promise.reject(i).catch(() => 0); 5",
    )
    assert [js(source) for source in sources] == [5] * len(sources)


def test_tracebacks_have_the_frames_of_the_script_alone(shared_runtime: Runtime) -> None:
    error = _error(shared_runtime, "function f(x) {\n  Session.get(x)\n}\n[1].map(() => f('none'))")
    frames = [re.sub(r":\d+(\)?)$", r"\1", each) for each in str(error.fields["traceback"]).splitlines()[1:]]
    assert frames == ["    at f (test.js:2)", "    at test.js:4", "    at map (native)", "    at test.js:4"]


def test_time_ends_a_script_at_its_line(shared_runtime: Runtime) -> None:
    # On a busy machine the trap may come before the poll that knows the line.
    loop = "let a = 1\nfor (;;) { Math.abs(a); Math.abs(1) }"
    errors = [_error(shared_runtime, loop, timeout=0.1) for _ in range(4)]
    assert all(isinstance(each, ScriptTimeout) and each.fields["timeout"] == 0.1 for each in errors)
    assert 2 in [each.fields["line"] for each in errors]
    for source in (
        "for (;;) { try { for (;;); } catch {} finally {} }",
        "for (;;) State.get('x')",
        "Hook.register('SessionCreated', () => { for (;;); }); Session.create({})",
        "for (;;) JSON.parse('[' + '1,'.repeat(50000) + '1]')",
        "const f = () => Promise.resolve().then(f); f()",
        "Event.on('*', e => { Event.publish('again', {}) }); Event.publish('once', {})",
    ):
        assert isinstance(_error(shared_runtime, source, timeout=0.3), ScriptTimeout | ScriptError)
    assert shared_runtime.run_script("1", language="js").value == 1


def test_memory_is_limited_and_counted(runtime: Runtime) -> None:
    error = _error(runtime, "const a = []\nfor (;;) a.push('x'.repeat(10000) + a.length)")
    assert isinstance(error, ScriptMemoryExceeded)
    assert error.fields["line"] == 2
    read = "State.set('k', 'x'.repeat(100000)); const kept = []; for (;;) kept.push(State.get('k'))"
    assert isinstance(_error(runtime, read), ScriptMemoryExceeded)
    result = runtime.run_script("const kept = new Uint8Array(2e7); 1", language="js")
    assert 1.9e7 < result.memory_peak < 3e7
    assert runtime.run_script("1", language="js").memory_peak < 1e6


def test_an_answer_for_the_host_is_weighed_before_it_is_read(runtime: Runtime) -> None:
    error = _error(runtime, "return Array(8e5).fill([])")
    assert isinstance(error, ScriptMemoryExceeded)


def test_steps_are_counted_and_limited() -> None:
    with Runtime.open(config={"script_instructions": 1_000_000}) as runtime:
        few = runtime.run_script("1", language="js").instructions
        many = runtime.run_script("for (let i = 0; i < 1e5; i++);", language="js").instructions
        assert 0 < few <= 10_000 < many < 1_000_000
        error = _error(runtime, "for (;;);", timeout=30)
        assert isinstance(error, ScriptTimeout)
        assert "more than 1000000 instructions" in str(error)


def test_a_script_sees_nothing_of_an_earlier_one(js: Any) -> None:
    js("globalThis.left = 1; Session.left = 2; Session.create = null; Math.left = 4; arg.push(5)")
    js("String.prototype.left = 3")
    source = "return [typeof left, Session.left, typeof Session.create, 'x'.left, Math.left, arg.length]"
    assert js(source) == ["undefined", None, "function", None, None, 1]
    assert js("return Math.random()") != js("return Math.random()")


def test_random_numbers_are_spread(js: Any) -> None:
    numbers = js("return Array.from({ length: 2000 }, Math.random)")
    assert all(0 <= each < 1 for each in numbers)
    assert 0.45 < sum(numbers) / len(numbers) < 0.55
    assert len(set(numbers)) == 2000


def test_scripts_run_at_once(runtime: Runtime) -> None:
    found: list[Any] = []
    source = """
      const s = Session.create({ name: arguments[0] })
      for (let i = 0; i < 50; i++) s.addTag('t' + i)
      return s.name"""

    def run(name: str) -> None:
        found.append(runtime.run_script(source, language="js", args=[name], timeout=60).value)

    threads = [threading.Thread(target=run, args=(f"n{i}",)) for i in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == [f"n{i}" for i in range(5)]


def test_a_script_can_run_within_a_script(runtime: Runtime) -> None:
    def inner(x: int) -> Any:
        return runtime.run_script("return arguments[0] + 1", language="js", args=[x]).value

    runtime.tools.register("inner", inner)
    assert runtime.run_script("return Tool.invoke('inner', { x: 1 }).result + 1", language="js").value == 3


def test_functions_call_each_other_through_the_host_only_so_deep(runtime: Runtime) -> None:
    source = """
      let depth = 0, code
      Hook.register('SessionCreated', () => {
        depth++
        try { Session.create({}) } catch (e) { code = e.code; throw e }
      })
      try { Session.create({}) } catch (e) { code = e.code }
      return [depth, code]"""
    depth, _ = runtime.run_script(source, language="js", timeout=60).value
    assert depth <= 64
    assert ResourceLimitExceeded.__name__


def test_the_missing_extra_is_named(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "quickjs_rs" else find_spec(name, *rest)
    )
    with pytest.raises(ConfigurationError, match=r'pip install "greenroom\[js\]"'):
        runtime.run_script("1", language="js")


def test_an_engine_that_cannot_run_is_named(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    from greenroom.scripting.js import sandbox

    def fail(*given: Any) -> None:
        raise AttributeError("wasmtime has no such name")

    monkeypatch.setattr(sandbox, "_prepared", fail)
    engine = JavaScriptEngine()
    with pytest.raises(ConfigurationError, match="JavaScript cannot run with this quickjs-rs"):
        engine.sandbox(layout_for("sandboxed", runtime))


def test_the_value_of_a_script_is_weighed_before_it_is_read(runtime: Runtime) -> None:
    limited = "return '[' + '[],'.repeat(2e5) + '1]'"
    assert (
        len(runtime.run_script(limited, language="js", timeout=60).value) > 5e5
    )  # a text is no heavier than it is long
    assert isinstance(_error(runtime, "const e = []; return Array(6e5).fill(e)"), ScriptMemoryExceeded)


@pytest.mark.parametrize("source", ["\ud800", "'\ud800'.length", "a" * (1 << 20) + "b"])
def test_odd_sources(runtime: Runtime, source: str) -> None:
    with contextlib.suppress(ScriptError):
        runtime.run_script(source, language="js")
    assert runtime.run_script("1", language="js").value == 1
