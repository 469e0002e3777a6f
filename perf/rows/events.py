"""Events: what setting a variable costs while others listen, and finding what belongs together."""

from __future__ import annotations

from harness import Bench, Measured, row


@row("set a variable, nobody listens", None)
def unheard(bench: Bench) -> Measured:
    return _set(bench, 0)


@row("set a variable, 1 subscriber", None)
def heard_by_one(bench: Bench) -> Measured:
    return _set(bench, 1)


@row("set a variable, 100 subscribers", None)
def heard_by_many(bench: Bench) -> Measured:
    return _set(bench, 100)


@row("set a variable, 100 subscribers to other types", None)
def unheard_by_many(bench: Bench) -> Measured:
    return _set(bench, 100, "artifact.*")


def _set(bench: Bench, subscribers: int, pattern: str = "variable.*") -> Measured:
    rt, plain = bench.runtime(), bench.runtime()
    session, silent = rt.create_session(), plain.create_session()
    for _ in range(subscribers):
        rt.events.subscribe(pattern)
    return bench.compare(lambda: session.set("k", 1), lambda: silent.set("k", 1), "nobody listens", batch=500)


@row("set a variable within an operation", None)
def correlated(bench: Bench) -> Measured:
    rt = bench.runtime()
    session, silent = rt.create_session(), rt.create_session()

    def marked() -> None:
        with rt.operation("request"):
            session.set("k", 1)

    return bench.compare(marked, lambda: silent.set("k", 1), "without", batch=500)


@row("publish an event into a session", None)
def publish(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    return bench.time(lambda: rt.events.publish("custom.step", {"n": 1}, session), batch=500)


@row("receive an event", None)
def receive(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    told = rt.events.subscribe("variable.*")

    def prepared(count: int) -> range:
        for _ in range(count):
            session.set("k", 1)
        return range(count)

    return bench.time(lambda _: told.receive(0), prepare=prepared, batch=500)


@row("query by correlation: 20 events among 10 000", None)
def query(bench: Bench) -> Measured:
    rt = bench.runtime()
    sessions = [rt.create_session() for _ in range(100)]
    for number in range(500):
        with rt.operation(f"request {number}"):
            for at in range(20):
                sessions[(number + at) % 100].set("k", at)
    return bench.time(lambda: rt.events.query(correlation_id="request 250"), note="in 20 sessions")
