"""The care of a store that is open: checking it, tidying it up, and what takes its space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenroom.actors.maintenance.findings import Progress as CareProgress
from greenroom.actors.maintenance.findings import VerifyReport
from greenroom.actors.maintenance.gc import GcReport, collect
from greenroom.actors.maintenance.usage import Usage, content_figures, store_figures, usage_of
from greenroom.actors.maintenance.verify import verify_store
from greenroom.actors.transfer.staged import recover_staged
from greenroom.storage.common.arguments import as_flag, as_mapping
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.validation import validated

from .lifecycle import Lifecycle
from .retention import RetentionPolicy, RetentionReport, apply_retention

__all__ = ["Care"]

_DETAILS = 20


class Care(Lifecycle):
    """Checking, repairing, cleaning and measuring the store."""

    @checked
    def verify(self, repair: bool = False, *, on_progress: CareProgress | None = None) -> VerifyReport:
        """Read everything in the store and check it: checksums, gaps, hashes, indexes, references, replays.

        With `repair`, what the rest of the store tells how to set right is set right, and what it does not is put
        into quarantine, so that everything else stays readable; the report says what was done. Where table files
        are damaged (`needs_salvage`) nothing is repaired: close the runtime and `Runtime.salvage` the store.
        """
        self._check_open()
        self._require_host("verify")
        if repair:
            self._check_writable("to repair it")
        return verify_store(self._store, self._supervisor, repair=repair, on_progress=on_progress)

    @checked
    def gc(self, *, on_progress: CareProgress | None = None) -> GcReport:
        """Find and repair leaked or missing references, records of nobody, wrong index entries and counts;
        remove what imports and forks have written that were interrupted.

        Safe while sessions are at work. Reads no content: `verify` does.
        """
        self._check_open()
        self._require_host("gc", "write")
        self._check_writable("to collect garbage")
        recover_staged(self._store)
        return collect(self._store, self._supervisor, on_progress)

    @checked
    def retention(
        self, policy: RetentionPolicy | Mapping[str, Any] | None = None, *, dry_run: bool = True, **limits: Any
    ) -> RetentionReport:
        """Delete what a policy lets go; unless told otherwise, only say what that would be.

        Limits: keep_versions, max_age_days, max_session_bytes (never the latest version of a name), ended_days
        (whole sessions), keep_journal_days, max_journal_events (what old events say of earlier values, never the newest
        event, the conversation or artifacts that are there; `events` then leaves them out, and forks and exports begin
        there). Raises ValidationError.
        """
        self._check_open()
        self._require_host("retention", "delete")
        if policy is None or type(policy) is dict or limits:
            policy = {**as_mapping("policy", {} if policy is None else policy), **limits}
        wanted = validated(RetentionPolicy, policy)
        if not as_flag("dry_run", dry_run):
            self._check_writable("to delete")
        return apply_retention(self._runtime, wanted, self._clock.time_ns(), dry_run=dry_run)

    @checked
    def usage(self, *, on_progress: CareProgress | None = None) -> Usage:
        """Which sessions, types and names take the space."""
        self._check_open()
        self._require_host("usage", "list")
        return usage_of(self._store, on_progress)

    def compact(self) -> None:
        """Give the space of deleted data back to the disk. Blocks while it works."""
        self._check_open()
        self._require_host("compact", "write")
        self._check_writable("to compact")
        self._store.compact()

    @checked
    def stats(self, details: bool = False) -> dict[str, Any]:
        """Figures about the store and this runtime, as JSON values. Sizes are bytes. With `details` also `usage`:
        the sessions, types and names that take most space, twenty of each.

        Of content (artifacts, and long messages): `logical_bytes` counts it for everyone who refers to it,
        `unique_bytes` once, `stored_bytes` as it is on disk, with chunks that contents share counted once.
        """
        self._check_open()
        self._require_host("stats")
        return {
            "path": str(self.path),
            **self._figures(),
            "artifacts": content_figures(self._store),
            **({"usage": self.usage().to_dict(_DETAILS)} if details else {}),
        }

    def _figures(self) -> dict[str, Any]:
        """Those that cost the same however much is stored."""
        self._check_open()
        store = self._store
        return {
            "sessions": store.catalog.counts(),
            "resident": len(self._supervisor.table.actors),
            "resident_bytes": self._supervisor.table.bytes,
            "activations": self._supervisor.table.activations,
            **store_figures(store),
        }
