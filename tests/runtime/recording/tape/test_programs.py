"""Programs are recorded unmodified, and replayed with the same output, whatever processes they start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from greenroom.storage.errors import ConfigurationError

from .programs import Programs


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def test_a_program_is_replayed_with_the_same_output_and_exit_code(programs: Programs) -> None:
    programs.write("""
        import os, sys
        @tool
        def pid():
            return os.getpid()
        print(pid(), pid(), sys.argv[1:])
        sys.exit(3)
    """)
    command = [sys.executable, "agent.py", "--fast"]
    recorded = programs.run("record", command=command)
    assert recorded.code == 3
    assert recorded.tape.about["exit_code"] == 3
    assert recorded.tape.about["command"][1:] == ["agent.py", "--fast"]
    assert [each.place for each in recorded.tape.crossings] == ["agent.py:7 in <module>"] * 2
    replayed = programs.run("replay", recorded.tape, command=command)
    assert (replayed.code, replayed.output) == (3, recorded.output)
    assert replayed.report.is_exact
    assert replayed.report.exact == 2


def test_each_process_is_recorded_and_answered_from_what_was_recorded_of_it(programs: Programs) -> None:
    programs.write("import os\n@tool\ndef pid():\n    return os.getpid()\nprint('started', pid())\n", "child.py")
    programs.write("""
        import multiprocessing, os, subprocess, sys
        @tool
        def pid(n):
            return os.getpid()
        if __name__ == "__main__":
            print(pid(0), flush=True)
            if os.fork() == 0:
                print("forked", pid(1), flush=True)
                os._exit(0)
            os.wait()
            subprocess.run([sys.executable, "child.py"])
            small = {name: os.environ[name] for name in ("PATH", "PYTHONPATH")}
            subprocess.run([sys.executable, "child.py"], env=small)
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(2) as pool:
                    print(method, pool.map(pid, [2, 3, 4]), flush=True)
    """)
    recorded = programs.run("record")
    assert len(recorded.tape.crossings) == 10
    assert len({each.process for each in recorded.tape.crossings}) >= 6
    replayed = programs.run("replay", recorded.tape)
    assert replayed.output == recorded.output
    assert replayed.report.is_exact, replayed.report.drifts
    assert replayed.report.exact == 10


def test_a_killed_program_leaves_all_that_it_was_given(programs: Programs) -> None:
    programs.write("""
        import os, signal
        @tool
        def step(n):
            return n
        for n in range(100):
            step(n)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    recorded = programs.run("record")
    assert recorded.code == 128 + signal.SIGKILL
    assert [each.outcome["value"] for each in recorded.tape.crossings] == list(range(100))
    replayed = programs.run("replay", recorded.tape)
    assert replayed.code == 128 + signal.SIGKILL
    assert replayed.report.refused is None


def test_a_terminated_program_keeps_its_reads_and_dies_of_the_signal(programs: Programs) -> None:
    programs.write("""
        import os, signal, time
        time.time()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """)
    recorded = programs.run("record")
    assert recorded.code == 128 + signal.SIGTERM


def test_the_output_for_a_missing_recording_is_an_error_and_the_report_says_why(programs: Programs) -> None:
    programs.write("@tool\ndef step(n):\n    return n\nprint(step(1))")
    recorded = programs.run("record")
    programs.write("@tool\ndef other(n):\n    return n\ntry:\n    other(1)\nexcept Exception:\n    print('caught')")
    replayed = programs.run("replay", recorded.tape)
    assert replayed.output == "caught\n"
    assert replayed.report.refused is not None
    assert "another name" in replayed.report.refused


