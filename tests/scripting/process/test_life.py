"""No process outlives its host, its server or its runtime, and none is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from greenroom.runtime import ConfigurationError, RuntimeClosed, ScriptError
from greenroom.scripting.process.children import Children
from greenroom.scripting.process.remote import as_sent
from greenroom.scripting.running.sandbox import Outcome

from .conftest import FACTORY, LAYOUT, RecordingHost, run

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
HERE: Final = Path(__file__).parent


def living(parent: int) -> dict[int, str]:
    """Return the processes that a process has started, with their states; "Z" for those that nobody has waited for."""
    found = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                _, _, rest = (each / "stat").read_text().rpartition(")")
            except OSError:
                continue
            state, its_parent = rest.split()[:2]
            if int(its_parent) == parent:
                found[int(each.name)] = state
    return found


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. The test's timeout bounds it."""
    while not condition():
        time.sleep(0.005)


def exists(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def server_of(children: Children) -> int:
    assert children._server is not None
    return children._server.pid


@pytest.fixture
def own_children(monkeypatch: pytest.MonkeyPatch) -> Children:
    monkeypatch.syspath_prepend(str(HERE))
    return Children(FACTORY, 2)


def test_many_scripts_leave_nothing_behind(children: Children) -> None:
    run(children, "nothing", RecordingHost(60.0), 60.0)
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    of_server = len(os.listdir(f"/proc/{server_of(children)}/fd"))
    for number in range(150):
        deed = "nothing" if number % 3 else "leaving in a frame"
        run(children, deed, RecordingHost(60.0), 60.0)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert threading.active_count() <= threads  # one from before may have had nothing to do for long enough to end
    until(lambda: len(living(server_of(children))) <= 1)  # the one that is ready
    until(lambda: len(os.listdir(f"/proc/{server_of(children)}/fd")) <= of_server)


def test_many_threads_run_scripts_at_once(children: Children) -> None:
    outcomes: list[Outcome] = []

    def work() -> None:
        outcomes.extend([run(children, "nothing", RecordingHost(60.0), 60.0) for _ in range(5)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert outcomes == [Outcome()] * 40


def test_closing_ends_all_processes(own_children: Children) -> None:
    own_children.prepare(as_sent(LAYOUT))
    server = server_of(own_children)
    endings: list[Outcome] = []
    host = RecordingHost(60.0)
    thread = threading.Thread(target=lambda: endings.append(run(own_children, "silence", host, 60.0)))
    thread.start()
    until(lambda: bool(host.output))
    started = living(server)
    assert int(host.output[0]) in started
    own_children.close()
    thread.join()
    assert [each.ending for each in endings] == ["error"]
    until(lambda: not any(map(exists, started)))
    assert not exists(server)
    with pytest.raises(RuntimeClosed, match="closed"):
        run(own_children, "nothing", RecordingHost(60.0), 60.0)
    own_children.close()


def test_a_server_that_was_killed_takes_its_processes_along_and_is_started_anew(own_children: Children) -> None:
    try:
        run(own_children, "nothing", RecordingHost(60.0), 60.0)
        server = server_of(own_children)
        until(lambda: len(living(server)) >= 2)
        started = living(server)
        os.kill(server, signal.SIGKILL)
        until(lambda: not any(map(exists, started)))
        assert run(own_children, "nothing", RecordingHost(60.0), 60.0) == Outcome()
        assert server_of(own_children) != server
    finally:
        own_children.close()


def test_ready_processes_that_were_killed_are_replaced(own_children: Children) -> None:
    try:
        run(own_children, "nothing", RecordingHost(60.0), 60.0)
        until(lambda: len(living(server_of(own_children))) >= 2)
        killed = living(server_of(own_children))
        for each in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        until(lambda: not any(map(exists, killed)))
        assert run(own_children, "nothing", RecordingHost(60.0), 60.0) == Outcome()
    finally:
        own_children.close()


def test_a_process_is_killed_while_its_host_is_busy_with_a_call(children: Children) -> None:
    answers: list[bool] = []

    def answer(value: object) -> None:
        until(lambda: not exists(int(host.output[0])))
        answers.append(True)

    host = RecordingHost(0.2, answer)
    assert run(children, "calling and spinning", host, 0.2).ending == "time"
    assert answers == [True]


def test_the_kernel_kills_a_process_while_its_server_is_stopped(own_children: Children) -> None:
    try:
        run(own_children, "nothing", RecordingHost(60.0), 60.0)
        server = server_of(own_children)
        until(lambda: len(living(server)) == 2)  # both are ready
        os.kill(server, signal.SIGSTOP)
        host = RecordingHost(0.2)
        assert run(own_children, "spinning", host, 0.2).ending == "time"
        until(lambda: living(server).get(int(host.output[0])) == "Z")
        os.kill(server, signal.SIGCONT)
        assert run(own_children, "nothing", RecordingHost(60.0), 60.0) == Outcome()
    finally:
        own_children.close()


PROGRAM: Final = """
import os, sys, threading, time
sys.path.insert(0, {folder!r})
from conftest import *
children = Children(FACTORY, 2)
children.prepare(as_sent(LAYOUT))
run(children, "nothing", RecordingHost(60), 60)
host = RecordingHost(60)
threading.Thread(target=run, args=(children, {deed!r}, host, 60), daemon=True).start()
while not host.output:
    time.sleep(0.005)
print(children._server.pid, int(host.output[0]), flush=True)
"""


def started_by(program: str) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a host, and return it with the numbers that it prints: its fork server, and a process that never ends."""
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    return host, [int(each) for each in host.stdout.readline().split()]


@pytest.mark.parametrize("deed", ["silence", "spinning without an alarm"])
def test_no_process_outlives_a_host_that_was_killed(deed: str) -> None:
    host, processes = started_by(PROGRAM.format(folder=str(HERE), deed=deed) + "sys.stdin.read()")
    with host:
        assert len(processes) == 2
        assert all(map(exists, processes))
        started = [*living(processes[0]), *processes]
        host.kill()
        until(lambda: not any(map(exists, started)))


def test_no_process_outlives_a_host_that_ended_without_closing() -> None:
    host, processes = started_by(PROGRAM.format(folder=str(HERE), deed="spinning without an alarm"))
    with host:
        assert host.wait(60) == 0
        until(lambda: not any(map(exists, processes)))


FORKING: Final = """
child = os.fork()
if child == 0:
    children.close()
    del children, host
    os.write(1, b"forked\\n")
    sys.stdin.read()
    os._exit(0)
assert run(children, "nothing", RecordingHost(60), 60) == Outcome()
os.write(1, b"served\\n")
"""


def test_a_fork_of_the_host_neither_ends_its_processes_nor_keeps_them() -> None:
    host, processes = started_by(
        PROGRAM.format(folder=str(HERE), deed="silence") + FORKING + "sys.stdin.buffer.read(1)"
    )
    with host:
        assert host.stdout is not None
        assert {host.stdout.readline().strip(), host.stdout.readline().strip()} == {"forked", "served"}
        assert all(map(exists, processes))
        host.kill()  # the fork lives on, and has not been told
        host.wait()
        until(lambda: not any(map(exists, processes)))


@pytest.mark.parametrize(
    ("factory", "why"),
    [
        ("nowhere:make", "ModuleNotFoundError"),
        ("misbehaving:nothing", "AttributeError"),
        ("json", "AttributeError"),
        ("misbehaving:refuse", "LookupError: no such layout"),
    ],
)
def test_a_server_that_cannot_start_says_why(factory: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    with pytest.raises(ConfigurationError, match=why):
        Children(factory, 0).prepare(as_sent(LAYOUT))


def test_a_platform_that_cannot_says_what_to_do(own_children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ConfigurationError, match="isolation='thread'"):
        own_children.prepare(as_sent(LAYOUT))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigurationError, match="could not be started"):
        own_children.prepare(as_sent(LAYOUT))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigurationError, match="could not be started"):
        own_children.prepare(as_sent(LAYOUT))


def test_a_host_without_descriptors_says_so_and_goes_on(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    run(children, "nothing", RecordingHost(60.0), 60.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        children.take(as_sent(LAYOUT)).close()  # the one that is ready
        with pytest.raises(ScriptError, match="Too many open files"):
            children.take(as_sent(LAYOUT))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert run(children, "nothing", RecordingHost(60.0), 60.0) == Outcome()
