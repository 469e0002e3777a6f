"""Recognizes the format of a JSON record and reads its conversation in one shape.

The table below has every form: it tells whether a record has this form, and returns the conversation. Other fields of a
record are kept as the conversation's `extra`, other fields of a message as the turn's `metadata`. Nothing is dropped
here. The content of a record decides, never the name of its file; the most specific form comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from greenroom.runtime.ingest.forms import agents, apis, chatgpt, chats, claude_code, codex, gemini
from greenroom.runtime.ingest.forms.common import read_turns, whole, with_times

from .records import BesideConversations, Conversation, Joined, UnknownRecord, digest_of

__all__ = ["LineForm", "conversation_of", "is_conversation", "is_message", "line_form_of"]

_OF_CONVERSATION: Final = ("conversation_id", "conversationId", "session_id", "sessionId", "thread_id", "chat_id")
"""Fields of a message that tell which conversation it belongs to."""
_BESIDE: Final = (
    {"email", "chatgpt_plus_user"},  # ChatGPT: the account, ratings of answers, links that were shared
    {"conversation_id", "rating"},
    {"conversation_id", "is_anonymous"},
    {"full_name", "email_address"},  # Claude: the account, projects, memories
    {"prompt_template", "docs"},
    {"conversations_memory"},
)
"""Fields that tell what exports have beside conversations."""


def is_message(value: Any) -> bool:
    """Return whether a value is a single message, or event of an agent, and not a conversation."""
    return (
        isinstance(value, dict)
        and ("role" in value or "from" in value or agents.is_event(value))
        and not is_conversation(value)
    )


def is_conversation(value: Any) -> bool:
    """Return whether a value looks like a whole conversation."""
    if isinstance(value, list):
        return bool(value) and is_message(value[0])
    return isinstance(value, dict) and any(form.reads(value) for form in _FORMS)


def conversation_of(value: Any) -> Conversation:
    """Return the conversation in a parsed JSON record.

    Raises UnknownRecord if there are no turns; the text says what is missing and at which message. Messages are counted
    from 0.
    """
    if isinstance(value, Joined):
        return _read(next(form for form in _LINE_FORMS if form.name == value.form).conversation, value.items)
    if isinstance(value, list):
        first = value[0] if value else None
        key = "messages"
        if isinstance(first, dict) and is_message(first) and "role" not in first:
            key = "conversations" if "from" in first else "history"
        value = {key: value}
    if not isinstance(value, dict):
        raise UnknownRecord("it is no conversation: neither an object nor a list")
    for form in _FORMS:
        if form.reads(value):
            return _read(form.conversation, value)
    if any(keys <= value.keys() for keys in _BESIDE):
        raise BesideConversations("it belongs to an export, and is no conversation")
    if "role" in value or "from" in value:
        raise UnknownRecord("it is a single message, not a conversation")
    raise UnknownRecord('it is no conversation: it has no list under "messages", "history" or "conversations"')


def _read(conversation: Callable[[Any], Conversation], value: Any) -> Conversation:
    """Return the conversation, with its title and times. A reader that meets a type which it does not expect must not
    cost the other conversations."""
    try:
        return with_times(conversation(value))
    except UnknownRecord:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnknownRecord(f"{UNEXPECTED} ({type(error).__name__}: {error})"[:300]) from error


UNEXPECTED: Final = "one of its fields is of a type that its form does not have"


@dataclass(frozen=True, slots=True)
class _Form:
    """One form of records."""

    reads: Callable[[dict[str, Any]], bool]
    conversation: Callable[[dict[str, Any]], Conversation]


@dataclass(frozen=True, slots=True)
class LineForm:
    """A form whose conversation is several records of a file.

    `begins` tells whether a record can be its first; `belongs` whether a record is of the same conversation as those
    before it. `adjacent`: an empty line ends the conversation.
    """

    name: str
    begins: Callable[[Any], bool]
    belongs: Callable[[list[Any], Any], bool]
    conversation: Callable[[list[Any]], Conversation]
    adjacent: bool = False


def line_form_of(value: Any) -> LineForm | None:
    """Return the form of a record that is a part of a conversation; None for any other, also for a whole one."""
    form = next((form for form in _LINE_FORMS if form.begins(value)), None)
    return None if form is None or is_conversation(value) else form


# --- records that hold others ---------------------------------------------------------------------


def _is_batch(value: dict[str, Any]) -> bool:
    return any(_batch_parts(value))


def _batch_parts(value: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the request and the response that a line of a batch, or of a log, holds."""
    request = value.get("body", value.get("params")) if "custom_id" in value else value.get("request")
    response = value.get("response")
    result = value.get("result")
    if response is None and isinstance(result, dict) and "custom_id" in value:
        response = result.get("message")  # Anthropic's batches
    if isinstance(request, dict) and isinstance(request.get("body"), dict):
        request = request["body"]
    if isinstance(response, dict) and isinstance(response.get("body"), dict):
        response = response["body"]
    return (
        request if isinstance(request, dict) and _is_exchange(request) else None,
        response if isinstance(response, dict) and _is_exchange(response) else None,
    )


