"""Collectors store what tools and agents return as artifacts of the session."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from blake3 import blake3

from greenroom.actors import messages as m
from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.message_text import text_of
from greenroom.storage.errors import ValidationError

__all__ = ["AgentOutputCollector", "Collected", "Collector", "Output", "ToolResultCollector"]

_KINDS: Final = ("text", "json", "binary")
_MAX_PARAMETERS: Final = 16 << 10
_LEAST_BYTES: Final = 256
"""Smaller results are in the journal anyway."""
_DEFAULT_BYTES: Final = 16 << 20


@dataclass(slots=True)
class Output:
    """The outcome of a call. `error` is None on success, else {code, message}; `sequence` and `call_id` are those of
    the event that journaled the call; `packed_input` is the encoded input; `facts`: model, provider, usage and
    cost_microusd, where known."""

    kind: str
    name: str
    sequence: int
    call_id: str
    value: Value
    error: dict[str, str] | None
    packed_input: bytes
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collected:
    """The artifact to store, its content, and whether that is the unchanged value."""

    message: m.StoreArtifact
    content: bytes
    whole: bool


class Collector:
    """Decides which outputs are stored, and how. Artifacts are named NAME-SEQUENCE with a suffix by content. Their
    metadata has the name, the parameters (up to 16 KiB), and for agents model, provider, token usage and cost.

    min_bytes (256), max_bytes (16 MiB): smaller and larger outputs are skipped. types: which of "text", "json" and
    "binary" to store. sampling: the share of calls, from 0 to 1; the call's id decides, so the choice is repeatable.
    collect_errors: store failures too. tags: added to the automatic ones. privacy: regular expressions whose matches
    are replaced, or a function from text to text. It sees every text in output and parameters, not bytes. If it fails,
    nothing is stored.
    """

    artifact_type: ClassVar[str]

    @checked
    def __init__(
        self,
        *,
        min_bytes: int = _LEAST_BYTES,
        max_bytes: int = _DEFAULT_BYTES,
        types: Iterable[str] = _KINDS,
        sampling: float = 1.0,
        collect_errors: bool = False,
        tags: Iterable[str] = (),
        privacy: Callable[[str], str] | Iterable[str] | None = None,
    ) -> None:
        self._min_bytes = m.whole_number("min_bytes", min_bytes) or 0
        self._max_bytes = m.whole_number("max_bytes", max_bytes) or 0
        self._types = frozenset((types,) if isinstance(types, str) else types)
        if not self._types <= set(_KINDS):
            raise ValidationError(f"types: some of {', '.join(_KINDS)} are needed", field="types")
        if type(sampling) not in (int, float) or not 0 <= sampling <= 1:
            raise ValidationError("sampling: a number from 0 to 1 is needed", field="sampling")
        self._sampling = sampling
        self._errors = collect_errors
        self._tags = m.tag_list(tags)
        self._filter = _filter(privacy)

    def artifact(self, output: Output) -> Collected | None:
        """Return the artifact to store for a call, or None."""
        if (output.error is not None and not self._errors) or not self._sampled(output.call_id):
            return None
        if output.error is None and self._filter is None and self._certainly_small(output.value):
            return None
        value = self._shown(output.value if output.error is None else {"error": output.error})
        content, kind, whole = self._content(value)
        if kind not in self._types or not self._min_bytes <= len(content) <= self._max_bytes:
            return None
        suffix = {"text": ".txt", "json": ".json", "binary": ""}[kind]
        tags = [output.kind, output.name[: m.MAX_TAG], *(["error"] if output.error is not None else []), *self._tags]
        message = m.StoreArtifact(
            self.artifact_type,
            f"{output.name}-{output.sequence}{suffix}",
            content,
            mime_type={"text": "text/plain", "json": "application/json"}.get(kind),
            tags=list(dict.fromkeys(tags))[: m.MAX_TAGS],
            metadata=self._metadata(output),
            created_by=f"{output.kind}:{output.name}"[: m.MAX_NAME],
        )
        message.collected = True
        return Collected(message, content, whole and self._filter is None and output.error is None)

    def _shown(self, value: Value) -> Value:
        """Return the part of the output to store."""
        return value

    def _certainly_small(self, value: Value) -> bool:
        """Return whether a value is smaller than what is stored, without making its text. Most results are."""
        if isinstance(value, str | bytes):
            return 4 * len(value) < self._min_bytes
        if type(value) is int:
            return value.bit_length() <= 64 and self._min_bytes > 32
        return (value is None or type(value) in (bool, float)) and self._min_bytes > 32

    def _sampled(self, call_id: str) -> bool:
        if self._sampling >= 1:
            return True
        draw = int.from_bytes(blake3(call_id.encode()).digest(8), "big") / (1 << 64)
        return draw < self._sampling

    def _content(self, value: Value) -> tuple[bytes, str, bool]:
        """Return the bytes, their kind, and whether they hold the whole value."""
        if isinstance(value, bytes):
            return value, "binary", True
        if isinstance(value, str):
            return self._clean(value).encode("utf-8", "surrogatepass"), "text", True
        seen: list[bytes] = []

        def readable(each: bytes) -> str:
            seen.append(each)
            return base64.b64encode(each).decode()

        text = json.dumps(self._cleaned(value), ensure_ascii=False, default=readable)
        return text.encode("utf-8", "surrogatepass"), "json", not seen

    def _metadata(self, output: Output) -> dict[str, Value]:
        metadata: dict[str, Value] = {output.kind: output.name, "call_id": output.call_id, **output.facts}
        if "cost_microusd" in metadata:
            metadata["cost_usd"] = metadata.pop("cost_microusd") / 1_000_000
        parameters = self._cleaned(unpack_value(output.packed_input))
        size = len(pack_value(parameters))
        if size <= _MAX_PARAMETERS:
            metadata["parameters"] = parameters
        else:
            metadata["parameters_bytes"] = size
        return metadata

    def _clean(self, text: str) -> str:
        if self._filter is None:
            return text
        cleaned = self._filter(text)
        if not isinstance(cleaned, str):
            raise ValidationError("privacy: a filter must return text", field="privacy")
        return cleaned

    def _cleaned(self, value: Value) -> Value:
        if self._filter is None:
            return value
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, list):
            return [self._cleaned(each) for each in value]
        if isinstance(value, dict):
            return {self._clean(key): self._cleaned(each) for key, each in value.items()}
        return value


class ToolResultCollector(Collector):
    """Stores results of tools as artifacts of type tool_result. Set one as `rt.tools.collector`; None stores
    nothing."""

    artifact_type = "tool_result"


class AgentOutputCollector(Collector):
    """Stores texts of agents as artifacts of type agent_output. Set one as `rt.agents.collector`; None stores
    nothing."""

    artifact_type = "agent_output"

    def _shown(self, value: Value) -> Value:
        if not isinstance(value, dict) or isinstance(value.get("text"), str):
            return value["text"] if isinstance(value, dict) else value
        return text_of(value) or value


def _filter(privacy: Callable[[str], str] | Iterable[str] | None) -> Callable[[str], str] | None:
    if privacy is None or callable(privacy):
        return privacy
    try:
        patterns = [privacy] if isinstance(privacy, str) else list(privacy)
        joined = re.compile("|".join(f"(?:{each})" for each in patterns))
    except (re.error, TypeError):
        raise ValidationError("privacy: a function or regular expressions are needed", field="privacy") from None
    return lambda text: joined.sub("[redacted]", text) if patterns else text
