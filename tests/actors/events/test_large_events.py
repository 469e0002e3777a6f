"""Events with data that do not fit into the journal: they stand in the store once, and are read like all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Event, InvalidSessionState, Runtime, RuntimeConfig, Session
from greenroom.runtime import messages as m
from greenroom.storage.engine.engine import CF

DATA = {"image": b"\x89PNG" * 100_000, "caption": "a large picture " * 1000}


def published(session: Session) -> list[dict[str, Any]]:
    return [event.data for event in session.events() if event.origin == "published"]


def test_a_large_event_is_read_as_it_was_published(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session, other = rt.create_session(), rt.create_session()
        heard = rt.events.subscribe("custom.*")
        event = rt.events.publish("custom.picture", DATA, session)
        assert event.data == DATA
        received = heard.receive(timeout=30)
        assert received == event
        with session.follow(after=0, timeout=30) as followed:
            assert [next(followed).data for _ in range(2)][1] == DATA
        assert rt.events.query(type="custom.*")[0] == event
        assert rt.stats()["artifacts"]["contents"] == 1
        journal = sum(len(record) for _, record in rt._store.engine.scan(CF.JOURNAL, b"", b"\xff" * 25))
        assert journal < 2000
        rt.events.publish("message.added", DATA, other)
        rt.ask(session.id, m.PublishEvent("again", DATA))
        rt.tell(session.id, m.PublishEvent("again", DATA))
        assert published(session) == [DATA] * 3
        assert other.messages() == []
        assert rt.stats()["artifacts"]["contents"] == 1
        assert rt.verify().problems == []
    with Runtime.open(store_path, config=RuntimeConfig(artifact_cache_bytes=0)) as rt:
        assert published(rt.session(session.id)) == [DATA] * 3
        rt.session(session.id).delete()
        assert published(rt.session(other.id)) == [DATA]
        rt.session(other.id).delete()
        assert rt.stats()["artifacts"]["contents"] == 0
        assert rt.verify().problems == []


def test_large_events_travel_and_are_forked(rt: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    rt.events.publish("custom.picture", DATA, session)
    session.set("k", 1)
    rt.events.publish("custom.picture", DATA | {"n": 2}, session)
    fork = session.fork(at_sequence=3)
    assert published(fork) == [DATA]
    session.export(tmp_path / "b")
    session.delete()
    assert published(fork) == [DATA]
    with Runtime.open(tmp_path / "elsewhere") as there:
        (arrived,) = there.import_bundle(tmp_path / "b")
        assert published(arrived) == [DATA, DATA | {"n": 2}]
        there.retention(max_journal_events=1, dry_run=False)
        assert published(arrived) == [DATA, DATA | {"n": 2}]
        assert there.verify().problems == []
    assert rt.verify().problems == []


def test_a_large_event_that_is_refused_leaves_nothing(rt: Runtime) -> None:
    session = rt.create_session()
    session.suspend()
    with pytest.raises(InvalidSessionState):
        rt.events.publish("custom.picture", DATA | {"more": "y" * 300_000}, session)
    assert rt.stats()["artifacts"]["contents"] == 0
    assert rt.verify().problems == []


def test_secrets_in_large_events_are_removed(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "s", config=RuntimeConfig(redact=("sk-[a-z0-9]+",))) as rt:
        session = rt.create_session()
        rt.events.publish("custom.x", {"text": f"{'word ' * 20_000} sk-abc123"}, session)
        assert published(session)[0]["text"].endswith("[redacted]")
    assert not any(b"sk-abc123" in path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file())


def test_damaged_data_cost_one_event_its_data(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "s", config=RuntimeConfig(artifact_cache_bytes=0)) as rt:
        session = rt.create_session()
        rt.events.publish("custom.x", {"text": "word " * 20_000}, session)
        session.set("k", 1)
        (content,) = rt._store.engine.scan(CF.CONTENTS, b"", b"\xff" * 33)
        rt._store.engine.write([(CF.CONTENTS, content[0], content[1][:-1] + b"?")])
        events: list[Event] = list(session.events())
        assert [event.type for event in events] == ["session.created", "custom.x", "variable.set"]
        assert events[1].data == {"published_hash": content[0].hex()}
        assert not rt.verify().ok
