"""The values of channels: how they are written, and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, Checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from greenroom.runtime import IntegrityError, Session, ValidationError

from ..keys import shown
from .rows import INLINE, Held, Typed, digest_of, mark_of, packed_value, typed_value
from .trees import digests_in, elements_of, is_long, joined, leaves_of, write_list, write_tree
from .values import Values

__all__ = ["ChannelSaver"]


class ChannelSaver(BaseCheckpointSaver[str]):
    """The part of a saver that knows how the values of channels are kept: by their hashes, a long list as a tree."""

    _values: Values

    def _typed(self, value: object, what: str) -> Typed:
        return self._all_typed([value], what)[0]

    def _all_typed(self, values: Sequence[object], what: str) -> list[Typed]:
        dumps = self.serde.dumps_typed
        try:
            return [dumps(each) for each in values]
        except Exception as error:
            raise ValidationError(
                f"{what}: it cannot be serialized: {error}", field=what.split(" ", maxsplit=1)[0]
            ) from error

    def _placed(
        self,
        session: Session | None,
        checkpoint: Checkpoint,
        new_versions: ChannelVersions,
        before: Mapping[str, Held],
        values: dict[bytes, bytes],
    ) -> dict[str, Held]:
        """Return where the value of each channel stands, and add those that are not stored yet to `values`, by their
        hashes."""
        versions = checkpoint.get("channel_versions") or {}
        where: dict[str, Held] = {}
        for name, value in checkpoint.get("channel_values", {}).items():
            mark, was = mark_of(versions.get(name)), before.get(name)
            if was is not None and mark and was.mark == mark and name not in (new_versions or ()):
                where[name] = was
                continue
            before_it = self._digests(session, was) if session is not None and was is not None else ([], [])
            content, split = self._content(value, f"channel {shown(name)}", *before_it, values)
            digest = digest_of(content) if len(content) > INLINE else b""
            where[name] = Held(mark, content if not digest else None, digest, split)
            if digest:
                values[digest] = content
        return where

    def _content(
        self,
        value: object,
        what: str,
        nodes: Sequence[bytes],
        leaves: Sequence[bytes],
        values: dict[bytes, bytes],
    ) -> tuple[bytes, bool]:
        """Return the bytes of a value, and whether they are the top of a tree. Its parts are added to `values`, without
        the nodes and leaves that are stored already, under these hashes."""
        if not is_long(value):
            return packed_value(self._typed(value, what)), False

        known = {*nodes, *leaves}

        def add(digest: bytes, content: bytes) -> None:
            if digest not in known:
                values[digest] = content

        if type(self.serde) is JsonPlusSerializer:
            form, packed = self._typed(value, what)
            if form == "msgpack":
                return write_list(packed, add, self._values.kept(leaves)), True
        return write_tree(self._all_typed(cast("list[object]", value), what), add), True

    def _value(self, session: Session, where: Held) -> Any:
        return self._decoded(self._stored_value(session, where))

    def _stored_value(self, session: Session, where: Held) -> Typed | list[Typed]:
        """Return a value as it was serialized, a list perhaps element by element."""
        content = self._content_of(session, where)
        if not where.split:
            return typed_value(content)
        leaves = leaves_of(content, lambda digests: self._values.read(session, digests))
        if type(self.serde) is JsonPlusSerializer and (packed := joined(leaves)) is not None:
            return "msgpack", packed
        return [*elements_of(leaves)]

    def _decoded(self, stored: Typed | list[Typed]) -> Any:
        if isinstance(stored, tuple):
            return self.serde.loads_typed(stored)
        return [self.serde.loads_typed(each) for each in stored]

    def _content_of(self, session: Session, where: Held) -> bytes:
        """Return the bytes of a value, wherever they stand. Raises IntegrityError if they are no longer there."""
        return where.inline if where.inline is not None else self._values.read(session, [where.hash])[0]

    def _digests(self, session: Session, where: Held) -> tuple[list[bytes], list[bytes]]:
        """Return the hashes of the nodes and of the leaves of a value that is a tree. A tree that has lost a node
        counts as none."""
        if where.split:
            with suppress(IntegrityError):
                top = self._content_of(session, where)
                return digests_in(top, lambda digests: self._values.read(session, digests))
        return [], []
