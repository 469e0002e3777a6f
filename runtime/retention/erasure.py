"""Erase everything of one creator, and prove that nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from greenroom.actors import messages as m
from greenroom.actors.maintenance import erasure as traces
from greenroom.actors.messages.permissions import AccessAttempt
from greenroom.actors.transfer.truncation import cut_journal
from greenroom.storage.catalog.creators import QUOTAS
from greenroom.storage.codec.records import Value
from greenroom.storage.common.session_ids import scope_bytes, session_bytes, session_id_of
from greenroom.storage.errors import GreenroomError, HookCancelled, IntegrityError, SchemaTooNew, SessionNotFound

from .quotas import Quotas

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["ErasureReport", "erase"]

Progress = Callable[[str, int], None]

_ROUNDS: Final = 10
"""How often sessions are looked for that were created meanwhile."""

_AUDITED: Final = (
    "{} entries of the audit log name them by their random ids, without content, until they are too old"
    " (audit_retention_days)"
)
_IDS: Final = "events of other sessions may name them by their random ids: as a parent, a fork, a link or a grantee"
_SHARED: Final = "{} of their contents are held by other sessions too, and stay there"
_OTHERS: Final = "{} descendants have another creator, and stay"
_SPACE: Final = "what was deleted is on disk until the next compaction: rt.compact()"
_BACKUPS: Final = "backups and bundles that were made before still have everything"


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was erased, or would be, and the proof that nothing is left. Sizes are in bytes."""

    created_by: str
    dry_run: bool
    sessions: tuple[str, ...]
    """The sessions erased, in every status: those of the creator, and those that they have made without naming one."""
    refused: tuple[str, ...]
    """The sessions that were not deleted, each with the code of the error, such as a veto of a hook."""
    kept: tuple[str, ...]
    """Descendants with another creator. They stay."""
    artifacts: int
    bytes: int
    """The logical bytes of their artifacts."""
    contents_removed: int
    """Contents that nobody else holds."""
    contents_kept: int
    """Contents that other sessions hold too. They stay."""
    revoked: int
    """Permissions that others had given to these sessions."""
    scopes: tuple[str, ...]
    """The scopes erased, of those that were named."""
    audit_entries: int
    """Entries of the audit log that name them. They stay until they are too old."""
    compacted: bool
    left: tuple[str, ...]
    """Rows, index entries, events and references of these sessions that a search through all keys of the store has
    found afterwards. None proves that all are gone."""
    needles: tuple[str, ...]
    """Where the bytes to look for were found, in the store and in its files."""
    notes: tuple[str, ...]
    """What stays, and why."""

    @property
    def clean(self) -> bool:
        """Whether everything was erased, and nothing was found afterwards."""
        return not (self.dry_run or self.refused or self.left or self.needles)

    def __repr__(self) -> str:
        done = "would erase" if self.dry_run else "erased"
        return f"<ErasureReport {done} {len(self.sessions)} sessions{', clean' if self.clean else ''}>"

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        row: dict[str, Value] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            row[each.name] = list(value) if isinstance(value, tuple) else value
        return row | {"clean": self.clean}


