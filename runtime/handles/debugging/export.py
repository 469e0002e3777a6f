"""Write the debugging data of a session as JSON, and read them again without a store.

The file is one object: `format`, `version`, `session_id`, `first`, `last`, `position`, `notes`, `breakpoints`,
`comparisons`, `errors`, `state` (the session at the end, as `PastState.to_dict` has it), `base` (the state with which a
truncated journal begins, or null), `events` and `contents` (large texts by hash). An event has `sequence`, `type`,
`time` (ns since the epoch), `data`, `totals` and `context`, as docs/format.md describes them, with encoded values
decoded; `nil` names those that are not there at all. Bytes are {"$bytes": base64}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from greenroom.actors.replay.offline import offline_history
from greenroom.actors.scheduling.operation import require_run
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.session_ids import is_session_id
from greenroom.storage.errors import GreenroomError, ReplayError, StorageError, ValidationError
from greenroom.storage.events.model import ENCODED_FIELDS, PUBLISHED, PUBLISHED_HASH, StoredEvent
from greenroom.storage.events.turns import held_contents
from greenroom.storage.files.regular_file import file_path, open_regular, written_file

from .recorded import Recorded
from .tagged import tagged, untagged

__all__ = ["load_debugging", "write_debugging"]

_FORMAT: Final = "greenroom debugging data"
_VERSION: Final = 1
_PROGRESS: Final = 256
_MAX_BYTES: Final = 2 << 30


def write_debugging(
    path: str | os.PathLike[str],
    recorded: Recorded,
    last: int,
    about: Mapping[str, Any],
    on_progress: Callable[[int, int], object] | None,
) -> int:
    """Write the events up to `last` and everything in `about`, and return the size in bytes."""
    target = file_path(path)
    store, session = recorded.history.store, recorded.history.session
    base = store.journal.base(session)
    head = {
        "format": _FORMAT,
        "version": _VERSION,
        "session_id": recorded.id,
        "first": recorded.first,
        "last": last,
        **about,
        "state": recorded.moment(last).to_dict(),
        "base": {"sequence": base[0], "state": base[1]} if base is not None else None,
    }
    try:
        begin = json.dumps(tagged(head))[:-1] + ', "events": ['
    except (TypeError, ValueError, RecursionError):
        raise ValidationError(
            "breakpoints and comparisons: only JSON values and bytes can be exported", field="breakpoints"
        ) from None
    digests: dict[bytes, None] = {}
    size = 0
    with written_file(target, f"cannot write {target}", require_run) as file:

        def write(text: str) -> None:
            nonlocal size
            size += file.write(text.encode())

        write(begin)
        for count, (sequence, stored) in enumerate(recorded.stored(0, last)):
            write((",\n" if count else "\n") + json.dumps(_row(sequence, stored)))
            digests.update(dict.fromkeys(held_contents(stored.data)))
            if isinstance(stored.data.get(PUBLISHED_HASH), bytes):
                digests[stored.data[PUBLISHED_HASH]] = None
            if on_progress is not None and count % _PROGRESS == 0:
                on_progress(count, last)
        write('\n], "contents": {')
        first = True
        for digest in digests:
            content = store.contents.readable(digest)
            if content is not None:
                write(f"{'' if first else ','}\n{json.dumps(digest.hex())}: {json.dumps(tagged(content))}")
                first = False
        write("\n}}\n")
        if on_progress is not None:
            on_progress(last, last)
    return size


def _row(sequence: int, stored: StoredEvent) -> dict[str, Any]:
    data, nil = dict(stored.data), []
    for name in (*ENCODED_FIELDS.get(stored.type, ()), PUBLISHED):
        if name in data:
            if data[name] is None:
                nil.append(name)
            else:
                data[name] = unpack_value(data[name])
    row = {
        "sequence": sequence,
        "type": stored.type,
        "time": stored.time,
        "data": tagged(data),
        "totals": list(stored.totals),
        "context": tagged(stored.context),
    }
    return {**row, "nil": nil} if nil else row


def load_debugging(path: str | os.PathLike[str]) -> tuple[Recorded, dict[str, Any]]:
    """Return the history in a file, and what else is in it. Raises ReplayError, StorageError."""
    source = file_path(path)
    with open_regular(source, f"cannot read {source}") as file:
        if os.fstat(file.fileno()).st_size > _MAX_BYTES:
            raise StorageError(f"cannot read {source}: it has more than {_MAX_BYTES} bytes")
        try:
            found = json.load(file)
            if not isinstance(found, dict) or found.get("format") != _FORMAT:
                raise ReplayError(f"{source} is no file of debugging data: export one with Debugger.export")
            if found["version"] != _VERSION:
                raise ReplayError(f"{source} has version {found['version']}, this greenroom reads version {_VERSION}")
            return _loaded(found)
        except ReplayError:
            raise
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            OverflowError,
            GreenroomError,
        ) as error:
            raise ReplayError(
                f"{source} is no whole file of debugging data ({type(error).__name__}): export it again"
            ) from error


def _loaded(found: dict[str, Any]) -> tuple[Recorded, dict[str, Any]]:
    session_id = found["session_id"]
    if not is_session_id(session_id):
        raise ValueError("session_id")
    given = untagged(found["base"])
    base = (int(given["sequence"]), bytes(given["state"])) if given is not None else None
    contents = {bytes.fromhex(digest): bytes(untagged(content)) for digest, content in found["contents"].items()}
    history = offline_history(session_id, base, _events(found["events"]), contents)
    recorded = Recorded(history, lambda: history.state(history.last).info())
    about = {name: untagged(found[name]) for name, kind in _ABOUT.items() if isinstance(found[name], kind)}
    if about.keys() != _ABOUT.keys() or not all(isinstance(text, str) for text in about["notes"].values()):
        raise TypeError("notes")
    if history.last != found["last"] or history.first != found["first"]:
        raise ValueError("events are missing")
    for _ in recorded.events():
        pass  # so that an impossible event is refused now, and not when somebody comes to it
    recorded.moment(history.last).to_dict()
    return recorded, about


_ABOUT: Final = {"position": int, "notes": dict, "breakpoints": list, "comparisons": list}


def _events(rows: list[dict[str, Any]]) -> Iterator[tuple[int, StoredEvent]]:
    for row in rows:
        type_, nil = row["type"], row.get("nil", ())
        data, context = untagged(row["data"]), untagged(row["context"])
        if not isinstance(data, dict) or not (context is None or isinstance(context, dict)):
            raise TypeError("data")
        for name in (*ENCODED_FIELDS.get(type_, ()), PUBLISHED):
            if name in data and name not in nil:
                data[name] = pack_value(data[name])
        operations, artifacts, size = map(int, row["totals"])
        yield (
            int(row["sequence"]),
            StoredEvent(str(type_), int(row["time"]), data, operations, artifacts, size, context),
        )
