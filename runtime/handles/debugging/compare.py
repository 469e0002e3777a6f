"""Compare two sessions: where they stopped being the same, and what each did alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgpack
from blake3 import blake3

from greenroom.runtime.handles.reading.past import PastState
from greenroom.storage.codec.records import Json
from greenroom.storage.common.message_text import text_of_message
from greenroom.storage.events.model import Event, StoredEvent, shown_type
from greenroom.storage.events.turns import sequences_of

from .alignment import Block, opcodes
from .diff import by_name
from .recorded import Recorded
from .values import StateChange, brief, differences

__all__ = ["CallCounts", "ComparedSide", "Comparison", "Segment", "compared"]

_SEGMENTS: Final = 1000
_LISTED: Final = 100
_TEXT: Final = 2000


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of both journals: ranges (first, last) of sequences, None where one has nothing. `kind` is same, changed,
    only_a or only_b."""

    kind: Literal["same", "changed", "only_a", "only_b"]
    a: tuple[int, int] | None
    b: tuple[int, int] | None

    def to_dict(self) -> dict[str, Json]:
        return {
            "kind": self.kind,
            "a": list(self.a) if self.a is not None else None,
            "b": list(self.b) if self.b is not None else None,
        }


@dataclass(frozen=True, slots=True)
class CallCounts:
    """How often a tool or an agent was called, and how many of the calls failed, in each of two sessions."""

    a: int = 0
    b: int = 0
    a_failed: int = 0
    b_failed: int = 0

    def __str__(self) -> str:
        failed = f", {self.a_failed} and {self.b_failed} failed" if self.a_failed or self.b_failed else ""
        return f"{self.a} and {self.b} call{'s' if self.b != 1 else ''}{failed}"

    def to_dict(self) -> dict[str, Json]:
        return {"a": self.a, "b": self.b, "a_failed": self.a_failed, "b_failed": self.b_failed}


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """What one of two compared sessions did alone, and what it used in all. `types` counts its own events by type,
    `first` is the first of them, None if there is none. Tokens, cost and seconds are None where nothing is recorded."""

    session_id: str
    events: int
    alone: int
    types: dict[str, int] = field(default_factory=dict)
    first: Event | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Json]:
        return {
            "session_id": self.session_id,
            "events": self.events,
            "alone": self.alone,
            "types": dict(self.types),
            "first": self.first.to_dict() if self.first is not None else None,
            "tokens": self.tokens,
            "cost_usd": self.cost_usd,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sessions side by side. Times, ids and durations do not count.

    `common` is the last event up to which both are the same, 0 if there is none; `identical` says whether that is all
    of both, and nothing else is different. `segments` align what follows (the first 1000). `state`, `conversation`,
    `artifacts` and `calls` say what is different in the end; `a` and `b` what each did alone.
    """

    common: int
    identical: bool
    a: ComparedSide
    b: ComparedSide
    segments: tuple[Segment, ...]
    state: tuple[StateChange, ...]
    conversation: tuple[StateChange, ...]
    artifacts: tuple[StateChange, ...]
    calls: dict[str, CallCounts]
    begin: int = 0
    """The event from which the comparison could begin, where retention has truncated a journal."""

    def __repr__(self) -> str:
        return f"<Comparison of {self.a.session_id} and {self.b.session_id}: the same up to event {self.common}>"

    def __str__(self) -> str:
        a, b = self.a, self.b
        if self.identical:
            return f"the same: {a.events} events each"
        lines = [f"the same up to event {self.common}"]
        for name, side in (("A", a), ("B", b)):
            first = f", first {side.first.sequence} {side.first.type}" if side.first is not None else ""
            lines.append(f"{name} {side.session_id}: {side.alone} of {side.events} events alone{first}")
            lines += [f"    {count} x {type_}" for type_, count in side.types.items()]
        for title, found in (("state", self.state), ("conversation", self.conversation), ("artifacts", self.artifacts)):
            if found:
                lines.append(f"{title}:")
                lines += [f"  {each}" for each in found]
        different = {
            name: each for name, each in self.calls.items() if (each.a, each.a_failed) != (each.b, each.b_failed)
        }
        lines += [f"{name}: {each}" for name, each in different.items()]
        for unit, one, other in (("tokens", a.tokens, b.tokens), ("USD", a.cost_usd, b.cost_usd)):
            if one is not None or other is not None:
                lines.append(f"{one or 0:g} {unit} and {other or 0:g}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Json]:
        """Return everything by name as JSON values."""
        return {
            "common": self.common,
            "identical": self.identical,
            "begin": self.begin,
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "segments": [each.to_dict() for each in self.segments],
            "state": [each.to_dict() for each in self.state],
            "conversation": [each.to_dict() for each in self.conversation],
            "artifacts": [each.to_dict() for each in self.artifacts],
            "calls": {name: each.to_dict() for name, each in self.calls.items()},
        }


class _Read:
    """One session, read once: what its events say, and what they count."""

    def __init__(self, recorded: Recorded, begin: int) -> None:
        self.recorded = recorded
        self.begin = begin
        self.placed: list[bytes] = []
        self.loose: list[bytes] = []
        self.types: list[str] = []
        self.calls: Counter[tuple[str, bool]] = Counter()
        """How often each was called (True), and how often it failed (False)."""
        self.tokens: int | None = None
        self.cost: int | None = None
        self.began = self.ended = 0
        own = recorded.id
        for sequence, stored in recorded.stored(0, recorded.last):
            self._count(stored)
            if sequence > begin:
                self.placed.append(content_of(stored, own, placed=True))
                self.loose.append(content_of(stored, own, placed=False))
                self.types.append(shown_type(stored.type))

    def _count(self, stored: StoredEvent) -> None:
        self.began = self.began or stored.time
        self.ended = stored.time
        kind, _, what = stored.type.partition(".")
        if kind not in ("tool", "agent") or what not in ("called", "returned"):
            return
        data = stored.data
        if what == "called":
            self.calls[f"{kind}:{data['name']}", True] += 1
        elif data.get("success") is False:
            self.calls[f"{kind}:{data['name']}", False] += 1
        usage, cost = data.get("usage"), data.get("cost_microusd")
        if isinstance(usage, dict):
            self.tokens = (self.tokens or 0) + int(usage.get("total_tokens") or 0)
        if isinstance(cost, int):
            self.cost = (self.cost or 0) + cost

    def side(self, alone: Counter[str], first: int | None) -> ComparedSide:
        return ComparedSide(
            session_id=self.recorded.id,
            events=self.recorded.last,
            alone=alone.total(),
            types=dict(alone.most_common()),
            first=self.recorded.event(first) if first is not None else None,
            tokens=self.tokens,
            cost_usd=self.cost / 1e6 if self.cost is not None else None,
            seconds=(self.ended - self.began) / 1e9,
        )


# -- what an event says, apart from when, how long, and under which ids


_pack: Callable[[Any], bytes] = msgpack.Packer(unicode_errors="surrogatepass", default=repr).pack

_VOLATILE: Final = frozenset(
    {
        "duration", "hook_id", "run_id", "instructions", "expires_at", "ends_at", "left", "lasted", "warned", "parent",
        "from_session", "stored_size", "dropped_key", "correlation_id", "is_compressed", "artifact", "blob",
    }
)  # fmt: skip
"""Fields with times, durations and ids."""
_PLACES: Final = frozenset(
    {"call", "sequence", "previous", "base", "content_at", "metadata_at", "head", "approval", "turns", "version"}
)
"""Fields with the sequences of other events, and numbers that follow from what was before."""
_FIRST: Final = "session.created"


def content_of(stored: StoredEvent, own_id: str, *, placed: bool) -> bytes:
    """Return a digest of what an event says. `placed` counts the sequences that it names, too: two journals that have
    been the same so far name the same ones.

    How a session was created does not count: two sessions may have other names and do the same.
    """
    if stored.type == _FIRST:
        return b""
    facts: list[Any] = [stored.type]
    for name, value in sorted(stored.data.items()):
        if name in _VOLATILE:
            continue
        if name in _PLACES and not placed:
            if name == "turns":
                facts += (name, sum(1 for _ in sequences_of(stored.data)))
            continue
        if name == "changes" and isinstance(value, list):
            value = [each[:2] if isinstance(each, list) else each for each in value]
        elif isinstance(value, str) and own_id in value:
            value = value.replace(own_id, "")
        facts += (name, value)
    return blake3(_pack(facts)).digest(length=16)


# -- the comparison


def compared(a: Recorded, b: Recorded) -> Comparison:
    """Compare two sessions. Raises what reading them raises."""
    begin = max(each.history.begin for each in (a, b))
    # A journal that retention has truncated begins with the state at its base. Whether they were the same before shows
    # in the states of that moment.
    together = not begin or (begin <= min(a.last, b.last) and _alike(a.moment(begin), b.moment(begin)))
    one, other = (_Read(each, begin if together else each.history.begin) for each in (a, b))
    same = 0
    for mine, its in zip(one.placed, other.placed, strict=False) if together else ():
        if mine != its:
            break
        same += 1
    blocks = opcodes(one.loose[same:], other.loose[same:])
    alone = [Counter[str](), Counter[str]()]
    for block in blocks:
        if block.tag != "equal":
            alone[0].update(one.types[same + block.begin : same + block.end])
            alone[1].update(other.types[same + block.other_begin : same + block.other_end])
    common = begin + same if together else 0
    from_a, from_b = one.begin + same, other.begin + same
    changed = [each for each in blocks if each.tag != "equal"]
    first_a = next((from_a + each.begin + 1 for each in changed if each.end > each.begin), None)
    first_b = next((from_b + each.other_begin + 1 for each in changed if each.other_end > each.other_begin), None)
    segments = [Segment("same", (begin + 1, common), (begin + 1, common))] if same else []
    segments += [_segment(each, from_a, from_b) for each in blocks[:_SEGMENTS]]
    state_a: dict[str, Any] = a.moment(a.last).to_dict()
    state_b: dict[str, Any] = b.moment(b.last).to_dict()
    state = tuple(differences(_outline(state_a), _outline(state_b))[0])
    conversation = tuple(_conversation(state_a["messages"], state_b["messages"]))
    artifacts = tuple(differences(_artifacts(state_a), _artifacts(state_b))[0])
    return Comparison(
        common=common,
        identical=together and not (changed or state or conversation or artifacts),
        a=one.side(alone[0], first_a),
        b=other.side(alone[1], first_b),
        segments=tuple(segments[:_SEGMENTS]),
        state=state,
        conversation=conversation,
        artifacts=artifacts,
        calls=_calls(one, other),
        begin=begin,
    )


def _alike(one: PastState, other: PastState) -> bool:
    """Return whether two moments are the same but for times and ids."""
    a: dict[str, Any] = one.to_dict()
    b: dict[str, Any] = other.to_dict()
    return not (
        differences(_outline(a), _outline(b))[0]
        or _conversation(a["messages"], b["messages"])
        or differences(_artifacts(a), _artifacts(b))[0]
    )


_KINDS: Final[dict[str, Literal["same", "changed", "only_a", "only_b"]]] = {
    "equal": "same",
    "replace": "changed",
    "delete": "only_a",
    "insert": "only_b",
}


def _segment(block: Block, from_a: int, from_b: int) -> Segment:
    a = (from_a + block.begin + 1, from_a + block.end) if block.end > block.begin else None
    b = (from_b + block.other_begin + 1, from_b + block.other_end) if block.other_end > block.other_begin else None
    return Segment(_KINDS[block.tag], a, b)


def _outline(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two states are compared by besides conversation and artifacts: no times, no ids."""
    found = by_name(state)
    for name in ("messages", "artifacts", "parent_session_id"):
        del found[name]
    found["approvals"] = {
        number: {name: each[name] for name in ("question", "status", "value", "answered_by", "reason")}
        for number, each in enumerate(state["approvals"], 1)
    }
    return found


def _artifacts(state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "artifacts": {
            name: {key: value for key, value in each.items() if key not in ("created_at", "parent_artifact")}
            for name, each in by_name(state)["artifacts"].items()
        }
    }


def _conversation(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[StateChange]:
    found: list[StateChange] = []
    for tag, i1, i2, j1, j2 in opcodes(map(_said, one), map(_said, other)):
        if tag == "equal":
            continue
        found += [StateChange(("messages", each["sequence"]), "removed", _shown(each), None) for each in one[i1:i2]]
        found += [StateChange(("messages", each["sequence"]), "added", None, _shown(each)) for each in other[j1:j2]]
    return found[:_LISTED]


def _said(message: Mapping[str, Any]) -> str:
    return repr([message[name] for name in ("role", "content", "name", "tool_calls", "tool_call_id")])


def _shown(message: Mapping[str, Any]) -> Json:
    text = text_of_message(message["content"], message["metadata"])
    if len(text) > _TEXT:
        text = f"{text[:_TEXT]}... ({len(text)} characters)"
    return f"{message['role']}: {text}" if text else brief({"role": message["role"], "calls": message["tool_calls"]})


def _calls(one: _Read, other: _Read) -> dict[str, CallCounts]:
    names = sorted({name for name, _ in (*one.calls, *other.calls)})
    return {
        name: CallCounts(
            one.calls[name, True], other.calls[name, True], one.calls[name, False], other.calls[name, False]
        )
        for name in names
    }
