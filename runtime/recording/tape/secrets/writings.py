"""Other writings of a text: as JSON and URLs write it. A secret is one in all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote, unquote_plus

__all__ = ["clean_writings"]

_DEEPEST: Final = 4
"""How often JSON is looked for in texts of JSON."""
_RUN: Final = re.compile(r"(?:[^\"\\]|\\.)+", re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[\"\\/bfnrt]"
)
_TOKEN: Final = re.compile(r"[^\s&=?#;,\"'<>\\]+")
_SAFE: Final = "/:@[]!$()*~"


def clean_writings(text: str, clean: Callable[[str], str], depth: int = _DEEPEST) -> str:
    """Return a text without what `clean` removes from it once escapes of JSON, and those of URLs and forms, are
    undone. Where there is nothing to remove, the text stays as it is."""
    if "\\" in text and depth:
        text = _RUN.sub(lambda run: _clean_run(run[0], clean, depth), text)
    if "%" in text or "+" in text:
        text = _TOKEN.sub(lambda token: _clean_token(token[0], clean), text)
    return text


def _clean_run(run: str, clean: Callable[[str], str], depth: int) -> str:
    if "\\" not in run:
        return run
    plain = _ESCAPE.sub(lambda escape: str(json.loads(f'"{escape[0]}"')), run)
    if plain == run:
        return run
    cleaned = clean_writings(clean(plain), clean, depth - 1)
    return run if cleaned == plain else json.dumps(cleaned)[1:-1]


def _clean_token(token: str, clean: Callable[[str], str]) -> str:
    readings = [unquote(token, errors="surrogateescape")] if "%" in token else []
    if "+" in token:
        readings.append(unquote_plus(token, errors="surrogateescape"))
    for plain in readings:
        cleaned = clean(plain)
        if cleaned != plain:
            return quote(cleaned, safe=_SAFE, errors="surrogateescape")
    return token
