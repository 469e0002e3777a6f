"""Gets or creates sessions by few keys from 32 threads, until it is killed. Prints each key and the id it got, once the
session is acknowledged.

Usage: keys_worker.py STORE SEED.
"""

from __future__ import annotations

import os
import random
import sys
import threading

from greenroom.runtime import Runtime


def work(rt: Runtime, chooser: random.Random) -> None:
    while True:
        key = f"k{chooser.randrange(400)}"
        os.write(1, f"{key} {rt.get_or_create(key).id}\n".encode())


with Runtime.open(sys.argv[1]) as runtime:
    threads = [
        threading.Thread(target=work, args=(runtime, random.Random(f"{sys.argv[2]}/{at}")), daemon=True)
        for at in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
