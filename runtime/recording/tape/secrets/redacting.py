"""Remove secrets from what is put on a tape, and from the requests of a replay in the same way, so that they match.

Rules are regular expressions, whose matches in any text are replaced, and JSON paths ("$.user.email",
"$.messages[*].content", "$..api_key"), whose values are.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, Final

from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import ValidationError

from ..model import MARK, PATCHED, Asked, Crossing, Reads, key_of
from .writings import clean_writings

__all__ = ["REDACTED", "Redactor", "coding_of", "decoded", "headers_for", "kept_rules", "redactor_of"]

logger = logger_of("recording")

REDACTED: Final = "[redacted]"
_PLAIN: Final = re.compile(r"[\w\s\-@:/,;=%&#!~'\"<>]*")
"""Matches an expression that stands for one text only: it may be the secret itself, so it is written nowhere."""
_STEP: Final = re.compile(r"\.\.?(?P<name>[^.\[\]]+)|\.?\[(?:(?P<number>\d+)|(?P<all>\*)|'(?P<quoted>[^']*)')\]")
MAX_RULES: Final = 256


class Redactor:
    """Cleans crossings, reads and what is known of a program. Safe for threads."""

    def __init__(self, rules: str | Iterable[str], also: Callable[[str], str] | None = None) -> None:
        """Compile rules; `also` is applied to each text too. Raises ValidationError."""
        self._patterns: list[str] = []
        self._paths: list[str] = []
        for rule in _listed(rules):
            (self._paths if rule.startswith("$") and rule[1:2] in (".", "[") else self._patterns).append(rule)
        self._steps = [_parsed(path) for path in self._paths]
        self._also = also
        self._joined: re.Pattern[str] | None = None
        if self._patterns:
            try:
                self._joined = re.compile("|".join(f"(?:{each})" for each in self._patterns))
            except re.error as error:
                raise ValidationError(f"redact: an expression is not valid: {error.msg}", field="redact") from None
            if self._joined.search("") is not None:
                raise ValidationError("redact: an expression that matches nothing at all is none", field="redact")

    def described(self) -> dict[str, Any]:
        """Return the rules as they are kept with a recording, so that a replay applies them by itself. Expressions that
        stand for one text only are counted and not told: that text may be the secret."""
        told = [each for each in self._patterns if _PLAIN.fullmatch(each) is None]
        withheld = len(self._patterns) - len(told)
        return {"patterns": told, "paths": self._paths, **({"withheld": withheld} if withheld else {})}

    # -- what is cleaned

    def crossing(self, crossing: Crossing) -> Crossing:
        """Return a crossing without its secrets: the same object if it has none."""
        given, outcome = self.input(crossing.input), self._outcome(crossing.outcome)
        name = self.text(crossing.name)
        if given is crossing.input and outcome is crossing.outcome and name == crossing.name:
            return crossing
        key = crossing.key
        if key and given is not crossing.input and PATCHED not in crossing.input:
            key = key_of(crossing.kind, name, given, _identity(crossing.kind, given))
        return replace(crossing, name=name, input=given, outcome=outcome, key=key)

    def asked(self, asked: Asked) -> Asked:
        """Return what a boundary asks in a replay as it was put on the tape. The secret itself does not identify it: a
        replay may have another."""
        kind, name, given, key = asked
        cleaned = self.input(given)
        return Asked(kind, self.text(name), cleaned, key if cleaned is given else _identity(kind, cleaned))

    def input(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the input of a crossing without its secrets: the same object if it has none."""
        body = given.get("body")
        cleaned = {name: value if name == "body" else self.value(value) for name, value in given.items()}
        if type(body) is bytes:
            cleaned["body"] = self._body(body, cleaned.get("headers"))
        elif "body" in given:
            cleaned["body"] = self.value(body)
        return {**cleaned, MARK: True} if cleaned != given else given

    def _outcome(self, outcome: Mapping[str, Any]) -> Mapping[str, Any]:
        chunks = outcome.get("chunks")
        cleaned = {name: value if name == "chunks" else self.value(value) for name, value in outcome.items()}
        if type(chunks) is list and all(type(each) is bytes for each in chunks):
            cleaned["chunks"] = self._chunks(chunks, cleaned)
        elif "chunks" in outcome:
            cleaned["chunks"] = self.value(chunks)
        return {**cleaned, MARK: True} if cleaned != outcome else outcome

    def reads(self, reads: Reads) -> Reads:
        """Return quick reads without secrets in their values."""
        cleaned = [(kind, name, place, lane, self.value(value)) for kind, name, place, lane, value in reads.reads]
        return replace(reads, reads=cleaned)

    def about(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is known of a program without its secrets."""
        cleaned: dict[str, Any] = self.value(dict(about))
        return cleaned

    def text(self, text: str) -> str:
        """Return a text without what the expressions match, also in the writings of JSON and URLs. Never raises."""
        if self._joined is None and self._also is None:
            return text
        return clean_writings(self._as_written(text), self._as_written)

    def _as_written(self, text: str) -> str:
        if self._joined is not None:
            text = self._joined.sub(REDACTED, text)
        return self._also(text) if self._also is not None else text

    def value(self, value: Any) -> Any:
        """Return a value with all texts in it cleaned."""
        if type(value) is str:
            return self.text(value)
        if type(value) is bytes:
            return self._bytes(value)
        if isinstance(value, Mapping):
            return {self.text(name) if type(name) is str else name: self.value(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value

    def _bytes(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        cleaned = self.text(text)
        return data if cleaned == text else cleaned.encode("utf-8", "surrogateescape")

    # -- bodies

    def _body(self, body: bytes, headers: Any) -> bytes:
        """Return a body without its secrets. One that cannot be decompressed is removed as a whole."""
        coding = coding_of(headers)
        plain = decoded(body, coding) if coding else body
        if plain is None:
            return REDACTED.encode()
        cleaned = self._content(plain)
        return body if cleaned == plain else cleaned

    def _content(self, body: bytes) -> bytes:
        return self._bytes(self._by_paths(body))

    def _by_paths(self, body: bytes) -> bytes:
        """Return a body without the values at the JSON paths: of the whole, or of each line that is JSON, or `data:` of
        an event stream."""
        if not self._steps or not body:
            return body
        whole = self._json_cleaned(body)
        if whole is not None:
            return whole
        lines = body.split(b"\n")
        for at, line in enumerate(lines):
            head, text = (line[:5], line[5:]) if line.startswith(b"data:") else (b"", line)
            cleaned = self._json_cleaned(text.strip()) if b"{" in text else None
            if cleaned is not None and cleaned != text.strip():
                lines[at] = (
                    head + text[: len(text) - len(text.lstrip())] + cleaned + (b"\r" if line[-1:] == b"\r" else b"")
                )
        return b"\n".join(lines)

    def _json_cleaned(self, text: bytes) -> bytes | None:
        """Return JSON without the values at the paths: the same bytes if there are none. None if it is no JSON."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        changed = False
        for steps in self._steps:
            changed = _removed(value, steps) or changed
        if not changed:
            return text
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    def _chunks(self, chunks: list[bytes], outcome: dict[str, Any]) -> list[bytes]:
        """Return the chunks of a response without secrets, also where one spans several. If a compressed response has
        any, it becomes one plain chunk, with the headers of such a response."""
        body = b"".join(chunks)
        coding = coding_of(outcome.get("headers"))
        if not coding and not self._steps and self._also is None and self._joined is not None:
            cleaned = self._chunks_by_pattern(chunks, body)
            joined = b"".join(cleaned)
            if (content := self._bytes(joined)) != joined:
                cleaned = [content]
        else:
            plain = decoded(body, coding) if coding else body
            content = REDACTED.encode() if plain is None else self._content(plain)
            cleaned = chunks if content == plain else [content]
        if cleaned is not chunks:
            outcome["headers"] = headers_for(outcome.get("headers"), sum(map(len, cleaned)))
        return cleaned

    def _chunks_by_pattern(self, chunks: list[bytes], body: bytes) -> list[bytes]:
        """Replace matches and keep the chunks: what replaces a match stands in the chunk in which the match begins."""
        assert self._joined is not None
        text = body.decode("utf-8", "surrogateescape")
        found = list(self._joined.finditer(text))
        if not found:
            return chunks
        ends, end = [], 0
        for each in chunks:
            end += len(each)
            ends.append(end)
        spans, at, place = [], 0, 0
        for match in found:  # from characters to bytes
            begin = place + len(text[at : match.start()].encode("utf-8", "surrogateescape"))
            stop = begin + len(match[0].encode("utf-8", "surrogateescape"))
            at, place = match.end(), stop
            spans.append((begin, stop))
        cleaned: list[bytes] = []
        begin, number = 0, 0
        for end in ends:
            parts = []
            while begin < end:
                while number < len(spans) and spans[number][1] <= begin:
                    number += 1
                if number == len(spans) or spans[number][0] >= end:
                    parts.append(body[begin:end])
                    begin = end
                    continue
                start, stop = spans[number]
                if start >= begin:
                    parts += [body[begin:start], REDACTED.encode()]
                begin = min(stop, end)
            cleaned.append(b"".join(parts))
        return cleaned


def _identity(kind: str, given: Mapping[str, Any]) -> bytes | None:
    """Return what identifies an input from which secrets were removed; None if all of it does. Headers of HTTP do
    not."""
    if kind != "http":
        return None
    body = given.get("body")
    head = f"{given.get('method')} {given.get('url')}\n".encode("utf-8", "surrogatepass")
    return head + body if type(body) is bytes else head


def _listed(rules: str | Iterable[str]) -> list[str]:
    try:
        listed = [rules] if isinstance(rules, str) else list(rules)
    except Exception:
        listed = [None]  # type: ignore[list-item]
    if len(listed) > MAX_RULES or not all(type(each) is str and each for each in listed):
        raise ValidationError(
            f"redact: regular expressions and JSON paths are needed, at most {MAX_RULES}", field="redact"
        )
    return listed


def redactor_of(about: Mapping[str, Any], also: Callable[[str], str] | None = None) -> Redactor | None:
    """Return what cleans the requests of a replay as the recording was cleaned; None if it was not."""
    rules = kept_rules(about)
    return Redactor(rules, also) if rules or also is not None else None


def kept_rules(about: Mapping[str, Any]) -> list[str]:
    """Return the rules that are kept with a recording."""
    kept = about.get("redact")
    if not isinstance(kept, Mapping):
        return []
    return [each for name in ("patterns", "paths") for each in kept.get(name) or () if type(each) is str]


# -- JSON paths


def _parsed(path: str) -> list[tuple[str | int | None, bool]]:
    """Return the steps of a JSON path, each with whether it is looked for at any depth. None stands for all."""
    steps: list[tuple[str | int | None, bool]] = []
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise ValidationError(
                f'redact: {path[:64]!r} is no JSON path: write "$.a.b", "$.list[*].name", "$..name"', field="redact"
            )
        deep = path.startswith("..", at)
        if step["number"] is not None:
            steps.append((int(step["number"]), deep))
        elif step["all"] or step["name"] == "*":
            steps.append((None, deep))
        else:
            steps.append((step["name"] if step["name"] is not None else step["quoted"], deep))
        at = step.end()
    return steps


def _removed(value: Any, steps: list[tuple[str | int | None, bool]]) -> bool:
    """Replace what is at a path. Return whether anything was there."""
    (name, deep), rest = steps[0], steps[1:]
    changed = False
    if isinstance(value, dict):
        names = list(value) if name is None else [name] if name in value else []
    elif isinstance(value, list):
        names = list(range(len(value))) if name is None else [name] if type(name) is int and name < len(value) else []
    else:
        return False
    for each in names:
        if rest:
            changed = _removed(value[each], rest) or changed
        elif value[each] != REDACTED:
            value[each] = REDACTED
            changed = True
    if deep:
        for inner in list(value.values()) if isinstance(value, dict) else value:
            changed = _removed(inner, steps) or changed
    return changed


# -- compressed bodies


def coding_of(headers: Any) -> str:
    """Return the content coding that headers, a list of [name, value], tell; "" if there is none."""
    for each in headers if isinstance(headers, list) else ():
        if isinstance(each, list | tuple) and len(each) == 2 and str(each[0]).lower() == "content-encoding":
            coding = str(each[1]).strip().lower()
            return "" if coding == "identity" else coding
    return ""


def headers_for(headers: Any, length: int) -> Any:
    """Return headers for a plain body of this length."""
    if not isinstance(headers, list):
        return headers
    kept = [each for each in headers if str(each[0]).lower() != "content-encoding"]
    return [[name, str(length) if str(name).lower() == "content-length" else value] for name, value in kept]


def decoded(body: bytes, coding: str) -> bytes | None:
    """Return a body without its content coding; None if that is not known, or the body is damaged."""
    try:
        if coding in ("gzip", "x-gzip"):
            return zlib.decompress(body, wbits=47)
        if coding == "deflate":
            try:
                return zlib.decompress(body)
            except zlib.error:
                return zlib.decompress(body, wbits=-15)
        if coding == "br":
            return bytes(import_module("brotli").decompress(body))
        if coding == "zstd":
            return bytes(import_module("zstandard").ZstdDecompressor().decompressobj().decompress(body))
    except Exception as error:
        logger.debug("a body cannot be decompressed: %s", type(error).__name__)
    return None
