"""Full-text search over conversations and artifacts, with an index that is up to date."""

from __future__ import annotations

import dataclasses
import itertools
import random
import time

from harness import MILLI, Bench, Measured, at_most, row

from greenroom.runtime import Runtime
from rows.queries import TYPES, WORDS

_BATCH = 1000
_VOCABULARY = 50_000


def _texts(count: int) -> list[str]:
    """Texts of 25 words each, whose words are as rare as those of a language."""
    dice = random.Random(1)
    weights = list(itertools.accumulate(1 / (number + 1) for number in range(_VOCABULARY)))
    words = [f"w{number}" for number in range(_VOCABULARY)]
    return [" ".join(dice.choices(words, cum_weights=weights, k=25)) for _ in range(count)]


def _conversations(bench: Bench) -> tuple[Runtime, int]:
    rt = bench.runtime()
    texts, dice = _texts(20_000), random.Random(2)
    count = 1_000_000 if bench.scale == "full" else 100_000
    for _ in range(count // _BATCH):
        rt.create_session().add_messages([{"role": "user", "content": dice.choice(texts)} for _ in range(_BATCH)])
    return rt, count


def _searched(bench: Bench, text: str) -> Measured:
    rt, count = _conversations(bench)
    rt.search(text, timeout=3600)
    measured = bench.time(lambda: rt.search(text, limit=20), batch=5)
    return dataclasses.replace(measured, note=f"{count:,} messages, {rt.search(text).total:,} ranked")


@row("search 1 000 000 messages for two common words, 20 rows", at_most(20 * MILLI), scaled=True)
def common_words(bench: Bench) -> Measured:
    return _searched(bench, "w5 w9")


@row("the same for two rarer words", at_most(20 * MILLI), scaled=True)
def rare_words(bench: Bench) -> Measured:
    return _searched(bench, "w100 w200")


@row("index a message of 25 words, in the background", None)
def indexing(bench: Bench) -> Measured:
    rt = bench.runtime()
    texts = _texts(5000)
    s = rt.create_session()
    rt.search("w1")
    s.add_messages([{"role": "user", "content": text} for text in texts])
    begun = time.process_time()
    rt.search("w1")
    return Measured((time.process_time() - begun) / len(texts), note="CPU time")


@row("search all texts of 100 000 artifacts for two words, 20 rows", at_most(5 * MILLI))
def artifacts(bench: Bench) -> Measured:
    rt, dice = bench.runtime(), random.Random(1)
    for number in range(100):
        rt.create_session().store_many(
            {
                "type": dice.choice(TYPES),
                "name": f"{dice.choice(WORDS)}-{number}-{index}.json",
                "content": f"{dice.randrange(50)}",
                "description": f"{dice.choice(WORDS)} rare{dice.randrange(1000)}",
            }
            for index in range(_BATCH)
        )
    rt.search("rare7", timeout=3600)
    measured = bench.time(lambda: rt.search("rare7 alph*", kinds="artifact", limit=20), batch=5)
    return dataclasses.replace(measured, note=f"{rt.search('rare7 alph*').total} found")
