"""A program as a user writes it. It is never run: type checkers read it, and must neither complain nor see an Any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pydantic

from greenroom.runtime import (
    Approval,
    ArtifactInfo,
    ArtifactQuery,
    AsyncRuntime,
    AsyncSession,
    Conflict,
    Event,
    GreenroomError,
    HookContext,
    HookResult,
    Message,
    Page,
    RetentionPolicy,
    Runtime,
    RuntimeConfig,
    Session,
    SessionInfo,
    SessionNotFound,
    SessionQuery,
    Value,
    VariableNotFound,
    __version__,
    messages,
)


class Plan(pydantic.BaseModel):
    title: str
    due: datetime | None = None


@dataclass
class Point:
    x: int
    y: int


def variables(s: Session) -> None:
    s.set("n", 1, durability="wal", expected_sequence=4)
    s.set("plan", Plan(title="t"))
    s.set("point", Point(1, 2))
    s["at"] = datetime.now()
    s.update({"a": 1, "b": Plan(title="t")}, c=[1, 2])
    s.set("numbers", [1, 2, 3])
    s.set("k", {"a": {"b": [1, None, b"x"]}}, expected=messages.ABSENT)
    value: Value = s.get("k")
    if isinstance(value, dict):
        inner: Value = value["a"]
        print(inner)
    number: int | None = s.get("n", as_=int)
    surely: int = s.get("n", 0, as_=int)
    plan: Plan | None = s.get("plan", as_=Plan)
    plans: list[Plan] = s.get("plans", [], as_=list[Plan])
    maybe: int | str | None = s.get("n", as_=pydantic.TypeAdapter[int | str](int | str))
    everything: dict[str, Value] = s.variables("prefix")
    if plan is not None:
        print(plan.due, number, surely, plans, maybe, everything)
    try:
        print(s["none"], "k" in s, [key.upper() for key in s])
    except VariableNotFound as error:
        print(error.code, str(error))
    s.delete_variable("k")


def conversation(s: Session) -> None:
    turn: Message = s.add_message("user", "hello", name="ann", metadata={"a": 1}, idempotency_key="i")
    text: str = turn.text
    role: str = turn.role
    added: list[Message] = s.add_messages([{"role": "user", "content": "a"}])
    with s.stream_message("assistant") as growing:
        growing.write("text")
    for each in s.messages(limit=20):
        print(each.sequence, each.content, each.created_at.year, each.metadata, text, role, added)
    edited: Message = s.edit_message(3, content="x", metadata={"a": 1}, expected_sequence=9)
    gone: int = s.truncate_messages(after_sequence=9) + s.clear_messages()
    for message in s.messages(format="openai"):
        print(message["role"], s.messages(format="anthropic").system, edited.edited_at, gone, s.pop_message().text)
    s.export_messages("chat.jsonl", format="openai")


def batches(rt: Runtime, s: Session) -> None:
    with s.batch(idempotency_key="b") as b:
        b.set("p", 1)
        b.add_message("user", "hi")
        b.records.put(b"r", b"1")
        b.store_artifact("note", "n.txt", "x")
        b.scope("user:7").set("k", 1)
    try:
        s.set("k", 1, expected_sequence=s.info().sequence)
    except Conflict as conflict:
        print(conflict.code, str(conflict))
    scope = rt.state_scope("user:7")
    value: Value = scope.get("k")
    print(scope.get("k", as_=int), value, scope.delete("k"), scope.list("a"))


def approvals(rt: Runtime, s: Session) -> None:
    question: str = s.ask_human("Send it?", schema={"type": "boolean"}, expires=3600)
    answered: Approval = rt.approvals.answer(question, True, by="ann")
    for each in rt.approvals.list(status="pending", session=s):
        print(each.id, each.question, each.metadata)
    value: Value = s.wait_for(question, timeout=1).value
    print(answered.answered_by, value, s.approvals("answered"))


def limits(rt: Runtime, s: Session) -> None:
    other = rt.create_session(config={"retention_days": 3}, parent=s)
    print(other.parent(), [child.name for child in s.children()], s.tree().children)
    share = s.share(other, "read")
    print(share.permission, s.shares(), s.revoke(other), s.grant_scope("user:7", "write").permission)
    print(rt.erase("ann", scopes=["user:7"], needles=[b"secret"]).left, rt.run_retention(), rt.retention_runs())
    print([each.session_id for each in rt.retention(RetentionPolicy(max_age_days=30), dry_run=True).removed])


def moving(rt: Runtime, s: Session) -> None:
    print(rt.export_session(s.id, "s.bundle").sessions, rt.import_session("s.bundle", keep_ids=False).id)
    print(rt.ingest("chat.json", dry_run=True).sessions, rt.backup("copy").path, rt.gc())
    rt.templates.save("research", {"tags": ["t"]})
    print(rt.templates.get("research"), rt.usage().sessions)


def artifacts(rt: Runtime, s: Session) -> None:
    info: ArtifactInfo = s.store_artifact("note", "a.txt", "content", tags=["t"], metadata={"a": 1}, label="1.0")
    content: bytes = s.get_artifact(info.id).content
    page: Page[ArtifactInfo] = s.query_artifacts(artifact_type="note", name_pattern="*.txt", limit=5)
    first: ArtifactInfo = page[0]
    names: list[str] = [each.name for each in rt.query_artifacts(session_id=s.id)]
    grant = s.share(info.id, s.fork(), "read")
    custom: Value = info.custom["a"]
    many = s.get_many(["a", "b"], on_progress=print)
    print([each.content for each in many.results.values()], [str(error) for error in many.errors.values()])
    query = ArtifactQuery().of_type("note").with_tag("report").order_by("size", descending=True).limit(20)
    print([each.label for each in query.run(rt)], s.count_artifacts(created_by="me"), s.delete_many(["a"]).missing)
    print(content, first.size + 1, names, grant.permission, page.total, custom)


def sessions(rt: Runtime) -> Session:
    s = rt.create_session(name="n", tags=["t"], metadata={"team": "x"}, config={"max_artifacts": 5}, key="a/1")
    again: Session = rt.get_or_create(key="a/1", name="n")
    page: Page[SessionInfo] = rt.list_sessions(tags=["t"], status="active", limit=10, search="x")
    count: int = rt.count_sessions(created_by="me")
    query = SessionQuery(tags=("nlp",), sort_by="updated_at", descending=True)
    for each in rt.iterate_sessions(query):
        print(each.key, rt.list_sessions(query, cursor=page.next_cursor).has_more)
    try:
        rt.session(key="a/2").rename("x")
    except SessionNotFound as error:
        print(error.code)
    for info in page:
        print(info.name, info.status, info.created_at.isoformat(), info.custom_metadata, again.id, count)
    config = s.update_config(max_operations=None, max_artifacts=5)
    limit: int | None = config.max_operations
    print(limit)
    return s


def events(rt: Runtime, s: Session) -> None:
    for event in s.events(after=3):
        data: dict[str, Value] = event.data
        print(event.type, event.timestamp.year, data, event.origin == "published")
    page: Page[Event] = rt.events.query(session_id=s.id, type="variable.*", origin="runtime", limit=3)
    with rt.events.subscribe("custom.*", session=s, callback=lambda event: print(event.id)) as subscription:
        received: Event | None = subscription.receive(timeout=1)
    with rt.follow("custom.*", after=0, timeout=0) as following:
        cursor: str = following.cursor
        for event in following:
            print(event.sequence, cursor, received, page[0].id)
    rt.events.publish("custom.x", {"a": 1}, s, tags=["t"])


def records(s: Session) -> None:
    s.records.put(b"a", {"b": 1})
    value: Value = s.records.get("a")
    plan: Plan | None = s.records.get("a", as_=Plan)
    for key, each in s.records.scan(prefix=b"a", reverse=True, limit=20):
        print(key.decode(), each, value, plan)


def hooks(rt: Runtime) -> None:
    def veto(context: HookContext) -> HookResult | None:
        if context.status == "active" and "secret" in context.tags:
            return HookResult.cancel("no")
        return None

    handle = rt.hooks.register("BeforeStateWrite", veto, priority="high", timeout=1.0, required=True)
    handle.unregister()


def calls(rt: Runtime, s: Session) -> None:
    def weather(city: str) -> dict[str, int]:
        return {city: 1}

    rt.tools.register("weather", weather)
    result: Value = s.call_tool("weather", {"city": "Berlin"})
    typed: dict[str, int] = s.call_tool("weather", {"city": "Berlin"}, as_=dict[str, int])
    reply = s.call_agent("echo", "hello")
    print(result, typed, reply.text, reply.data)


def sent(rt: Runtime, s: Session) -> None:
    value: Value = rt.ask(s.id, messages.GetVariable("k"), timeout=1.0)
    nothing: None = rt.ask(s.id, messages.SetVariable("k", 1))
    info: SessionInfo = rt.ask(s.id, messages.GetInfo())
    turn: Message = rt.ask(s.id, messages.AddMessage("user", "x"))
    rt.tell(s.id, messages.SetVariable("k", 2))
    print(value, nothing, info, turn.text)


def looked_back(rt: Runtime, s: Session) -> None:
    fork = s.fork(3, {"variables": {"k": 1}, "system_prompt": "Be brief."})
    again = s.fork(changes=[messages.ReplaceSystemPrompt("x"), messages.ReplaceToolResult(4, {"a": 1})])
    tried = s.what_if(3, [messages.SetVariable("k", 2)], run=lambda each: each.get("k"), timeout=5)
    comparison = rt.compare(s, fork)
    debugger = s.debugger()
    stopped = debugger.next(type="tool.*")
    view = s.context(number=1)
    print(tried.fork.id, tried.value, again.id, comparison.common, comparison.a.types, stopped, debugger.state())
    print([each.what for each in view.changes], view.messages, debugger.errors().by_type, s.diff(1).changes[0].place)


async def awaited(rt: AsyncRuntime, s: AsyncSession) -> None:
    await s.set("n", 1, durability="wal", expected_sequence=4)
    value: Value = await s.get("k")
    number: int | None = await s.get("n", as_=int)
    plans: list[Plan] = await s.get("plans", [], as_=list[Plan])
    print(value, number, plans, await s["k"], await s.contains("k"), await s.variables("prefix"))
    turn: Message = await s.add_message("user", "hello", name="ann", metadata={"a": 1})
    for message in await s.messages(format="openai"):
        print(message["role"], turn.text)
    info: ArtifactInfo = await s.store_artifact("note", "a.txt", "content", tags=["t"], label="1.0")
    content: bytes = (await s.get_artifact(info.id)).content
    page: Page[ArtifactInfo] = await s.query_artifacts(artifact_type="note", limit=5)
    print(content, page[0].size, (await s.share(info.id, await s.fork(), "read")).permission)
    result: Value = await s.call_tool("weather", {"city": "Berlin"})
    typed: dict[str, int] = await s.call_tool("weather", {"city": "Berlin"}, as_=dict[str, int])
    limit: int | None = (await s.config).max_operations
    print(result, typed, limit, (await s.call_agent("echo", "hello")).text, (await s.tree()).children)
    plan: Plan | None = await s.records.get("a", as_=Plan)
    for key, each in await s.records.scan(prefix=b"a", limit=20):
        print(key.decode(), each, plan)
    parent: AsyncSession | None = await s.parent()
    print(parent, [child.id for child in await s.children()], (await s.what_if(3, timeout=5)).fork.id)
    scope = rt.state_scope("user:7")
    print(await scope.get("k", as_=int), await scope.list("a"), await rt.exists(s.id))
    sessions: Page[SessionInfo] = await rt.list_sessions(tags=["t"], status="active", limit=10)
    told: Value = await rt.ask(s.id, messages.GetVariable("k"), timeout=1.0)
    returned: int = await rt.run(len, "text")
    print(sessions.total, told, returned, (await rt.run_script("return 1", session=s)).value, (await rt.verify()).ok)


async def awaited_blocks(rt: AsyncRuntime, s: AsyncSession) -> None:
    async with s.batch(idempotency_key="b") as b:
        await b.set("p", 1)
        await b.add_message("user", "hi")
        await b.records.put(b"r", b"1")
        await b.scope("user:7").set("k", 1)
    async with s.stream_message("assistant", name="x") as growing:
        await growing.write("text")
    async with s.create_artifact("log", "run.log", tags=["t"]) as log:
        await log.write("line")
    async with await s.open_artifact(log.info.id) as stream:
        async for piece in stream:
            print(piece.hex())
    async for event in s.events(after=3):
        data: dict[str, Value] = event.data
        print(event.type, data)
    async with rt.events.subscribe("custom.*", session=s) as subscription:
        received: Event | None = await subscription.receive(timeout=1)
    async with rt.follow("custom.*", after=0, timeout=0) as following:
        async for event in following:
            print(event.sequence, following.cursor, received)
    async with rt.stream_script("return 1", session=s, name="n") as pieces:
        print([piece async for piece in pieces], pieces.result.value)
    async with rt.operation("o") as operation:
        print(operation, [each.name async for each in rt.iterate_sessions()])

    async def veto(context: HookContext) -> HookResult | None:
        return HookResult.cancel("no") if "secret" in context.tags else None

    async def weather(city: str) -> dict[str, int]:
        return {city: 1}

    await rt.hooks.register("BeforeStateWrite", veto, priority="high", timeout=1.0)
    await rt.tools.register("weather", weather)


async def begun() -> None:
    async with await AsyncRuntime.open("data", config={"durability": "wal"}) as rt:
        s = await rt.create_session(name="n", tags=["t"], config={"max_artifacts": 5})
        again: AsyncSession = await rt.get_or_create(key="a/1", name="n")
        await awaited(rt, s)
        await awaited_blocks(AsyncRuntime.over(rt.runtime), again)
        try:
            print(await rt.session(key="a/2"), again.sync.id)
        except SessionNotFound as error:
            print(error.code)


def main() -> None:
    config = RuntimeConfig(durability="wal", ask_timeout=5)
    with Runtime.open("data", config=config) as rt:
        s = sessions(rt)
        variables(s)
        conversation(s)
        batches(rt, s)
        approvals(rt, s)
        limits(rt, s)
        moving(rt, s)
        artifacts(rt, s)
        events(rt, s)
        records(s)
        hooks(rt)
        calls(rt, s)
        looked_back(rt, s)
        sent(rt, s)
        value: Value = rt.run_script("return 1", session=s).value
        report = rt.verify()
        try:
            print(s.complete().ended_at)
        except GreenroomError as error:
            print(error.code, value, report.ok, __version__)


if __name__ == "__main__":
    main()
