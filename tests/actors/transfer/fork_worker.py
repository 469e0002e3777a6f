"""Forks a session in a copy of a store, again and again, and is killed at the first write, at the second, and so on.

Usage: fork_worker.py STORE SESSION OUT. The copies are OUT/1, OUT/2, …; prints how many there are once one has not been
killed any more.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from greenroom.runtime import Runtime
from greenroom.storage.engine.engine import Engine

store, session_id, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])


def fork_until(kill_at: int, path: Path) -> None:
    writes = 0

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal writes
        if event == "return" and frame.f_code is Engine.write.__code__:
            writes += 1
            if writes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    with Runtime.open(path) as runtime:
        sys.setprofile(watch)
        runtime.session(session_id).fork(changes={"system_prompt": "another text " * 1000, "variables": {"k0": -1}})
        sys.setprofile(None)


for number in itertools.count(1):
    shutil.copytree(store, out / str(number))
    child = os.fork()
    if child == 0:
        fork_until(number, out / str(number))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        assert os.waitstatus_to_exitcode(status) == 0
        print(number)
        break
