"""A process of its own that creates many sessions, works with all of them, and opens their store again. Linux only.

Usage: many.py SESSIONS STORE. Prints JSON: peak `rss` (bytes) while creating and working, `activation_median` and
`activation_p99` (seconds) of a message to a session that is not in memory, `open` (seconds, one a round).
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time

from memory import status

from greenroom.runtime import Runtime, RuntimeConfig, messages
from greenroom.storage.codec.keys import session_bytes, session_id_of

RESIDENT = 10_000
MESSAGES = 20_000
ROUNDS = 7


def main(count: str, store: str) -> None:
    config = RuntimeConfig(max_resident_sessions=RESIDENT)
    clock = time.perf_counter
    with Runtime.open(store, config=config) as rt:
        ids = bytearray()  # a million strings would be measured as if they were the runtime's
        for index in range(int(count)):
            ids += session_bytes(rt.create_session(name=f"session {index}").id)
        dice = random.Random(3)
        actors = rt._supervisor.table.actors
        message = messages.GetVariable("k")
        times: list[float] = []
        while len(times) < MESSAGES:
            at = 16 * dice.randrange(int(count))
            session_id = session_id_of(bytes(ids[at : at + 16]))
            if session_id in actors:
                continue
            start = clock()
            rt.ask(session_id, message)
            times.append(clock() - start)
        figures = {
            "sessions": int(count),
            "resident": len(actors),
            "rss": status("VmHWM"),
            "activations": len(times),
            "activation_median": statistics.median(times),
            "activation_p99": statistics.quantiles(times, n=100)[98],
        }
    opened = []
    for _ in range(ROUNDS):
        start = clock()
        rt = Runtime.open(store, config=config)
        opened.append(clock() - start)
        rt.session(session_id_of(bytes(ids[:16]))).set("k", 2)
        rt.close()
    print(json.dumps({**figures, "open": opened}))


if __name__ == "__main__":
    main(*sys.argv[1:])
