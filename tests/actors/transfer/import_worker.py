"""Imports a bundle and kills its own process at the n-th write to the store; prints how many writes there were.

Usage: import_worker.py STORE BUNDLE N, where N = 0 means never.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

from greenroom.runtime import Runtime
from greenroom.storage.engine.engine import Engine

store, bundle, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
writes = 0


def watch(frame: FrameType, event: str, argument: Any) -> None:
    global writes
    if event == "return" and frame.f_code is Engine.write.__code__:
        writes += 1
        if writes == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


with Runtime.open(store) as runtime:
    sys.setprofile(watch)
    runtime.import_bundle(bundle)
    sys.setprofile(None)
    print(writes, flush=True)
