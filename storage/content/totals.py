"""Keep the figures of all content as it changes, so that nobody has to count it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from greenroom.storage.codec.keys import TOTALS_KEY
from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.engine.engine import CF, Engine, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew

from .chunks import ARTIFACT, CONTENT_REFERENCE, Encoded, Reference
from .contents import CHUNK, Contents

__all__ = ["NOTHING", "ContentFigures", "ContentTotals", "joined"]


class ContentFigures(NamedTuple):
    """Figures of content. Sizes are bytes: of each use, of each content once, and as stored, each chunk once."""

    artifacts: int = 0
    logical_bytes: int = 0
    contents: int = 0
    unique_bytes: int = 0
    stored_bytes: int = 0


NOTHING: Final = ContentFigures()
"""Stands for no change."""

_figures: Final = tuple.__new__
"""Makes figures of a tuple of them: in a third of the time that the class itself takes."""


def joined(one: ContentFigures | None, other: ContentFigures | None) -> ContentFigures | None:
    """Return the sum of figures; None if some are unknown."""
    if one is NOTHING or one is None:
        return other if one is NOTHING else None
    if other is NOTHING or other is None:
        return one if other is NOTHING else None
    (a, b, c, d, e), (v, w, x, y, z) = one, other  # spelled out, because every stored artifact comes by
    return _figures(ContentFigures, (a + v, b + w, c + x, d + y, e + z))


class ContentTotals:
    """Folds what batches change in the contents and their references into figures. Changed by the one writer alone.

    A clean close leaves them for the next opening. After a crash or a repair they are unknown, and whoever asks first
    has everything counted, in the writer's turn.
    """

    def __init__(self, engine: Engine, contents: Contents) -> None:
        self._engine = engine
        self._contents = contents
        self._known = self._left()
        self.in_turn: Callable[[Callable[[], None]], object] = lambda work: work()
        """Runs a function while nobody writes. Set by the writer."""
        if self._known is None and not any(
            engine.keys(cf, b"", b"\xff" * 96, limit=1) for cf in (CF.CONTENTS, CF.REFERENCES)
        ):
            self._known = NOTHING
        if not engine.read_only and engine.get(CF.META, TOTALS_KEY) is not None:
            engine.write([(CF.META, TOTALS_KEY, None)])

    # -- what a batch changes; in the writer's turn

    def added(self, contents: Sequence[tuple[Encoded, Reference]], ops: Sequence[Op]) -> ContentFigures | None:
        """Return what new uses of contents change, which these operations of `Contents.add_ops` write; None if it
        concerns damaged content."""
        if self._is_doubtful():
            return None
        if len(contents) == 1 and contents[0][0].blob is None:
            content, reference = contents[0]
            artifacts, size = int(reference.kind == ARTIFACT), content.size
            if len(ops) == 1:  # the reference: the content was there
                return _figures(ContentFigures, (artifacts, size, 0, 0, 0))
            return _figures(ContentFigures, (artifacts, size, 1, size, content.stored_size))
        artifacts = logical = count = unique = stored = 0
        uses = {
            (content.hash, reference): content.size for content, reference in contents
        }  # an event may use one twice
        for (_, reference), size in uses.items():
            artifacts += reference.kind == ARTIFACT
            logical += size
        by_hash = {content.hash: content for content, _ in reversed(contents)}  # of several, the first one is written
        chunks: dict[bytes, bytes | None] = {}
        for cf, key, value in ops:
            if cf == CF.CONTENTS:
                content = by_hash[key]
                count += 1
                unique += content.size
                stored += content.stored_size if content.blob is None else 0
            elif cf == CF.CHUNKS and key[:1] == CHUNK:
                chunks[key] = value
        for key, value in chunks.items():
            # A chunk that was found damaged is written again, and counts already if it was since.
            stored += (len(value) - 1 if value is not None else 0) - self._contents.chunk_bytes(key[1:])
        return ContentFigures(artifacts, logical, count, unique, stored)

    def repaired(self, ops: Iterable[Op]) -> ContentFigures | None:
        """Return what the operations of a repair change; None if they set right what may have been counted wrong."""
        for cf, key, _ in ops:
            if cf in (CF.CONTENTS, CF.CHUNKS) or (cf == CF.REFERENCES and key[:1] != CONTENT_REFERENCE):
                return None
        return self.change(ops)

    def change(self, ops: Iterable[Op]) -> ContentFigures | None:
        """Return what operations change, by a look at what they replace; None if it concerns damaged content."""
        if self._is_doubtful():
            return None
        last = {(cf, key): value for cf, key, value in ops if cf in (CF.CONTENTS, CF.REFERENCES, CF.CHUNKS)}
        artifacts = logical = count = unique = stored = 0
        try:
            for (cf, key), value in last.items():
                if cf == CF.CONTENTS:
                    for sign, record in ((-1, self._before(cf, key)), (1, value)):
                        if record is not None:
                            size, stored_size, blob, *_ = unseal(key, record)
                            count, unique = count + sign, unique + sign * size
                            stored += 0 if blob is not None else sign * stored_size
                elif cf == CF.CHUNKS and key[:1] == CHUNK:
                    if value is not None:
                        stored += len(value) - 1
                    stored -= self._contents.chunk_bytes(key[1:])
                elif cf == CF.REFERENCES and key[:1] == CONTENT_REFERENCE:
                    sign = (value is not None) - (self._before(cf, key) is not None)
                    if sign:
                        digest = key[1:33]
                        record = self._before(CF.CONTENTS, digest) or last.get((CF.CONTENTS, digest))
                        if record is None:
                            return None
                        artifacts += sign * (key[49:50] == ARTIFACT)
                        logical += sign * unseal(digest, record)[0]
        except (IntegrityError, SchemaTooNew):
            return None
        return ContentFigures(artifacts, logical, count, unique, stored)

    def _is_doubtful(self) -> bool:
        found, self._contents.doubtful = self._contents.doubtful, False
        return found

    def _before(self, cf: int, key: bytes) -> bytes | None:
        # Where nothing was, the filters tell without a search.
        return self._engine.get(cf, key) if self._engine.may_exist(cf, key) else None

    # -- keeping them; in the writer's turn

    def take(self) -> ContentFigures | None:
        """Take the figures out while a batch is written, and return them; None if they are unknown. Until they are
        given back they stay unknown."""
        known, self._known = self._known, None
        return known

    def give(self, known: ContentFigures | None, change: ContentFigures | None = NOTHING) -> None:
        """Put the figures back, with what was changed; None stands for unknown."""
        self._known = joined(known, change)

    def forget(self) -> None:
        """Forget the figures: the next caller has everything counted."""
        self._known = None

    def leave(self) -> None:
        """Write the figures for the next opening, as the last write of all."""
        if self._known is not None:
            figures = [self._engine.moment(), *self._known]
            self._engine.write([(CF.META, TOTALS_KEY, seal(TOTALS_KEY, figures))])

    def _left(self) -> ContentFigures | None:
        """Return what the last close has left; None if it left nothing, or if anything was written since: by a
        greenroom that does not know these figures."""
        record = self._engine.get(CF.META, TOTALS_KEY)
        try:
            moment, *figures = unseal(TOTALS_KEY, record) if record is not None else [-1]
        except (IntegrityError, SchemaTooNew):
            return None
        is_last = moment + 1 == self._engine.moment()
        return ContentFigures(*figures) if is_last and len(figures) == len(NOTHING) else None

    # -- reading

    def figures(self) -> ContentFigures:
        """Return the figures of all content."""
        found = self._left() if self._engine.read_only else self._known
        if found is None and self._engine.read_only:
            found = self._count()
        while found is None:
            self.in_turn(self._learn)
            found = self._known
        return found

    def miscounted(self) -> bool:
        """Return whether the figures differ from the result of counting. Certain only in the writer's turn."""
        known = self._left() if self._engine.read_only else self._known
        return known is not None and known != self._count()

    def _learn(self) -> None:
        if self._known is None:
            self._known = self._count()

    def _count(self) -> ContentFigures:
        contents, unique, stored = self._contents.usage()
        artifacts = logical = 0
        for size, kind in self._contents.uses():
            artifacts += kind == ARTIFACT
            logical += size
        return ContentFigures(artifacts, logical, contents, unique, stored)
