from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from greenroom.runtime import Runtime

from ...warm import WarmPopen

WORKER = Path(__file__).with_name("keys_worker.py")
KILLS = 8


def test_a_key_has_one_session_for_ever_whenever_the_host_is_killed(store_path: Path) -> None:
    known: dict[str, str] = {}
    for kill in range(KILLS):
        command = [sys.executable, str(WORKER), str(store_path), str(kill)]
        with WarmPopen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            for count, line in enumerate(worker.stdout):
                if count == 40 + 13 * kill:
                    worker.send_signal(signal.SIGKILL)
                if line.endswith("\n"):
                    key, session_id = line.split()
                    assert known.setdefault(key, session_id) == session_id
            assert worker.wait() == -signal.SIGKILL
    assert len(known) > 100
    with Runtime.open(store_path) as rt:
        there = {info.key: info.id for info in rt.list_sessions(limit=None)}
        assert len(there) == rt.count_sessions()
        assert known.items() <= there.items()
        assert {key: rt.session(key=key).id for key in there if key is not None} == there
        assert rt.verify().problems == []
