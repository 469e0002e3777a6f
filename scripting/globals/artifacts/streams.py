"""The functions of the global `Artifact` for content that is read and written piece by piece."""

from __future__ import annotations

import os
from typing import Any, BinaryIO, Final

from greenroom.runtime import ArtifactWriter, ResourceLimitExceeded, ValidationError
from greenroom.scripting.definition.examples import example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import COUNT, TRUE, Iterator, Maybe, Object, Value
from greenroom.scripting.definition.types import CONTENT, ArtifactRef, Json, SessionRef, Table, Text, Whole
from greenroom.scripting.definition.types import WHOLE as IS_WHOLE
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import ARTIFACT_ID
from greenroom.scripting.globals.open_files import MAX_READ, WHENCE, read_piece
from greenroom.scripting.globals.references import artifact_reference, store_options
from greenroom.scripting.globals.rows import stored_row
from greenroom.scripting.globals.samples import ARTIFACT as AN_ARTIFACT
from greenroom.scripting.globals.samples import SESSION as A_SESSION

__all__ = ["ArtifactStreams"]

_MOST: Final = 32
_READER: Final = Object(
    "artifact reader",
    "number",
    hidden=("number",),
    methods={
        "read": "Artifact.reader.read",
        "lines": "Artifact.reader.lines",
        "seek": "Artifact.reader.seek",
        "close": "Artifact.reader.close",
    },
    itself=None,
)
_WRITER: Final = Object(
    "artifact writer",
    "number",
    hidden=("number",),
    methods={"write": "Artifact.writer.write", "close": "Artifact.writer.close"},
    itself=None,
)
_BYTES: Final = Value("content")
_LINES: Final = Iterator("lines", "Artifact.reader.line")


