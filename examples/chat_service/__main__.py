"""A chat service with FastAPI: streamed answers that survive a broken connection, tools, uploads, several workers.

Run: python examples/chat_service --data chats --workers 2 --port 8000     (needs uvicorn, httpx and greenroom[fastapi])

One process writes to a store. So each worker has a store of its own, and a router in front of them sends all requests
of a user to the same worker. Another number of workers needs the chats moved (`greenroom export`, `greenroom import`).
A worker that ends, by whatever means, is started again: what it has acknowledged is there.

    POST   /chats/USER/CHAT                   {"text": ...} → the answer as server-sent events
    GET    /chats/USER/CHAT/answers/SEQUENCE  the rest of an answer, after the header Last-Event-ID
    GET    /chats/USER/CHAT                   the conversation as JSON
    GET    /chats/USER/CHAT/events            history, then whatever happens, as server-sent events
    PUT    /chats/USER/CHAT/files/NAME        uploads a file
    GET    /chats/USER                        the newest chats of a user
    DELETE /chats/USER                        deletes everything of a user
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
UVICORN = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "--timeout-graceful-shutdown", "3"]


class Worker:
    """A process with a store."""

    def __init__(self, store: Path, socket: str) -> None:
        self.store = store
        self.socket = socket
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "CHAT_STORE": str(self.store)}
        command = [*UVICORN, "--log-level", "warning", "--uds", self.socket, "service:app"]
        self.process = subprocess.Popen(command, env=environment)
        print(f"worker {self.store.name}: process {self.process.pid}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="directory of the stores")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--port", type=int, default=8000)
    given = options.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with tempfile.TemporaryDirectory(prefix="chat-", dir="/tmp") as sockets:  # paths of sockets must be short
        workers = [
            Worker(given.data / f"store-{number}", f"{sockets}/{number}.sock") for number in range(given.workers)
        ]
        environment = {**os.environ, "CHAT_WORKERS": json.dumps([worker.socket for worker in workers])}
        command = [*UVICORN, "--log-level", "warning", "--port", str(given.port), "router:app"]
        router = subprocess.Popen(command, env=environment)
        while not ending and router.poll() is None:
            for worker in workers:
                if worker.process.poll() is not None:
                    worker.start()
            time.sleep(0.1)
        processes = [router, *(worker.process for worker in workers)]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


if __name__ == "__main__":
    main()
