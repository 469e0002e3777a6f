"""The hook points of events, on all ways of publishing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from greenroom.runtime import Event, HookCancelled, HookResult, Runtime, Session, messages

PATIENCE = 10.0

WAYS: dict[str, Callable[[Runtime, Session], Event]] = {
    "into a session": lambda rt, s: rt.events.publish("custom.x", {"n": 1}, s),
    "by message": lambda rt, s: rt.ask(s.id, messages.PublishEvent("custom.x", {"n": 1})),
    "told only": lambda rt, s: rt.events.publish("custom.x", {"n": 1}),
}


@pytest.fixture
def session(shared_runtime: Runtime) -> Session:
    return shared_runtime.create_session()


@pytest.fixture(params=WAYS)
def publish(request: pytest.FixtureRequest, shared_runtime: Runtime, session: Session) -> Callable[[], Event]:
    return lambda: WAYS[request.param](shared_runtime, session)


def test_a_hook_can_change_an_event(shared_runtime: Runtime, publish: Callable[[], Event]) -> None:
    seen: list[tuple[str, Any]] = []

    def before(context: Any) -> Any:
        seen.append((context.point, dict(context.data["data"])))
        return HookResult.modified({"data": {"n": 2}, "tags": ["changed"]})

    def after(context: Any) -> None:
        seen.append((context.point, context.data["type"]))

    with shared_runtime.events.subscribe("custom.x") as told:
        hooks = [
            shared_runtime.hooks.register("BeforeEventEmit", before),
            shared_runtime.hooks.register("AfterEventEmit", after),
        ]
        try:
            made = publish()
        finally:
            for each in hooks:
                each.unregister()
        assert told.receive(0) == made
        assert told.receive(0) is None
    assert (made.data, made.tags) == ({"n": 2}, ("changed",))
    assert seen == [("BeforeEventEmit", {"n": 1}), ("AfterEventEmit", "custom.x")]


def test_a_hook_can_refuse_an_event(shared_runtime: Runtime, session: Session, publish: Callable[[], Event]) -> None:
    before = session.info().sequence
    with shared_runtime.events.subscribe("custom.x") as told:
        hook = shared_runtime.hooks.register("BeforeEventEmit", lambda context: HookResult.cancel("not now"))
        try:
            with pytest.raises(HookCancelled, match="not now"):
                publish()
        finally:
            hook.unregister()
        assert told.receive(0) is None
    assert session.info().sequence == before
    assert publish().data == {"n": 1}


def test_a_callback_that_fails_is_told_to_hooks(shared_runtime: Runtime, session: Session) -> None:
    failures: list[Any] = []
    known = threading.Event()

    def failed(context: Any) -> None:
        failures.append(dict(context.data))
        known.set()

    def fail(event: Event) -> None:
        raise LookupError("as planned")

    hook = shared_runtime.hooks.register("EventHandlerError", failed)
    with shared_runtime.events.subscribe("custom.*", callback=fail, session=session):
        made = shared_runtime.events.publish("custom.x", {}, session)
        assert known.wait(PATIENCE)
    hook.unregister()
    assert failures == [
        {"pattern": "custom.*", "event_id": made.id, "error": {"code": "LookupError", "message": "as planned"}}
    ]
