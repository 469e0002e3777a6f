"""Kills a process that makes forks and streams messages under idempotency keys: each is made once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from greenroom.runtime import Runtime

ROUNDS = 4


def streaming(path: str, session_id: str) -> None:
    """The process that is killed while it writes a message."""
    rt = Runtime.open(path)
    with rt.session(session_id).stream_message("assistant", idempotency_key="i") as message:
        message.write("It bro")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_message_that_a_kill_broke_off_is_written_anew(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        session_id = rt.create_session().id
    for _ in range(2):
        command = [sys.executable, __file__, str(tmp_path / "store"), session_id, "stream"]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with Runtime.open(tmp_path / "store") as rt:
        s = rt.session(session_id)
        assert [(turn.content, turn.partial) for turn in s.messages()] == [("It bro", True)]
        for _ in range(2):
            with s.stream_message("assistant", idempotency_key="i") as message:
                message.write("It works")
        assert [(turn.content, turn.partial) for turn in s.messages()] == [("It works", False)]
        assert rt.verify().problems == []


def work(path: str, session_id: str) -> None:
    """The process that is killed: reports each fork that it begins and has made."""
    with Runtime.open(path) as rt:
        session = rt.session(session_id)
        number = len(session.children())
        while True:
            os.write(1, f"{number} \n".encode())
            os.write(1, f"{number} {session.fork(idempotency_key=f'i{number}').id}\n".encode())
            number += 1


def test_no_fork_is_made_twice_after_a_kill(tmp_path: Path) -> None:
    chance = random.Random(3)
    with Runtime.open(tmp_path / "store") as rt:
        s = rt.create_session()
        s.store_artifact("log", "n", bytes(range(256)) * 2000)
        for number in range(300):
            s.set("k", number)
    told: dict[int, str] = {}
    for _ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, __file__, str(tmp_path / "store"), s.id], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        begun, left = -1, chance.randrange(4, 20)
        for line in process.stdout:
            number, _, fork = line.strip("\n").partition(" ")
            begun = int(number)
            if fork:
                told[begun] = fork
            left -= 1
            if not left:
                process.send_signal(signal.SIGKILL)
        process.wait()
        with Runtime.open(tmp_path / "store") as rt:
            s = rt.session(s.id)
            made = len(s.children())
            assert len(told) <= made <= begun + 1
            for number in range(begun + 1):
                fork = s.fork(idempotency_key=f"i{number}").id
                assert told.setdefault(number, fork) == fork
                assert len(s.children()) == max(made, number + 1)
            assert {each.id for each in s.children()} == set(told.values())
            assert rt.verify().problems == []


if __name__ == "__main__":
    (streaming if sys.argv[3:] else work)(sys.argv[1], sys.argv[2])
