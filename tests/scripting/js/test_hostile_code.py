"""Hostile JavaScript ends at its limit, in a way of its own, and the next script does not notice."""

from __future__ import annotations

import time

import pytest

from .heaps import run

LIMIT = 0.15
ENDLESS = {
    "a loop": "for (;;);",
    "a loop that catches": "for (;;) { try { for (;;); } catch (e) {} finally {} }",
    "JSON.parse": "let s = '[' + Array(50000).fill('[1,2]').join() + ']'; for (;;) JSON.parse(s)",
    "long JSON.parse": "let s = '[' + '[1],'.repeat(30000) + '1]'; for (let i = 0; i < 1e5; i++) JSON.parse(s)",
    "JSON.stringify": "let a = Array(10000).fill({ a: 'x', b: [1, 2] }); for (;;) JSON.stringify(a)",
    "a regular expression": "/^(a+)+$/.test('a'.repeat(40) + 'b')",
    "another regular expression": "/(x+x+)+y/.exec('x'.repeat(60))",
    "a search": "let s = 'ab'.repeat(1e6); for (;;) s.lastIndexOf('ba'.repeat(1e5) + 'c')",
    "one search": "'a'.repeat(1e7).indexOf('a'.repeat(5e6) + 'b')",
    "one replacement": "'a'.repeat(1e5).replaceAll('a', 'b'.repeat(100)).replaceAll(/b*?c/g, '')",
    "a sort": "let a = Array.from({ length: 1e5 }, (_, i) => '' + -i); for (let i = 0; i < 1e4; i++) [...a].sort()",
    "promises": "function f() { Promise.resolve().then(f) } f()",
    "async functions": "async function f() { for (;;) await null } f()",
    "generators": "function* g() { for (;;) yield 1 } for (const x of g());",
    "a getter of an error": "throw { get message() { for (;;); }, toString() { for (;;); } }",
    "prepareStackTrace": "Error.prepareStackTrace = () => { for (;;); }; null.x",
    "a finalizer": "let r = new FinalizationRegistry(() => { for (;;); });"
    "for (let i = 0; i < 1e5; i++) r.register({}, 1); for (;;) ({}) ",
    "toString": "String({ toString() { for (;;); } })",
    "a proxy": "new Proxy({}, { get() { for (;;); } }).x",
    "sorting": "for (;;) [3, 1, 2].sort(() => 1)",
    "BigInt": "let b = 3n ** 100000n; for (;;) b * b",
    "calls of the host": "for (;;) h('x')",
    "symbols": "for (;;) Symbol.for(Math.random() + '')",
    "eval": "for (;;) eval('1')",
    "dates": "for (;;) new Date().toLocaleString()",
    "memory that is caught": "let a = []; for (;;) try { a.push(new Array(1000).fill(1)) } catch (e) {}",
}
LARGE = {
    "arrays": "let a = []; for (;;) a.push(new Array(1000).fill(1))",
    "texts": "let a = []; for (;;) a.push('x'.repeat(100000) + a.length)",
    "one text": "'x'.repeat(2 ** 29)",
    "joined texts": "Array(2 ** 20).fill('x'.repeat(1000)).join('')",
    "typed arrays": "let a = []; for (;;) a.push(new Uint8Array(1 << 20))",
    "shared buffers": "let a = []; for (;;) a.push(new SharedArrayBuffer(1 << 20))",
    "one array": "new Array(2 ** 32 - 1).fill(0)",
    "spread": "let a = [1]; for (;;) a = [...a, ...a]",
    "objects": "let o = {}; for (let i = 0; ; i++) o['k' + i] = { i }",
    "maps": "let m = new Map(); for (let i = 0; ; i++) m.set(i, {})",
    "closures": "let f = () => 0; for (;;) { let g = f; f = () => g }",
    "deep data": "let a = []; for (;;) a = [a]",
    "promises": "let p = []; for (;;) p.push(new Promise(() => 0))",
    "symbols": "let a = []; for (;;) a.push(Symbol('x'.repeat(1000)))",
}
DEEP = {
    "a function": "function f() { return f() + 1 } f()",
    "a function that catches": "function f() { try { f() } catch (e) { f() } } f()",
    "a proxy": "let p = new Proxy({}, { get(t, k, r) { return r[k] } }); p.x",
    "toString": "let o = { toString() { return '' + o } }; '' + o",
    "toJSON": "let o = { toJSON() { return JSON.stringify(o) } }; JSON.stringify(o)",
    "JSON.parse": "JSON.parse('['.repeat(1e6))",
    "a source": "eval('('.repeat(1e5) + '1' + ')'.repeat(1e5))",
    "generators": "function* g() { yield* g() } [...g()]",
    "async functions": "async function f() { await f() } f()",
    "regular expressions": "new RegExp('(?:'.repeat(50000) + 'a' + ')*'.repeat(50000))",
}
REFUSED = {
    "growing texts": ("let s = 'x'; for (;;) s += s", "string too long"),
    "a buffer": ("new ArrayBuffer(2 ** 31)", "invalid array buffer length"),
    "a BigInt": ("2n ** (2n ** 40n)", "BigInt is too large"),
    "many arguments": ("Math.max.apply(null, new Array(1e7))", "too many arguments"),
    "shared memory": ("Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0)", "Atomics is not defined"),
    "a module": ("import('fs').then(() => 0, e => { throw e }); require('fs')", "require is not defined"),
}


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS.keys())
def test_code_without_an_end_is_ended(source: str) -> None:
    began = time.monotonic()
    how, _ = run(source, LIMIT)
    assert how in ("interrupted", "time")
    assert time.monotonic() - began < LIMIT + 10
    assert run("1 + 1") == ("value", "2")


@pytest.mark.parametrize("source", LARGE.values(), ids=LARGE.keys())
def test_memory_is_limited(source: str) -> None:
    how, what = run(source, 60)
    assert how == "memory" or (how == "error" and what in ("out of memory", "")), (how, what)
    assert run("1 + 1") == ("value", "2")


@pytest.mark.parametrize("source", DEEP.values(), ids=DEEP.keys())
def test_deep_recursion_is_ended(source: str) -> None:
    how, _ = run(source, 60)
    assert how == "stack"
    assert run("1 + 1") == ("value", "2")


@pytest.mark.parametrize(("source", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_too_large_or_missing_is_an_error_of_the_script(source: str, message: str) -> None:
    how, what = run(source, 60)
    assert how == "error"
    assert message in what


def test_a_thousand_nested_calls_are_allowed() -> None:
    assert run("function f(n) { return n ? f(n - 1) + 1 : 0 } f(2000)") == ("value", "2000")
