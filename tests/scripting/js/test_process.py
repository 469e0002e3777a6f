"""JavaScript in a process of its own: the same globals and limits, and nothing of the host's process."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError, ScriptMemoryExceeded, ScriptResult, ScriptTimeout


@pytest.fixture(scope="module")
def shared() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


def _run(runtime: Runtime, source: str, **options: Any) -> ScriptResult:
    given: dict[str, Any] = {"language": "js", "isolation": "process", "timeout": 60} | options
    return runtime.run_script(source, **given)


def test_globals_values_and_output_are_the_same(shared: Runtime) -> None:
    source = """
      const id = Session.create({ name: 'far', tags: ['a'] })
      id.addTag('b')
      Hook.register('SessionCreated', context => { print('hook', context.point) })
      Session.create({ name: 'second' })
      print(`${id}`.name, arg[0], arguments)
      return [Session.get(id).tags, new Uint8Array([1, 255]), 2n ** 60n, await Promise.resolve(1)]"""
    result = _run(shared, source, args=[1, b"\x00\xff"], name="far.js")
    assert result.value == [["a", "b"], b"\x01\xff", 2**60, 1]
    assert result.output == "hook SessionCreated\nfar far.js [1, Uint8Array(2)]\n"
    assert result.instructions > 0


def test_errors_are_the_same(shared: Runtime) -> None:
    with pytest.raises(ScriptError) as caught:
        _run(shared, "let a\nSession.get('none')", name="far.js")
    assert (caught.value.fields["cause"], caught.value.fields["line"]) == ("SessionNotFound", 2)
    with pytest.raises(ScriptError, match="stack overflow"):
        _run(shared, "function f() { f() } f()")
    with pytest.raises(ScriptError, match="lost"):
        _run(shared, "(async () => { throw new Error('lost') })(); 1")


@pytest.mark.parametrize(
    "source", ["for (;;);", "for (;;) JSON.parse('[' + '1,'.repeat(1e5) + '1]')", "for (;;) State.get('x')"]
)
def test_time_is_limited(shared: Runtime, source: str) -> None:
    with pytest.raises(ScriptTimeout):
        _run(shared, source, timeout=0.3)
    assert _run(shared, "1").value == 1


def test_memory_is_limited(shared: Runtime) -> None:
    with pytest.raises(ScriptMemoryExceeded):
        _run(shared, "const a = []; for (;;) a.push(new Uint8Array(1 << 20))")
    assert 1.9e7 < _run(shared, "new Uint8Array(2e7); 1").memory_peak < 3e7


def test_random_numbers_differ(shared: Runtime) -> None:
    assert _run(shared, "Math.random()").value != _run(shared, "Math.random()").value


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds the process in /proc")
def test_a_process_that_is_killed_harms_nothing(shared: Runtime) -> None:
    shared.tools.register("kill_children", _kill_children)
    with pytest.raises(ScriptError):
        _run(shared, "Tool.invoke('kill_children', {}); for (;;);")
    for _ in range(20):  # the processes made ahead were killed too
        with contextlib.suppress(ScriptError):
            assert _run(shared, "1").value == 1
            break
    else:
        pytest.fail("no script runs any more")


def _kill_children() -> str:
    for each in os.listdir("/proc"):
        if each.isdigit() and _is_script_of(int(each)):
            os.kill(int(each), signal.SIGKILL)
    return "done"


def _is_script_of(process: int) -> bool:
    """Whether a process is the grandchild of this one: a script's process, whose parent is the fork server."""
    try:
        parent = _parent(process)
        return _parent(parent) == os.getpid()
    except (OSError, ValueError):
        return False


def _parent(process: int) -> int:
    with open(f"/proc/{process}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
