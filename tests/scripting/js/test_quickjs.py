"""The heap and the engine around it: what a script can reach, what it costs, and what quickjs-rs must offer."""

from __future__ import annotations

import os
import threading
import time
from importlib.metadata import version
from typing import Any

import pytest

from .heaps import new_heap, prepared, run


def test_the_guest_has_the_names_that_are_used() -> None:
    """Fails when quickjs-rs moves what js/guest.py uses. Compare its _engine.py, and the pin in pyproject.toml."""
    from greenroom.scripting.js import guest, quickjs

    def letters(kind: Any) -> str:
        short = {"i32": "i", "i64": "I"}
        results = "".join(short[str(each)] for each in kind.results)
        return "".join(short[str(each)] for each in kind.params) + (results or "-")

    module = quickjs.machine().module
    exports: dict[str | None, Any] = {each.name: each.type for each in module.exports}
    missing = (set(guest.EXPORTS) | {"memory", "__stack_pointer"}) - set(exports)
    assert missing == set(), f"quickjs-rs {version('quickjs-rs')} has them no more"
    assert {name: letters(exports[name]) for name in guest.EXPORTS} == guest.EXPORTS
    imports = {(each.module, each.name): letters(each.type) for each in module.imports}
    assert imports == {name: letters for name, (letters, _) in guest.IMPORTS.items()}


def test_rejections_are_reported() -> None:
    """Fails when QuickJS keeps its rejection tracker elsewhere: see js/rejections.py."""
    assert prepared()[0].reports_rejections
    heap = new_heap()
    assert run("(async () => { throw 'lost' })(); Promise.reject(1).catch(() => 0); 1", context=heap) == ("value", "1")
    with heap.script(time.monotonic() + 20):
        assert heap.text(heap.rejections.first()) == "lost"
    heap.close()


def test_wasmtime_has_the_private_names_that_are_used() -> None:
    """Fails when wasmtime's binding moves what js/quickjs.py uses."""
    from wasmtime import _ffi as ffi

    names = (
        "config_async_stack_size_set",
        "func_new_unchecked",
        "func_t",
        "func_call_unchecked",
        "func_unchecked_callback_t",
        "linker_define_func_unchecked",
        "memory_data",
        "memory_data_size",
        "trap_new",
        "val_raw_t",
    )
    assert [each for each in names if not hasattr(ffi, f"wasmtime_{each}")] == []


def test_the_host_answers_calls() -> None:
    assert run("h('räksmörgås 🦐')") == ("value", "RÄKSMÖRGÅS 🦐")
    assert run("h('x'.repeat(200000)).length") == ("value", "200000")


def test_errors_of_the_script_name_their_place() -> None:
    from greenroom.scripting.js.guest import Refused

    heap = new_heap()
    with heap.script(time.monotonic() + 20), pytest.raises(Refused) as caught:
        heap.invoke(prepared()[1], b"let a = 1\nnull.x")
    heap.close()
    assert caught.value.thrown == "cannot read property 'x' of null"
    assert "<input>:2" in caught.value.stack


def test_an_error_in_the_host_ends_the_script_and_gets_nowhere_else() -> None:
    def fail(text: str) -> str:
        raise KeyError("secret")

    how, what = run("try { h('x') } catch (e) {} 'went on'", host=fail)
    assert how == "engine"
    assert "went on" not in what


def test_a_dead_heap_stays_dead() -> None:
    from greenroom.scripting.js.guest import Trapped

    heap = new_heap()
    assert run("function f() { f() } f()", context=heap)[0] == "stack"
    with pytest.raises(Trapped, match="dead"):
        heap.run_jobs()
    heap.close()


def test_scripts_see_nothing_of_each_other() -> None:
    run("globalThis.left = 1; Array.prototype.push = null; String.prototype.x = 2; Object.prototype.y = 3")
    assert run("[typeof left, typeof [].push, typeof 'a'.x, typeof {}.y].join()") == (
        "value",
        "undefined,function,undefined,undefined",
    )


