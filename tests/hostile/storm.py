"""A host under a storm of interrupts: exceptions are thrown into its threads at random moments of every operation.

    python storm.py STORE SEED INTERRUPTS SECONDS

The main thread is struck by a timer's signals, whose handler raises, a second one by `PyThreadState_SetAsyncExc`; two
more work beside them and must not notice. It ends after that many interrupts, or seconds. Then everything must work and
everything acknowledged be there, also when the store is opened again. Prints one line of JSON: what was counted, and
the faults found.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenroom.actors.scheduling.operation import CURRENT
from greenroom.actors.session.loading import load_state
from greenroom.runtime import (
    GreenroomError,
    HookCancelled,
    OperationTimeout,
    Runtime,
    Session,
    Step,
    Workflow,
    messages,
)
from greenroom.storage.concurrency.waiting import Flag

STORE, SEED, INTERRUPTS, SECONDS = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
PATIENCE = 20.0
"""Seconds within which what was begun must have come to an end once the storm is over."""


class Struck(Exception):
    """What a host's own timeout might raise: no exit, but an error like any other."""


def veto(context: Any) -> str | None:
    return "cancel" if context.data["key"] == "secret" else None


def opened() -> Runtime:
    return Runtime.open(STORE, config={"handle_signals": False, "max_resident_sessions": 40, "snapshot_every": 200})


rt = opened()
rt.hooks.register("BeforeStateWrite", veto, required=True, inline=True)
rt.hooks.register("AfterStateWrite", lambda context: None, inline=False)
rt.tools.register("echo", lambda text: text)
rt.agents.register("agent", lambda input: input)
flow = Workflow.parallel(Step("a", tool="echo", input={"text": "x"}), Step("b", tool="echo", input={"text": "y"}))
listener = rt.events.subscribe("**", capacity=64)
bundles = STORE.parent / "bundles"
bundles.mkdir(exist_ok=True)

logging.disable()  # the locks of its handlers are Python's, and an interrupt can leave them taken for ever
faults: list[str] = []
counts: Counter[str] = Counter()
armed = over = False


