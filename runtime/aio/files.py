"""Artifacts that are read and written piece by piece, from an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import BinaryIO, Final, Self

from greenroom.runtime.handles.artifact_writer import ArtifactWriter
from greenroom.storage.artifacts.model import ArtifactInfo

from .face import Way

__all__ = ["AsyncArtifactReader", "AsyncArtifactWriter"]

_PIECE: Final = 1 << 16


class AsyncArtifactWriter:
    """An artifact that is written piece by piece: see `ArtifactWriter`. It is stored at the end of the block; an
    exception in the block, also CancelledError, leaves nothing."""

    def __init__(self, bridge: Way, writer: ArtifactWriter) -> None:
        self._bridge = bridge
        self.sync = writer
        """The writer for synchronous code, on other threads."""

    def __repr__(self) -> str:
        return f"<Async{repr(self.sync)[1:]}"

    @property
    def closed(self) -> bool:
        """Whether the artifact was stored or given up."""
        return self.sync.closed

    @property
    def info(self) -> ArtifactInfo:
        """The artifact. Raises InvalidOperation before it is stored."""
        return self.sync.info

    async def write(self, content: str | bytes | bytearray | memoryview) -> int:
        """Write a piece, and return its length: see `ArtifactWriter.write`."""
        if len(content) <= _PIECE:
            return await self._bridge.brief(self.sync.write, content)
        return await self._bridge.run(self.sync.write, content)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self.sync.tell()

    async def close(self) -> ArtifactInfo:
        """Store the artifact, and return it: see `ArtifactWriter.close`."""
        return await self._bridge.run(self.sync.close)

    async def abort(self) -> None:
        """Give up: nothing is stored."""
        await self._bridge.run(self.sync.abort)

    async def __aenter__(self) -> Self:
        self.sync.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.sync.abort()
        else:
            await self._bridge.run(self.sync.__exit__, None, None, None)


class AsyncArtifactReader:
    """The content of an artifact as a stream, of which one chunk is in memory: see `Session.open_artifact`."""

    def __init__(self, bridge: Way, stream: BinaryIO) -> None:
        self._bridge = bridge
        self.sync = stream
        """The stream for synchronous code, on other threads."""

    def __repr__(self) -> str:
        return f"<AsyncArtifactReader{' closed' if self.sync.closed else ''}>"

    async def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes; without it, all that is left."""
        return await self._bridge.run(self.sync.read, size)

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, and return it."""
        return await self._bridge.run(self.sync.seek, offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self.sync.tell()

    async def close(self) -> None:
        """Release the stream."""
        await self._bridge.run(self.sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the content in pieces of at most 64 KiB."""
        while piece := await self.read(_PIECE):
            yield piece
