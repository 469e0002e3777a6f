"""Redaction: remove secrets from messages before they are journaled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import Call, RecordCall, RecordReturn, RecordScript, RecordTape
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.events import RecordEvent
from greenroom.actors.messages.internal import RecordHooks, RecordWorkflow
from greenroom.actors.messages.lifecycle import UpdateConfig
from greenroom.actors.messages.parameters import MessageSubject
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import ValidationError
from greenroom.storage.records.model import IS_VALUE

__all__ = ["IDENTITIES", "REDACTED", "Redaction", "Rules"]

logger = logger_of("redaction")

REDACTED: Final = "[redacted]"
Rules = Callable[[str], str] | Iterable[str]

IDENTITIES: Final = frozenset(
    {
        "version",
        "version_of",
        "parent",
        "parent_artifact",
        "session",
        "session_id",
        "with_session",
        "type",
        "role",
        "kind",
        "from_id",
        "to_id",
        "correlation_id",
        "permission",
        "expires_at",
        "durability",
        "config",
    }
)
"""Parameters that name something or choose among existing things. They are no content and are left unchanged."""
_CLEAN_ALREADY: Final = frozenset({RecordCall, RecordReturn, RecordScript, RecordTape, UpdateConfig})
"""Commands whose sender has cleaned them, or that have nothing to clean."""
_ABOUT_RECORDS: Final = frozenset({m.GetRecord, m.GetRecords, m.ScanRecords, m.CountRecords, m.DeleteRecords})
_PACKED: Final = ("data", "result")
"""Fields of `hook.executed` that hold encoded values."""


class Redaction:
    """Removes secrets from values by regular expressions, whose matches become "[redacted]", or by a function from text
    to text. If the function fails or returns no text, all of the text is removed."""

    @checked
    def __init__(self, redact: Rules) -> None:
        """Compile the rules. Raises ValidationError."""
        self._patterns: re.Pattern[str] | None = None
        if callable(redact):
            self._clean: Callable[[str], str] = redact
            return
        try:
            patterns = [redact] if isinstance(redact, str) else list(redact)
            joined = re.compile("|".join("(?:" + each + ")" for each in patterns))
        except re.error as error:
            reason = f"redact: an expression is not valid: {error.msg}"
            raise ValidationError(reason, field="redact") from None
        except TypeError:
            raise ValidationError("redact: a function or regular expressions are needed", field="redact") from None
        if joined.search("") is not None:
            raise ValidationError("redact: an expression that matches nothing at all is none", field="redact")
        self._patterns = joined
        self._clean = lambda text: joined.sub(REDACTED, text)

    def text(self, text: str) -> str:
        """Return a text without its secrets. Never raises."""
        try:
            cleaned = self._clean(text)
        except Exception as error:
            logger.error("the redaction failed with %s, so a whole text is removed", type(error).__name__)
            return REDACTED
        if type(cleaned) is str:
            return cleaned
        logger.error("the redaction returned %s, so a whole text is removed", type(cleaned).__name__)
        return REDACTED

    def value(self, value: Any, *, numbers: bool = True) -> Any:
        """Return a value with its texts, bytes and, with `numbers`, numbers cleaned. Other values are returned
        unchanged."""
        kind = value.__class__
        if kind is str:
            return self.text(value)
        if kind is dict:
            cleaned: dict[Any, Any] = {}
            for key, each in value.items():
                name = self.text(key) if key.__class__ is str else key
                while name in cleaned:  # no entry is lost because two names look alike now
                    name += "_"
                cleaned[name] = self.value(each, numbers=numbers)
            return cleaned
        if kind is list or kind is tuple:
            return kind(self.value(each, numbers=numbers) for each in value)
        if kind is bytes:
            shown = value.decode("utf-8", "surrogateescape")
            return self.text(shown).encode("utf-8", "surrogateescape")
        if numbers and (kind is int or kind is float):
            shown = repr(value)
            text = self.text(shown)
            return value if text == shown else text
        return value

    def _masked(self, data: bytes) -> bytes:
        """Return bytes with an asterisk in place of each byte that the expressions match. Bytes have a form of their
        own, which may say how long its parts are. A function cannot keep that, so it does not see them."""
        if self._patterns is None:
            return data
        shown = data.decode("utf-8", "surrogateescape")
        masked = self._patterns.sub(lambda match: "*" * len(match[0].encode("utf-8", "surrogateescape")), shown)
        return masked.encode("utf-8", "surrogateescape")

    def packed(self, packed: bytes) -> bytes:
        """Return an encoded value with its content cleaned, or the same object if there was nothing to remove."""
        value = unpack_value(packed)
        cleaned = self.value(value)
        return packed if cleaned == value else pack_value(cleaned)

    def parameters(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of an operation by name, with all content cleaned."""
        return {name: value if name in IDENTITIES else self._parameter(name, value) for name, value in data.items()}

    def _parameter(self, name: str, value: Any) -> Any:
        if name in ("ref", "refs") and not isinstance(value, str):
            return [each if ArtifactId.named_by(each) is not None else self.value(each) for each in value]
        if name == "ref" and ArtifactId.named_by(value) is not None:
            return value
        if name in ("items", "messages") and isinstance(value, list):
            return [self.parameters(each) if isinstance(each, dict) else each for each in value]
        if name == "content" and isinstance(value, bytes):
            return value  # an artifact: its metadata are cleaned, its content is kept as it was stored
        return self.value(value, numbers=name in ("value", "expected") or isinstance(value, (dict, list)))

    # -- messages

    def message(self, message: Any) -> Any:
        """Return a message without secrets in what it journals. Raises ValidationError if nothing valid is left of
        it."""
        kind = message.__class__
        if isinstance(message, Call) or kind in _CLEAN_ALREADY:
            return message  # a tool gets its input unchanged; the caller of the tool journals a cleaned copy
        if kind in _ABOUT_RECORDS:
            return message  # keys are kept as they are, or nobody would find the records
        if kind is m.PutRecords:
            message = self._put(message)
            if message.records:
                message = message.copy()
                message.records = self.drafts(message.records)
            return message
        if kind is m.Batch:
            return message.made_of([self.message(command) for command in message.commands])
        if kind is RecordHooks:
            return RecordHooks(self.drafts(message.drafts))
        if kind is RecordEvent:
            return RecordEvent(message.type, self.value(message.data, numbers=False))
        if kind is RecordWorkflow:
            message = message.copy()  # its large fields are clean already
            message.data = {
                name: each if each.__class__ is bytes else self.value(each, numbers=False)
                for name, each in message.data.items()
            }
            return message
        records = message.records if isinstance(message, m.Command) else None
        subject = MessageSubject(message)
        data = subject.view()
        cleaned = self.parameters(data)
        if cleaned != data:
            message = subject.changed(cleaned).message
        elif records:
            message = message.copy()
        if records:
            message.records = self.drafts(records)
        return message

    def _put(self, message: m.PutRecords) -> m.PutRecords:
        """Return a message with its values cleaned."""
        items = [self._record(item) for item in message.items]
        if all(item is given for item, given in zip(items, message.items, strict=True)):
            return message
        message = message.copy()
        message.items = items
        return message

    def _record(self, item: m.RecordPut) -> m.RecordPut:
        if not item.flags & IS_VALUE:
            masked = self._masked(item.data)
            return item if masked == item.data else m.RecordPut(item.key, masked)
        cleaned = self.packed(item.data)
        return item if cleaned is item.data else m.RecordPut(item.key, unpack_value(cleaned))

    def drafts(self, drafts: list[PendingEvent]) -> list[PendingEvent]:
        """Return the drafts of events about hooks without secrets."""
        return [draft._replace(data=self._draft_data(draft.data)) for draft in drafts]

    def _draft_data(self, data: dict[str, Any]) -> dict[str, Any]:
        cleaned = dict(data)
        for name in _PACKED:
            if isinstance(cleaned.get(name), bytes):
                cleaned[name] = self.packed(cleaned[name])
        return cleaned

    def creation(self, draft: PendingEvent) -> PendingEvent:
        """Return the first event of a session without secrets."""
        data = dict(draft.data)
        for name in ("name", "description", "created_by", "tags"):
            data[name] = self.value(data[name])
        data["metadata"] = self.packed(data["metadata"])
        return draft._replace(data=data)
