"""The changes that a fork begins with: commands about its conversation, variables and description, and two that name
what they replace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from greenroom.actors.messages.calls import MAX_CALL_NAME, Recorded
from greenroom.actors.messages.checks import MAX_BATCH, MAX_NAME
from greenroom.actors.messages.conversation import (
    AddMessage,
    AddMessages,
    ClearMessages,
    EditMessage,
    PopMessage,
    RetractMessage,
    TruncateMessages,
)
from greenroom.actors.messages.core import Command, unpacked
from greenroom.actors.messages.lifecycle import (
    AddTag,
    DescribeSession,
    RemoveTag,
    RenameSession,
    SetTags,
    UpdateMetadata,
)
from greenroom.actors.messages.values.records import DeleteRecords, PutRecords
from greenroom.actors.messages.values.variables import DeleteVariable, SetVariable
from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.common.arguments import as_items, as_mapping, as_number, as_text, kind_of
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError
from greenroom.storage.events.calls import RESULT_CHANGED

__all__ = ["Change", "RecordToolResult", "ReplaceSystemPrompt", "ReplaceToolResult", "fork_changes"]

_MAX_RESULT_BYTES: Final = 16 << 20
"""A result is kept in its event, like the results of tools."""
_COMMANDS: Final = (
    SetVariable,
    DeleteVariable,
    AddMessage,
    AddMessages,
    EditMessage,
    RetractMessage,
    PopMessage,
    TruncateMessages,
    ClearMessages,
    AddTag,
    RemoveTag,
    SetTags,
    UpdateMetadata,
    RenameSession,
    DescribeSession,
    PutRecords,
    DeleteRecords,
)
"""What a fork may begin with: what concerns nothing but the fork itself."""


class ReplaceSystemPrompt:
    """Replace the system prompt of a fork's conversation: the content of its first message with the role system or
    developer. A conversation without one gets a message with the role system."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = as_text("text", text, 1 << 24, empty=True)

    def __repr__(self) -> str:
        return f"<ReplaceSystemPrompt of {len(self.text)} characters>"


class ReplaceToolResult:
    """Replace what a tool has returned, in a fork.

    `call` is the sequence of a `tool.called` event, or the `tool_call_id` of a message. For an event, the fork journals
    the new result as `tool.result_changed`, and changes the one message after the call that holds the recorded result,
    if there is one. For an id, it changes the messages that answer that call. A result that is no text becomes JSON
    there.
    """

    __slots__ = ("call", "packed")

    def __init__(self, call: int | str, result: object) -> None:
        self.call = as_text("call", call, MAX_NAME) if issubclass(type(call), str) else as_number("call", call, 1)
        self.packed = _packed_result(result)

    @property
    def result(self) -> Value:
        """The new result, a JSON value or bytes."""
        return unpack_value(self.packed)

    def __repr__(self) -> str:
        return f"<ReplaceToolResult of call {str(self.call)[:64]}>"


Change = Command[Any] | ReplaceSystemPrompt | ReplaceToolResult
"""One change that a fork begins with."""


class RecordToolResult(Recorded[None]):
    """Journal that the result of a recorded call counts as another one from here on. Only forks do this. Replies
    None."""

    __slots__ = ("call", "name", "packed")
    batched = True
    hookable = False
    shown = {"result": unpacked("packed")}

    def __init__(self, call: int, name: str, result: object) -> None:
        self.call = as_number("call", call, 1)
        self.name = as_text("name", name, MAX_CALL_NAME)
        self.packed = _packed_result(result)
        super().__init__(RESULT_CHANGED, {"name": self.name, "call": self.call, "result": self.packed})


def _packed_result(result: object) -> bytes:
    packed = pack_value(result, "result")
    if len(packed) > _MAX_RESULT_BYTES:
        raise ResourceLimitExceeded(
            f"the result of a tool may have {_MAX_RESULT_BYTES} bytes here, this one has {len(packed)}",
            resource="result_bytes",
            limit=_MAX_RESULT_BYTES,
            value=len(packed),
        )
    return packed


def fork_changes(given: object) -> list[Change]:
    """Return checked changes from a list of them, or from a mapping with the names of `_READERS`.

    Raises ValidationError, and what making the commands raises.
    """
    if given is None:
        return []
    if issubclass(type(given), Mapping):
        return _of_mapping(given)
    changes = as_items("changes", given, MAX_BATCH, "a list of changes, or an object,")
    for place, each in enumerate(changes):
        kind = type(each)
        if kind in (ReplaceSystemPrompt, ReplaceToolResult):
            continue
        if kind not in _COMMANDS:
            raise ValidationError(
                f"changes[{place}]: a fork does not begin with {kind_of(each)}: give messages such as SetVariable, "
                "EditMessage, RetractMessage, AddMessage, ReplaceSystemPrompt, ReplaceToolResult or AddTag",
                field=f"changes[{place}]",
            )
        if each.durability is not None or each.condition is not None:
            raise ValidationError(
                f"changes[{place}]: durability and conditions are the fork's own: a change takes none",
                field=f"changes[{place}]",
            )
    return changes


def _by_sequence(field: str, given: object) -> list[tuple[int, Any]]:
    """Return the entries of an object whose keys are sequences, as numbers or, as in JSON, as text."""
    if not issubclass(type(given), Mapping):
        raise ValidationError(f"{field}: an object by the sequences of messages is needed", field=field)
    texts = as_mapping(field, {_digits(key): value for key, value in given.items()})  # type: ignore[attr-defined]
    return [(_sequence(field, key), value) for key, value in texts.items()]


def _digits(key: object) -> object:
    return str(key) if type(key) is int else key


def _sequence(field: str, given: object) -> int:
    if type(given) is str and given.isascii() and given.isdigit() and len(given) < 20:
        given = int(given)
    return as_number(field, given, 1)


def _calls(given: object) -> list[Change]:
    found: list[Change] = []
    for key, result in (given if type(given) is dict else as_mapping("tool_results", given)).items():
        number = type(key) is str and key.isascii() and key.isdigit() and len(key) < 20
        found.append(ReplaceToolResult(int(key) if number else key, result))
    return found


_READERS: Final[dict[str, Callable[[Any], Iterable[Change]]]] = {
    "system_prompt": lambda text: [ReplaceSystemPrompt(text)],
    "edit_messages": lambda given: [
        EditMessage(sequence, content=content) for sequence, content in _by_sequence("edit_messages", given)
    ],
    "drop_messages": lambda given: [
        RetractMessage(_sequence("drop_messages", each)) for each in as_items("drop_messages", given, MAX_BATCH)
    ],
    "tool_results": _calls,
    "add_messages": lambda given: [AddMessages(given)],
    "variables": lambda given: [SetVariable(key, value) for key, value in as_mapping("variables", given).items()],
    "delete_variables": lambda given: [DeleteVariable(each) for each in as_items("delete_variables", given, MAX_BATCH)],
    "tags": lambda given: [AddTag(each) for each in as_items("tags", given, MAX_BATCH)],
}
"""The entries of a mapping of changes, in the order in which they are made."""


def _of_mapping(given: object) -> list[Change]:
    fields = as_mapping("changes", given)
    for name in fields:
        if name not in _READERS:
            raise ValidationError(
                f"changes: there is no {name[:64]!r}: the entries are {', '.join(_READERS)}", field="changes"
            )
    found = [change for name, read in _READERS.items() if name in fields for change in read(fields[name])]
    return as_items("changes", found, MAX_BATCH)
