"""What a program reads of clocks, randomness and its environment is the same when it is replayed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from .programs import Programs


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


READING = """
    import datetime as d, pickle, random, secrets, time, uuid
    from datetime import datetime, date, timezone, timedelta
    from time import time as now

    class Stamped(datetime):
        pass

    class Timer:
        clock = time.perf_counter

    print(time.time(), time.time_ns(), time.monotonic(), time.perf_counter_ns(), now(), Timer().clock())
    print(time.localtime(), time.gmtime(), time.strftime("%H:%M:%S"), time.ctime(), time.gmtime(0), time.asctime())
    print(time.strftime("%Y", time.gmtime(0)))
    print(datetime.now().isoformat(), datetime.now(timezone(timedelta(hours=2))), datetime.utcnow(), date.today())
    print(datetime.today(), Stamped.now().isoformat(), type(Stamped.now()).__name__)
    assert pickle.loads(pickle.dumps(datetime.now())).__class__ is datetime is d.datetime
    assert pickle.loads(pickle.dumps(time.time)) is time.time

    items = [object(), object(), object(), object()]
    print(random.random(), random.randint(1, 10**30), random.uniform(1, 2), random.getrandbits(256))
    print(items.index(random.choice(items)), [items.index(each) for each in random.choices(items, k=5)])
    print([items.index(each) for each in random.sample(items, 3)], items.index(random.choice(seq=items)))
    mixed = list(range(20))
    random.shuffle(mixed)
    print(mixed, random.Random().random(), random.SystemRandom().random(), random.SystemRandom().choice(range(10**6)))
    print(uuid.uuid4(), uuid.uuid1(), uuid.uuid4().version, secrets.token_hex(), secrets.choice(range(10**6)))
    print(secrets.randbelow(10**40), secrets.token_bytes(3))
    import os
    print(os.urandom(8), random.randbytes(4), isinstance(Stamped.now(), datetime))
