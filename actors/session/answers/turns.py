"""Read the conversation of a session: its current turns, each from the events that tell of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from greenroom.actors.messages.conversation import Turn, stored_turn
from greenroom.actors.scheduling.futures import WouldWait
from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import INDEX_MESSAGE, after_prefix, sequence_key
from greenroom.storage.common.metering import ROW, counted
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import (
    ADDED,
    CONTENT_FIELDS,
    DELTA,
    EDITED,
    FINISHED,
    STARTED,
    Head,
    has_field,
    parse_head,
)

__all__ = ["read_retracted", "read_turn", "read_turns", "turn_head", "turn_sequences", "turns_of"]

_LAST: Final = (1 << 64) - 1
_number: Final = int.from_bytes


def turn_head(engine: Engine, session: bytes, sequence: int) -> Head | None:
    """Return the head of a current turn; None if there is no such turn."""
    value = engine.get(CF.INDEX, sequence_key(INDEX_MESSAGE + session, sequence))
    return parse_head(sequence, value) if value is not None else None


def turn_sequences(engine: Engine, session: bytes, after: int, *, newest: bool = False) -> list[int]:
    """Return the current turns with a sequence greater than `after`, oldest first; or only the newest of them."""
    prefix = INDEX_MESSAGE + session
    found = engine.scan(
        CF.INDEX, sequence_key(prefix, after + 1), after_prefix(prefix), reverse=newest, limit=1 if newest else None
    )
    return [int.from_bytes(key[-8:], "big") for key, _ in found]


def read_turns(
    store: ArtifactStore, session: bytes, before: int, limit: int | None, count: int, *, brief: bool = False
) -> list[Turn]:
    """Return the newest `limit` turns with a sequence smaller than `before`, oldest first. `count` is the number of all
    turns. With `brief`, raises WouldWait if one of them was edited or streamed, or is large."""
    return store.journal.settled(session, lambda: _read_turns(store, session, before, limit, count, brief=brief))


def turns_of(store: ArtifactStore, session: bytes, heads: Mapping[int, int]) -> list[Turn]:
    """Return turns, oldest first: the sequence that began each → the event that left it as it is wanted."""

    def read() -> list[Turn]:
        encoded = [Head(head).encode() if head != turn else b"" for turn, head in sorted(heads.items())]
        return [*counted(_turns(store, session, sorted(heads), encoded), _facts)]

    return store.journal.settled(session, read)


def read_turn(store: ArtifactStore, session: bytes, turn: int, head: int) -> Turn:
    """Return a turn as the event `head` left it."""

    def read() -> Turn:
        if head == turn:
            return next(_turns(store, session, [turn], [b""]))
        return _later_turn(store, session, turn, head)

    return store.journal.settled(session, read)


def read_retracted(store: ArtifactStore, session: bytes, sequence: int) -> Turn:
    """Return the one turn that an event has retracted, as it was last."""
    data = store.journal.settled(session, lambda: store.journal.stored(session, sequence)).data
    turn = data["turns"][0][0]
    return read_turn(store, session, turn, data.get("head", turn))


def _read_turns(
    store: ArtifactStore, session: bytes, before: int, limit: int | None, count: int, *, brief: bool
) -> list[Turn]:
    prefix = INDEX_MESSAGE + session
    end = sequence_key(prefix, min(before, _LAST))
    if limit is None or limit >= count:  # each step back costs twice a step forward
        found = store.engine.entries(CF.INDEX, prefix, end)
        found = found if limit is None else found[max(0, len(found) - limit) :]
    else:
        found = store.engine.entries(CF.INDEX, prefix, end, reverse=True, limit=limit)
        found.reverse()
    sequences = [_number(key[-8:]) for key, _ in found]
    heads = [head for _, head in found]
    del found  # few objects that live long spare the garbage collector half of its work
    return [*counted(_turns(store, session, sequences, heads, brief=brief), _facts)]


def _turns(
    store: ArtifactStore, session: bytes, sequences: list[int], heads: list[bytes], *, brief: bool = False
) -> Iterator[Turn]:
    """Yield turns by their entries in the index. A turn whose first event was lost to damage is left out."""
    for head, sequence, fields in zip(heads, sequences, store.journal.many(session, sequences), strict=True):
        data = fields[2]
        if fields[0] == ADDED and not head:
            content = data.get("content")
            if content is None or "tool_calls_hash" in data or "metadata_hash" in data:
                if brief:
                    raise WouldWait
                data = _with_contents(store, data)
                content = data["content"]
            yield stored_turn(sequence, fields[1], data, content)
        elif fields[0] in (ADDED, STARTED):
            if brief:
                raise WouldWait
            yield _later_turn(store, session, sequence, parse_head(sequence, head).sequence)


def _facts(turn: Turn) -> list[Any]:
    return [turn.content, turn.tool_calls, turn.metadata, ROW]


def _later_turn(store: ArtifactStore, session: bytes, turn: int, head: int) -> Turn:
    """Return a turn that was edited or streamed, as the event `head` left it: what began it, under what its stream
    ended with, under its newest edits."""
    journal = store.journal
    began = journal.stored(session, turn)
    newest = journal.stored(session, head) if head != turn else began
    base, edits, edited = newest, {}, None
    if newest.type == EDITED:
        edited = newest.time
        base = journal.stored(session, newest.data["base"]) if "base" in newest.data else began
        for name in ("content", "metadata"):
            at = newest.data.get(f"{name}_at")
            edit = newest.data if at is None else journal.stored(session, at).data
            if has_field(edit, name):
                edits[name] = edit
    data = dict(began.data)
    if base.type == FINISHED:
        for name in CONTENT_FIELDS:
            _put(data, base.data, name)
    for name, edit in edits.items():
        _put(data, edit, name)
    data = _with_contents(store, data)
    if "content" in edits or base.type in (ADDED, FINISHED):
        partial = "content" not in edits and base.data.get("partial", False)
        return stored_turn(turn, began.time, data, data["content"], edited, partial)
    return stored_turn(turn, began.time, data, _written(store, session, base), edited, True)


def _written(store: ArtifactStore, session: bytes, delta: StoredEvent) -> str:
    """Return the text of a stream up to a delta."""
    texts: list[str] = []
    while delta.type == DELTA:
        texts.append(delta.data["text"])
        previous = delta.data.get("previous")
        if previous is None:
            break
        delta = store.journal.stored(session, previous)
    return "".join(reversed(texts))


def _put(data: dict[str, Any], source: dict[str, Any], name: str) -> None:
    """Replace a field of a turn by the one in `source`, if it has one."""
    if has_field(source, name):
        names = (name, f"{name}_hash", *(("text",) if name == "content" else ()))
        for each in names:
            data.pop(each, None)
        data.update((each, source[each]) for each in names if each in source)


def _with_contents(store: ArtifactStore, data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a turn with those that are stored as content."""
    fields = dict(data)
    for name in CONTENT_FIELDS:
        digest = fields.pop(f"{name}_hash", None)
        if digest is not None:
            stored: Any = store.contents.read(digest)
            as_text = name == "content" and data["text"]
            fields[name] = stored.decode("utf-8", "surrogatepass") if as_text else stored
    return fields
