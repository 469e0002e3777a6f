"""Records behave like a sorted dict, whatever happens to the session that has them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from greenroom.runtime import InvalidOperation, Runtime, Session

CONFIG = {"max_resident_sessions": 1, "snapshot_every": 5, "handle_signals": False, "artifact_cache_bytes": 0}
KEYS = st.one_of(
    st.sampled_from([b"a", b"a/1", b"a/2", b"a\xff", b"\x00", b"\xff", b"\xff\xff", b"k" * 1024]),
    st.binary(min_size=1, max_size=3),
)
PREFIXES = st.one_of(st.sampled_from([b"", b"a", b"a/", b"\xff", b"\xff\xff"]), st.binary(max_size=2))
_TEXT = b"".join(b"turn %d of a conversation\n" % number for number in range(600))
VALUES = st.one_of(
    st.sampled_from([None, b"", 1, {"a": [1]}, "text " * 1500]),
    st.binary(max_size=8),
    st.integers(1, 600).map(lambda turns: _TEXT[: 26 * turns]),
)


class Records(RuleBasedStateMachine):
    """One session after the other: a fork or an import takes the place of the one before."""

    path: Path
    number = itertools.count()

    @initialize()
    def make(self) -> None:
        self.store = self.path / f"store {next(self.number)}"
        self.runtime = Runtime.open(self.store, config=CONFIG)
        self.session = self.runtime.create_session()
        self.model: dict[bytes, Any] = {}
        self.history: dict[int, dict[bytes, Any]] = {}

    def teardown(self) -> None:
        if hasattr(self, "runtime"):
            assert self.runtime.verify().problems == []
            self.session.delete()
            for info in self.runtime.list_sessions():
                self.runtime.delete_session(info.id)
            assert self.runtime.stats()["artifacts"]["contents"] == 0
            assert self.runtime.verify().problems == []
            self.runtime.close()

    @invariant()
    def counted(self) -> None:
        if hasattr(self, "runtime"):
            assert self.session.records.count() == len(self.model)
            self.history[self.session.info().sequence] = dict(self.model)

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: Any) -> None:
        self.session.records.put(key, value)
        self.model[key] = value

    @rule(values=st.dictionaries(KEYS, VALUES, max_size=5))
    def put_many(self, values: dict[bytes, Any]) -> None:
        self.session.records.put_many(values)
        self.model |= values

    @rule(key=KEYS, value=VALUES)
    def put_if_absent(self, key: bytes, value: Any) -> None:
        assert self.session.records.put_if_absent(key, value) == (key not in self.model)
        self.model.setdefault(key, value)

    @rule(keys=st.lists(KEYS, max_size=4))
    def delete(self, keys: list[bytes]) -> None:
        there = {key for key in keys if self.model.pop(key, self) is not self}
        assert self.session.records.delete_many(keys) == len(there)

    @rule(prefix=PREFIXES)
    def delete_prefix(self, prefix: bytes) -> None:
        gone = [key for key in self.model if key.startswith(prefix)]
        assert self.session.records.delete_prefix(prefix) == len(gone)
        for key in gone:
            del self.model[key]

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.session.records.get(key, "none") == self.model.get(key, "none")

    @rule(keys=st.lists(KEYS, max_size=4))
    def get_many(self, keys: list[bytes]) -> None:
        assert self.session.records.get_many(keys) == {key: self.model[key] for key in keys if key in self.model}

    @rule(prefix=PREFIXES, after=st.none() | KEYS, reverse=st.booleans(), limit=st.none() | st.integers(0, 4))
    def scan(self, prefix: bytes, after: bytes | None, reverse: bool, limit: int | None) -> None:
        rows = [
            (key, self.model[key])
            for key in sorted(self.model, reverse=reverse)
            if key.startswith(prefix) and (after is None or (key < after if reverse else key > after))
        ][:limit]
        assert self.session.records.scan(prefix, after=after, reverse=reverse, limit=limit) == rows
        keys = self.session.records.keys(prefix, after=after, reverse=reverse, limit=limit)
        assert keys == [key for key, _ in rows]
        assert self.session.records.count(prefix) == sum(key.startswith(prefix) for key in self.model)

    @rule()
    def passivate(self) -> None:
        self.session.set("k", len(self.model))
        self.runtime.create_session().set("k", 1)

    @rule()
    def restart(self) -> None:
        self.runtime.close()
        self.runtime = Runtime.open(self.store, config=CONFIG)
        self.session = self.runtime.session(self.session.id)

    @rule()
    def fork(self) -> None:
        self._go_on_with(self.session.fork())

    @rule(data=st.data())
    def fork_from_the_past(self, data: st.DataObject) -> None:
        at = data.draw(st.sampled_from(sorted(self.history)))
        then = self.history[at]
        try:
            fork = self.session.fork(at)
        except InvalidOperation:
            return  # that moment was cut away
        lost = next(event for event in fork.events() if event.type == "session.forked" and event.sequence > at)
        found = dict(fork.records.scan())
        missing = then.keys() - found.keys()
        assert found == {key: then[key] for key in found}
        named = lost.data.get("records_lost", {"count": 0, "keys": []})
        assert (named["count"], set(named["keys"])) == (len(missing), missing)
        assert all(key not in self.model or self.model[key] != then[key] for key in missing)
        self.model = found
        self._go_on_with(fork)

    @rule(history=st.booleans())
    def export_and_import(self, history: bool) -> None:
        bundle = self.path / "bundle"
        self.runtime.export_session(self.session.id, bundle, history=history)
        self._go_on_with(self.runtime.import_bundle(bundle, keep_ids=False)[0])

    @rule(most=st.integers(1, 5))
    def truncate(self, most: int) -> None:
        self.runtime.retention(max_journal_events=most, dry_run=False)

    def _go_on_with(self, session: Session) -> None:
        assert dict(session.records.scan()) == self.model
        self.session.delete()
        self.session = session
        self.history = {}


def test_records_are_a_sorted_dict(tmp_path: Path) -> None:
    Records.path = tmp_path
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Records, settings=settings(max_examples=20, stateful_step_count=25, deadline=None)
    )