class Work:
    """What one thread does with a session of its own, and what it knows of that."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.random = random.Random(SEED * 10 + number)
        self.session = rt.create_session()
        self.pattern = f"custom.storm{number}"
        self.may_be: dict[str, set[Any]] = {}
        """For each variable, what it may be: more than one value after an interrupt."""
        self.stored: dict[str, bytes] = {}
        self.said: list[str] = []
        self.operations: list[Callable[[], Any]] = [
            self.set, self.set, self.get, self.secret, self.create, self.store, self.say, self.call, self.ask_agent,
            self.run_workflow, self.publish, self.fork, self.export, self.list, self.search, self.script, self.within,
            self.tell, self.save, self.suspend, self.passivate, self.receive, self.subscribe, self.answer_by_callback,
        ]  # fmt: skip

    def set(self) -> None:
        key, value = f"k{self.random.randrange(5)}", self.random.random()
        self.may_be.setdefault(key, {None}).add(value)
        self.session.set(key, value)
        self.may_be[key] = {value}

    def get(self) -> None:
        for key, values in list(self.may_be.items()):
            found = self.session.get(key)
            if found not in values:
                faults.append(f"{key} is {found}, it can only be one of {values}")
            self.may_be[key] = {found}

    def secret(self) -> None:
        try:
            self.session.set("secret", 1)
        except HookCancelled:
            return
        faults.append("a required hook was passed over")

    def create(self) -> None:
        rt.create_session(tags=["new"], parent=self.session)

    def store(self) -> None:
        content = self.random.randbytes(self.random.choice((10, 3000, 200_000)))
        self.stored[str(self.session.store_artifact("x", "a", content).id)] = content

    def say(self) -> None:
        text = f"{self.random.random()} " + "word " * self.random.choice((1, 2000))
        self.session.add_message("user", text)
        self.said.append(text)

    def call(self) -> None:
        assert self.session.call_tool("echo", {"text": "x"}) == "x"

    def ask_agent(self) -> None:
        self.session.call_agent("agent", "x")

    def run_workflow(self) -> None:
        self.session.run_workflow(flow)

    def publish(self) -> None:
        rt.events.publish("custom.storm", {"n": 1}, session=self.session)

    def fork(self) -> None:
        rt.delete_session(self.session.fork().id)

    def export(self) -> None:
        small = rt.create_session(tags=["new"])
        small.set("k", 1)
        path = bundles / f"{self.number}-{self.random.random()}"
        try:
            small.export(path)
            rt.import_bundle(path, keep_ids=False)
        finally:
            path.unlink(missing_ok=True)

    def list(self) -> None:
        rt.list_sessions(limit=5)
        self.session.query_artifacts(limit=3)

    def search(self) -> None:
        rt.events.query(session_id=self.session.id, limit=3)

    def script(self) -> None:
        rt.run_script("State.set('from', 1); return State.get('from')", session=self.session)

    def within(self) -> None:
        with self.session.as_current(), rt.operation("storm"):
            assert Session.current() is self.session
            self.session.info()

    def tell(self) -> None:
        rt.tell(self.session.id, messages.SetVariable("told", 1))

    def save(self) -> None:
        self.session.save()

    def suspend(self) -> None:
        try:
            self.session.suspend()
        finally:
            self.wake()

    def wake(self) -> None:
        if self.session.info().status == "suspended":
            self.session.resume()

    def passivate(self) -> None:
        actor = rt._supervisor.table.resident_actor(self.session.id)
        if actor is not None:
            rt._supervisor.table.passivate(actor)

    def receive(self) -> None:
        listener.receive(timeout=0.001)

    def subscribe(self) -> None:
        with rt.events.subscribe(self.pattern) as told:
            rt.events.publish(self.pattern, {}, session=self.session)
            assert told.receive(timeout=PATIENCE) is not None

    def answer_by_callback(self) -> None:
        heard = Flag()
        with rt.events.subscribe(self.pattern, callback=lambda event: heard.set()):
            rt.events.publish(self.pattern, {}, session=self.session)
            assert heard.wait(PATIENCE)

    def tidy(self) -> None:
        """Close what an interrupt has kept from being closed: the end of a `with` can be interrupted too."""
        for each in rt.events.subscriptions:
            if each.pattern == self.pattern:
                each.close()

    # -- afterwards

    def check(self) -> None:
        """Everything works, and within a bound; memory says what the journal says."""
        self.wake()
        self.get()
        for operation in self.operations:
            operation()
        for _ in range(80):  # more often than there are threads for tools and for hooks: none of them is lost
            self.call()
            self.set()
        check(self.session)

    def check_kept(self, again: Runtime) -> None:
        """What was acknowledged is there after the store was opened anew."""
        session = again.session(self.session.id)
        for key, values in self.may_be.items():
            if session.get(key) not in values:
                faults.append(f"{key} was {values} and is {session.get(key)} after opening again")
        for artifact, content in self.stored.items():
            if session.get_artifact(artifact).content != content:
                faults.append(f"the content of {artifact} is another")
        said = Counter(turn.content for turn in session.messages(limit=None))
        if Counter(self.said) - said:
            faults.append(f"{len(list((Counter(self.said) - said).elements()))} messages are lost")
        if session.get("secret") is not None:
            faults.append("a required hook was passed over")


def check(session: Session) -> None:
    session.set("after", 1)
    actor = rt._supervisor.table.resident_actor(session.id)
    if actor is not None:
        in_memory, in_journal = actor.state, load_state(rt._store, session.id)[0]
        if in_memory.encode() != in_journal.encode():
            faults.append(f"memory has sequence {in_memory.sequence}, the journal {in_journal.sequence}")
    try:
        session.set("secret", 1)
        faults.append("a required hook is passed over")
    except HookCancelled:
        pass


def attempt(work: Work, who: str) -> None:
    """Do one thing; what may come of it, and nothing else."""
    operation = work.random.choice(work.operations)
    try:
        operation()
        counts[who] += 1
    except (KeyboardInterrupt, Struck):
        counts["interrupted"] += 1
        unbound(work.tidy)
    except OperationTimeout as error:
        counts["answered as interrupted"] += 1
        if "interrupted" not in str(error):
            faults.append(f"{who}: {operation.__name__}: {error}")
    except AssertionError:
        faults.append(f"{who}: {operation.__name__} has not done what it says")
    except GreenroomError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, (KeyboardInterrupt, Struck)):
            cause = cause.__cause__ or cause.__context__
        # A session that the interrupt of another operation has left suspended is no fault.
        if who == "innocent" or (cause is None and "suspended" not in str(error)):
            faults.append(f"{who}: {operation.__name__}: {error.code}: {error}")
        elif cause is None:
            unbound(work.wake)
    check_thread(who)


def unbound(then: Callable[[], None]) -> None:
    try:
        then()
    except (KeyboardInterrupt, Struck, GreenroomError):
        counts["interrupted"] += 1


def check_thread(who: str) -> None:
    acts, current = CURRENT.get(), Session.current()
    if acts is not None or current is not None:
        faults.append(f"{who}: the thread acts as {acts} in {current}")


def struck(number: int, frame: Any) -> None:
    if armed:
        raise random.choice((KeyboardInterrupt, Struck))


def innocent(work: Work) -> None:
    while not over:
        attempt(work, "innocent")
        time.sleep(0)


class Victim:
    """A thread that is struck by whoever calls `strike`; it goes on, if need be as another thread."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.begin()

    def begin(self) -> None:
        self.thread = threading.Thread(target=self.run, name="victim", daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not over:
            try:
                while not over:
                    attempt(self.work, "victim")
            except Struck:
                pass

    def strike(self) -> None:
        if not self.thread.is_alive():
            self.begin()
        assert self.thread.ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread.ident), ctypes.py_object(Struck))