"""


def test_clocks_and_randomness_are_replayed(programs: Programs) -> None:
    programs.write(READING)
    recorded = programs.run("record")
    assert recorded.code == 0, recorded.output
    replayed = programs.run("replay", recorded.tape)
    assert replayed.output == recorded.output
    assert replayed.report.is_exact, replayed.report.drifts
    assert replayed.report.reads > 30


def test_a_seeded_generator_draws_as_without_a_recorder(programs: Programs) -> None:
    programs.write("""
        import random
        random.seed(7)
        values = list("abcdefgh")
        random.shuffle(values)
        print(random.random(), random.choice("xyz"), random.sample(range(99), 4), random.choices("abc", [5, 1, 1], k=6))
        print(values, random.Random(3).random(), random.randrange(0, 100, 7), random.gauss(0, 1))
    """)
    recorded = programs.run("record")
    plain = programs.run("replay", recorded.tape)
    alone = subprocess.run(
        [sys.executable, "agent.py"], cwd=programs.folder, capture_output=True, text=True, check=True
    )
    assert recorded.output == alone.stdout == plain.output


def test_the_environment_is_replayed_and_secrets_are_not_on_the_tape(programs: Programs) -> None:
    programs.write("""
        import os
        print(os.environ["NAME"], os.getenv("OTHER"), os.environ.get("NONE", "none"), "NAME" in os.environ)
        print(len(os.environ["API_KEY"]) > 0, len(dict(os.environ)) > 3)
    """)
    recorded = programs.run("record", env={**os.environ, "NAME": "Ada", "API_KEY": "sk-very-secret"})
    replayed = programs.run("replay", recorded.tape, env={**os.environ, "NAME": "Grace", "OTHER": "set"})
    assert replayed.output == recorded.output == "Ada None none True\nTrue True\n"
    assert "very-secret" not in repr(recorded.tape)
    names = {name for reads in recorded.tape.reads for kind, name, *_ in reads.reads if kind == "environment"}
    assert names == {"NAME", "OTHER", "NONE", "API_KEY"}


@pytest.mark.parametrize("name", ["MYSECRET", "DBPASSWORD", "XAPIKEY", "ACCESSTOKEN", "awsSecretAccessKey"])
def test_a_name_with_a_secret_in_it_holds_one(programs: Programs, name: str) -> None:
    programs.write(f"import os\nos.environ[{name!r}]\n")
    assert "very-hidden" not in repr(programs.run("record", env={**os.environ, name: "very-hidden"}).tape)


def test_reads_of_libraries_are_not_recorded(programs: Programs) -> None:
    programs.write("""
        import logging, tempfile
        logging.warning("said")
        tempfile.NamedTemporaryFile().close()
        logging.LogRecord("", 0, "", 0, "", (), None)
    """)
    assert programs.run("record").tape.reads == []


def test_modules_that_had_imported_a_clock_by_name_are_recorded_too(programs: Programs) -> None:
    (programs.folder / "early.py").write_text("from time import time\ndef stamp():\n    return time()\n")
    programs.write("""
        import sys
        from greenroom.runtime.recording.boundaries.install import install
        print(sys.modules["early"].stamp())
    """)
    (programs.folder / "sitecustomize.py").write_text("import early\n")
    environment = {**os.environ, "PYTHONPATH": f"{programs.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    recorded = programs.run("record", env=environment)
    assert [name for reads in recorded.tape.reads for _, name, *_ in reads.reads] == ["time.time"]
    assert programs.run("replay", recorded.tape, env=environment).output == recorded.output


def test_sleeps_are_shortened_and_keep_their_order(programs: Programs) -> None:
    programs.write("""
        import asyncio, time
        async def after(seconds):
            await asyncio.sleep(seconds)
            return seconds
        async def main():
            done = []
            for each in asyncio.as_completed([after(40), after(0.5), after(20)]):
                done.append(await each)
            return done
        @tool
        def live():
            return True
        if __name__ == "__main__":
            import sys
            if live():
                if len(sys.argv) > 1:
                    time.sleep(30)
                    print(asyncio.run(main()))
    """)
    recorded = programs.run("record")
    replayed = programs.run("replay", recorded.tape, command=[sys.executable, "agent.py", "sleeping"])
    assert replayed.output == "[0.5, 20, 40]\n"


def test_an_edited_program_gets_the_values_of_the_same_functions(programs: Programs) -> None:
    text = """
        import random
        def one():
            return random.random()
        def two():
            return random.random()
        print(one(), two())
    """
    programs.write(text)
    recorded = programs.run("record")
    programs.write("\n\n# moved\n" + textwrap.dedent(text).replace("one(), two()", "*reversed([two(), one()])"))
    replayed = programs.run("replay", recorded.tape)
    assert replayed.output == recorded.output
    assert {drift.what for drift in replayed.report.drifts} == {"moved"}


def test_a_read_that_was_not_recorded_is_told(programs: Programs) -> None:
    programs.write("print('a')")
    recorded = programs.run("record")
    programs.write("import time\nfor _ in range(3): time.time()\nprint('a')\n")
    replayed = programs.run("replay", recorded.tape)
    told: list[Any] = [(drift.what, drift.name, drift.place) for drift in replayed.report.drifts]
    assert told == [("missing", "time.time", "agent.py:3 in <module>")]
    assert programs.run("replay", recorded.tape, strict=True).code == 1


def test_results_of_processes_are_recorded_where_it_is_asked_for(programs: Programs) -> None:
    programs.write("""
        import subprocess, sys
        ran = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        print(ran.stdout, ran.returncode, subprocess.check_output(["echo", "hello"]))
        try:
            subprocess.run([sys.executable, "-c", "raise SystemExit(4)"], check=True)
        except subprocess.CalledProcessError as error:
            print(error.returncode, error.cmd)
    """)
    recorded = programs.run("record", processes=True)
    assert [each.kind for each in recorded.tape.crossings] == ["process"] * 3
    replayed = programs.run("replay", recorded.tape, processes=True)
    assert replayed.output == recorded.output
    assert replayed.report.is_exact
