"""A host under load that leaves signals to greenroom: it writes from several threads and reports what is acknowledged.

Arguments: the path of the store, JSON of the configuration, `main` if the main thread writes too or `idle` if it
waits, and `with` if it closes the runtime when it leaves, or `bare` if it leaves that to greenroom.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading

from greenroom.runtime import Runtime, RuntimeClosed, Session


def main() -> None:
    path, config, mode, manner = sys.argv[1:]
    runtime = Runtime.open(path, config=json.loads(config))
    with runtime if manner == "with" else contextlib.nullcontext():
        work(runtime, mode)


def work(runtime: Runtime, mode: str) -> None:
    sessions = [runtime.create_session(config={"max_operations": 10**9}) for _ in range(4)]

    def write(number: int) -> None:
        session: Session = sessions[number]
        count = 0
        try:
            while True:
                count += 1
                session.set(f"of {number}", count)
                os.write(1, json.dumps([session.id, f"of {number}", count]).encode() + b"\n")
        except RuntimeClosed:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    if mode == "main":
        write(3)
    for thread in threads:
        while thread.is_alive():
            thread.join(1)  # a signal that comes just before the wait begins is seen when the wait ends


if __name__ == "__main__":
    main()
