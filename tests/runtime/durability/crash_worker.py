"""A process to be killed: it writes to a store from several threads and reports every acknowledged operation.

Run as a program it is a nursery: it has imported greenroom once and forks one worker for each job it reads (a line of
JSON: path, seed, threads, config). Reports go to the file descriptor given as the first argument, one JSON object a
line:

- `{"thread", "op", …}`: the operation is about to be sent,
- `{"thread", "done", …}`: it has been acknowledged, with what it returned,
- `{"failed"}` when a worker met an error, `{"dead"}` when the worker has ended.
"""

from __future__ import annotations

import io
import json
import os
import random
import sys
import threading
import traceback
from typing import Any

from greenroom.runtime import Runtime, Session

VARIABLES = 12
RECORDS = 8
LONG = 300
"""Events after which a session is ended."""
KEPT = 8
"""Ended sessions that are kept."""
LARGE_CONTENTS = 6
"""So many large contents there are: workers store and delete the same ones, so deduplication races deleting."""


def content_of(seed: int, size: int) -> bytes:
    """Reproducible bytes, of which half can be compressed away."""
    half = random.Random(seed).randbytes(size // 2)
    return half + half[: size - len(half)]


class Reporter:
    """Writes whole lines to a pipe; a line is shorter than PIPE_BUF, so lines of threads do not mix."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, **report: Any) -> None:
        os.write(self._descriptor, json.dumps(report).encode() + b"\n")


class Writer:
    """One thread's work: on a session of its own, on one it shares with all others, and on new ones."""

    def __init__(
        self, runtime: Runtime, report: Reporter, number: int, seed: int, shared: str, own: str | None
    ) -> None:
        self._runtime = runtime
        self._report = report
        self._number = number
        self._random = random.Random(f"{seed}/{number}")
        self._shared = runtime.session(shared)
        self._own = runtime.session(own) if own else self._create()
        self._count = 0

    def run(self) -> None:
        while True:
            self.step()

    def step(self) -> None:
        self._count += 1
        steps, weights = zip(*self._STEPS, strict=True)
        self._random.choices(steps, weights)[0](self)

    def _acknowledged(self, session: Session | None, op: str, call: Any, returned: Any = None, **facts: Any) -> Any:
        session_id = session.id if session is not None else None
        self._report(thread=self._number, op=op, session=session_id, **facts)
        result = call()
        self._report(thread=self._number, done=returned(result) if returned is not None else True)
        return result

    def _create(self) -> Session:
        created: Session = self._acknowledged(
            None,
            "create",
            lambda: self._runtime.create_session(
                tags=["own"], config={"max_artifacts": 10**6, "max_operations": 10**9}
            ),
            lambda session: session.id,
        )
        return created

    def _set(self, session: Session, key: str) -> None:
        padding = self._random.choice((0, 10, 300, 20_000))
        value = f"{self._random.getrandbits(64):x}" + "." * padding
        self._acknowledged(session, "set", lambda: session.set(key, value), key=key, value=[value[:16], len(value)])

    def _set_own(self) -> None:
        self._set(self._own, f"k{self._random.randrange(VARIABLES)}")

    def _set_shared(self) -> None:
        self._set(self._shared, f"thread {self._number}")

    def _unset(self) -> None:
        key = f"k{self._random.randrange(VARIABLES)}"
        self._acknowledged(self._own, "unset", lambda: self._own.delete_variable(key), key=key)

    def _say(self, session: Session, size: int) -> None:
        text = f"{self._number} {self._random.getrandbits(64):x} " + "x" * size
        self._acknowledged(
            session,
            "message",
            lambda: session.add_message("user", text),
            lambda message: message.sequence,
            text=[text[:20], len(text)],
        )

    def _say_own(self) -> None:
        self._say(self._own, self._random.choice((0, 50, 500)))

    def _say_much(self) -> None:
        self._say(self._random.choice((self._own, self._shared)), self._random.choice((5000, 15_000, 200_000)))

    def _say_several(self) -> None:
        text = f"{self._number} {self._random.getrandbits(64):x} "
        said = [{"role": "user", "content": text + "x" * size} for size in (0, 6000, 50)]
        self._acknowledged(
            self._own,
            "messages",
            lambda: self._own.add_messages(said),
            lambda messages: [message.sequence for message in messages],
            texts=[[each["content"][:20], len(each["content"])] for each in said],
        )

    def _edit(self) -> None:
        turns = self._own.messages(limit=5)
        if turns:
            turn = self._random.choice(turns)
            text = f"{self._number} {self._random.getrandbits(64):x} " + "y" * self._random.choice((0, 6000))
            self._acknowledged(
                self._own,
                "edit",
                lambda: self._own.edit_message(turn.sequence, content=text),
                sequence=turn.sequence,
                text=[text[:20], len(text)],
            )

    def _retract(self) -> None:
        turns = self._own.messages(limit=2)
        if turns:
            gone = [turn.sequence for turn in turns]
            self._acknowledged(self._own, "retract", lambda: self._own.truncate_messages(gone[0] - 1), sequences=gone)

    def _store(self, session: Session, seed: int, size: int, *, stream: bool) -> None:
        content = content_of(seed, size)
        self._acknowledged(
            session,
            "store",
            lambda: session.store_artifact(
                "tool_result", f"of {self._number}", io.BytesIO(content) if stream else content
            ),
            lambda info: [str(info.id), info.version],
            content=[seed, size],
        )

    def _store_small(self) -> None:
        session = self._random.choice((self._own, self._shared))
        self._store(session, self._random.randrange(1000), self._random.choice((1, 900, 30_000)), stream=False)

    def _store_large(self) -> None:
        seed = self._random.randrange(LARGE_CONTENTS)
        self._store(self._own, seed, 150_000 + 50_000 * seed, stream=self._random.random() < 0.5)

    def _unstore(self) -> None:
        artifacts = self._own.list_artifacts(limit=20)
        if artifacts:
            chosen = self._random.choice(artifacts).id
            self._acknowledged(self._own, "unstore", lambda: self._own.delete_artifact(chosen), id=str(chosen))

    def _put(self) -> None:
        keys = self._random.sample(range(RECORDS), self._random.randint(1, 3))
        records = {
            f"r{key}": [self._random.getrandbits(32), self._random.choice((9, 3000, 20_000, 150_000))] for key in keys
        }
        values = {key: content_of(*content) for key, content in records.items()}
        self._acknowledged(self._own, "put", lambda: self._own.records.put_many(values), records=records)

    def _take_away(self) -> None:
        keys = [f"r{self._random.randrange(RECORDS)}" for _ in range(2)]
        self._acknowledged(self._own, "take away", lambda: self._own.records.delete_many(keys), keys=keys)

    def _pause(self) -> None:
        self._acknowledged(self._own, "status", self._own.suspend, status="suspended")
        self._acknowledged(self._own, "status", self._own.resume, status="active")

    def _tag(self) -> None:
        tags = ["own", f"t{self._random.randrange(5)}"]
        self._acknowledged(self._own, "tags", lambda: self._own.set_tags(tags), tags=tags)

    def _save(self) -> None:
        self._own.save()

    def _visit(self) -> None:
        """Wake a session that others have passivated."""
        found = self._runtime.list_sessions(status=["completed", "suspended"], limit=5)
        if found:
            self._runtime.session(self._random.choice(found).id).load()

    def _finish(self) -> None:
        self._acknowledged(self._own, "status", self._own.complete, status="completed")
        self._own = self._create()

    def _delete(self) -> None:
        self._acknowledged(self._own, "delete", self._own.delete)
        self._own = self._create()

    _STEPS = (
        (_set_own, 40),
        (_set_shared, 10),
        (_unset, 4),
        (_say_own, 12),
        (_say_much, 3),
        (_say_several, 3),
        (_edit, 4),
        (_retract, 2),
        (_store_small, 10),
        (_store_large, 3),
        (_unstore, 4),
        (_put, 10),
        (_take_away, 3),
        (_pause, 3),
        (_tag, 3),
        (_save, 2),
        (_visit, 3),
        (_finish, 1),
        (_delete, 1),
    )


def tidy(runtime: Runtime, report: Reporter) -> None:
    """End sessions that have grown long and delete old ones, so that a store of many kills stays quick to check.

    It reports as thread -1.
    """
    for info in runtime.list_sessions(status=["active", "suspended"]):
        if info.sequence > LONG or info.status == "suspended":
            report(thread=-1, op="status", session=info.id, status="completed")
            runtime.session(info.id).complete()
            report(thread=-1, done=True)
    for info in runtime.list_sessions(status="completed", sort_by="updated_at", descending=True, offset=KEPT):
        report(thread=-1, op="delete", session=info.id)
        runtime.delete_session(info.id)
        report(thread=-1, done=True)


def work(job: dict[str, Any], report: Reporter) -> None:
    """Open the store, and write until killed."""
    runtime = Runtime.open(job["path"], config=job["config"])
    tidy(runtime, report)
    shared = runtime.list_sessions(tags=["shared"])
    if shared:
        shared_id = shared[0].id
    else:
        report(thread=-1, op="create", session=None)
        shared_id = runtime.create_session(tags=["shared"], config={"max_artifacts": 10**6, "max_operations": 10**9}).id
        report(thread=-1, done=shared_id)
    own: list[str | None] = [info.id for info in runtime.list_sessions(status="active", tags=["own"])]
    own += [None] * job["threads"]

    def run(number: int) -> None:
        try:
            Writer(runtime, report, number, job["seed"], shared_id, own[number]).run()
        except BaseException:
            report(failed=traceback.format_exc()[-2000:])
            raise

    threads = [threading.Thread(target=run, args=(number,)) for number in range(job["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    report = Reporter(int(sys.argv[1]))
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            try:
                work(json.loads(line), report)
            except BaseException:
                report(failed=traceback.format_exc()[-2000:])
            finally:
                os._exit(1)
        print(process, flush=True)
        os.waitpid(process, 0)
        report(dead=process)


if __name__ == "__main__":
    main()
