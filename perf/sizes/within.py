"""Much in one session: events, messages, artifacts, versions of one, records, tags and shares."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from greenroom.runtime import Runtime, Session
from sizes.tables import ROOMY, Stand, Table, reads_all

__all__ = ["WITHIN"]

_numbers = itertools.count(1)
STEP = 500


def _passive(stand: Stand) -> Callable[[], object]:
    session, table = stand.made, stand.rt.core.supervisor.table

    def activate() -> None:
        actor = table.actors.get(session.id)
        if actor is not None:
            table.passivate(actor)
        session.info()

    return activate


def _export(stand: Stand) -> Callable[[], object]:
    return lambda: stand.made.export(stand.folder / f"{next(_numbers)}.bundle")


COMMON = {
    "get a variable": lambda s: lambda: s.made.get("k"),
    "set a variable": lambda s: lambda: s.made.set("k", 1),
    "add a message": lambda s: lambda: s.made.add_message("user", "one more"),
    "information about the session": lambda s: s.made.info,
    "save": lambda s: s.made.save,
    "activate, it has left memory": _passive,
    "list 20 sessions": lambda s: lambda: s.rt.list_sessions(limit=20),
}
WHOLE = {
    "fork": reads_all(lambda s: s.made.fork),
    "fork and delete the fork": reads_all(lambda s: lambda: s.made.fork().delete()),
    "export": reads_all(_export),
    "verify": reads_all(lambda s: s.rt.verify),
}


def _session(rt: Runtime) -> Session:
    session = rt.create_session(name="full", config=ROOMY)
    session.set("k", 1)
    return session


def _events(rt: Runtime, count: int) -> Session:
    session = _session(rt)
    for number in range(count):
        session.set(f"key {number % 100}", number)
    return session


def _messages(rt: Runtime, count: int) -> Session:
    session = _session(rt)
    rows = [{"role": "user", "content": "some words of a message"}] * STEP
    for _ in range(count // STEP):
        session.add_messages(rows)
    return session


def _artifacts(rt: Runtime, count: int) -> Session:
    session = _session(rt)
    for number in range(count):
        kind = "tool_result" if number % 2 else "agent_output"
        session.store_artifact(kind, f"file {number}", b"some words %d" % number, tags=[f"tag {number % 10}"])
    return session


def _versions(rt: Runtime, count: int) -> Session:
    session = _session(rt)
    for number in range(count):
        session.store_artifact("tool_result", "file", b"some words %d" % number)
    return session


def _records(rt: Runtime, count: int) -> Session:
    session = _session(rt)
    for number in range(0, count, STEP):
        session.records.put_many({b"r%09d" % each: {"n": each} for each in range(number, number + STEP)})
    return session


def _tags(rt: Runtime, count: int) -> Session:
    """As many sessions as tags, each with its own."""
    for number in range(count):
        rt.create_session(tags=[f"tag {number}"])
    return _session(rt)


def _shares(rt: Runtime, count: int) -> Session:
    """A session with which so many others have shared an artifact."""
    session = _session(rt)
    for _ in range(count):
        _share(rt, session)
    return session


def _share(rt: Runtime, session: Session) -> Session:
    other = rt.create_session()
    other.store_artifact("tool_result", "shared", b"words")
    other.share("shared", session, "read")
    return other


def _edit(session: Session) -> None:
    session.edit_message(session.messages(limit=1)[0].sequence, content="edited")


def _next(stand: Stand, name: str) -> object:
    return stand.made.store_artifact("tool_result", name, b"%d" % next(_numbers))


def _share_and_revoke(stand: Stand) -> Callable[[], object]:
    other = _share(stand.rt, stand.made)

    def both() -> None:
        other.share("shared", stand.made, "read")
        other.revoke("shared", stand.made)

    return both


def _read_shared(stand: Stand) -> Callable[[], object]:
    other = _share(stand.rt, stand.made)
    artifact = other.get_artifact_info("shared").id

    def read() -> None:
        with stand.made.as_current():
            stand.rt.session(other.id).get_artifact(artifact)

    return read


WITHIN = (
    Table(
        "events of a session",
        _events,
        {
            **WHOLE,
            **COMMON,
            "the newest 20 events": lambda s: lambda: [*s.made.events(after=s.made.info().sequence - 20)],
            "20 events in the middle": lambda s: lambda: [*s.made.events(after=s.count // 2, limit=20)],
            "the newest 20 events of one type": lambda s: (
                lambda: s.rt.events.query(session_id=s.made.id, type="variable.*", descending=True, limit=20)
            ),
            "20 events of one type, and the total": reads_all(
                lambda s: lambda: s.rt.events.query(session_id=s.made.id, type="session.*", limit=20)
            ),
            "state at a moment in the middle": lambda s: lambda: s.made.at(sequence=s.count // 2).variables,
            "state at the end": lambda s: lambda: s.made.at(sequence=s.made.info().sequence).variables,
            "create another session": lambda s: s.rt.create_session,
            "analytics of the session": reads_all(lambda s: lambda: s.rt.analytics.session(s.made)),
        },
    ),
    Table(
        "messages of a session",
        _messages,
        {
            **WHOLE,
            **COMMON,
            "read the newest 20": lambda s: lambda: [each.content for each in s.made.messages(limit=20)],
            "read 20 in the middle": lambda s: (
                lambda: [each.content for each in s.made.messages(limit=20, before=s.count // 2)]
            ),
            "edit the newest": lambda s: (
                lambda: s.made.edit_message(s.made.messages(limit=1)[0].sequence, content="edited")
            ),
            "add one and take it back": lambda s: lambda: (s.made.add_message("user", "x"), s.made.pop_message()),
            "read all": reads_all(lambda s: s.made.messages),
        },
    ),
    Table(
        "artifacts of a session",
        _artifacts,
        {
            **WHOLE,
            **COMMON,
            "store one more": lambda s: lambda: s.made.store_artifact("other", f"new {next(_numbers)}", b"words"),
            "store the next version": lambda s: lambda: _next(s, "file 3"),
            "get one by name": lambda s: lambda: s.made.get_artifact("file 7"),
            "list 20": lambda s: lambda: s.made.list_artifacts(limit=20),
            "query by type, 20 rows": lambda s: lambda: s.made.query_artifacts(artifact_type="tool_result", limit=20),
            "query by tag, 20 rows": lambda s: lambda: s.made.query_artifacts(tags=["tag 3"], limit=20),
            "query by tag, the total": reads_all(
                lambda s: lambda: s.made.query_artifacts(tags=["tag 3"], limit=20).total
            ),
            "query by tag and type, 20 rows": lambda s: (
                lambda: s.made.query_artifacts(tags=["tag 3"], artifact_type="tool_result", limit=20)
            ),
            "query all by tag, 20 rows": lambda s: lambda: s.rt.query_artifacts(tags=["tag 3"], limit=20),
            "query by words, 20 rows": lambda s: lambda: s.made.query_artifacts(text="file 77", limit=20),
            "count by type": lambda s: lambda: s.made.count_artifacts(artifact_type="tool_result"),
            "names that begin with a text, all": reads_all(lambda s: lambda: s.made.artifact_names("file 77")),
            "store and delete": lambda s: (
                lambda: (s.made.store_artifact("other", "passing", b"words"), s.made.delete_artifact("passing"))
            ),
        },
    ),
    Table(
        "versions of an artifact",
        _versions,
        {
            "store the next version": lambda s: lambda: _next(s, "file"),
            "get the latest": lambda s: lambda: s.made.get_artifact("file"),
            "get one in the middle": lambda s: lambda: s.made.get_artifact("file", s.count // 2),
            "set a variable": lambda s: lambda: s.made.set("k", 1),
            "activate, it has left memory": _passive,
            "list 20": lambda s: lambda: s.made.list_artifacts(limit=20),
            "list all versions": reads_all(lambda s: lambda: s.made.artifact_versions("file")),
        },
    ),
    Table(
        "records of a session",
        _records,
        {
            **WHOLE,
            **COMMON,
            "put a record": lambda s: lambda: s.made.records.put(b"new %d" % next(_numbers), {"n": 1}),
            "get a record": lambda s: lambda: s.made.records.get(b"r%09d" % (s.count // 2)),
            "scan 20 in the middle": lambda s: (
                lambda: s.made.records.scan(b"r", limit=20, after=b"r%09d" % (s.count // 2))
            ),
            "put and delete": lambda s: lambda: (s.made.records.put(b"passing", 1), s.made.records.delete(b"passing")),
            "count": reads_all(lambda s: s.made.records.count),
        },
    ),
    Table(
        "tags, each of one session",
        _tags,
        {
            "set the tags of a session": lambda s: lambda: s.made.set_tags([f"t{next(_numbers)}"]),
            "list by a tag": lambda s: lambda: s.rt.list_sessions(tags=["tag 77"], limit=20),
            "create a session with a tag": lambda s: lambda: s.rt.create_session(tags=["tag 77"]),
        },
    ),
    Table(
        "artifacts shared with a session",
        _shares,
        {
            "share one more": lambda s: lambda: _share(s.rt, s.made),
            "share and revoke": _share_and_revoke,
            "read one": _read_shared,
            "set a variable": lambda s: lambda: s.made.set("k", 1),
            "activate, it has left memory": _passive,
            "save": lambda s: s.made.save,
            "list all": reads_all(lambda s: s.made.shared_with_me),
        },
    ),
)
