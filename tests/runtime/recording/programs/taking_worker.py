"""Takes a spool into a session, and is killed once the session has so many events."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from greenroom.runtime import Runtime, Session
from greenroom.runtime.recording.journal.taking import Taker


def kill_at(session: Session, events: int) -> None:
    """Kill this process when the session has so many events."""
    while session.info().sequence < events:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def main(store: Path, folder: Path, events: int) -> None:
    with Runtime.open(store) as rt:
        session = rt.get_or_create("run")
        if events:
            threading.Thread(target=kill_at, args=(session, events), daemon=True).start()
        taker = Taker(session, folder, redact=[r"sk-\d+"])
        taker.end({"exit_code": 0})
        if events:  # all was taken before anybody killed it
            threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