def _batch(value: dict[str, Any]) -> Conversation:
    """Return a line of OpenAI's or Anthropic's batches, or of a log of requests and responses."""
    parts = [part for part in _batch_parts(value) if part is not None]
    conversations = [conversation_of(part) for part in parts]
    extra = dict(value)
    for key in ("body", "params", "request", "response", "result"):
        for part, conversation in zip(parts, conversations, strict=True):
            if value.get(key) is part:
                extra[key] = conversation.extra
            elif isinstance(value.get(key), dict):
                for inner in ("body", "message"):
                    if value[key].get(inner) is part:
                        extra[key] = {**value[key], inner: conversation.extra}
    return replace(
        conversations[0],
        turns=[turn for conversation in conversations for turn in conversation.turns],
        notes=[note for conversation in conversations for note in conversation.notes],
        extra=extra,
        digest=digest_of(value),
    )


def _is_exchange(value: dict[str, Any]) -> bool:
    return any(form.reads(value) for form in _FORMS if form.reads is not _is_batch)


# --- one message a line ---------------------------------------------------------------------------


def _is_of_the_same(messages: list[Any], value: Any) -> bool:
    item = isinstance(value, dict) and value.get("type") in apis.ITEMS
    return (item or is_message(value)) and all(messages[0].get(key) == value.get(key) for key in _OF_CONVERSATION)


def _messages(items: list[Any]) -> Conversation:
    """Return messages that follow each other in a file."""
    if agents.is_event(items[0]):
        return agents.openhands({"history": items})
    turns, notes = read_turns([apis.item(each) for each in items])
    key = next((key for key in _OF_CONVERSATION if items[0].get(key) is not None), None)
    return whole("messages", items, turns, {}, notes, source_id=items[0][key] if key is not None else None)


def _is_logged(value: Any) -> bool:
    """Return whether a record belongs to a log that has begun: records of unknown types do."""
    return isinstance(value, dict) and not is_conversation(value)


def _is_of_claude_code(lines: list[Any], value: Any) -> bool:
    return _is_logged(value) and claude_code.is_of_session(lines, value)


def _is_of_codex(lines: list[Any], value: Any) -> bool:
    return _is_logged(value) and codex.is_of_session(lines, value)


# --- the table ------------------------------------------------------------------------------------

_FORMS: Final = (
    _Form(chatgpt.is_chatgpt, chatgpt.chatgpt),
    _Form(chats.is_claude, chats.claude),
    _Form(chats.is_open_webui, chats.open_webui),
    _Form(chats.is_librechat, chats.librechat),
    _Form(agents.is_tau_bench, agents.tau_bench),
    _Form(agents.is_openhands, agents.openhands),
    _Form(gemini.is_ai_studio, gemini.ai_studio),
    _Form(gemini.is_takeout, gemini.takeout),
    _Form(gemini.is_gemini, gemini.gemini),
    _Form(apis.has("messages"), apis.chat),
    _Form(apis.has("history", "trajectory"), apis.swe_agent),
    _Form(apis.has("conversations", "conversation"), apis.sharegpt),
    _Form(apis.has_choices, apis.completion),
    _Form(apis.is_anthropic_message, apis.anthropic_message),
    _Form(apis.is_responses, apis.responses),
    _Form(_is_batch, _batch),
)

_LINE_FORMS: Final = (
    LineForm("claude-code", claude_code.is_claude_code_line, _is_of_claude_code, claude_code.claude_code),
    LineForm("codex", codex.is_codex_line, _is_of_codex, codex.codex),
    LineForm("messages", is_message, _is_of_the_same, _messages, adjacent=True),
)
