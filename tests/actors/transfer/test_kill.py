from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from greenroom.runtime import Runtime

from ...warm import run_warm

WORKER = Path(__file__).with_name("import_worker.py")
Everything = Callable[[Runtime], list[tuple[bytes, bytes]]]


def run(store: Path, bundle: Path, kill_at: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(WORKER), str(store), str(bundle), str(kill_at)]
    return run_warm(command, timeout=60)


def test_an_import_that_is_killed_has_happened_or_has_not(rt: Runtime, tmp_path: Path, everything: Everything) -> None:
    root = rt.create_session(name="root")
    for number in range(3):
        child = rt.create_session(name=f"child {number}", parent=root)
        for value in range(800):
            child.set(f"k{value % 9}", value)
        child.store_artifact("t", "small", f"content {number}")
        child.store_artifact("t", "random", os.urandom(3_000_000))
        child.add_message("user", "a long text " * 1000)
    bundle = tmp_path / "s.bundle"
    root.export(bundle, tree=True)
    whole = run(tmp_path / "whole", bundle, 0)
    assert whole.returncode == 0, whole.stderr
    writes = int(whole.stdout)
    assert writes >= 20
    outcomes = []
    for kill_at in sorted({*range(1, writes, max(1, writes // 8)), *range(writes - 3, writes + 1)}):
        store = tmp_path / f"store-{kill_at}"
        with Runtime.open(store) as before:
            before.create_session(name="there already").store_artifact("t", "small", "content 0")
            # The counts change their form with the first deletion; let that be behind us.
            before.create_session().delete()
        with Runtime.open(store) as before:
            untouched = everything(before)
        killed = run(store, bundle, kill_at)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        with Runtime.open(store) as after:
            assert after.verify().problems == []
            sessions = after.list_sessions()
            outcomes.append(sessions.total)
            if sessions.total == 1:
                assert everything(after) == untouched
                assert len(after.import_bundle(bundle)) == 4
            found = after.session(root.id).children()
            assert [info.name for info in found] == ["child 0", "child 1", "child 2"]
            for info in found:
                assert after.session(info.id).get("k0") == 792
                assert len(after.session(info.id).get_artifact("random").content) == 3_000_000
            assert after.verify().problems == []
            keys = [key for key, _ in everything(after)]
            assert not any(key.startswith((b"importing/", b"pending/")) for key in keys)
    # Both have been seen, and never anything between.
    assert sorted(set(outcomes)) == [1, 5]
    assert outcomes == sorted(outcomes)
