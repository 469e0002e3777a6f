"""Kills a process in the middle of batches with idempotency keys: each batch is whole or absent, over scopes too, and
sent again it answers what it answered."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from greenroom.runtime import Runtime, Session

SCOPES = ("user:1", "user:2", "global")
THREADS = 3
ROUNDS = 4


def send(session: Session, name: str, number: int) -> list[Any]:
    """One batch of one sender: a counter in each place, a turn, a record and a content that all batches share."""
    with session.batch(idempotency_key=f"{name}/{number}") as b:
        b.set(name, number)
        b.add_message("user", f"{name} {number}")
        for scope in SCOPES:
            b.scope(scope).set(name, number)
        b.store_artifact("log", name, b"x" * (200_000 if number % 3 else 10))
        b.records.put(name, number)
        if number:
            b.delete_artifact(name, version=number)
    turn = b.replies[1]
    return [turn.sequence, str(turn.content), b.replies[5].version]


def work(path: str, session_id: str) -> None:
    """The process that is killed: reports what it is about to send and what was acknowledged."""

    def report(*told: Any) -> None:
        os.write(1, json.dumps(told).encode() + b"\n")  # whole lines, so those of the threads do not mix

    def sender(name: str) -> None:
        number = session.get(name, default=-1) + 1
        while True:
            report(name, number, None)
            report(name, number, send(session, name, number))
            number += 1

    with Runtime.open(path, config={"write_buffer_bytes": 4 << 20, "max_resident_sessions": 3}) as rt:
        session = rt.session(session_id)
        for number in range(THREADS):
            threading.Thread(target=sender, args=(f"t{number}",), daemon=True).start()
        threading.Event().wait()


def test_batches_are_whole_or_absent_and_answer_the_same_after_a_kill(tmp_path: Path) -> None:
    chance = random.Random(7)
    with Runtime.open(tmp_path / "store") as rt:
        session_id = rt.create_session(config={"max_operations": None}).id
    told: dict[tuple[str, int], list[Any]] = {}
    for _ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, __file__, str(tmp_path / "store"), session_id],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        begun: set[tuple[str, int]] = set()
        left = chance.randrange(20, 80)
        for line in process.stdout:
            name, number, reply = json.loads(line)
            if reply is None:
                begun.add((name, number))
            else:
                told[name, number] = reply
                left -= 1
            if not left:
                process.send_signal(signal.SIGKILL)
        process.wait()
        with Runtime.open(tmp_path / "store") as rt:
            _check(rt, session_id, told, begun)


def _check(rt: Runtime, session_id: str, told: dict[tuple[str, int], list[Any]], begun: set[tuple[str, int]]) -> None:
    s = rt.session(session_id)
    for name in {name for name, _ in begun}:
        acknowledged = max((number for each, number in told if each == name), default=-1)
        found = s.get(name, default=-1)
        assert acknowledged <= found <= acknowledged + 1
        assert {rt.state_scope(scope).get(name, default=-1) for scope in SCOPES} == {found}, "one write for all"
        assert [turn.content for turn in s.messages() if str(turn.content).startswith(f"{name} ")] == [
            f"{name} {number}" for number in range(found + 1)
        ]
        assert [info.version for info in s.artifact_versions(name)] == [found + 1][: found + 1]
        assert s.records.get(name, default=-1) == found
        before = s.info().sequence
        for number in range(max(0, found - 20), found + 1):
            reply = send(s, name, number)
            assert reply == told.setdefault((name, number), reply), "what was acknowledged is answered again"
        assert s.info().sequence == before, "nothing is done twice"
        if (name, found + 1) in begun:  # it was on its way: sent again, it is done
            told[name, found + 1] = send(s, name, found + 1)
            assert s.get(name) == found + 1
    assert rt.verify().problems == []


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2])