def storm(mine: Work, victim: Victim) -> None:
    global armed
    dice = random.Random(SEED)
    random.seed(SEED)
    signal.signal(signal.SIGALRM, struck)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and counts["interrupted"] < INTERRUPTS and len(faults) < 10:
        longest = 10 ** dice.uniform(-5, -2.3)
        # Every fourth time again and again, so that recovering is interrupted too.
        again = dice.uniform(1e-4, 2e-3) if dice.random() < 0.25 else 0
        try:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, max(5e-6, dice.uniform(0, longest)), again)
                attempt(mine, "struck")
            finally:
                armed = False
        except (KeyboardInterrupt, Struck):
            counts["interrupted"] += 1
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        check_thread("struck")
        if dice.random() < 0.3:
            victim.strike()


def main() -> None:
    global over
    mine, theirs, *others = (Work(number) for number in range(4))
    mine.check()  # what is imported when it is first used is imported now: Python's import locks are not ours
    threads = [threading.Thread(target=innocent, args=(other,), daemon=True) for other in others]
    for thread in threads:
        thread.start()
    victim = Victim(theirs)
    faulthandler.dump_traceback_later(SECONDS + 2 * PATIENCE, exit=True)
    storm(mine, victim)
    over = True
    for thread in (*threads, victim.thread):
        thread.join(PATIENCE)
        if thread.is_alive():
            faults.append(f"{thread.name} hangs")
            faulthandler.dump_traceback()
    left = [actor.actor_urn for actor in (rt._store, *rt._supervisor.residents()) if actor._turn.locked()]
    if left:
        faults.append(f"the turns of {left} are taken and nobody holds them")
    for work in (mine, theirs, *others):
        work.check()
    for row in rt.list_sessions(tags=["new"], limit=20):
        check(rt.session(row.id))
    rt.gc()  # removes what interrupted writers have written ahead and could not take back
    report = rt.verify()
    if not report.ok:
        faults.append(f"verify finds {report.problems[:3]}")
    began = time.monotonic()
    rt.close()
    if time.monotonic() - began > PATIENCE:
        faults.append("closing takes for ever")
    with opened() as again:
        for work in (mine, theirs, *others):
            work.check_kept(again)
        if not again.verify().ok:
            faults.append("verify finds something after opening again")
    print(json.dumps({"counts": dict(counts), "faults": faults}))
    sys.stdout.flush()
    os._exit(0)


main()