def erase(
    core: RuntimeCore,
    quotas: Quotas,
    created_by: str,
    scopes: Sequence[str],
    needles: Sequence[bytes],
    *,
    dry_run: bool,
    compact: Callable[[], object] | None,
    on_progress: Progress | None,
) -> ErasureReport:
    """Delete all sessions of a creator by messages like any other deletion, then the scopes, and search for what is
    left. A run that was interrupted is finished by running again: parents go last, so the way to each stays."""
    store = core.store
    core.settle()  # what is being recorded is there, and nowhere else
    found, kept = _found(core, created_by)
    ids = {session_bytes(each) for each in found}
    held = traces.held_by(store, ids)
    artifacts = size = revoked = 0
    done: list[str] = []
    refused: dict[str, str] = {}
    for _ in range(_ROUNDS):
        for session_id in found:
            try:
                info = store.catalog.info(session_id)
                figures = info.artifact_count, info.total_artifact_size, traces.shares_with(store, session_id)
            except (IntegrityError, SchemaTooNew, SessionNotFound):
                figures = 0, 0, 0  # damaged: it is deleted all the same
            try:
                if not dry_run:
                    core.ask(session_id, m.DeleteSession())
            except SessionNotFound:
                pass  # somebody else was first
            except (HookCancelled, IntegrityError, SchemaTooNew) as error:
                refused[session_id] = error.code
                continue
            done.append(session_id)
            ids.add(session_bytes(session_id))
            artifacts, size, revoked = artifacts + figures[0], size + figures[1], revoked + figures[2]
            if on_progress is not None:
                on_progress("sessions", len(done))
        found = [] if dry_run else [each for each in _found(core, created_by)[0] if each not in refused]
        if not found:  # else some were created meanwhile
            break
    core.settle()  # what was recorded meanwhile is refused, and forgotten
    ids -= {session_bytes(each) for each in refused}
    there = [name for name in scopes if store.journal.last(scope_bytes(name)) is not None]
    left: list[str] = []
    audited, compacted = 0, False
    where: list[str] = []
    if not dry_run:
        for name in there:
            core.ask(session_id_of(scope_bytes(name)), m.DeleteSession())
            ids.add(scope_bytes(name))
        _forget_quota(core, quotas, created_by)
        traces.drop_quarantined(store, ids)
        core.trail.record(
            AccessAttempt(None, None, None, "delete", True, f"{len(done)} sessions of one creator", "erase")
        )
        if compact is not None:
            compact()
            compacted = True
        # What was made since the last look is not erased: the report must say so.
        ids |= {session_bytes(each) for each in _found(core, created_by)[0] if each not in refused}
        left, audited = traces.remains(store, ids, on_progress)
        where = traces.search(store, needles, on_progress) if needles else []
    notes = [
        *([_AUDITED.format(audited)] if audited else []),
        *([_IDS] if done else []),
        *([_SHARED.format(held.too)] if held.too else []),
        *([_OTHERS.format(len(kept))] if kept else []),
        *([_SPACE] if not compacted and not dry_run else []),
        *([_BACKUPS] if not dry_run else []),
    ]
    return ErasureReport(
        created_by=created_by,
        dry_run=dry_run,
        sessions=tuple(done),
        refused=tuple(f"{each}: {code}" for each, code in refused.items()),
        kept=tuple(kept),
        artifacts=artifacts,
        bytes=size,
        contents_removed=held.alone,
        contents_kept=held.too,
        revoked=revoked,
        scopes=tuple(there),
        audit_entries=audited,
        compacted=compacted,
        left=tuple(left),
        needles=tuple(where),
        notes=tuple(notes),
    )


def _found(core: RuntimeCore, created_by: str) -> tuple[list[str], list[str]]:
    """Return the sessions to erase, children before their parents, and the descendants that stay."""
    catalog = core.store.catalog
    own: dict[bytes, None] = {}
    kept: dict[bytes, None] = {}
    for session in catalog.created_by(created_by):
        for each in catalog.below(session):
            try:
                row = catalog.row(each)
            except (IntegrityError, SchemaTooNew):
                row = None  # damaged, and below one of theirs
            if row is None or row.created_by in (None, created_by):
                own.pop(each, None)  # one that is found again further down comes later
                own[each] = None
            else:
                kept[each] = None
    return [session_id_of(each) for each in reversed(own)], [session_id_of(each) for each in kept]


def _forget_quota(core: RuntimeCore, quotas: Quotas, created_by: str) -> None:
    """Delete the creator's quota, and with it the name in the history of quotas."""
    scope = scope_bytes(QUOTAS)
    last = core.store.journal.last(scope)
    if last is None:
        return
    quotas.delete(created_by)
    core.ask(session_id_of(scope), m.SaveSession(sync=False))  # the newest snapshot is without the name
    last = core.store.journal.last(scope)
    if last is not None and last[0] > 1:
        try:
            cut_journal(core.store, scope, last[0] - 1, dry_run=False)  # and with the events, older snapshots go
        except GreenroomError:
            return  # damaged: the search says what is left
