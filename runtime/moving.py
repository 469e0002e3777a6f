"""Sessions on their way out of a store and into one: bundles and backups."""

from __future__ import annotations

import os

from greenroom.actors.maintenance.backup import BackupReport, backup_store
from greenroom.actors.transfer.bundle_export import ExportReport, export_bundle
from greenroom.runtime.handles.handle import session_id_of
from greenroom.runtime.handles.session import Session
from greenroom.storage.bundle.export import Progress
from greenroom.storage.common.arguments import as_flag, as_function
from greenroom.storage.common.checked_call import checked
from greenroom.storage.files.regular_file import file_path

from .bundles import import_sessions
from .sessions import Sessions

__all__ = ["Moving"]


class Moving(Sessions):
    """Exporting, importing and backing up."""

    @checked
    def export_session(
        self,
        session_id: str,
        path: str | os.PathLike[str],
        *,
        tree: bool = False,
        history: bool = True,
        on_progress: Progress | None = None,
    ) -> ExportReport:
        """Write a session, or with `tree` also all sessions below it, to a bundle: one file, as of one moment.

        Without `history` the bundle has what still holds: conversation, artifacts, variables, tags, metadata, status;
        not what they were before. Works while the sessions are used. A file at `path` is replaced once the bundle is
        whole; anything but a regular file is refused. `on_progress` is called with the bytes done and to do.
        Raises SessionNotFound, IntegrityError where something is damaged, BundleError for more than a bundle can
        carry, StorageError.
        """
        self._security.require_artifacts(session_id_of(session_id, "session") or "", "export_session")
        found = self.session(session_id_of(session_id, "session") or "")
        return export_bundle(
            self._store,
            found.id,
            file_path(path),
            tree=as_flag("tree", tree),
            history=as_flag("history", history),
            on_progress=as_function("on_progress", on_progress) if on_progress is not None else None,
        )

    @checked
    def import_bundle(
        self, path: str | os.PathLike[str], *, keep_ids: bool = True, on_progress: Progress | None = None
    ) -> list[Session]:
        """Bring in all sessions of a bundle, parents first: all of them, or none.

        With `keep_ids` false they get new ids, in their artifacts' ids and family links too. A parent outside the
        bundle is kept if it is in this store. Raises BundleError for a damaged or hostile bundle, of which nothing is
        written; SessionAlreadyExists for an id that is to be kept and is taken; StorageError.
        """
        self._check_open()
        self._require_host("import_bundle", "write")
        self._security.forget_families()
        ids = import_sessions(self._runtime, file_path(path), keep_ids=keep_ids, on_progress=on_progress)
        self.events.imported(ids)
        return [Session(self._runtime, each) for each in ids]

    @checked
    def import_session(
        self, path: str | os.PathLike[str], *, keep_ids: bool = True, on_progress: Progress | None = None
    ) -> Session:
        """`import_bundle`, for a bundle of one session or one tree: the session at its top."""
        return self.import_bundle(path, keep_ids=keep_ids, on_progress=on_progress)[0]

    @checked
    def backup(self, path: str | os.PathLike[str]) -> BackupReport:
        """Write a backup of the whole store, as of one moment, while it is in use. It is a store itself.

        `path` must not exist. On the same file system it shares the table files with this store; copy it elsewhere to
        be safe from the loss of the disk. Raises StorageError.
        """
        self._check_open()
        self._require_host("backup")
        return backup_store(self._store, file_path(path))
