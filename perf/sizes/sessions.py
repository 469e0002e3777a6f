"""Many sessions in a store, each with a variable, a message and two tags; every tenth has an artifact."""

from __future__ import annotations

import itertools
import random
import shutil
import time
from collections.abc import Callable

from greenroom.runtime import Runtime, Session
from sizes.tables import Stand, Table, reads_all

__all__ = ["SESSIONS"]

_numbers = itertools.count(1)
_dice = random.Random(5)


def _fill(rt: Runtime, count: int) -> list[str]:
    ids = []
    for number in range(count):
        tags = [f"decile {number % 10}", f"own {number}"]
        session = rt.create_session(name=f"session {number}", tags=tags, created_by=f"user {number % 50}")
        session.set("k", number)
        session.add_message("user", "some words of a message")
        if number % 10 == 0:
            session.store_artifact("tool_result", f"result {number}.txt", b"some words %d" % number)
        ids.append(session.id)
    return ids


def _one(stand: Stand) -> Session:
    """A session into which operations write."""
    return stand.rt.session(stand.made[len(stand.made) // 2])


def _other(stand: Stand) -> Session:
    """A session that is as it was."""
    return stand.rt.session(stand.made[len(stand.made) // 3])


def _passive(stand: Stand) -> Callable[[], object]:
    """A session that is not in memory: there are more than stay, or it is made to leave."""
    table = stand.rt.core.supervisor.table

    def activate() -> None:
        session = stand.rt.session(_dice.choice(stand.made))
        actor = table.actors.get(session.id)
        if actor is not None:
            table.passivate(actor)
        session.get("k")

    return activate


def _followed(stand: Stand) -> Callable[[], object]:
    session = _one(stand)
    events = stand.rt.follow("variable.*", session=session, timeout=5)

    def one() -> None:
        session.set("k", 1)
        next(events)

    return one


def _backup(stand: Stand) -> None:
    target = stand.folder / f"backup {next(_numbers)}"
    stand.rt.backup(target)
    shutil.rmtree(target)


def _export(stand: Stand) -> Callable[[], object]:
    session = _other(stand)
    return lambda: session.export(stand.folder / f"{next(_numbers)}.bundle")


SESSIONS = Table(
    "sessions",
    _fill,
    {
        "collect what nothing refers to": reads_all(lambda s: s.rt.gc),
        "usage": reads_all(lambda s: s.rt.usage),
        "backup": reads_all(lambda s: lambda: _backup(s)),
        "verify": reads_all(lambda s: s.rt.verify),
        "create a session": lambda s: lambda: s.rt.create_session(name="one more", tags=["new"]),
        "get a variable": lambda s: lambda: _one(s).get("k"),
        "set a variable": lambda s: lambda: _one(s).set("k", 1),
        "add a message": lambda s: lambda: _one(s).add_message("user", "one more"),
        "store 1 KiB": lambda s: lambda: _one(s).store_artifact("tool_result", "one more", b"%1024d" % next(_numbers)),
        "get a variable, the session has left memory": _passive,
        "get_or_create of an existing key": lambda s: lambda: s.rt.get_or_create("the key"),
        "list the newest 20": lambda s: lambda: s.rt.list_sessions(limit=20),
        "list 20 by a tag that a tenth has": lambda s: lambda: s.rt.list_sessions(tags=["decile 3"], limit=20),
        "list 20 by a tag that one has": lambda s: lambda: s.rt.list_sessions(tags=["own 7"], limit=20),
        "list 20 of a creator": lambda s: lambda: s.rt.list_sessions(created_by="user 7", limit=20),
        "search names for a word that one has": reads_all(
            lambda s: lambda: s.rt.list_sessions(search="session 77", limit=20)
        ),
        "find sessions by the begin of an id": lambda s: lambda: s.rt.find_sessions(s.made[3][:10]),
        "count sessions": reads_all(lambda s: s.rt.count_sessions),
        "query artifacts of all by type, 20 rows": lambda s: (
            lambda: s.rt.query_artifacts(artifact_type="tool_result", limit=20)
        ),
        "query artifacts of all by type, the total": reads_all(
            lambda s: lambda: s.rt.query_artifacts(artifact_type="tool_result", limit=20).total
        ),
        "events of one session": lambda s: lambda: s.rt.events.query(session_id=_other(s).id, limit=20),
        "events of all, since now": lambda s: lambda: s.rt.events.query(after=time.time() - 1, limit=20),
        "events of all, of one type, the newest 20": lambda s: (
            lambda: s.rt.events.query(type="artifact.*", descending=True, limit=20)
        ),
        "events of all, of one type, 20 rows and the total": reads_all(
            lambda s: lambda: s.rt.events.query(type="artifact.*", limit=20)
        ),
        "follow one session: set, and read the event": _followed,
        "audit, newest 20": lambda s: lambda: s.rt.audit(limit=20),
        "analytics of one session": lambda s: lambda: s.rt.analytics.session(_other(s)),
        "analytics of all, since now": reads_all(lambda s: lambda: s.rt.analytics.aggregate(since=time.time() - 1)),
        "analytics of all": reads_all(lambda s: s.rt.analytics.aggregate),
        "stats": lambda s: s.rt.stats,
        "fork": lambda s: lambda: _other(s).fork(),
        "create and delete": lambda s: lambda: s.rt.create_session().delete(),
        "export one session": _export,
        "retention, when nothing is due": lambda s: lambda: s.rt.retention(ended_days=1),
    },
)
