"""A process to be killed: stores, deletes and forks from three threads, and prints a line for each that is done.

Usage: usage_worker.py STORE SEED. A line is JSON: the session, and the name and size of an artifact that it has now, or
null for one that is gone.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import threading

from greenroom.runtime import ArtifactNotFound, Runtime, Session

LARGE = random.Random(1).randbytes(150_000)


def work(runtime: Runtime, seed: str, others: list[Session]) -> None:
    dice = random.Random(seed)
    own = runtime.create_session(config={"max_artifacts": 10**6})
    names: list[str] = []

    def report(name: str | None, size: int | None = None) -> None:
        os.write(1, json.dumps([own.id, name, size]).encode() + b"\n")

    for number in itertools.count():
        step = dice.random()
        if step < 0.5:
            content = dice.choice([b"same", LARGE, LARGE[dice.randrange(9) :], dice.randbytes(3000)])
            name = f"n{number}"
            own.store_artifact("t", name, content)
            names.append(name)
            report(name, len(content))
        elif step < 0.7 and names:
            name = names.pop(dice.randrange(len(names)))
            own.delete_artifact(name)
            report(name)
        elif step < 0.9:
            others.append(own.fork())
        elif others:
            fork = others.pop()
            try:
                fork.delete_artifact(dice.choice(names) if names else "none")
            except ArtifactNotFound:
                fork.delete()


with Runtime.open(sys.argv[1], config={"max_store_bytes": 1 << 40}) as runtime:
    forks: list[Session] = []
    threads = [threading.Thread(target=work, args=(runtime, f"{sys.argv[2]}/{n}", forks)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
