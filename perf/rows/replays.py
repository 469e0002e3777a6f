"""Replays in the background: what a step back costs."""

from __future__ import annotations

import random

from harness import MILLI, Bench, Measured, at_most, row

EVENTS = 100_000


@row("a step back in 100 000 events, and the state there", at_most(50 * MILLI))
def step_back(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    for number in range(EVENTS // 2):
        session.set(f"k{number % 50}", number)
        session.add_message("user", "How is the weather?")
    last = session.info().sequence
    replay = rt.replays.start(session)
    replay.wait(timeout=600)
    choice = random.Random(1)

    def elsewhere(count: int) -> range:
        replay.run_to(choice.randrange(count + 1, last))
        return range(count)

    def back(_: int) -> None:
        replay.step_back()
        _ = replay.state.variables

    return bench.time(back, prepare=elsewhere, batch=1, note=f"{last:,} events, at random moments")
