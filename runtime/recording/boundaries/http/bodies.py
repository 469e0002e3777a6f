"""Bodies: how much of one is kept, and what stands on the tape in place of tokens and passwords in JSON, as answers of
OAuth have them.

Only fields of objects count, not what stands in lists: models answer in lists, and what they say is no secret of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from .secrets import REDACTED

__all__ = [
    "MAX_JSON",
    "MOST_BYTES",
    "clean_chunks",
    "clean_json",
    "content_type",
    "gathered",
    "gathered_async",
    "is_json",
    "restored",
]

MOST_BYTES: Final = 100 << 20
"""Of one request or response, so much is kept in memory and put on the tape. The program sends, and gets, all of it."""
MAX_JSON: Final = 64 << 10
"""Bytes of a body that is looked through: such answers are short."""
_HINT: Final = re.compile(rb'"(?<=oken"|cret"|word"|rase"|.[kK]ey")\s*:')
"""A body in which this is not found has no such field, and is not parsed. From quote to quote is the fastest way
through a long text."""
_FIELD: Final = re.compile(
    r"(?:access|auth|bearer|client|device|id|refresh|security|session)token|apikey|(?:client)?secret|secret(?:access)?key"
    r"|(?:access|private)key|password|passphrase"
)
_SEPARATORS: Final = re.compile(r"[-_]+")
_JWT: Final = re.compile(r"(eyJ[\w-]+\.[\w-]*\.)[\w-]+")
_SIGNATURE: Final = "cmVkYWN0ZWQ"
"""Stands for the signature of a JSON web token, whose claims a program may read: they are worth nothing without it."""


def content_type(headers: Sequence[Sequence[str]]) -> str:
    """Return the media type and parameters that headers tell; "" if they tell none."""
    for name, value in headers:
        if len(name) == 12 and name.lower() == "content-type":
            return value
    return ""


@lru_cache(maxsize=256)
def is_json(kind: str) -> bool:
    """Return whether a content type is JSON."""
    media = kind.partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def clean_json(body: bytes) -> bytes:
    """Return a JSON body without the tokens and passwords in it: the same object if it has none."""
    if len(body) > MAX_JSON or _HINT.search(body) is None:
        return body
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return _packed(value) if _clean(value) else body


def clean_chunks(chunks: list[bytes], headers: list[list[str]]) -> tuple[list[bytes], list[list[str]]]:
    """Return the chunks and headers of a JSON response without the tokens in it: the same objects if it has none. Else
    it becomes one plain chunk, with the headers of such a response."""
    if not is_json(content_type(headers)) or sum(map(len, chunks)) > MAX_JSON:
        return chunks, headers
    body = plain = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if any(len(name) == 16 and name.lower() == "content-encoding" for name, _ in headers):
        from ...tape.secrets.redacting import coding_of, decoded

        found = decoded(body, coding_of(headers))
        if found is None:
            return chunks, headers
        plain = found
    cleaned = clean_json(plain)
    if cleaned is plain:
        return chunks, headers
    from ...tape.secrets.redacting import headers_for

    return [cleaned], headers_for(headers, len(cleaned))


def restored(body: bytes, given: bytes) -> bytes:
    """Return a JSON body that a fork sends, with the secrets that the program gave where it has marks."""
    if REDACTED.encode() not in body and _SIGNATURE.encode() not in body:
        return body
    try:
        value = json.loads(body)
        return _packed(value) if _restore(value, json.loads(given)) else body
    except (ValueError, RecursionError):
        return body


def _clean(value: Any) -> bool:
    """Replace what is secret in an object. Return whether there is such a field, even if it has the mark already: a
    replay asks with the mark, and is written as the recording was."""
    changed = False
    for name, each in value.items() if type(value) is dict else ():
        if type(each) is dict:
            changed = _clean(each) or changed
        elif type(each) is str and each and _is_secret(name):
            value[name] = _JWT.sub(rf"\g<1>{_SIGNATURE}", each) if _JWT.fullmatch(each) else REDACTED
            changed = True
    return changed


def _restore(value: Any, given: Any) -> bool:
    changed = False
    if type(value) is not dict or type(given) is not dict:
        return changed
    for name, each in value.items():
        before = given.get(name)
        if type(each) is dict:
            changed = _restore(each, before) or changed
        elif (
            type(each) is str and type(before) is str and _is_secret(name) and (each == REDACTED or _SIGNATURE in each)
        ):
            value[name] = before
            changed = True
    return changed


def _is_secret(name: str) -> bool:
    return _FIELD.fullmatch(_SEPARATORS.sub("", name).lower()) is not None


def _packed(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


# -- how much is kept


def gathered(parts: Iterable[bytes]) -> tuple[bytes, Iterator[bytes] | None]:
    """Return a body and None. Of one that is longer than is kept, return what came first, and an iterator over the
    rest."""
    found, size = [], 0
    rest = iter(parts)
    for part in rest:
        found.append(part)
        size += len(part)
        if size > MOST_BYTES:
            return b"".join(found), rest
    return b"".join(found), None


async def gathered_async(parts: AsyncIterable[bytes]) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Do the same with a body that comes asynchronously."""
    found, size = [], 0
    rest = aiter(parts)
    async for part in rest:
        found.append(part)
        size += len(part)
        if size > MOST_BYTES:
            return b"".join(found), rest
    return b"".join(found), None
