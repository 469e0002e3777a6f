"""What scripts hear and publish: patterns, any data, options, and figures."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session, ValidationError


@pytest.fixture
def session(shared_runtime: Runtime) -> Session:
    return shared_runtime.create_session()


def lua(runtime: Runtime, source: str, **options: Any) -> Any:
    return runtime.run_script(source, **options).value


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ("*", ["user.login", "user.profile.update", "error", "api.v1.response", "db.error"]),
        ("**", ["user.login", "user.profile.update", "error", "api.v1.response", "db.error"]),
        ("user.*", ["user.login", "user.profile.update"]),
        ("user.**", ["user.login", "user.profile.update"]),
        ("us*", ["user.login", "user.profile.update"]),
        ("*.error", ["db.error"]),
        ("api.v*.response", ["api.v1.response"]),
        ("api.v*", ["api.v1.response"]),
        ("user.profile", []),
    ],
)
def test_a_star_at_the_end_is_a_prefix_elsewhere_one_segment(
    shared_runtime: Runtime, session: Session, pattern: str, heard: list[str]
) -> None:
    found, listed = lua(
        shared_runtime,
        """
        local pattern, types = ...
        local sub, called, received = Event.subscribe(pattern), {}, {}
        Event.on(pattern, function(event) called[#called + 1] = event.type end)
        for _, type in ipairs(types) do Event.publish(type, {}) end
        while true do
          local event = Event.receive(sub, 0)
          if not event then break end
          received[#received + 1] = event.event_type
        end
        assert(table.concat(called) == table.concat(received) and sub.pattern == pattern)
        local rows = Event.query { session_id = Session.current(), type = pattern, origin = "published" }
        assert(#rows == #received)
        return JSON.array(received), Event.list_subscriptions()[1].pattern
        """,
        session=session,
        args=[pattern, ["user.login", "user.profile.update", "error", "api.v1.response", "db.error"]],
    )
    assert (found, listed) == (heard, pattern)


def test_data_are_any_value(shared_runtime: Runtime, session: Session) -> None:
    lua(
        shared_runtime,
        """
        local sub = Event.subscribe("custom.*")
        for _, data in ipairs { "text", 7, 1.5, true, { 1, 2 }, { a = { b = 1 } }, {} } do
          Event.publish("custom.any", data)
          local got = Event.receive(sub, 1000).data
          assert(JSON.stringify(got) == JSON.stringify(data))
        end
        assert(next(Event.publish("custom.any").data) == nil)
        """,
        session=session,
    )
    published = [each for each in session.events() if each.type == "custom.any"]
    assert [each.payload for each in published] == ["text", 7, 1.5, True, [1, 2], {"a": {"b": 1}}, {}, {}]
    assert [each.data for each in published][:2] == [{"value": "text"}, {"value": 7}]


def test_options_are_fields_of_the_event_and_absent_fields_are_nil(shared_runtime: Runtime, session: Session) -> None:
    lua(
        shared_runtime,
        """
        local sub = Event.subscribe("my.*")
        Event.publish("my.type", { n = 1 }, { language = "rust", tags = { "a" }, target = "you",
          correlation_id = "c-1", ttl_seconds = 60 })
        local event = Event.receive(sub, 1000)
        assert(event.language == "rust" and event.tags[1] == "a" and event.target == "you")
        assert(event.correlation_id == "c-1" and event.origin == "published" and event.sequence > 0)
        assert(event.timestamp and event.root_id and event.schema_version and event.session_id == Session.current())
        Event.publish("my.type", {})
        event = Event.receive(sub, 1000)
        assert(event.target == nil and event.language == "lua")
        assert(tostring(sub) == tostring(Event.list_subscriptions()[1].id))
        """,
        session=session,
    )


def test_an_event_that_has_expired_is_not_received(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        session = rt.create_session()
        with rt.events.subscribe("custom.*") as slow:
            for ttl in (1, None, 5.5):
                rt.events.publish("custom.step", {"ttl": ttl}, session, ttl_seconds=ttl)
                rt.events.publish("custom.step", {"ttl": ttl}, ttl_seconds=ttl)
            clock.advance(2)
            found = [event.data["ttl"] for _ in range(4) if (event := slow.receive(0)) is not None]
            assert (found, slow.receive(0), slow.expired) == ([None, None, 5.5, 5.5], None, 2)
        assert len([*session.events()]) == 4  # the journal keeps them
        with pytest.raises(ValidationError, match="ttl_seconds"):
            rt.events.publish("custom.step", {}, ttl_seconds=0)
        assert rt.verify().ok


def test_bundles_carry_what_was_published(shared_runtime: Runtime, session: Session, tmp_path: Path) -> None:
    shared_runtime.events.publish("custom.any", ["x" * 70_000], session, ttl_seconds=3, language="rust")
    shared_runtime.events.publish("custom.any", 7, session)
    shared_runtime.export_session(session.id, tmp_path / "s.bundle")
    copied = shared_runtime.import_session(tmp_path / "s.bundle", keep_ids=False)
    assert [each.payload for each in copied.events() if each.type == "custom.any"] == [["x" * 70_000], 7]


def test_figures_of_events(shared_runtime: Runtime, session: Session) -> None:
    stats, total = lua(
        shared_runtime,
        """
        local sub = Event.subscribe("custom.*")
        Event.on("custom.*", function(event) if event.data.n == 2 then error("no") end end)
        for n = 1, 3 do Event.publish("custom.step", { n = n }) end
        Event.receive(sub, 1000)
        local stats = Event.get_stats()
        assert(stats.event_bus_stats.subscriptions >= 2 and stats.bridge_stats.published == 3)
        return stats, #Event.list_subscriptions()
        """,
    )
    expected = {"subscriptions": 2, "published": 3, "received": 1, "handled": 3, "failed": 1, "pending": 2}
    assert {name: stats[name] for name in expected} == expected
    assert total == 2
    with shared_runtime.events.subscribe("custom.figures") as subscription:
        shared_runtime.events.publish("custom.figures", {})
        figures = shared_runtime.events.stats()
        assert figures["patterns"] == {"custom.figures": 1}
        assert (figures["subscriptions"], figures["pending"], subscription.pending) == (1, 1, 1)


def test_receive_waits_five_seconds_unless_it_is_told(shared_runtime: Runtime, session: Session) -> None:
    """It waits, and gets what comes meanwhile."""
    shared_runtime.tools.register(
        "later", lambda: threading.Timer(0.2, shared_runtime.events.publish, ("custom.late", {"n": 1})).start()
    )
    assert lua(shared_runtime, """
      local sub = Event.subscribe("custom.late")
      Tool.invoke("later", {})
      return Event.receive(sub).data.n""") == 1  # fmt: skip
