"""What users misspell or mistake. Every line that ends in `# wrong` must be found by a type checker."""

from __future__ import annotations

from greenroom.runtime import (
    AsyncRuntime,
    AsyncSession,
    HookContext,
    Runtime,
    RuntimeConfig,
    Session,
    SessionConfig,
    messages,
)


def variables(s: Session) -> None:
    s.set("k", 1, durabilty="wal")  # wrong
    s.set("k", 1, expected_seqence=1)  # wrong
    s.get("k", as_type=int)  # wrong
    number: int = s.get("k")  # wrong
    text: str | None = s.get("k", as_=int)  # wrong
    s.variables(prefx="a")  # wrong
    s[1] = 2  # wrong
    s.get("k").upper()  # wrong
    print(number, text)


def conversation(s: Session) -> None:
    s.add_message("user", "x", metdata={})  # wrong
    s.add_message("user", 5)  # wrong
    s.messages(limt=5)  # wrong
    print(s.messages()[0].txt)  # wrong
    s.stream_message("assistant", nme="x")  # wrong


def artifacts(rt: Runtime, s: Session) -> None:
    s.store_artifact("note", "n", b"", tag=["x"])  # wrong
    s.store_artifact("note", "n", 5)  # wrong
    s.store_file("path", descripton="x")  # wrong
    s.query_artifacts(artifact_typ="note")  # wrong
    rt.query_artifacts(sort="weight")  # wrong
    print(s.get_artifact("n").contents)  # wrong


def sessions(rt: Runtime) -> None:
    rt.create_session(nam="x")  # wrong
    rt.list_sessions(tag=["x"])  # wrong
    rt.count_sessions(created_bye="x")  # wrong
    rt.create_session(tags=5)  # wrong
    rt.create_session().update_config(max_artefacts=5)  # wrong
    rt.create_session().update_config(max_artifacts="many")  # wrong
    SessionConfig(max_artefacts=5)  # wrong
    RuntimeConfig(durability="disk")  # wrong
    print(rt.create_session().info().stats)  # wrong


def events(rt: Runtime, s: Session) -> None:
    rt.events.query(sesion_id=s.id)  # wrong
    rt.events.query(origin="host")  # wrong
    rt.events.subscribe("custom.*", capcity=5)  # wrong
    rt.follow(patern="custom.*")  # wrong
    s.follow(after=1.5)  # wrong
    rt.events.publish("custom.x", {}, s, tag=["x"])  # wrong
    [event.kind for event in s.events()]  # wrong


def others(rt: Runtime, s: Session) -> None:
    rt.hooks.register("BeforeStateWrite", lambda context: None, priorty="high")  # wrong
    rt.retention(keep_version=5)  # wrong
    rt.policies.update(rates={"session": 5})  # wrong
    s.records.put("k", 1, durabilty="wal")  # wrong
    s.call_tool("t", {}, tmeout=5)  # wrong
    typed: str = s.call_tool("t", as_=int)  # wrong
    reply: int = rt.ask(s.id, messages.GetInfo())  # wrong
    messages.SetVariable("k")  # wrong
    messages.AddMessage("user", "x", nam="y")  # wrong
    rt.ask(s.id, "GetInfo")  # wrong
    s.ask_human("Sure?", expiers=5)  # wrong
    s.batch(idempotency="b")  # wrong
    s.stream_message("assistant", nam="x")  # wrong
    s.edit_message(3, contents="x")  # wrong
    s.messages(format="gemini")  # wrong
    s.delete_many(["a"], durabilty="wal")  # wrong
    rt.erase("ann", scope=["user:7"])  # wrong
    rt.ingest("chat.json", dryrun=True)  # wrong
    rt.get_or_create("k", nam="x")  # wrong
    rt.quotas.set("ann", max_sesions=3)  # wrong
    s.what_if(3, runs=print)  # wrong
    s.context(nummer=1)  # wrong
    print(typed, reply)


async def awaited(rt: AsyncRuntime, s: AsyncSession) -> None:
    await s.set("k", 1, durabilty="wal")  # wrong
    number: int = await s.get("k")  # wrong
    text: str | None = await s.get("k", as_=int)  # wrong
    s.get("k").upper()  # wrong
    await s.add_message("user", "x", metdata={})  # wrong
    await s.messages(limt=5)  # wrong
    await s.store_artifact("note", "n", b"", tag=["x"])  # wrong
    await s.query_artifacts(artifact_typ="note")  # wrong
    await s.call_tool("t", {}, tmeout=5)  # wrong
    await s.update_config(max_artefacts=5)  # wrong
    await s.records.put("k", 1, durabilty="wal")  # wrong
    s.batch(idempotency="b")  # wrong
    s.stream_message("assistant", nme="x")  # wrong
    s.create_artifact("log", "n", tag=["x"])  # wrong
    await rt.create_session(nam="x")  # wrong
    await rt.list_sessions(tag=["x"])  # wrong
    await rt.run(len, 5)  # wrong
    await rt.hooks.register("BeforeStateWrite", lambda context: None, priorty="high")  # wrong
    await rt.events.query(sesion_id=s.id)  # wrong
    rt.follow(patern="custom.*")  # wrong
    rt.stream_script("return 1", nme="x")  # wrong
    reply: int = await rt.ask(s.id, messages.GetInfo())  # wrong
    for _ in s.events():  # wrong
        pass
    with s.batch():  # wrong
        pass
    print(number, text, reply)


def hook(context: HookContext) -> None:
    print(context.sesion_id)  # wrong
