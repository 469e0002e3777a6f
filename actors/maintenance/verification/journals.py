"""Check the journals, and everything that follows from them: row, records, index entries, references, snapshots."""

from __future__ import annotations

from greenroom.actors.session.projection import is_session
from greenroom.storage.codec.keys import after_prefix, sequence_key, session_id_of
from greenroom.storage.codec.records import unseal
from greenroom.storage.content.staging import staged_sessions
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew
from greenroom.storage.events.journal import Journal

from .contents import ContentChecks
from .expected import Derived, derive, owned
from .findings import DAMAGE, PROBLEM_KINDS, Findings, kind_of, quarantine
from .journal_repair import mend, message_contents
from .records import RecordChecks

__all__ = ["JournalChecks"]


class JournalChecks(ContentChecks, RecordChecks):
    """The checks of one session."""

    def _session(self, session: bytes, found: Findings) -> None:
        session_id = session_id_of(session)
        try:
            derived = derive(self._store, session)
        except SchemaTooNew as error:
            found.add("event", session_id, str(error))
            return
        except IntegrityError as error:
            # It may have been deleted since, or be on its way in, or on its way out after it was abandoned.
            if self._exists(session) and session not in staged_sessions(self._engine):
                self._damaged_journal(session, error, found)
            return
        if not any(lost.cf == CF.JOURNAL for lost in self._lost) or not self._tail_lost(session, derived):
            self._compare(session, derived, found)
        elif self._mending:
            self._damaged_journal(session, IntegrityError("events may be missing at its end"), found)

    def _tail_lost(self, session: bytes, derived: Derived) -> bool:
        return self._may_go_on(sequence_key(session, derived.state.sequence + 1))

    def _may_go_on(self, following: bytes) -> bool:
        """Return whether salvage may have lost the event after the last one of a journal."""
        return following[:16] not in self._mended and any(
            lost.cf == CF.JOURNAL and lost.covers(following) for lost in self._lost
        )

    def _damaged_journal(self, session: bytes, error: IntegrityError, found: Findings) -> None:
        session_id = session_id_of(session)
        if not self._mending or not self._repair:
            found.add("event", session_id, str(error))
            return
        if self._message_contents is None:
            self._message_contents = message_contents(self._store)
        last = self._engine.last(CF.JOURNAL, session)
        following = sequence_key(session, int.from_bytes(last[0][16:], "big") + 1 if last is not None else 1)
        tail_lost = self._may_go_on(following)
        try:
            mended = mend(self._store, session, tail_lost=tail_lost, contents=self._message_contents)
        except DAMAGE as hopeless:
            found.add("event", session_id, f"{error}; cannot be repaired: {hopeless}")
            return
        done = []
        if mended.restored:
            done.append(f"restored {_numbers(mended.restored)}")
        if mended.lost:
            done.append(f"lost {_numbers(mended.lost)}")
        if mended.doubtful:
            done.append("variables not set since raise IntegrityError until they are set, or accept_losses()")
        if mended.quarantined:
            done.append(f"{len(mended.quarantined)} damaged records kept in quarantine")
        ops = mended.ops + [quarantine(cf, key, record) for cf, key, record in mended.quarantined]
        found.add("event", session_id, str(error), ops, "; ".join(done))
        if self._writing:
            self._mended.add(session)

    def _compare(self, session: bytes, derived: Derived, found: Findings) -> None:
        state = derived.state
        session_id = state.id
        found.count("sessions")
        found.count("events", derived.events)
        found.count("snapshots", derived.snapshots)
        missing = is_session(session) and self._engine.get(CF.SESSIONS, session) is None
        if missing and session in staged_sessions(self._engine):
            return  # an import is writing it
        there = owned(self._store, session)
        artifacts = 0
        for (cf, key), value in derived.entries.items():
            artifacts += cf == CF.ARTIFACTS
            actual = there.pop((cf, key), None)
            if actual is None:
                actual = self._engine.get(cf, key)
            if actual != value:
                self._differs(session_id, cf, key, value, actual, found)
        found.count("artifacts", artifacts)
        for (cf, key), value in there.items():
            if not value and (cf, key) in derived.optional:
                continue
            what = "an artifact record" if cf == CF.ARTIFACTS else f"an index entry of kind {kind_of(key)}"
            keep = [quarantine(cf, key, value)] if cf == CF.ARTIFACTS else []
            found.add(
                PROBLEM_KINDS[cf],
                session_id,
                f"has {what} that its journal does not know",
                [*keep, (cf, key, None)],
                "removed",
            )
        self._records(session, derived, found)
        self._snapshots(session, derived, found)
        self._counted(session, derived, found)
        for digest, sizes in derived.contents.items():
            self._held_content(digest, sizes, found)

    def _counted(self, session: bytes, derived: Derived, found: Findings) -> None:
        """Check that the totals in the newest event are the session's."""
        state = derived.state
        has = len(derived.records), sum(record.size for record in derived.records.values())
        last = self._store.journal.last(session)
        if (state.artifact_count, state.artifact_bytes) == has or derived.unknown or last is None:
            return
        sequence, stored = last
        detail = (
            f"counts {state.artifact_count} artifacts of {state.artifact_bytes} bytes, and has {has[0]} of {has[1]}"
        )
        event = stored._replace(artifact_count=has[0], artifact_bytes=has[1])
        mend = [Journal.append(session, sequence, event)] if self._mending else None
        found.add("session", state.id, detail, mend, "counted anew")

    def _differs(
        self, session_id: str, cf: int, key: bytes, value: bytes, actual: bytes | None, found: Findings
    ) -> None:
        ops: list[Op] = [(cf, key, value)]
        what = {
            CF.SESSIONS: "its catalog row",
            CF.ARTIFACTS: f"its artifact {int.from_bytes(key[16:24], 'big')}",
            CF.REFERENCES: f"its reference to content {key[1:33].hex()}",
        }.get(cf, f"its index entry of kind {kind_of(key)}")
        if actual is None:
            found.add(PROBLEM_KINDS[cf], session_id, f"{what} is missing", ops, "written anew")
            return
        if cf in (CF.SESSIONS, CF.ARTIFACTS):
            try:
                # An older version of the same facts is no damage.
                if unseal(key, actual) == unseal(key, value):
                    return
            except DAMAGE as error:
                keep = quarantine(cf, key, actual)
                found.add(PROBLEM_KINDS[cf], session_id, f"{what}: {error}", [keep, *ops], "written anew")
                return
        found.add(PROBLEM_KINDS[cf], session_id, f"{what} is not what its journal says", ops, "written anew")

    def _snapshots(self, session: bytes, derived: Derived, found: Findings) -> None:
        valid = {each.sequence for each in self._store.journal.snapshots(session)}
        for key, record in self._engine.pages(CF.SNAPSHOTS, sequence_key(session, 1), after_prefix(session), page=1):
            sequence = int.from_bytes(key[16:], "big")
            if sequence not in valid:
                detail = "is damaged; it is skipped when the session is activated"
            elif sequence in derived.differing:
                detail = "differs from the replayed journal"
            else:
                continue
            where = f"{derived.state.id}/{sequence}"
            ops: list[Op] = [quarantine(CF.SNAPSHOTS, key, record), (CF.SNAPSHOTS, key, None)]
            found.add("snapshot", where, detail, ops, "moved to quarantine; the journal has the same facts")


def _numbers(sequences: list[int]) -> str:
    shown = ", ".join(map(str, sequences[:8])) + (", …" if len(sequences) > 8 else "")
    return f"event{'s' if len(sequences) != 1 else ''} {shown}"
