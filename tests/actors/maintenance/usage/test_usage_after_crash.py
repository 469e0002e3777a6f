from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from greenroom.runtime import Runtime

from ....warm import WarmPopen

WORKER = Path(__file__).with_name("usage_worker.py")


def run_and_kill(store: Path, seed: int, after: int) -> list[tuple[str, str, int | None]]:
    """What the worker has reported until it was killed, some time after so many reports."""
    process = WarmPopen([sys.executable, str(WORKER), str(store), str(seed)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after)]
    process.kill()
    lines += process.stdout.readlines()
    process.wait(30)
    process.stdout.close()
    return [tuple(json.loads(line)) for line in lines if line.endswith(b"\n")]


def test_usage_is_exact_after_any_crash(store_path: Path) -> None:
    for seed, after in enumerate((5, 60, 120)):
        artifacts: dict[tuple[str, str], int | None] = {}
        reports = run_and_kill(store_path, seed, after)
        assert len(reports) >= after
        for session_id, name, size in reports:
            artifacts[session_id, name] = size
        with Runtime.open(store_path, config={"max_store_bytes": 1 << 40}) as rt:
            assert rt.verify().problems == []
            # A deletion may have been done and not yet reported.
            for (session_id, name), size in list(artifacts.items()):
                if size is None:
                    assert rt.session(session_id).artifact_versions(name) == []
            sizes: dict[str, int] = {}
            for info in rt.list_sessions():
                own = list(rt.session(info.id).list_artifacts())
                assert info.artifact_count == len(own)
                assert info.total_artifact_size == sum(each.size for each in own)
                sizes.update({each.id.content_hash: each.size for each in own})
            figures = rt.stats()["artifacts"]
            assert figures["contents"] == len(sizes)
            assert figures["unique_bytes"] == sum(sizes.values())
            rt.create_session().store_artifact("t", "after it", b"one more %d" % seed)
            assert not rt._store.totals.miscounted()
            assert rt.stats()["artifacts"]["contents"] == len(sizes) + 1
            assert rt._store.quota is not None
            assert rt._store.quota.used == figures["unique_bytes"] + len(b"one more %d" % seed)
            for (session_id, name), size in artifacts.items():
                versions = rt.session(session_id).artifact_versions(name)
                assert size is None or not versions or versions[0].size == size
            lost = [key for key, size in artifacts.items() if size and not rt.session(key[0]).artifact_versions(key[1])]
            assert len(lost) <= 3  # one deletion of each thread can have been under way
