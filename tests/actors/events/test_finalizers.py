"""Finalizers run at any moment, also while events are handed out, and may close a subscription then."""

from __future__ import annotations

import sys
import threading
from types import FrameType

from greenroom.runtime import Runtime, Session


def test_a_subscription_is_closed_while_its_own_thread_hands_out_an_event(rt: Runtime) -> None:
    session = rt.create_session()
    kept, left = rt.events.subscribe("variable.*"), rt.events.subscribe("variable.*")

    def collected(frame: FrameType, event: str, _: object) -> None:
        """Stands for the garbage collector."""
        if event == "c_call" and frame.f_code.co_name == "offer_all":
            sys.setprofile(None)
            left.close()

    def change(session: Session) -> None:
        sys.setprofile(collected)
        session.set("k", 1)

    thread = threading.Thread(target=change, args=(session,), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert left not in rt.events.subscriptions
    told = kept.receive(timeout=0)
    assert told is not None
    assert told.type == "variable.set"