def test_a_script_reaches_no_world() -> None:
    absent = "require process std os fetch WebAssembly Atomics Worker XMLHttpRequest setTimeout Deno Bun"
    source = f"'{absent}'.split(' ').filter(name => name in globalThis).join()"
    assert run(source) == ("value", "")
    assert run("import('os').then(m => h('got'), e => h(e.name)); 'asked'")[0] == "value"


def test_the_environment_and_the_files_of_the_process_are_not_there() -> None:
    """The guest's imports from WASI are answered here: by nothing, except clocks and random bytes."""
    from greenroom.scripting.js import guest

    heap = new_heap()
    values = (guest.ffi.wasmtime_val_raw_t * 8)()
    with heap.script(time.monotonic() + 20):
        for name in ("fd_close", "fd_fdstat_get", "fd_seek"):
            guest.IMPORTS["wasi_snapshot_preview1", name][1](None, None, values, 8)
            assert values[0].i32 == 8
        values[0].i32 = values[1].i32 = heap._slots
        guest.IMPORTS["wasi_snapshot_preview1", "environ_sizes_get"][1](None, None, values, 8)
        assert heap.read(heap._slots, 4) == bytes(4)
    heap.close()


def test_clocks_tick_in_milliseconds_of_the_hosts_clock() -> None:
    heap = new_heap()
    heap.now = lambda: 1_000_000.123456
    assert run("Date.now() + ' ' + new Date().toISOString()", context=heap) == (
        "value",
        "1000000123 1970-01-12T13:46:40.123Z",
    )
    heap.close()
    assert run("performance.now() % 1") == ("value", "0")


def test_steps_are_counted_and_limited() -> None:
    heap = new_heap()
    assert run("for (let i = 0; i < 1e6; i++); 1", context=heap) == ("value", "1")
    assert 90 <= heap.beats <= 300
    heap.close()
    heap = new_heap()
    heap.max_beats = 5
    assert run("for (;;);", context=heap)[0] == "interrupted"
    assert heap.beats == 6
    heap.close()


def test_memory_is_counted() -> None:
    heap = new_heap()
    assert run("let kept = new Uint8Array(10e6); 1", context=heap) == ("value", "1")
    assert 9.5e6 < heap.peak() < 12e6
    heap.close()
    heap = new_heap()
    assert run("1", context=heap) == ("value", "1")
    assert 0 <= heap.peak() < 64 << 10
    heap.close()


def test_memory_is_limited_by_the_store_too() -> None:
    heap = new_heap(4 << 20)
    assert run("globalThis.kept = new Uint8Array(3e6); 1", context=heap) == ("value", "1")
    assert run("new Uint8Array(3e6); 1", context=heap)[1] in ("out of memory", "")
    assert heap.size() < len(prepared()[0].memory) + (6 << 20)
    heap.close()


def test_many_heaps_run_at_once() -> None:
    found: list[Any] = []
    source = "let s = 0; for (let i = 0; i < 2e4; i++) s += h('a').length; s"
    threads = [threading.Thread(target=lambda: found.append(run(source, 60))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [("value", "20000")] * 4


def test_the_stack_of_the_guest_begins_at_address_0() -> None:
    """So its overflow is a trap, and changes no other memory."""
    assert prepared()[0].stack_pointer <= 1 << 20


def test_a_child_process_after_a_fork_has_limits_too() -> None:
    run("1")  # the clock's thread is running, and does not live on in the child
    child = os.fork()
    if child == 0:  # pragma: no cover
        how = run("for (;;) JSON.parse('[' + '1,'.repeat(100000) + '1]')", 0.2)[0]
        os._exit(0 if how in ("time", "interrupted") else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_the_pages_of_a_heap_are_freed() -> None:
    heaps = [new_heap() for _ in range(20)]
    before = len(os.listdir("/proc/self/map_files")) if os.path.isdir("/proc/self/map_files") else 0
    for heap in heaps:
        heap.close()
    assert not before or len(os.listdir("/proc/self/map_files")) < before
