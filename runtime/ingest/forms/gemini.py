"""Google's Gemini: requests and responses of the API, prompts saved by AI Studio, and the activity of Takeout."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, Final

from greenroom.runtime.ingest.records import Conversation, UnknownRecord

from .common import read_turns, turns_under, whole, without

__all__ = ["ai_studio", "gemini", "is_ai_studio", "is_gemini", "is_takeout", "message_of", "takeout"]

_RESULTS: Final = ("functionResponse", "function_response")
_VERBS: Final = re.compile(r"(?:Prompted(?: with:)?|Asked(?: Gemini:| Bard:)?|Said)\s+")
_BREAKS: Final = re.compile(r"<(?:br|/p|/div|/li|/h[1-6]|/tr|/pre)\b[^<>]*>", re.IGNORECASE)
_TAGS: Final = re.compile(r"<[^<>]*>")


def is_gemini(value: dict[str, Any]) -> bool:
    """Return whether a value is a request or a response of Gemini, or both."""
    contents, candidates = value.get("contents"), value.get("candidates")
    return (isinstance(contents, list) and any(isinstance(each, dict) and "parts" in each for each in contents)) or (
        isinstance(candidates, list) and any(isinstance(each, dict) and "content" in each for each in candidates)
    )


def gemini(value: dict[str, Any]) -> Conversation:
    """Return a request of Gemini (`contents`), a response (`candidates`), or both. Parts stay as they are."""
    contents = value.get("contents")
    messages = [message_of(each) for each in contents] if isinstance(contents, list) else []
    extra = without(value, "contents")
    candidates = value.get("candidates")
    if isinstance(candidates, list):
        del extra["candidates"]
        for each in candidates:
            content = each.get("content") if isinstance(each, dict) else each
            made = message_of(content)
            beside = without(each, "content") if isinstance(each, dict) else {}
            if isinstance(made, dict):
                made = {"role": "assistant", **made, **({"candidate": beside} if beside else {})}
            messages.append(made)
    turns, extra, notes = turns_under({"messages": messages, **extra}, "messages")
    return whole("gemini", value, turns, extra, notes, source_id=value.get("responseId"))


def message_of(content: Any) -> Any:
    """Return a content of Gemini as a message: results of functions are a tool's, whatever role they have there."""
    if not isinstance(content, dict):
        return content
    made = dict(content)
    parts = made.get("parts")
    if isinstance(parts, list) and parts and all(_is_result(part) for part in parts):
        made = {"role": "tool", "content": parts, **without(made, "role", "parts"), "said_by": made.get("role")}
    elif "role" not in made:
        made["role"] = "user"  # the API's default
    return made


def _is_result(part: Any) -> bool:
    return isinstance(part, dict) and any(key in part for key in _RESULTS)


# --- AI Studio ------------------------------------------------------------------------------------


def is_ai_studio(value: dict[str, Any]) -> bool:
    """Return whether a value is a prompt that AI Studio has saved."""
    prompt = value.get("chunkedPrompt")
    return isinstance(prompt, dict) and isinstance(prompt.get("chunks"), list)


def ai_studio(value: dict[str, Any]) -> Conversation:
    """Return a prompt that AI Studio has saved: each chunk is a message; thoughts are marked."""
    prompt = value["chunkedPrompt"]
    messages = []
    for chunk in prompt["chunks"]:
        if isinstance(chunk, dict) and chunk.get("isThought") and isinstance(chunk.get("text"), str):
            chunk = {**without(chunk, "text"), "content": [{"type": "thinking", "thinking": chunk["text"]}]}
        if isinstance(chunk, dict) and chunk.get("parts") and "text" in chunk:
            chunk = without(chunk, "parts")  # the same text, as it was streamed
        messages.append(chunk)
    rest = without(prompt, "chunks")
    extra = without(value, "chunkedPrompt") | ({"chunkedPrompt": rest} if rest else {})
    turns, extra, notes = turns_under({"messages": messages, **extra}, "messages")
    return whole("ai-studio", value, turns, extra, notes)


# --- Takeout --------------------------------------------------------------------------------------


def is_takeout(value: dict[str, Any]) -> bool:
    """Return whether a value is an activity of Gemini in Google's Takeout: a question and its answer."""
    return "safeHtmlItem" in value and isinstance(value.get("title"), str)


def takeout(value: dict[str, Any]) -> Conversation:
    """Return an activity of Gemini in Takeout. The answer's text is that of its HTML, which is kept too."""
    asked = _VERBS.sub("", value["title"], count=1)
    items = value["safeHtmlItem"]
    items = items if isinstance(items, list) else [items]
    answers = [each["html"] for each in items if _has_html(each)]
    if not asked.strip():
        raise UnknownRecord("the activity has no question")
    said = {"create_time": value.get("time")}
    messages: list[dict[str, Any]] = [{"role": "user", "content": asked, **said}]
    messages += [{"role": "assistant", "content": _text_of_html(each), "html": each, **said} for each in answers]
    turns, notes = read_turns(messages)
    extra = without(value, "safeHtmlItem") if len(answers) == len(items) else value
    return whole("gemini-takeout", value, turns, extra, notes, title=asked[:80])


def _has_html(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("html"), str)


def _text_of_html(html: str) -> str:
    return unescape(_TAGS.sub("", _BREAKS.sub("\n", html))).strip()
