"""What an operation is about, as the hooks see and change it: data that is made when a hook looks at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from greenroom.storage.errors import GreenroomError

__all__ = ["Checked", "Failure", "Plain", "Reply", "Subject", "fresh"]


class Subject(Protocol):
    """The data of an operation at one point of its way."""

    def view(self) -> dict[str, Any]:
        """The data as a dict that is the caller's own, also in its depth."""

    def changed(self, data: dict[str, Any]) -> Subject:
        """The same operation with other data. Raises ValidationError, or what its checks raise."""


def fresh(value: Any) -> Any:
    """A copy of dicts and lists in their depth; everything else as it is."""
    kind = value.__class__
    if kind is dict:
        return {key: fresh(each) for key, each in value.items()}
    if kind is list:
        return [fresh(each) for each in value]
    return value


class Plain:
    """Data that is a dict already."""

    __slots__ = ("data",)

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def view(self) -> dict[str, Any]:
        return {key: fresh(each) for key, each in self.data.items()}

    def changed(self, data: dict[str, Any]) -> Plain:
        return Plain(data)


class Checked(Plain):
    """Data that is refused where hooks change it to what cannot be."""

    __slots__ = ("_check",)

    def __init__(self, data: dict[str, Any], check: Callable[[dict[str, Any]], object]) -> None:
        super().__init__(data)
        self._check = check

    def changed(self, data: dict[str, Any]) -> Checked:
        self._check(data)
        return Checked(data, self._check)


class Reply:
    """An operation after it was performed: its data, and the reply as "result"."""

    __slots__ = ("reply", "source")

    def __init__(self, source: Subject, reply: Any) -> None:
        self.source = source
        self.reply = reply

    def view(self) -> dict[str, Any]:
        data = self.source.view()
        data["result"] = fresh(self.reply)
        return data

    def changed(self, data: dict[str, Any]) -> Reply:
        """Only the result can still be changed."""
        return Reply(self.source, data.get("result"))


class Failure:
    """An operation that has failed: its data, and as "error" the class and the message of what it raised."""

    __slots__ = ("error", "source")

    def __init__(self, source: Subject, error: BaseException) -> None:
        self.source = source
        self.error = error

    def view(self) -> dict[str, Any]:
        data = self.source.view()
        error = self.error
        data["error"] = {"code": type(error).__name__, "message": str(error)[:4096]}
        if isinstance(error, GreenroomError):
            data["error"]["fields"] = dict(error.fields)
        return data

    def changed(self, data: dict[str, Any]) -> Failure:
        """What a retry or a redirection performs."""
        return Failure(self.source.changed({key: each for key, each in data.items() if key != "error"}), self.error)
