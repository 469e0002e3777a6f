"""What the store holds because of a session's events is one function of these: whoever writes it, removes it or
compares with it comes to the same bytes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.maintenance.verification.expected import derive
from greenroom.runtime import GreenroomError, Runtime, Session
from greenroom.storage.artifacts.index import ACROSS, BY_PARENT
from greenroom.storage.codec.keys import INDEX_APPROVAL, INDEX_SCOPE, INDEX_SHARED, INDEX_UPDATED, session_bytes
from greenroom.storage.codec.records import unseal
from greenroom.storage.engine.engine import CF
from greenroom.storage.events.index import OF_EVENTS
from greenroom.storage.records.model import record_hash
from greenroom.storage.records.records import RECORD_ENTRY, record_key, stored_record

Entries = dict[tuple[int, bytes], Any]
Step = tuple[Any, ...]

_OWNED = (b"M", b"v", b"A", b"G", b"L", INDEX_SCOPE, INDEX_APPROVAL, RECORD_ENTRY)
"""First bytes of the index keys in which the session follows at once."""
_OF_SESSIONS = (CF.SESSIONS, CF.JOURNAL, CF.SNAPSHOTS, CF.ARTIFACTS, CF.INDEX, CF.REFERENCES, CF.CONTENTS, CF.CHUNKS)
_LONG = "long " * 1500


@pytest.fixture(scope="module")
def here() -> Iterator[Runtime]:
    with _open() as runtime:
        yield runtime


@pytest.fixture(scope="module")
def there() -> Iterator[Runtime]:
    with _open() as runtime:
        yield runtime


def _open() -> Runtime:
    runtime = Runtime.open(config={"max_resident_sessions": 3, "snapshot_every": 7, "handle_signals": False})
    runtime.tools.register("echo", lambda text: f"{text} " * 2000)
    return runtime


def written(runtime: Runtime, *families: int) -> Entries:
    """Everything in these families; without any, all that is in a store because of the sessions in it, but their
    journals and the contents themselves."""
    return {
        (cf, key): record_of(key, value) if cf == CF.INDEX and key[:1] == RECORD_ENTRY else value
        for cf in families or (CF.SESSIONS, CF.ARTIFACTS, CF.INDEX, CF.REFERENCES)
        for key, value in runtime._store.engine.scan(cf, b"", b"\xff" * 96)
        if families or cf != CF.REFERENCES or key[:1] == b"c"
    }


def record_of(key: bytes, entry: bytes) -> Any:
    """A record as an event tells of it; its value must be what the hash says."""
    record = stored_record(key, entry)
    assert record.data is None or record_hash(record.data) == record.hash
    return record._replace(data=None)


def expected(runtime: Runtime, sessions: list[Session]) -> Entries:
    """What `verify` expects in a store that has these sessions."""
    entries: Entries = {}
    for session in sessions:
        derived = derive(runtime._store, session_bytes(session.id))
        entries |= derived.entries
        entries |= {(CF.INDEX, record_key(derived.state.session, key)): each for key, each in derived.kept.items()}
        kept = derived.state.more.get("records", {"count": 0, "bytes": 0})
        sizes = [len(key) + each.size for key, each in derived.kept.items()]
        assert kept == {"count": len(sizes), "bytes": sum(sizes)}
    return entries


def owner(cf: int, key: bytes) -> bytes:
    """The session that an entry is of."""
    if cf == CF.REFERENCES:
        return key[33:49]
    if cf != CF.INDEX:
        return key[:16]
    if key[:1] in _OWNED:
        return key[1:17]
    across = key[:1] in (*ACROSS, *OF_EVENTS, INDEX_SHARED)
    return key[-24:-8] if across else key[-16:]


def of(entries: Entries, session: Session, *, without: tuple[bytes, ...] = ()) -> Entries:
    """The entries of one session, without those of some indexes."""
    raw = session_bytes(session.id)
    return {
        (cf, key): value
        for (cf, key), value in entries.items()
        if owner(cf, key) == raw and not (cf == CF.INDEX and key[:1] in without)
    }


def copied(entries: Entries, session: Session) -> Entries:
    """Of the entries of a session those that a fork takes over, without the session's id: its messages, its artifacts
    and their contents."""
    raw = session_bytes(session.id)

    def record(key: bytes, value: bytes) -> list[Any]:
        fields = unseal(key, value)
        return [each.replace(session.id, "") if isinstance(each, str) else each for each in fields]  # its parent

    return {
        (cf, key.replace(raw, b"")): record(key, value) if cf == CF.ARTIFACTS else value
        for (cf, key), value in of(entries, session, without=(INDEX_SCOPE, INDEX_APPROVAL, BY_PARENT)).items()
        if cf in (CF.ARTIFACTS, CF.REFERENCES) or (cf == CF.INDEX and key[:1] in (*_OWNED, *ACROSS))
    }


# -- histories: what is done one after the other to three sessions, of which the second is a child of the first

_WHICH = st.sampled_from([0, 0, 0, 1, 2])
_NAME = st.sampled_from(["a", "b.txt"])
_TAGS = st.lists(st.sampled_from(["x", "y", "ü"]), max_size=3, unique=True)
_CONTENT = st.sampled_from([b"", b"one", b"two " * 3000, b"three" * 40_000])
_CUSTOM = st.sampled_from([{}, {"k": 1}, {f"{n}": n for n in range(70)}, {"words": " ".join(map(str, range(300)))}])
_KEY = st.sampled_from([b"a", b"b/1", b"b/2", b"\xff"])
_VALUE = st.sampled_from([b"", b"v", {"v": 1}, b"two " * 3000, b"two " * 3000 + b"and", b"three" * 40_000, [_LONG]])
_STEP: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("set"), _WHICH, st.sampled_from("kl"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["unset", "pause", "suspend", "resume", "save", "call"]), _WHICH),
    st.tuples(st.just("tags"), _WHICH, _TAGS),
    st.tuples(st.just("metadata"), _WHICH, st.sampled_from("mn"), st.sampled_from([None, 1, [1, 2.5], {"a": "b"}])),
    st.tuples(st.just("configure"), _WHICH, st.sampled_from([None, 3600.0, 7200.0])),
    st.tuples(st.just("message"), _WHICH, st.sampled_from(["", "short", _LONG])),
    st.tuples(st.just("messages"), _WHICH, st.lists(st.sampled_from(["short", _LONG]), max_size=3)),
    st.tuples(st.just("edit"), _WHICH, st.integers(0, 3), st.sampled_from([None, "new", _LONG * 2]), st.booleans()),
    st.tuples(st.just("stream"), _WHICH, st.lists(st.sampled_from(["a", "bc", _LONG]), max_size=4), st.booleans()),
    st.tuples(st.just("retract"), _WHICH, st.sampled_from(["pop", "some", "all"]), st.integers(0, 3)),
    st.tuples(st.just("store"), _WHICH, _NAME, _CONTENT, _TAGS, _CUSTOM),
    st.tuples(st.just("store"), _WHICH, _NAME, _CONTENT, _TAGS, _CUSTOM),
    st.tuples(st.just("store many"), _WHICH, st.lists(_NAME, min_size=1, max_size=4), _CONTENT),
    st.tuples(st.just("delete"), _WHICH, _NAME, st.integers(0, 2)),
    st.tuples(st.just("delete"), _WHICH, _NAME, st.integers(0, 2)),
    st.tuples(st.just("share"), _WHICH, _NAME, _WHICH, st.sampled_from(["read", "write"]), st.booleans()),
    st.tuples(st.just("revoke"), _WHICH, _NAME, _WHICH),
    st.tuples(st.just("share all"), _WHICH, _WHICH, st.sampled_from(["read", "write"]), st.booleans()),
    st.tuples(st.just("revoke all"), _WHICH, _WHICH),
    st.tuples(st.just("scope"), _WHICH, st.sampled_from(["user:1", "global"]), st.sampled_from(["read", "write", ""])),
    st.tuples(st.just("link"), _WHICH, _WHICH),
    st.tuples(st.just("publish"), _WHICH, st.sampled_from(["corr", "other", "large"])),
    st.tuples(st.just("put"), _WHICH, st.dictionaries(_KEY, _VALUE, min_size=1)),
    st.tuples(st.just("put"), _WHICH, st.dictionaries(_KEY, _VALUE, min_size=1)),
    st.tuples(st.just("take away"), _WHICH, st.lists(_KEY, min_size=1, max_size=2)),
    st.tuples(st.just("ask"), _WHICH, st.sampled_from([None, 3600.0, 0.000001])),
    st.tuples(st.just("answer"), _WHICH, st.integers(0, 2), st.sampled_from(["answer", "cancel"])),
    st.tuples(st.just("truncate"), st.integers(1, 9)),
)
_END: st.SearchStrategy[Step] = st.tuples(st.sampled_from(["complete", "fail", "suspend", "save"]), _WHICH)


def take(runtime: Runtime, sessions: list[Session], step: Step) -> None:
    """Do one step. What a session refuses changes nothing."""
    if step[0] == "truncate":
        runtime.retention(max_journal_events=step[1], dry_run=False)
        return
    session = sessions[step[1]]
    match step[0], *step[2:]:
        case "set", key, value:
            session.set(key, value)
        case ("unset",):
            session.delete_variable("k")
        case ("pause",):
            session.suspend()
            session.resume()
        case ("call",):
            session.call_tool("echo", {"text": "hi"})
        case ("fail",):
            session.fail("broken")
        case ("suspend" | "resume" | "save" | "complete") as move, *_:
            getattr(session, move)()
        case "tags", tags:
            session.set_tags(tags)
        case "metadata", key, value:
            session.update_metadata({key: value})
        case "configure", seconds:
            session.update_config(max_duration=seconds)
        case "message", text:
            session.add_message("user", text)
        case "put", values:
            session.records.put_many(values)
        case "take away", keys:
            session.records.delete_many(keys)
        case "messages", texts:
            session.add_messages([{"role": "user", "content": text} for text in texts])
        case "stream", texts, finish:
            stream = session.stream_message("assistant").__enter__()
            for text in texts:
                stream.write(text)
            if finish:
                stream.__exit__(None, None, None)
        case "edit", back, text, about:
            turn = session.messages()[-1 - back]
            changes = {"content": text} if text is not None else {}
            session.edit_message(turn.sequence, **changes, **({"metadata": {"m": _LONG * back}} if about else {}))
        case "retract", how, back:
            turns = session.messages()
            if how == "pop":
                session.pop_message()
            elif how == "some":
                session.truncate_messages(turns[-1 - back].sequence)
            else:
                session.clear_messages()
        case "store", name, content, tags, custom:
            by = "me" if tags else None
            label, parent = ("l" + tags[0], name) if tags and session.artifact_names(name) else (None, None)
            more = {"label": label, "parent_artifact": parent}
            session.store_artifact(
                "t" + "".join(tags), name, content, tags=tags, metadata=custom, created_by=by, **more
            )
        case "store many", names, content:
            session.store_many([{"type": "t", "name": name, "content": content} for name in names])
        case "delete", name, back:
            versions = session.artifact_versions(name)
            if back < len(versions):
                session.delete_artifact(versions[-1 - back].id)
        case "ask", expires:
            session.ask_human("Which?", expires=expires)
        case "answer", back, how:
            asked = session.approvals()[-1 - back].id
            runtime.approvals.answer(asked, 1) if how == "answer" else runtime.approvals.cancel(asked)
        case "share", name, other, level, lasting:
            session.share(name, sessions[other], level, expires_at=None if lasting else time.time() + 3600)
        case "revoke", name, other:
            session.revoke(name, sessions[other])
        case "share all", other, level, lasting:
            session.share(sessions[other], level, expires_at=None if lasting else time.time() + 3600)
        case "revoke all", other:
            session.revoke(sessions[other])
        case "scope", name, level:
            session.grant_scope(name, level) if level else session.revoke_scope(name)
        case "link", other:
            runtime.events.link(f"{session.id}/1", f"{sessions[other].id}/1", "related_to")
        case "publish", correlation:
            with runtime.operation(correlation_id=correlation):
                data = {"n": 1, "more": "x" * 70_000 if correlation == "large" else ""}
                runtime.events.publish("my.event", data, session, target="you", tags=["t"])
                session.add_message("user", _LONG)
        case _:
            raise AssertionError(step)


@settings(max_examples=40)
@given(steps=st.lists(_STEP, min_size=15, max_size=45), ends=st.lists(_END, max_size=2), at=st.integers(1, 60))
def test_whoever_writes_or_checks_the_entries_of_a_history_comes_to_the_same_bytes(
    here: Runtime, there: Runtime, tmp_path: Path, steps: list[Step], ends: list[Step], at: int
) -> None:
    first = here.create_session("first", tags=["x"], metadata={"m": 0}, created_by="ada", correlation_id="corr")
    second = here.create_session("second", parent=first)
    third = here.create_session("third", config={"max_duration": 3600})
    sessions = [first, second, third]
    for step in [*steps, *ends]:
        with contextlib.suppress(GreenroomError, IndexError):
            take(here, sessions, step)

    committed = written(here)
    assert committed == expected(here, sessions)

    for tree in ([first, second], [third]):
        path = tmp_path / "bundle"
        here.export_session(tree[0].id, path, tree=True)
        imported = there.import_bundle(path)
        arrived = written(there)
        assert arrived == expected(there, imported)
        for session in tree:
            if here._store.journal.base(session_bytes(session.id)) is None:  # else what is left is counted anew
                # It has one event more, and its grants mean nothing in another store.
                changed = (INDEX_UPDATED, INDEX_SHARED, INDEX_SCOPE)
                assert of(arrived, session, without=changed) == of(committed, session, without=changed)
        for session in reversed(imported):
            session.delete()
        assert written(there, *_OF_SESSIONS) == {}

    for session in tuple(sessions):
        last = session.info().sequence
        with contextlib.suppress(GreenroomError):  # what it was at that moment may have been cut away
            sessions.append(session.fork(min(at, last)))
            if at >= last:
                assert copied(written(here), sessions[-1]) == copied(committed, session)
    assert written(here) == expected(here, sessions)

    for session in reversed(sessions):
        session.delete()
    assert written(here, *_OF_SESSIONS) == {}
