"""Write an artifact piece by piece: it is stored whole when the writer is closed, or not at all."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Callable
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, cast

from greenroom.storage.artifacts.model import ArtifactInfo
from greenroom.storage.common.arguments import kind_of
from greenroom.storage.errors import (
    InvalidOperation,
    ResourceLimitExceeded,
    StorageError,
    StorageFull,
    ValidationError,
    shown,
)

__all__ = ["ArtifactWriter"]

_IN_MEMORY: Final = 1 << 20
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class ArtifactWriter:
    """A new artifact that is being written, as a context manager. At most 1 MiB is held in memory; more is in a
    temporary file without a name until the end.

    The artifact is stored at the end of the block, or by `close`. An exception in the block, `abort`, and a writer that
    is never closed leave nothing. Use it in one thread at a time.
    """

    def __init__(self, name: str, store: Callable[[BinaryIO], ArtifactInfo], most: Callable[[], int | None]) -> None:
        """`store` stores what a file contains; `most` returns the bytes that the session may have."""
        self._name = name
        self._store = store
        self._most = most
        self._limit: int | None = _IN_MEMORY
        self._size = 0
        self._info: ArtifactInfo | None = None
        self._file: Any = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (closed by `close` and `abort`)

    def __repr__(self) -> str:
        return f"<ArtifactWriter {shown(self._name)}{' closed' if self.closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether nothing more can be written."""
        return bool(self._file.closed)

    @property
    def info(self) -> ArtifactInfo:
        """The artifact that was stored. Raises InvalidOperation before the writer is closed, and after `abort`."""
        if self._info is None:
            raise InvalidOperation(
                f"artifact {shown(self._name)} is not stored: that is done when its writer is closed"
            )
        return self._info

    def write(self, content: str | bytes | bytearray | memoryview) -> int:
        """Write bytes, or text as UTF-8, and return the number of bytes. Raises ResourceLimitExceeded for more than the
        session may store, StorageError, and InvalidOperation after the end."""
        data = _bytes(content)
        if self.closed:
            raise InvalidOperation(f"the writer of artifact {shown(self._name)} is closed: make another one")
        size = self._size + len(data)
        if self._limit is not None and size > self._limit:
            self._limit = self._most()
            if self._limit is not None and size > self._limit:
                raise ResourceLimitExceeded(
                    f"artifact {shown(self._name)} is longer than the {self._limit} bytes that its session may store",
                    resource="storage_bytes",
                    limit=self._limit,
                    value=size,
                )
        try:
            self._file.write(data)
        except OSError as error:
            self.abort()
            kind = StorageFull if error.errno in _FULL else StorageError
            raise kind(f"cannot write artifact {shown(self._name)}: {error.strerror}") from error
        self._size = size
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes that were written."""
        return self._size

    def close(self) -> ArtifactInfo:
        """Store the artifact and return its info; the second time, return that again. Raises what `store_artifact`
        raises, and InvalidOperation after `abort`."""
        if not self.closed:
            try:
                self._file.seek(0)
                self._info = self._store(cast(BinaryIO, self._file))
            finally:
                self.abort()
        return self.info

    def abort(self) -> None:
        """Give up what was written. Does nothing after `close`."""
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        elif not self.closed:
            self.close()


def _bytes(content: object) -> bytes:
    kind = type(content)
    if kind is bytes:
        return cast(bytes, content)
    if issubclass(kind, str):
        try:
            return str.encode(cast(str, content))
        except UnicodeEncodeError:
            raise ValidationError("content: it is not valid Unicode", field="content") from None
    if issubclass(kind, bytes | bytearray | memoryview):
        try:
            return memoryview(cast(bytes, content)).tobytes()
        except ValueError:  # released
            pass
    raise ValidationError(f"content: text or bytes are needed, not {kind_of(content)}", field="content")
