"""A sink that keeps what it gets in lists, as it would come back from a disk."""

from __future__ import annotations

import msgpack

from greenroom.runtime.recording.tape.model import Crossing, Reads, Tape


class ListSink:
    def __init__(self) -> None:
        self.tape = Tape({"exit_code": 0})
        self.order: list[str] = []
        self.is_closed = False

    def crossing(self, crossing: Crossing) -> None:
        for name in ("input", "outcome"):
            packed = msgpack.packb(getattr(crossing, name))
            setattr(crossing, name, msgpack.unpackb(packed, strict_map_key=False))
        self.tape.crossings.append(crossing)
        self.order.append(crossing.kind)

    def reads(self, reads: Reads) -> None:
        self.tape.reads.append(reads)
        self.order.append("reads")

    def close(self) -> None:
        self.is_closed = True
