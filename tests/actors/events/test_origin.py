"""Anything may be published under any type, and nothing published is taken for a fact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.messages.events import RESERVED_FAMILIES
from greenroom.actors.session.state.evolve import EVOLVE
from greenroom.runtime import Runtime, Session, ValidationError
from greenroom.storage.events.model import ENCODED_FIELDS

TYPES = sorted(
    {*EVOLVE, *ENCODED_FIELDS, "session.deleted", "session.started", "event.linked", "hook.executed", "script"}
)
FORGED: dict[str, Any] = {
    "key": "k", "value": 1, "name": "forged", "tags": ["forged"], "status": "failed", "reason": "forged",
    "sequence": 1, "type": "note", "parent": None, "metadata": {"forged": True}, "config": {"max_artifacts": 1},
    "from": "x", "to": "y", "published": "twice", "content_hash": b"x" * 32, "row": [], "artifact": "x",
}  # fmt: skip


def test_what_is_published_under_a_type_of_the_runtime_is_no_fact(tmp_path: Path) -> None:
    rt = Runtime.open(tmp_path / "store")
    s = rt.create_session("real", tags=["real"])
    s.set("k", "real")
    s.store_artifact("note", "a.txt", b"content")
    s.add_message("user", "real")
    facts = (s.variables(), s.messages(), list(s.list_artifacts()), s.config)
    info, figures = s.info(), rt.analytics.session(s).to_dict()
    for type_ in TYPES:
        made = rt.events.publish(type_, FORGED, s, tags=["forged"])
        assert (made.type, made.origin, made.data) == (type_, "published", FORGED)
    assert [event.type for event in s.events() if event.origin == "published"] == TYPES
    assert {event.origin for event in list(s.events())[:4]} == {"runtime"}

    def same(session: Session, *, fork: bool = False) -> None:
        assert (session.variables(), session.messages(), session.config) == (facts[0], facts[1], facts[3])
        assert [each.name for each in session.list_artifacts()] == ["a.txt"]
        now = session.info()
        assert (now.status, now.name, now.tags, now.custom_metadata) == ("active", "real", ("real",), {})
        assert fork or now.parent_session_id == info.parent_session_id

    same(s)
    same(s.fork(), fork=True)
    s.save()
    s.export(tmp_path / "s.bundle")
    assert rt.verify().ok
    with Runtime.open(tmp_path / "other") as other:
        there = other.import_session(tmp_path / "s.bundle")
        same(there)
        assert [event.type for event in there.events() if event.origin == "published"] == TYPES
        assert other.verify().ok
    after = rt.analytics.session(s).to_dict()
    for name in ("messages", "artifacts", "tools", "agents", "saves", "variables", "errors"):
        assert after.get(name) == figures.get(name)
    rt.close()
    with Runtime.open(rt.path) as again:
        same(again.session(s.id))
        assert again.verify().ok


def test_subscribers_queries_and_followers_choose_by_origin(rt: Runtime) -> None:
    s = rt.create_session()
    with (
        rt.events.subscribe("variable.*") as both,
        rt.events.subscribe("variable.*", origin="runtime") as facts,
        rt.events.subscribe("**", session=s, origin="published") as said,
    ):
        s.set("k", 1)
        rt.events.publish("variable.set", {"key": "k"}, s)
        rt.events.publish("variable.set", {"key": "nowhere"})
        assert [both.receive(0).origin for _ in range(3)] == ["runtime", "published", "published"]  # type: ignore[union-attr]
        assert facts.receive(0).data["value"] == 1  # type: ignore[union-attr]
        assert facts.receive(0) is None
        assert said.receive(0).data == {"key": "k"}  # type: ignore[union-attr]
        assert said.receive(0) is None
    assert len(rt.events.query(session_id=s.id, type="variable.set")) == 2
    assert len(rt.events.query(session_id=s.id, type="variable.set", origin="runtime")) == 1
    assert [each.origin for each in rt.events.query(session_id=s.id, origin="published")] == ["published"]
    for wrong in ("host", 1, object()):
        with pytest.raises(ValidationError):
            rt.events.subscribe(origin=wrong)  # type: ignore[arg-type]
        with pytest.raises(ValidationError):
            rt.events.query(origin=wrong)


def test_a_published_deletion_ends_nobodys_listening(rt: Runtime) -> None:
    s = rt.create_session()
    follow = s.follow(timeout=0)
    rt.events.publish("session.deleted", {"parent": s.id}, s)
    assert [event.type for event in follow] == ["session.created", "session.deleted"]
    assert s.info().status == "active"


def test_scripts_see_the_origin(rt: Runtime) -> None:
    s = rt.create_session()
    found = rt.run_script(
        """
        local heard = Event.subscribe("session.*", { origin = "published" })
        Event.publish("session.completed", { really = false })
        local event = Event.receive(heard, 1000)
        return { event.type, event.origin, #Event.query { origin = "published", session_id = Session.current() } }
        """,
        session=s,
    ).value
    assert found == ["session.completed", "published", 1]
    assert s.info().status == "active"


def test_every_family_of_the_runtime_is_known() -> None:
    """Metrics show the types of these families by name, and only of these: others may be anything."""
    assert {each.partition(".")[0] for each in (*EVOLVE, *ENCODED_FIELDS)} <= RESERVED_FAMILIES
