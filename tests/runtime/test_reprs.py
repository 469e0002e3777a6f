"""What a debugger or a log shows of an object names it, is short, and has no content and no secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom import runtime as api
from greenroom.runtime import HookResult, Runtime, Session, Step, Workflow, hooks, messages, tool

SECRET = "words-not-to-be-shown"


def _objects(rt: Runtime) -> Iterator[Any]:
    s = rt.create_session("name", SECRET, metadata={"k": SECRET})
    s.set("k", SECRET)
    yield from (s, s.info(), rt.list_sessions(), s.tree(), s.config, s.fork())
    yield from (s.add_message("user", SECRET), s.messages()[0])
    info = s.store_artifact("note", "a.txt", SECRET, description=SECRET, metadata={"k": SECRET})
    with s.create_artifact("note", "b.txt", description=SECRET) as writer:
        writer.write(SECRET)
    yield from (writer, info, info.id, s.get_artifact(info.id), s.get_many([info.id]), s.query_artifacts())
    yield from (s.share(info.id, rt.create_session()), *rt.audit(), *s.timeline(), s.timeline(), *s.events())
    yield from (rt.state_scope("user:1"), rt.templates.save("preset", {"metadata": {"k": SECRET}}))
    yield from (rt.schemas, rt.schemas.register("checked", 1, {"title": SECRET}), rt.schemas.status(s))
    made = rt.state_backups.create(s, description=SECRET)
    yield from (rt.state_backups, made, rt.state_backups.restore(made.id), rt.state_backups.validate(made.id))
    yield from (rt.state_backups.usage(), rt.state_backups.cleanup())
    s.set("checked", SECRET)
    rt.schemas.register("checked", 2)
    yield from (rt.schemas.versions(s)["checked"], rt.schemas.migrate(s), rt.schemas.migrate_all())
    yield from (rt.approvals, rt.approvals.answer(s.ask_human(SECRET), SECRET), s.delete_many([SECRET]))
    rt.tools.register("say", lambda: SECRET)
    rt.agents.register("say", lambda input, context: SECRET)
    yield from (rt.tools.get("say"), rt.tools.invoke("say"), s.call_agent("say", SECRET))
    result = s.run_workflow(Workflow.sequential(Step("one", tool="say")))
    yield from (result, *result.steps)
    yield rt.run_script(f"return '{SECRET}'")
    replay = s.replay_script(str(s.run_script(f"return '{SECRET}'").run_id), source=f"State.get('{SECRET}')")
    yield from (replay, replay.difference)
    yield rt.scripts.install("secret", f"print('{SECRET}')")
    yield rt.scripts.get("secret")
    yield rt.scripts
    handle = rt.hooks.register("ArtifactStored", lambda context: None)
    yield from (handle, handle.info(), HookResult.replace(SECRET), HookResult.modified({"k": SECRET}))
    builder = hooks.HookContext.builder("BeforeStateWrite").data(value=SECRET)
    yield from (builder, builder.build())
    with rt.events.subscribe() as subscription, s.follow() as follow:
        yield from (subscription, follow, rt.events.publish("custom.x", {"k": SECRET}))
    yield from (messages.SetVariable("k", SECRET), messages.AddMessage("user", SECRET), messages.GetInfo())
    yield from (rt, rt.hooks, rt.events, rt.tools, rt.agents, rt.templates, rt.policies, rt.middleware, rt.analytics)
    yield from (rt.usage(), rt.verify(), rt.workflows, s.at(sequence=2))
    said = s.add_message("assistant", SECRET).sequence
    debugger, tried = s.debugger(), s.what_if(said, {"variables": {"k": [SECRET]}}, run=lambda fork: SECRET)
    yield from (debugger, debugger.errors(), s.diff(1), s.context(), tried, tried.comparison)
    yield from _of_replays(rt, s)
    yield from _of_recordings(rt)


def _of_replays(rt: Runtime, s: Session) -> Iterator[Any]:
    rt.hooks.register("AfterStateWrite", lambda context: None, name="watch", replayable=True)
    s.set("k", SECRET)
    yield from (rt.query_hooks(hook="watch")[0], rt.replay_metadata(s))
    with rt.replays.start(s, breakpoints=[{"when": "variables.k exists"}]) as replay:
        pause = replay.wait_paused()
        assert pause is not None
        yield from (replay, pause.breakpoint, replay.state, replay.progress)
    result, now = rt.replay(s), s.info().created_at
    yield from (result, rt.replays.schedule(s, interval=3600), api.ScheduledReplay(now, now, now, result))


def _of_recordings(rt: Runtime) -> Iterator[Any]:
    @tool
    def say(what: str) -> str:
        return SECRET + what

    def asks(what: str) -> None:
        say(what)

    with rt.recording("a run") as recorded:
        asks(SECRET)
    with rt.replaying(recorded) as replay:
        asks(f"other {SECRET}")
    assert replay.report.drifts
    yield from (replay, replay.report, *replay.report.drifts)


@pytest.fixture
def objects(rt: Runtime) -> list[Any]:
    return list(_objects(rt))


def test_objects_show_what_they_are_and_no_content(objects: list[Any]) -> None:
    for each in objects:
        text = repr(each)
        assert type(each).__name__ in text or isinstance(each, messages.Message) or "Message" in text, text
        assert SECRET not in text
        assert " object at 0x" not in text
        assert "\n" not in text
    assert max(len(repr(each)) for each in objects if not isinstance(each, api.SessionConfig)) < 500


def test_every_public_class_with_content_is_looked_at(objects: list[Any]) -> None:
    """A public class of values that has no line here may show what it holds."""
    seen = {kind.__name__ for each in objects for kind in type(each).__mro__} | {"Message"}
    holders = {
        name
        for name in api.__all__
        if isinstance(kind := getattr(api, name), type)
        and {"data", "content", "value", "text", "output", "custom", "custom_metadata", "metadata", "result"}
        & set(getattr(kind, "__slots__", ()) or getattr(kind, "__annotations__", {}))
    }
    assert holders - {"Consumption", "Ranked", "SessionKeywords"} <= seen  # they hold numbers, or are only typed


def test_asynchronous_objects_show_what_they_are_and_no_content(rt: Runtime) -> None:
    async def main() -> list[Any]:
        art = api.AsyncRuntime.over(rt)
        s = await art.create_session("name", SECRET)
        await s.set("k", SECRET)
        made: list[Any] = [art, s, s.records, art.state_scope("user:1"), art.stream_script(f"return '{SECRET}'")]
        made += [s.create_artifact("note", "a.txt", description=SECRET), s.stream_message("assistant")]
        async with s.batch() as batch:
            await batch.set("k", SECRET)
        info = await s.store_artifact("note", "b.txt", SECRET)
        made += [batch, await s.open_artifact(info.id), s.follow(), art.follow(), art.events.subscribe("custom.*")]
        made += [getattr(art, name) for name in dir(art) if type(getattr(art, name)).__name__.startswith("Async")]
        made += [await art.replays.start(s.sync, paused=True)]
        shown = [(type(each).__name__, repr(each)) for each in made]
        for each in made:
            if isinstance(each, api.AsyncFollow | api.AsyncSubscription | api.AsyncArtifactReader):
                await each.close()
        await made[-1].stop()
        await art.close()
        return shown

    shown = asyncio.run(main())
    for kind, text in shown:
        assert kind in text or kind == "AsyncBatch", text
        assert SECRET not in text
        assert " object at 0x" not in text
        assert "\n" not in text
        assert len(text) < 500
    assert {kind for kind, _ in shown} == {name for name in dir(api) if name.startswith("Async")}


def test_the_representation_of_a_session_asks_nothing(rt: Runtime) -> None:
    s = rt.create_session()
    rt.close()
    assert repr(s) == f"<Session {s.id}>"
