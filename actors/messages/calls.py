"""Messages that call tools and agents, and that journal how a call or a script ended, and what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Unpack

from greenroom.storage.codec.records import Value, checked_data, pack_value, unpack_value
from greenroom.storage.common.arguments import as_seconds, as_text
from greenroom.storage.content.chunks import Encoded
from greenroom.storage.engine.engine import Durability
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError
from greenroom.storage.events.calls import RECORDING_EVENTS, large_fields

from .core import Command, How, Query, Reply

__all__ = [
    "MAX_CALL_NAME",
    "MAX_INPUT_BYTES",
    "Call",
    "CallAgent",
    "CallTool",
    "Called",
    "RecallCall",
    "RecordCall",
    "RecordReturn",
    "RecordScript",
    "RecordTape",
    "Recorded",
    "packed_input",
]

MAX_CALL_NAME: Final = 255

MAX_INPUT_BYTES: Final = 16 << 20


class Call(Command[Any]):
    """Base of `CallTool` and `CallAgent`. `timeout` is in seconds; None stands for the callable's own, or else the
    runtime's. A caller who asks with a shorter timeout waits only that long, and the call ends with it."""

    __slots__ = ("name", "on_piece", "packed", "stage", "subject", "timeout")
    batched = False
    preparation = "call"

    def __init__(
        self,
        name: str,
        input: object = None,
        *,
        timeout: float | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.name = as_text("name", name, MAX_CALL_NAME)
        self.packed = packed_input(input)
        self.timeout = as_seconds("timeout", timeout, endless=True) if timeout is not None else None
        self.subject: Any = None
        """What to call, if it cannot be found by its name. Only the runtime itself sets it."""
        self.on_piece: Callable[[str], object] | None = None
        """Gets the text of an agent piece by piece, on the caller's thread. Only the runtime itself sets it."""
        self.stage: str | None = None
        """The stage of a workflow that makes the call, to be journaled with it. Only the runtime itself sets it."""

    @property
    def input(self) -> Value:
        return unpack_value(self.packed)


class CallTool(Call):
    """Call a tool with an object of arguments, of at most 16 MiB encoded. Replies its result, a JSON value or bytes.

    Raises InvalidOperation for an unknown tool, ValidationError for an input that does not fit the tool's schema,
    OperationTimeout, HookCancelled, and CallFailed with the tool's own exception as its cause.
    """

    __slots__ = ()
    rate = "tool_execution"


class CallAgent(Call):
    """Call an agent by its name or a model's, with any JSON value of at most 16 MiB. Replies AgentReply.

    Raises the same errors as `CallTool`.
    """

    __slots__ = ()
    rate = "llm_call"


def packed_input(value: object) -> bytes:
    """Encode an input. Raises ValidationError, or ResourceLimitExceeded for more than 16 MiB."""
    packed = pack_value(value, "input")
    if len(packed) > MAX_INPUT_BYTES:
        raise ResourceLimitExceeded(
            f"an input may have {MAX_INPUT_BYTES} bytes, this one has {len(packed)}: store an artifact and pass its id",
            resource="input_bytes",
            limit=MAX_INPUT_BYTES,
            value=len(packed),
        )
    return packed


class Called(NamedTuple):
    """Describes a call that a session has journaled: the event's sequence and id, the session's own correlation id, and
    whether outputs are collected as artifacts."""

    sequence: int
    event_id: str
    correlation_id: str | None
    collect: bool


class RecallCall(Query[tuple[Any] | None]):
    """Ask what a call with the same idempotency key returned. Replies the result in a tuple, as a JSON value or bytes;
    None if it is not known."""

    __slots__ = ("call",)
    whole = 0
    rate = None
    hookable = False

    def __init__(self, call: Call) -> None:
        self.call = call


class Recorded(Command[Reply]):
    """Base of the commands that journal something about a call. Large fields of the event become content on the
    way."""

    __slots__ = ("data", "encoded", "large", "preparation", "type")
    batched = False
    rate = None

    def __init__(
        self,
        type: str,
        data: dict[str, Any],
        collected: bytes | None = None,
        durability: Durability | None = None,
        *,
        sound: bool = False,
    ) -> None:
        """`collected` is the content of the artifact that has the whole result. `sound`: the data are known to be such
        as can be stored."""
        super().__init__(durability=durability)
        self.type = type
        self.data, self.large = large_fields(type, data if sound else checked_data(data), collected)
        """The data of the event without its large fields, and their contents by name."""
        self.preparation = "content" if self.large else None  # type: ignore[misc]
        self.encoded: dict[str, Encoded] | None = None

    @property
    def content_bytes(self) -> int:
        return sum(len(content) for content in self.large.values())

    def carried(self) -> list[tuple[Any, Any]]:
        return [(encoded, self.large[name]) for name, encoded in (self.encoded or {}).items()]

    def stored_fields(self) -> dict[str, Any]:
        """Return the data of the event."""
        if not self.encoded:
            return self.data
        return {**self.data, **{f"{name}_hash": encoded.hash for name, encoded in self.encoded.items()}}


class RecordCall(Recorded[Called]):
    """Journal that a tool or an agent (`kind`) is called. Replies Called."""

    __slots__ = ("kind",)

    def __init__(self, kind: str, data: dict[str, Any], *, sound: bool = False) -> None:
        super().__init__(f"{kind}.called", data, sound=sound)
        self.kind = kind


class RecordReturn(Recorded[None]):
    """Journal how a call ended. Works until the session has ended, whatever its limits say. Replies None.

    With `key`, the idempotency key of the call, the result is what that call is answered when it is sent again."""

    __slots__ = ("key", "kind")
    note = True

    def __init__(
        self,
        kind: str,
        data: dict[str, Any],
        durability: Durability | None = None,
        key: str | None = None,
        collected: bytes | None = None,
        *,
        sound: bool = False,
    ) -> None:
        super().__init__(f"{kind}.returned", data, collected, durability, sound=sound)
        self.kind = kind
        self.key = key


class RecordScript(Recorded[Called | None]):
    """Journal that a script begins (`script.started`) or has ended. Replies Called; None if the session, which is not
    active or has made all its operations, takes no new script. The end of one that began is always journaled."""

    __slots__ = ()
    note = True

    def __init__(self, type: str, data: dict[str, Any]) -> None:
        # Nobody waits for the disk because of a record like this.
        super().__init__(type, data, durability=Durability.WAL)


class RecordTape(Recorded[Called]):
    """Journal what stands on a tape: that a recording begins (`recording.started`) or has ended, a call that has
    crossed a boundary, or quick reads. Replies Called.

    A recording begins in an active session that may still make operations. What belongs to one that has begun is
    journaled as long as the session has not ended, whatever its limits say: it counts as no operation, and no policy
    stops it halfway.
    """

    __slots__ = ()
    note = True
    hookable = False

    def __init__(
        self, type: str, data: dict[str, Any], durability: Durability | None = None, *, sound: bool = False
    ) -> None:
        """`sound`: the data are known to be such as can be stored."""
        if type not in RECORDING_EVENTS:
            raise ValidationError(f"type: one of {', '.join(sorted(RECORDING_EVENTS))}", field="type")
        super().__init__(type, data, durability=durability, sound=sound)
