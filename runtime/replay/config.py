"""How a session is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import pydantic
from annotated_types import Ge, Gt, Le, MaxLen, MinLen

from greenroom.storage.codec.plain import plain
from greenroom.storage.common.validation import Checked, Moment

__all__ = ["Modification", "ReplayConfig", "ReplayMode"]

ReplayMode = Literal["exact", "modified", "simulate", "debug"]
_MOST: Final = (1 << 63) - 1


class Modification(Checked):
    """One change of what was recorded.

    `path` says what, in segments between dots:

    - `variables.KEY`: a variable, each time it is set; `variables.KEY.a.0`: a place within its value;
    - `tools.NAME.input`, `tools.NAME.result`: what a tool is given, and what it returns, each time; the same for
      `agents.NAME`;
    - `messages.SEQUENCE.content` (or `role`, `name`, `metadata`, `tool_calls`): a message of the conversation;
    - `metadata.KEY`, `config.NAME`: the session's metadata and its own configuration;
    - `events.SEQUENCE.data`: the data of any event.

    All but the first of these take a longer path to a place within the value.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    path: Annotated[str, MinLen(1), MaxLen(4096)]
    value: Any

    @pydantic.field_validator("value", mode="after")
    @classmethod
    def _is_json(cls, value: Any) -> Any:
        return plain(value, "value")


class ReplayConfig(Checked):
    """How a session is replayed.

    Modes: `exact` decides everything again as it was recorded, and must come to the same; `modified` does so with
    changes, and compares; `simulate` also runs the tools that were registered with `side_effects=False`, and compares
    what they return; `debug` is exact, and keeps the states on the way.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mode: ReplayMode = "exact"
    target_sequence: Annotated[int, Ge(1), Le(_MOST)] | None = None
    """The last event to replay. None: the newest one."""
    target_time: Moment | None = None
    """The time up to which to replay, instead of `target_sequence`."""
    compare_results: bool = True
    """Compare event by event. Without, nothing is decided again in mode exact: the journal is folded, and its states
    are compared with the digests in snapshots, which takes a fraction of the time."""
    timeout: Annotated[float, Gt(0)] | None = None
    """Seconds after which the replay stops where it is. None: it has all the time."""
    stop_on_error: bool = False
    """Stop at the first command that is refused."""
    modifications: tuple[Modification, ...] = ()
    """The changes of mode `modified`: a list, or a mapping of paths to values."""
    speed: Annotated[float, Ge(0.1), Le(10.0)] | None = None
    """For replays that are controlled (`rt.replays`): how fast recorded time passes. None: time does not matter."""
    max_comparisons: Annotated[int, Ge(0), Le(1_000_000)] = 10_000
    """How many comparisons of events the result keeps. Beyond that, only events that differ are kept, as many again."""
    max_captured_bytes: Annotated[int, Ge(0)] = 64 << 20
    """The bytes of the states that mode `debug` keeps. Beyond that, it keeps every second one, and so on."""

    @pydantic.field_validator("modifications", mode="before")
    @classmethod
    def _from_mapping(cls, given: Any) -> Any:
        """Read a mapping of paths to values."""
        if isinstance(given, Mapping):
            return [{"path": path, "value": value} for path, value in given.items()]
        return given

    @pydantic.model_validator(mode="after")
    def _fits(self) -> ReplayConfig:
        if self.target_sequence is not None and self.target_time is not None:
            raise ValueError("target_time: give a sequence or a time, not both")
        if self.modifications and self.mode != "modified":
            raise ValueError(f'modifications: they are for mode "modified", not for {self.mode!r}')
        return self
