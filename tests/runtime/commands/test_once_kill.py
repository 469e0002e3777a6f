"""Kills a process that makes forks under idempotency keys: each is made once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from greenroom.runtime import Runtime

ROUNDS = 4


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
    work(sys.argv[1], sys.argv[2])
