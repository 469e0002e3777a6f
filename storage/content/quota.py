"""Count the bytes of a store's contents, and limit them."""

from __future__ import annotations

from collections.abc import Iterable

from greenroom.storage.codec.keys import QUOTA_KEY
from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.engine.engine import CF, Engine, Op
from greenroom.storage.errors import IntegrityError, ResourceLimitExceeded, SchemaTooNew

__all__ = ["ByteQuota", "forget_count"]


class ByteQuota:
    """Counts the sizes of all distinct contents before compression, each once, however many artifacts and messages have
    it. Only the one writer changes it, so that no two writes can share the last free bytes.
    """

    def __init__(self, engine: Engine, limit: int) -> None:
        self._engine = engine
        self.limit = limit
        self.used = 0
        self._doubtful = False
        self._torn = False
        left = engine.get(CF.META, QUOTA_KEY)
        forget_count(engine)
        try:
            if left is None:
                raise IntegrityError("the store was not closed")
            self.used = unseal(QUOTA_KEY, left)[0]
        except (IntegrityError, SchemaTooNew):
            self.count()

    @property
    def room(self) -> int:
        """The bytes that may still be added."""
        return max(0, self.limit - self.used)

    def growth(self, ops: Iterable[Op]) -> int:
        """Return by how many bytes these operations change the used bytes."""
        if self._torn:
            self.count()
        before: dict[bytes, int] = {}
        after: dict[bytes, int] = {}
        for cf, key, value in ops:
            if cf != CF.CONTENTS:
                continue
            if key not in before:
                before[key] = self._size(key, self._engine.get(CF.CONTENTS, key))
            after[key] = self._size(key, value)
        return sum(after.values()) - sum(before.values())

    def require(self, more: int) -> None:
        """Raise ResourceLimitExceeded unless there is room for so many bytes more."""
        if more > 0 and self.used + more > self.limit:
            raise ResourceLimitExceeded(
                f"the store may have {self.limit} bytes of content; it has {self.used} and this would add {more}: "
                "delete artifacts or sessions, or open it with a larger max_store_bytes",
                resource="store_bytes",
                limit=self.limit,
                value=self.used + more,
            )

    def begin(self) -> None:
        """Note that operations are about to be written. Without a `grown` afterwards, everything is counted again."""
        self._torn = True

    def grown(self, more: int) -> None:
        """Note that the operations are written."""
        self.used += more
        self._torn = False
        if self._doubtful:
            self.count()

    def count(self) -> None:
        """Count all contents anew."""
        self._doubtful = False
        self.used = self._counted()
        self._doubtful = False  # content that cannot be read now was not counted either
        self._torn = False

    def miscounted(self) -> bool:
        """Return whether the used bytes differ from the result of counting. Certain only in the writer's turn."""
        return self.used != self._counted()

    def _counted(self) -> int:
        return sum(self._size(key, value) for key, value in self._engine.pages(CF.CONTENTS, b"", b"\xff" * 33))

    def leave_count(self) -> None:
        """Write the count for the next opening, as one of the last writes."""
        self._engine.write([(CF.META, QUOTA_KEY, seal(QUOTA_KEY, [self.used]))])

    def _size(self, key: bytes, record: bytes | None) -> int:
        if record is None:
            return 0
        try:
            size: int = unseal(key, record)[0]
            return size
        except (IntegrityError, SchemaTooNew):
            self._doubtful = True
            return 0


def forget_count(engine: Engine) -> None:
    """Delete the count that the last close has left: once anything is written, a crash would make it wrong."""
    if not engine.read_only and engine.get(CF.META, QUOTA_KEY) is not None:
        engine.write([(CF.META, QUOTA_KEY, None)])
