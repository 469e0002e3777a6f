"""Stories for sessions: random sequences of what hosts, tools, hooks, scripts and the runtime itself do to them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from greenroom.runtime import GreenroomError, HookContext, HookResult, Runtime, Session, Step, Workflow, messages
from greenroom.storage.codec.keys import session_bytes

__all__ = ["DOES", "STORY", "Does", "Teller", "drive", "prepare"]

LONG = "long " * 1500
HUGE = b"three" * 40_000
KEYS = ("a", "b", "c.d")
NAMES = ("a", "b.txt")
TEXTS: tuple[Any, ...] = ("", "short", LONG, None, [{"type": "text", "text": "part"}])
LIMITS: dict[str, Any] = {"max_operations": 60, "max_artifacts": 5, "policies": {"resources": {"max_tokens": 30}}}
VALUES: tuple[Any, ...] = (1, True, 1.0, "x", None, {"z": 1, "a": [1, {"b": 2}]}, b"bytes", 1 << 70, LONG)


class Does(NamedTuple):
    """One thing that is done, with two numbers that choose how."""

    what: str
    one: int
    two: int


class Ticking:
    """A clock that a story moves, also back."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * 10**9

    def time_ns(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1e9


def prepare(rt: Runtime) -> None:
    """Register the tools, agents and hooks of the stories."""

    def weather(city: str) -> Any:
        if city == "nowhere":
            raise ValueError("no such city")
        return {"city": city, "temp": 20, "text": LONG if city == "long" else ""}

    def nested(context: Any) -> Any:
        context.session.set("inner", 1)
        return context.call_tool("weather", {"city": "Rome"})

    def watch(context: HookContext) -> HookResult:
        return HookResult.continue_()

    def change(context: HookContext) -> HookResult:
        value = context.data.get("value")
        if value == "x":
            return HookResult.modified({"value": "changed"})
        return HookResult.cancel("no bytes") if value == b"bytes" else HookResult.continue_()

    def replace(context: HookContext) -> HookResult:
        return (
            HookResult.replace({"replaced": True}) if context.data.get("name") == "weather" else HookResult.continue_()
        )

    def fail(context: HookContext) -> HookResult:
        raise ValueError("a hook that fails")

    rt.tools.register("weather", weather)
    rt.tools.register("nested", nested)
    rt.agents.register(
        "echo",
        lambda input, context: {
            "text": str(input)[:50],
            "usage": {"input_tokens": 3, "output_tokens": 4},
            "cost_usd": 0.001,
        },
    )
    rt.hooks.register("BeforeStateWrite", change, name="change", replayable=True)
    rt.hooks.register("BeforeMessageAdd", watch, name="watch", replayable=True)
    rt.hooks.register("MessageAdded", fail, name="fail", failure_threshold=1000)
    rt.hooks.register("AfterToolExecution", replace, name="replace", replayable=True)


class Teller:
    """Tells a story to the sessions of a store that it opens, closes and opens again."""

    def __init__(self, path: Path, clock: Ticking | None) -> None:
        self.path = path
        self.clock = clock
        self.files = 0
        self.rt = self.opened()
        self.sessions = [
            self.rt.create_session("first", tags=["x"], metadata={"m": 0}, created_by="ada", correlation_id="corr"),
            self.rt.create_session(
                "second",
                config=LIMITS,
            ),
        ]
        self.sessions.append(self.rt.create_session("third", parent=self.sessions[0], key="k/3"))
        self.seen: dict[str, dict[int, bytes]] = {}
        self.streams: list[Any] = []

    def opened(self) -> Runtime:
        options: dict[str, Any] = {"clock": self.clock} if self.clock is not None else {}
        config = {"max_resident_sessions": 2, "snapshot_every": 9, "handle_signals": False}
        rt = Runtime.open(self.path, config=config, **options)
        prepare(rt)
        return rt

    def tell(self, does: Does) -> None:
        """Do one thing. What a session refuses changes nothing."""
        session = self.sessions[does.one % len(self.sessions)]
        with contextlib.suppress(GreenroomError, IndexError):
            DOES[does.what](self, session, does.one // len(self.sessions), does.two)
        self.look()

    def look(self) -> None:
        """Remember the states of all sessions as they are now."""
        for session in self.sessions:
            actor = self.rt._supervisor.table.actor(session.id)
            self.seen.setdefault(session.id, {})[actor.state.sequence] = actor.state.encode()

    def file(self) -> Path:
        self.files += 1
        return self.path.parent / f"file-{self.files}"

    def close(self) -> None:
        self.rt.close()


def pick(choices: Any, number: int) -> Any:
    return choices[number % len(choices)]


def turn(session: Session, number: int) -> int:
    return session.messages()[-1 - number % 4].sequence


# -- what is done: each function gets the teller, a session and two numbers


def _batch(teller: Teller, s: Session, one: int, two: int) -> None:
    with s.batch(idempotency_key=f"batch {two}" if one % 3 == 0 else None) as batch:
        batch.set(pick(KEYS, one), two)
        batch.add_message("user", pick(TEXTS, two))
        batch.add_tag(f"t{one}")
        batch.store_artifact("note", pick(NAMES, one), f"{two}")
        batch.records.put(b"batch", two)
        batch.delete_variable(pick(KEYS, one))


def _stream(teller: Teller, s: Session, one: int, two: int) -> None:
    stream = s.stream_message("assistant", metadata={"n": one} if one % 2 else None).__enter__()
    for text in ("he", LONG, "llo")[: one % 4]:
        stream.write(text)
    if two % 3:
        stream.__exit__(None, None, None)
    elif two % 2:
        stream.__exit__(ValueError, ValueError("broken off"), None)


def _interleaved(teller: Teller, s: Session, one: int, two: int) -> None:
    with s.stream_message("assistant") as stream:
        for number in range(one % 4):
            s.delete_variable(pick(KEYS, two + number))
            stream.write(pick(("he", LONG), number))
            s.set("between", number) if two % 3 == 0 else s.delete_variable("none", idempotency_key=f"none {two}")


def _store(teller: Teller, s: Session, one: int, two: int) -> None:
    name = pick(NAMES, one)
    parent = name if two % 3 == 0 and s.artifact_names(name) else None
    s.store_artifact(
        pick(("note", "log", "system_generated"), two),
        name,
        pick((b"", "one", LONG, HUGE), two),
        tags=["t"] * (one % 2),
        metadata={"n": two} if one % 2 else None,
        created_by="me" if two % 2 else None,
        label=f"l{two}" if two % 4 == 0 else None,
        parent_artifact=parent,
    )


def _store_many(teller: Teller, s: Session, one: int, two: int) -> None:
    items = [{"type": "note", "name": pick(NAMES, one + n), "content": f"{two}{n}"} for n in range(1 + two % 3)]
    if len(items) > 1:
        items[1]["parent_artifact"] = items[0]["name"]
    s.store_many(items)


def _delete(teller: Teller, s: Session, one: int, two: int) -> None:
    versions = s.artifact_versions(pick(NAMES, one))
    s.delete_artifact(versions[-1 - two % 3].id)


def _retract(teller: Teller, s: Session, one: int, two: int) -> None:
    match one % 4:
        case 0:
            s.pop_message()
        case 1:
            s.retract_message(turn(s, two))
        case 2:
            s.truncate_messages(turn(s, two))
        case _:
            s.clear_messages()


def _edit(teller: Teller, s: Session, one: int, two: int) -> None:
    changes: dict[str, Any] = {}
    if one % 3 != 1:
        changes["content"] = pick(TEXTS, two)
    if one % 3:
        changes["metadata"] = {"m": LONG if two % 2 else two}
    s.edit_message(turn(s, two), **changes)


def _share(teller: Teller, s: Session, one: int, two: int) -> None:
    other = pick(teller.sessions, one + 1)
    if two % 4 == 0:
        s.revoke(other)
    elif two % 4 == 1:
        s.share(other, pick(("read", "write"), one))
    else:
        artifact = s.artifact_versions(pick(NAMES, two))[-1].id
        if two % 4 == 2:
            s.share(artifact, other, pick(("read", "write", "admin"), one), inherit=one % 2 == 0)
        else:
            s.revoke(artifact, other, pick(("read", "write", "admin"), one))


def _records(teller: Teller, s: Session, one: int, two: int) -> None:
    values = {b"a": pick(VALUES, one), b"b/1": b"v" * (one * 3000), "b/2": {"n": two}}
    match two % 5:
        case 0:
            s.records.delete_many([b"a", b"none"])
        case 1:
            s.records.delete_prefix(b"b/") if hasattr(s.records, "delete_prefix") else s.records.delete(b"b/1")
        case 2:
            s._ask(s.id, messages.PutRecords(values, if_absent=True), 10)
        case _:
            s.records.put_many(values)


def _approval(teller: Teller, s: Session, one: int, two: int) -> None:
    match two % 4:
        case 0:
            s.ask_human("Which?", {"type": "integer"}, expires=pick((None, 5, 3600.000000001, 0.001), one))
        case 1:
            teller.rt.approvals.answer(s.approvals()[-1 - one % 2].id, one, by="ada")
        case 2:
            teller.rt.approvals.cancel(s.approvals()[-1 - one % 2].id, "enough")
        case _:
            s.ask_human("Else?", metadata={"n": one})


def _call(teller: Teller, s: Session, one: int, two: int) -> None:
    match two % 5:
        case 0:
            s.call_agent("echo", pick(VALUES, one), **({"idempotency_key": f"agent {one}"} if one % 2 else {}))
        case 1:
            s.call_tool("nested", {})
        case _:
            s.call_tool("weather", {"city": pick(("Rome", "nowhere", "long"), one)})


def _script(teller: Teller, s: Session, one: int, two: int) -> None:
    source = pick(
        ('State.set("lua", 1) Session.addTag(nil, "lua")', 'error("no")', 'Event.publish("a.b", {n = 1})'), two
    )
    teller.rt.run_script(source, session=s)


def _publish(teller: Teller, s: Session, one: int, two: int) -> None:
    data = {"n": one, "more": "x" * 70_000 if two % 3 == 0 else ""}
    with teller.rt.operation("corr" if one % 2 else None):
        made = teller.rt.events.publish(
            pick(("custom.x", "session.created", "variable.set", "my.event"), one), data, s, target="you", tags=["t"]
        )
        teller.rt.events.link(made.id, f"{s.id}/1", "caused_by")
        s.set("linked", two)


def _settings(teller: Teller, s: Session, one: int, two: int) -> None:
    match two % 7:
        case 0:
            s.rename(pick(("new", None, "other"), one))
        case 1:
            s.describe(pick(("text", None), one))
        case 2:
            s.update_metadata({"m": pick((None, 1, {"a": "b"}), one), "n": one})
        case 3:
            s.set_tags(["x", "y"][: one % 3])
        case 4:
            s.update_config(policies={"resources": {"max_artifacts": 6 + one}})
        case 5:
            s.update_config(max_artifacts=pick((None, 7, 8), one), max_duration=3600)
        case _:
            s.grant_scope("user:7", "read") if one % 2 else s.revoke_scope("user:7")


def _life(teller: Teller, s: Session, one: int, two: int) -> None:
    match two % 6:
        case 0 | 1:
            s.suspend()
        case 2 | 3 | 4:
            s.resume()
        case _ if one % 4 == 0:
            s.complete()
            s.archive()
        case _ if one % 4 == 1:
            s.fail("out of luck")


def _once(teller: Teller, s: Session, one: int, two: int) -> None:
    key = f"key {two % 5}"
    if one % 2:
        s.set("once", one, idempotency_key=key)
    else:
        s.add_message("user", "once", idempotency_key=key)


def _workflow(teller: Teller, s: Session, one: int, two: int) -> None:
    steps = [Step("one", tool="weather", input={"city": pick(("Rome", "nowhere"), one)}), Step("two", agent="echo")]
    s.run_workflow(Workflow.sequential(*steps), {"city": "Rome"})


def _passivate(teller: Teller, s: Session, one: int, two: int) -> None:
    teller.rt._supervisor.forget()
    s.load()


def _save(teller: Teller, s: Session, one: int, two: int) -> None:
    s.save()


def _restart(teller: Teller, s: Session, one: int, two: int) -> None:
    teller.rt.close()
    teller.rt = teller.opened()
    teller.sessions = [teller.rt.session(each.id) for each in teller.sessions]


def _cut(teller: Teller, s: Session, one: int, two: int) -> None:
    teller.rt.retention(max_journal_events=3 + two, dry_run=False)


def _fork(teller: Teller, s: Session, one: int, two: int) -> None:
    if len(teller.sessions) < 6:
        teller.sessions.append(s.fork(max(1, s.info().sequence - two)))


def _travel(teller: Teller, s: Session, one: int, two: int) -> None:
    if len(teller.sessions) < 6:
        path = teller.file()
        s.export(path)
        teller.sessions += teller.rt.import_bundle(path, keep_ids=False)


def _time(teller: Teller, s: Session, one: int, two: int) -> None:
    if teller.clock is not None:
        teller.clock.now += pick((1, 10**6, 3 * 10**9, 2000 * 10**9, -(10**9)), two)
        teller.rt.policies.enforce() if hasattr(teller.rt.policies, "enforce") else None


DOES: dict[str, Callable[[Teller, Session, int, int], None]] = {
    "set": lambda teller, s, one, two: s.set(pick(KEYS, one), pick(VALUES, two)),
    "unset": lambda teller, s, one, two: s.delete_variable(pick(KEYS, one)) and None,
    "message": lambda teller, s, one, two: (
        s.add_message(
            pick(("user", "assistant"), one),
            pick(TEXTS, two),
            **({"tool_calls": [{"id": LONG}], "metadata": {"n": two}, "name": "n"} if one % 3 == 0 else {}),
        )
        and None
    ),
    "messages": lambda teller, s, one, two: (
        s.add_messages([{"role": "user", "content": pick(TEXTS[:3], two + n)} for n in range(1 + one % 3)]) and None
    ),
    "stream": _stream,
    "interleaved": _interleaved,
    "edit": _edit,
    "retract": _retract,
    "store": _store,
    "store many": _store_many,
    "delete": _delete,
    "delete many": lambda teller, s, one, two: s.delete_many([*NAMES, "none"]) and None,
    "share": _share,
    "records": _records,
    "approval": _approval,
    "call": _call,
    "script": _script,
    "publish": _publish,
    "settings": _settings,
    "life": _life,
    "once": _once,
    "batch": _batch,
    "workflow": _workflow,
    "passivate": _passivate,
    "save": _save,
    "restart": _restart,
    "cut": _cut,
    "fork": _fork,
    "travel": _travel,
    "time": _time,
}
STORY = st.lists(
    st.builds(Does, st.sampled_from(sorted(DOES)), st.integers(0, 11), st.integers(0, 11)), min_size=20, max_size=60
)


def drive(path: Path, story: list[Does], clock: Ticking | None) -> Teller:
    """Tell a whole story, and return who has told it; close it afterwards."""
    teller = Teller(path, clock)
    teller.look()
    for does in story:
        teller.tell(does)
    return teller


def raw(session: Session) -> bytes:
    return session_bytes(session.id)