class ArtifactStreams:
    """Reads and writes artifacts piece by piece. At most 32 readers and writers are open at a time, and none outlives
    its script: a writer that is not closed stores nothing."""

    NAME = "Artifact"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._open: dict[int, BinaryIO | ArtifactWriter] = {}
        self._last = 0
        context.at_end(self._end)

    def _end(self) -> None:
        """Close all readers, and give up what writers have written."""
        for each in [*self._open.values()]:
            if isinstance(each, ArtifactWriter):
                each.abort()
            else:
                each.close()
        self._open.clear()

    def _keep(self, opened: BinaryIO | ArtifactWriter) -> dict[str, Any]:
        self._last += 1
        self._open[self._last] = opened
        return {"number": self._last}

    def _require_room(self) -> None:
        if len(self._open) >= _MOST:
            raise ResourceLimitExceeded(
                f"a script may have {_MOST} readers and writers of artifacts open: close one",
                resource="artifact_streams",
                limit=_MOST,
                value=len(self._open) + 1,
            )

    def _reader(self, number: Any) -> BinaryIO:
        found = self._open.get(_number(number))
        if found is None or isinstance(found, ArtifactWriter):
            raise ValidationError("the reader is closed: open the artifact again", field="reader")
        return found

    # -- reading

    @export("open", returns=_READER, example=example(A_SESSION, AN_ARTIFACT))
    def open(self, session: SessionRef, artifact: ArtifactRef, version: Json = UNDEFINED) -> dict[str, Any]:
        """Open an artifact for reading. The reader has `read(what)`, which takes "l" (a line, the default), "L" (a line
        with its end), "a" (all) or a number of bytes, and returns nothing at the end; `lines()`, to loop over;
        `seek(whence, offset)`, as that of files; and `close()`. Little of the content is in memory at a time."""
        self._require_room()
        which = artifact_reference(artifact)
        handle = self._context.session(session)
        return self._keep(handle.open_artifact(which, IS_WHOLE.convert(defined(version))))

    @export("reader.read", returns=Maybe(_BYTES), hidden=True)
    def read(self, reader: Json, what: Json = "l") -> Any:
        """Read a line, all, or a number of bytes."""
        source, what = self._reader(reader), IS_WHOLE.convert(defined(what, "l"))
        if isinstance(what, str):
            what = what.removeprefix("*")
        if what in ("a", "all"):
            data = source.read(MAX_READ + 1)
            if len(data) > MAX_READ:
                source.seek(-len(data), os.SEEK_CUR)
                raise ValidationError(
                    f"the artifact has more than {MAX_READ} bytes left: read it in pieces", field="what"
                )
            return data
        return read_piece(source, what, "what")

    @export("reader.lines", returns=_LINES, hidden=True)
    def lines(self, reader: Json) -> Any:
        """Return an iterator over the lines that are left."""
        self._reader(reader)
        return _number(reader)

    @export("reader.line", returns=Maybe(_BYTES), hidden=True)
    def line(self, reader: Json) -> Any:
        """Return the next line, without its end."""
        return self.read(reader, "l")

    @export("reader.seek", returns=COUNT, hidden=True)
    def seek(self, reader: Json, whence: Json = "cur", offset: Whole = 0) -> int:
        """Go to another place and return it, in bytes from the beginning."""
        source = self._reader(reader)
        whence = IS_WHOLE.convert(defined(whence, "cur"))
        if isinstance(whence, int) and not isinstance(whence, bool):
            whence, offset = "set", whence
        origin = WHENCE.get(whence) if isinstance(whence, str) else None
        if origin is None:
            raise ValidationError('seek takes "set", "cur" or "end" and a number of bytes', field="whence")
        base = {os.SEEK_SET: 0, os.SEEK_CUR: source.tell()}.get(origin)
        if base is None:
            here = source.tell()
            base = source.seek(0, os.SEEK_END)
            source.seek(here)
        if not 0 <= base + offset < 1 << 62:
            raise ValidationError("seek: that is before the beginning, or too far", field="offset")
        return source.seek(base + offset)

    @export("reader.close", returns=TRUE, hidden=True)
    def close_reader(self, reader: Json) -> bool:
        """Close a reader."""
        found = self._open.get(_number(reader))
        if found is not None and not isinstance(found, ArtifactWriter):
            del self._open[_number(reader)]
            found.close()
        return True

    # -- writing

    @export(
        "create",
        returns=_WRITER,
        options={"options": HOW},
        example=example(A_SESSION, "log", "run.log", {"tags": ["long"]}),
    )
    def create(
        self, session: SessionRef, type: Text, name: Text, metadata: Table = UNDEFINED, options: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Begin an artifact that is written piece by piece. The writer has `write(content, …)`, which returns it, and
        `close()`, which stores the artifact and returns its id. Without `close` nothing is stored. The metadata is that
        of `store`."""
        self._require_room()
        more: Any = {**store_options(metadata), **options}
        handle = self._context.session(session)
        return self._keep(handle.create_artifact(type, name, **more, on_progress=self._context.check_time))

    @export("writer.write", returns=_WRITER, hidden=True)
    def write(self, writer: Json, *contents: Any) -> dict[str, Any]:
        """Write content, and return the writer."""
        found = self._writer(writer)
        for each in contents:
            found.write(CONTENT.read(each, "write", "content"))
        return {"number": _number(writer)}

    @export("writer.close", returns=ARTIFACT_ID, hidden=True)
    def close_writer(self, writer: Json) -> dict[str, Any]:
        """Store what was written, and return the artifact's id."""
        found = self._writer(writer)
        del self._open[_number(writer)]
        return stored_row(found.close())

    def _writer(self, number: Any) -> ArtifactWriter:
        found = self._open.get(_number(number))
        if not isinstance(found, ArtifactWriter):
            raise ValidationError("the writer is closed: create another artifact", field="writer")
        return found


def _number(given: Any) -> Any:
    """Return the number of a reader or writer."""
    given = IS_WHOLE.convert(given)
    return given if type(given) is int else None