def test_a_fork_replays_what_its_tape_has_and_goes_on_live(programs: Programs) -> None:
    programs.write("""
        import os
        @tool
        def step(n):
            return f"{os.environ['NAME']} {n}"
        for n in range(4):
            print(step(n))
    """)
    recorded = programs.run("record", env={**os.environ, "NAME": "first"})
    assert recorded.output == "first 0\nfirst 1\nfirst 2\nfirst 3\n"
    recorded.tape.crossings = recorded.tape.crossings[:2]
    forked = programs.run("fork", recorded.tape, env={**os.environ, "NAME": "second"})
    assert forked.output == "first 0\nfirst 1\nsecond 2\nsecond 3\n"
    assert [each.number for each in forked.tape.crossings] == [1, 2, 3, 4]
    replayed = programs.run("replay", forked.tape, env={**os.environ, "NAME": "third"})
    assert replayed.output == forked.output
    assert replayed.report.is_exact


def test_the_program_sees_nothing_of_the_recorder(programs: Programs) -> None:
    (programs.folder / "sitecustomize.py").write_text("import builtins\nbuiltins.customized = True\n")
    programs.write("""
        import builtins, sitecustomize, sys
        print(builtins.customized, [path for path in sys.path if "bootstrap" in path])
        print(sys.stdin.read())
        print(len({"a", "b"}), sys.flags.hash_randomization)
    """)
    environment = {**os.environ, "PYTHONPATH": f"{programs.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    recorded = programs.run("record", env=environment)
    assert recorded.output.startswith("True []\n")


def test_hashes_are_seeded_as_they_were(programs: Programs) -> None:
    programs.write("print([hash(text) for text in 'abc'], list({'a', 'b', 'c', 'd'}))\n@tool\ndef x(): ...\nx()")
    recorded = programs.run("record")
    replayed = programs.run("replay", recorded.tape)
    assert replayed.output == recorded.output


def test_signals_are_passed_on(programs: Programs, tmp_path: Path) -> None:
    programs.write("""
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("ready", flush=True)
        signal.pause()
    """)
    launcher = textwrap.dedent(f"""
        import os, sys
        from greenroom.runtime.recording.programs.launch import run
        os.mkdir("spools")
        sys.exit(run([{sys.executable!r}, "agent.py"], "record", "spools"))
    """)
    process = subprocess.Popen([sys.executable, "-c", launcher], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(60) == 7


def test_a_command_that_is_no_python_is_an_error(programs: Programs) -> None:
    with pytest.raises(ConfigurationError, match="without a recorder"):
        programs.run("record", command=[shutil.which("true") or "true"])
    with pytest.raises(ConfigurationError, match="without -I, -E and -S"):
        programs.run("record", command=[sys.executable, "-I", "-c", "print(1)"])
    with pytest.raises(ConfigurationError, match="cannot be started"):
        programs.run("record", command=["no-such-program-at-all"])


def test_a_python_without_greenroom_is_named(programs: Programs, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no greenroom"):
        programs.run(
            "record", command=[sys.executable, "-S", "-c", "import sitecustomize"], env={"PATH": os.environ["PATH"]}
        )


def test_what_is_redacted_is_in_no_spool_and_a_replay_with_another_secret_is_exact(programs: Programs) -> None:
    programs.write(
        """
        import os, sys

        @tool
        def ask(question: str) -> str:
            return f"answer to {question}, {os.environ['SECRET']}"

        print(ask(f"what is {sys.argv[1]}?"))
        """
    )
    recorded = programs.run(
        "record",
        command=[sys.executable, "agent.py", "sk-123"],
        env={**os.environ, "SECRET": "sk-123"},
        redact=[r"sk-\d+"],
    )
    assert recorded.output == "answer to what is sk-123?, sk-123\n"
    for spool in programs.folder.rglob("*.spool"):
        assert b"sk-123" not in spool.read_bytes()
    (call,) = recorded.tape.crossings
    assert call.input["redacted"] is True
    replayed = programs.run(
        "replay",
        recorded.tape,
        command=[sys.executable, "agent.py", "sk-9"],
        env={**os.environ, "SECRET": "sk-9"},
        strict=True,
    )
    assert replayed.output == "answer to what is [redacted]?, [redacted]\n"
    assert replayed.report.drifted == 0
    assert replayed.report.exact == 1


def test_a_child_in_a_python_without_greenroom_runs_as_it_is(programs: Programs) -> None:
    programs.write("""
        import os, subprocess, sys
        @tool
        def step():
            return 1
        step()
        env = {**os.environ, "PYTHONPATH": "", "NAME": "child"}
        code = "import sitecustomize; print(1)"
        print(subprocess.check_output([sys.executable, "-S", "-c", code], env=env, text=True))
    """)
    recorded = programs.run("record")
    assert recorded.output == "1\n\n"
    assert recorded.tape.about["unrecorded"] == [sys.executable]


def test_handlers_of_signals_and_of_the_exit_are_recorded_whatever_they_interrupt(programs: Programs) -> None:
    programs.write("""
        import atexit, os, signal, threading, time
        @tool
        def step(n):
            return n
        @tool
        def large():
            return "x" * 100_000
        handled = []
        def handle(*_):
            handled.append(step(-1))
        signal.signal(signal.SIGUSR1, handle)
        def interrupt():
            while not handled or len(handled) < 20:
                os.kill(os.getpid(), signal.SIGUSR1)
                time.sleep(0.001)
        thread = threading.Thread(target=interrupt)
        thread.start()
        count = 0
        while thread.is_alive():
            large()
            time.time()
            count += 1
        thread.join()
        atexit.register(step, 777)
        print(count)
    """)
    recorded = programs.run("record")
    numbers = [each.number for each in recorded.tape.crossings]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert sum(each.name == "large" for each in recorded.tape.crossings) == int(recorded.output)
    assert recorded.tape.crossings[-1].outcome["value"] == 777


def test_processes_that_are_forked_while_other_threads_record_are_whole(programs: Programs) -> None:
    programs.write("""
        import os, threading
        @tool
        def step(n):
            return n
        stop = threading.Event()
        def work(at):
            n = 0
            while not stop.is_set():
                step(at + n)
                n += 1
        threads = [threading.Thread(target=work, args=(1000 * at,)) for at in range(2)]
        for each in threads:
            each.start()
        for n in range(10):
            if os.fork() == 0:
                step(-n)
                os._exit(0)
            assert os.wait()[1] == 0
        stop.set()
        for each in threads:
            each.join()
    """)
    recorded = programs.run("record")
    assert recorded.code == 0
    forked = [each for each in recorded.tape.crossings if each.process]
    assert sorted(each.outcome["value"] for each in forked) == list(range(-9, 1))
    assert len({each.process for each in forked}) == 10


def test_tasks_whose_latencies_changed_end_in_the_recorded_order(programs: Programs) -> None:
    programs.write("""
        import asyncio, os, random, sys
        LATE = sys.argv[1:] == ["late"]
        @tool
        async def fetch(n):
            await asyncio.sleep(0.01 * (5 - n))
            return n
        async def step(n):
            await asyncio.sleep(random.random() * (0.01 if LATE else 0))
            got = await fetch(n)
            print(got, flush=True)
            if got % 2:
                print("again", await fetch(got), flush=True)
        async def main():
            await asyncio.gather(*[step(n) for n in range(5)])
            async with asyncio.TaskGroup() as group:
                for n in range(5):
                    group.create_task(asyncio.to_thread(print, n, end=""))
            print()
        asyncio.run(main())
    """)
    recorded = programs.run("record")
    replayed = programs.run("replay", recorded.tape, command=[sys.executable, "agent.py", "late"], sleep=1.0)
    order = recorded.output.splitlines()[:-1]
    assert replayed.output.splitlines()[:-1] == order
    assert replayed.report.exact == 7
    assert not replayed.report.order


def test_a_replay_connects_to_no_other_machine(programs: Programs) -> None:
    programs.write("print('recorded')")
    recorded = programs.run("record")
    programs.write("""
        import os, socket
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname()).close()
        try:
            socket.socket().connect(("192.0.2.1", 80))
        except Exception as error:
            print(type(error).__name__, flush=True)
        os._exit(0)
    """)
    replayed = programs.run("replay", recorded.tape)
    assert replayed.output == "ReplayError\n"
    [drift] = [each for each in replayed.report.drifts if each.what != "output"]
    assert (drift.kind, drift.name, drift.place) == ("network", "192.0.2.1:80", "agent.py:7 in <module>")


def test_a_process_that_ends_at_once_reports_what_it_left_out(programs: Programs) -> None:
    programs.write("""
        import os, sys
        @tool
        def step(n):
            return n
        for n in range(int(sys.argv[1])):
            step(n)
        os._exit(4)
    """)
    recorded = programs.run("record", command=[sys.executable, "agent.py", "3"])
    assert len(recorded.tape.crossings) == 3
    replayed = programs.run("replay", recorded.tape, command=[sys.executable, "agent.py", "2"])
    assert (replayed.code, replayed.report.exact, replayed.report.unused) == (4, 2, 1)


def test_the_same_calls_in_another_order_are_no_exact_replay(programs: Programs) -> None:
    text = """
        @tool
        def length(word):
            return len(word)
        for word in {}:
            length(word)
    """
    programs.write(text.format("('a', 'b', 'c')"))
    recorded = programs.run("record")
    assert programs.run("replay", recorded.tape).report.is_exact
    programs.write(text.format("('b', 'a', 'c')"))
    report = programs.run("replay", recorded.tape).report
    (drift,) = report.drifts
    assert (report.exact, drift.what, drift.number) == (3, "order", 1)
    assert drift.difference == "made after call 2, and recorded before it"


def test_a_call_that_is_new_is_told_and_pushes_no_other_from_its_answer(programs: Programs) -> None:
    text = """
        @tool
        def ask(question):
            return question.upper()
        for question in {}:
            print(ask(question))
    """
    programs.write(text.format("('a', 'b', 'c')"))
    recorded = programs.run("record")
    programs.write(text.format("('a', 'new', 'b', 'c')"))
    replayed = programs.run("replay", recorded.tape)
    assert replayed.output == "A\nB\nB\nC\n"
    report = replayed.report
    assert (report.exact, report.drifted, report.missing, report.order, report.unused) == (3, 1, 1, 0, 0)
    assert not report.is_exact
    missing = next(each for each in report.drifts if each.what == "missing")
    assert missing.difference == "it was not recorded, and got the answer of number 2, which the program asked for too"
    assert programs.run("replay", recorded.tape, strict=True).report.refused


POOLS = """
    import multiprocessing, os, random, sys, time
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.pool import ThreadPool
    def work(number):
        # Which worker does which task is another in each run.
        time.sleep((number if "late" in sys.argv else 5 - number) / 20)
        return number, random.random(), time.perf_counter_ns(), os.environ["PATH"] and random.random()
    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(3) as pool:
            print(pool.map(work, range(6), chunksize=1))
            print([pool.apply_async(work, (number,)).get() for number in range(2)])
        for _ in range(2):
            with ProcessPoolExecutor(3, mp_context=context) as executor:
                print(list(executor.map(work, range(6))))
        with ThreadPool(3) as pool:
            print(pool.map(work, range(6), chunksize=1))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_tasks_of_pools_read_what_was_recorded_whichever_worker_does_them(programs: Programs, method: str) -> None:
    programs.write(POOLS)
    recorded = programs.run("record", command=[sys.executable, "agent.py", method])
    command = [sys.executable, "agent.py", method, "late"]
    replayed = programs.run("replay", recorded.tape, command=command, sleep=1.0)
    assert replayed.output == recorded.output
    assert replayed.report.is_exact, replayed.report.drifts


def test_calls_of_tasks_wait_for_no_task_that_another_worker_does_now(programs: Programs) -> None:
    programs.write("""
        import multiprocessing, sys, time
        @tool
        def call(number):
            return number * number
        def work(number):
            time.sleep((number if "late" in sys.argv else 5 - number) / 20)
            return call(number)
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(work, range(5), chunksize=1))
    """)
    recorded = programs.run("record")
    replayed = programs.run("replay", recorded.tape, command=[sys.executable, "agent.py", "late"], sleep=1.0)
    assert replayed.output == recorded.output
    assert replayed.report.is_exact, replayed.report.drifts
