"""What a format of a provider is, and what all of them share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from greenroom.runtime.recording.patches.grammar import Operator, Step
from greenroom.runtime.recording.patches.values import added, apply
from greenroom.storage.errors import ValidationError

from .framing import Event

__all__ = ["Call", "Format", "Request", "Result", "arguments_of", "joined", "plain_text"]

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a model: where it goes, and its JSON body."""

    url: str
    body: Body


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool that a model asks for. `id` is None where the format has none."""

    id: str | None
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Result:
    """What a conversation says that a tool returned: whose result, and the path to it within the messages."""

    name: str
    path: tuple[Step, ...]


class Format:
    """Where a provider has what a patch names. All that it returns is new; what it is given stays as it is."""

    name: ClassVar[str]
    conversation: ClassVar[str]
    """The field of the request that has the messages."""
    parameters: ClassVar[Mapping[str, tuple[str, ...]]]
    """Where the parameters of a request stand in its body."""
    model_in_url: ClassVar[re.Pattern[str]] = re.compile(r"(?P<before>/deployments/)[^/?]+(?P<after>/)")

    # -- requests

    def with_parameter(
        self, request: Request, name: str, path: Sequence[Step], operator: Operator, value: Any
    ) -> Request:
        """Return the request with a parameter changed. Raises ValidationError if the format has none of this name."""
        if name == "model":
            return self._with_model(request, operator, value)
        place = self._place(request.body, name)
        if place is None:
            raise ValidationError(f"patch: {self.name} requests have no {name}", field="patch")
        return Request(request.url, apply(request.body, (*place, *path), operator, value, at="llm"))

    def _place(self, body: Body, name: str) -> tuple[str, ...] | None:
        return self.parameters.get(name)

    def _with_model(self, request: Request, operator: Operator, value: Any) -> Request:
        if operator != "=" or not isinstance(value, str) or not value:
            raise ValidationError('patch: llm.model takes a name: llm.model="…"', field="patch")
        url = self.model_in_url.sub(lambda found: found["before"] + value + found["after"], request.url, count=1)
        known = "model" in request.body or url == request.url
        return Request(url, {**request.body, "model": value} if known else request.body)

    def with_system(self, body: Body, operator: Operator, value: Any) -> Body:
        """Return the body with another system prompt."""
        raise NotImplementedError

    def messages(self, body: Body) -> list[Any]:
        """Return the messages of a request."""
        found = body.get(self.conversation)
        return found if isinstance(found, list) else []

    def with_messages(self, body: Body, messages: list[Any]) -> Body:
        """Return the body with other messages."""
        return {**body, self.conversation: messages}

    def message(self, role: str, text: str) -> Body:
        """Return a message of a conversation."""
        return {"role": role, "content": text}

    def content(self, text: str) -> tuple[str, Any]:
        """Return the field of a message that holds what it says, and a text as this field has it."""
        return "content", text

    def part(self, text: str) -> Any:
        """Return a text as one part of a message that has several."""
        return {"type": "text", "text": text}

    def results(self, messages: list[Any]) -> Iterator[Result]:
        """Return the results of tools in a conversation, in order."""
        raise NotImplementedError

    def with_result(
        self, messages: list[Any], result: Result, path: Sequence[Step], operator: Operator, value: Any
    ) -> list[Any]:
        """Return the messages with another result of a tool, or with a field of the result changed."""
        old: Any = messages
        for step in result.path:
            old = old[step]
        changed = apply(self.result_of(old), path, operator, value, at=f"tool.{result.name}.result")
        edited = apply(messages, result.path, "=", self.as_result(changed, old), at="messages")
        assert isinstance(edited, list)
        return edited

    def result_of(self, content: Any) -> Any:
        """Return what a tool returned, as a message has it: the value of a JSON text, or the text."""
        return arguments_of(plain_text(content))

    def as_result(self, value: Any, old: Any) -> Any:
        """Return what a tool returned as a message has it; `old` is what it had until now."""
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    # -- answers

    def with_text(self, answer: Body, operator: Operator, value: Any) -> Body:
        """Return the answer with another text."""
        raise NotImplementedError

    def calls(self, answer: Body) -> list[Call]:
        """Return what the model wants to call."""
        raise NotImplementedError

    def with_calls(self, answer: Body, calls: list[Call]) -> Body:
        """Return the answer with other calls."""
        raise NotImplementedError

    def whole(self, events: list[Event]) -> Body:
        """Return the answer that the events of a stream add up to."""
        raise NotImplementedError

    def streamed(self, answer: Body) -> list[Event]:
        """Return an answer as the events of a stream."""
        raise NotImplementedError


def plain_text(content: Any) -> str:
    """Return the text of a content that is a text, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(plain_text(each.get("text") or "") for each in content if isinstance(each, dict))
    return "" if content is None else json.dumps(content, ensure_ascii=False)


def joined(old: str | None, operator: Operator, value: Any, what: str) -> str | None:
    """Return a text that is set, added to or taken away; None if there is none any more."""
    if operator == "del":
        return None
    if not isinstance(value, str):
        raise ValidationError(f"patch: {what} is a text, and so must be what it becomes", field="patch")
    return value if operator == "=" else str(added(old, value, what))


def arguments_of(text: Any) -> Any:
    """Return the value of a JSON text, such as the arguments that a model wrote; what is none as it is."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text
