from __future__ import annotations

from greenroom.runtime import Runtime, messages


def test_what_is_read_from_a_session_that_came_back_is_on_disk_first() -> None:
    """Nobody waits for a told write; who reads it, even from the session's next actor, must not see it undurable."""
    with Runtime.open(config={"durability": "fsync"}) as rt:
        session = rt.create_session()
        engine = rt._store.engine
        actor = rt._supervisor.table.actors[session.id]
        actor._handle_receive(messages.SetVariable("k", 2))  # as for a tell: the reply's wait is nobody's
        written = engine.commit_number
        rt._supervisor.forget()
        assert rt.stats()["resident"] == 0
        assert session.get("k") == 2
        assert engine._synced >= written
