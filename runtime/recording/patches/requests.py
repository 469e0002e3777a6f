"""Patch what is called after the last replayed step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from greenroom.runtime.recording.tape.model import Asked
from greenroom.storage.errors import ValidationError

from .bodies import request_of
from .formats.base import Format, Request, plain_text
from .formats.known import format_of
from .grammar import Operator, Patch, Step, parse
from .values import added, apply

__all__ = ["RequestChanges", "changes_of", "names_tool"]

Input = Mapping[str, Any]


class RequestChanges:
    """The changes that patches make to the calls of a program that goes on live.

    Parameters and the system prompt are changed in every model call. The conversation is changed in the first one, and
    in each later one whose messages begin with the same ones: as if the program had said it. What is of HTTP, and the
    arguments of a tool, are changed in the next call that they fit.

        changes = RequestChanges([parse('llm.temperature=0')])
        changed = changes(asked)   # None: nothing changes
    """

    def __init__(self, patches: Iterable[Patch]) -> None:
        self._lasting: list[Patch] = []
        self._conversation: list[Patch] = []
        self._once: list[Patch] = []
        self._said: tuple[Format, list[Any], list[Any]] | None = None
        self.applied: dict[str, int] = {}
        """How many calls each patch has changed."""
        for each in patches:
            self.applied[each.text] = 0
            if each.root == "llm":
                (self._conversation if each.path[0] == "messages" else self._lasting).append(each)
            elif each.root == "tool" and each.path[1] == "result":
                self._conversation.append(each)
            else:
                self._once.append(each)

    def __call__(self, asked: Asked) -> dict[str, Any] | None:
        """Return the fields of the input of a call that change; None if none does. Raises ValidationError if a patch
        does not fit the call."""
        if asked.kind == "http":
            return self._of_http(asked.input)
        return self._of_tool(asked.name, asked.input)

    def _of_tool(self, name: str, input: Input) -> dict[str, Any] | None:
        arguments = input.get("arguments")
        changed = arguments
        for patch in [each for each in self._once if each.root == "tool" and names_tool(name, str(each.path[0]))]:
            changed = apply(changed, patch.path[2:], patch.operator, patch.value, at=f"tool.{name}.arguments")
            self._done(patch)
        return None if changed is arguments else {"arguments": changed}

    def _of_http(self, input: Input) -> dict[str, Any] | None:
        url, body = str(input.get("url")), request_of(input)
        new_url, new_body, headers = url, body, {}
        format = format_of(url, body)
        if format is not None:
            new_url, new_body = self._of_model(format, Request(url, body))
        for patch in [each for each in self._once if each.root == "http"]:
            if patch.path[0] == "headers":
                headers[str(patch.path[1])] = str(patch.value)
            elif new_body is None:
                called = f"{input.get('method')} {url.partition('?')[0]}"
                raise ValidationError(f"patch: {patch.target}: {called} has no JSON body", field="patch")
            else:
                new_body = apply(new_body, patch.path[1:], patch.operator, patch.value, at="http.body")
            self._done(patch)
        changed: dict[str, Any] = {"url": new_url} if new_url != url else {}
        if new_body is not body and new_body != body:
            changed["body"] = json.dumps(new_body, ensure_ascii=False, separators=(",", ":")).encode()
        if headers:
            changed["headers"] = [[name, value] for name, value in headers.items()]
        return changed or None

    def _done(self, patch: Patch) -> None:
        self._once.remove(patch)
        self.applied[patch.text] += 1

    def _of_model(self, format: Format, request: Request) -> tuple[str, Any]:
        messages = format.messages(request.body)
        if self._conversation and self._said is None:
            said = list(messages)
            for patch in self._conversation:
                said = _with_conversation(format, said, patch)
            self._said = (format, messages, said)
        if self._said is not None and self._said[0] is format and messages[: len(self._said[1])] == self._said[1]:
            _, before, said = self._said
            request = Request(request.url, format.with_messages(request.body, said + messages[len(before) :]))
            for patch in self._conversation:
                self.applied[patch.text] += 1
        for patch in self._lasting:
            first, *rest = patch.path
            if first == "system":
                if rest:
                    raise ValidationError("patch: llm.system is a text and has no fields", field="patch")
                request = Request(request.url, format.with_system(request.body, patch.operator, patch.value))
            else:
                request = format.with_parameter(request, str(first), rest, patch.operator, patch.value)
            self.applied[patch.text] += 1
        return request.url, request.body


def changes_of(texts: list[str]) -> RequestChanges:
    """Return the changes that patches make, given as one writes them."""
    return RequestChanges([parse(each) for each in texts])


def names_tool(name: str, wanted: str) -> bool:
    """Return whether a crossing's name is that of a tool: as it is, or behind the name of its server."""
    return name == wanted or name.rpartition("/")[2] == wanted or name.rpartition(":")[2] == wanted


def _with_conversation(format: Format, messages: list[Any], patch: Patch) -> list[Any]:
    """Return the messages of a conversation with a patch. Raises ValidationError if there is no such message."""
    if patch.root == "tool":
        name, _, *rest = patch.path
        found = [each for each in format.results(messages) if each.name == name]
        if not found:
            raise ValidationError(
                f"patch: {patch.target}: no result of {name} is in the next model call", field="patch"
            )
        return format.with_result(messages, found[-1], rest, patch.operator, patch.value)
    _, *path = patch.path
    if not path:
        return _with_all(format, messages, patch.operator, patch.value)
    if len(path) == 2 and path[1] == "content":
        return _with_content(format, messages, path, patch.operator, patch.value)
    value = patch.value
    if len(path) == 1 and patch.operator == "=":
        (value,) = _as_messages(format, value)
    changed = apply(messages, path, patch.operator, value, at="llm.messages")
    assert isinstance(changed, list)
    return changed


def _with_all(format: Format, messages: list[Any], operator: Operator, value: Any) -> list[Any]:
    if operator == "del":
        raise ValidationError("patch: a model call needs messages: name one, as in del llm.messages[-1]", field="patch")
    new = _as_messages(format, value)
    return new if operator == "=" else messages + new


def _as_messages(format: Format, value: Any) -> list[Any]:
    """Return messages in a provider's format: a text is the user's, {role, content} is put in the format."""
    made = []
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str):
            made.append(format.message("user", each))
        elif isinstance(each, dict) and each.keys() == {"role", "content"} and isinstance(each["content"], str):
            made.append(format.message(str(each["role"]), each["content"]))
        elif isinstance(each, dict):
            made.append(each)
        else:
            raise ValidationError('patch: a message is a text, or {"role": "user", "content": "…"}', field="patch")
    return made


def _with_content(
    format: Format, messages: list[Any], path: Sequence[Step], operator: Operator, value: Any
) -> list[Any]:
    """Return the messages with another text in one of them, whatever field the format has for it."""
    if operator == "del" or not isinstance(value, str):
        if operator == "=" and isinstance(value, list):  # parts, as the provider has them
            changed = apply(messages, (path[0], format.content("")[0]), "=", value, at="llm.messages")
            assert isinstance(changed, list)
            return changed
        raise ValidationError("patch: the content of a message is a text", field="patch")
    field, content = format.content(value)
    if operator == "+=":
        apply(messages, (path[0],), "=", None, at="llm.messages")  # says it if there is no such message
        old = messages[int(path[0])].get(field)
        content = [*old, format.part(value)] if isinstance(old, list) else added(plain_text(old), value, "content")
    changed = apply(messages, (path[0], field), "=", content, at="llm.messages")
    assert isinstance(changed, list)
    return changed
