"""A small example of each application's form, after its public description. The texts are invented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

T = 1_700_000_000
"""2023-11-14T22:13:20Z"""
IMAGE = "iVBORw0KGgo" + "A" * 1513  # base64 of a PNG's first bytes, then zeros


def node(id: str, parent: str | None, message: dict[str, Any] | None, *children: str) -> dict[str, Any]:
    return {"id": id, "parent": parent, "message": message, "children": list(children)}


def said(id: str, role: str, content: Any, at: float | None = None, **more: Any) -> dict[str, Any]:
    if isinstance(content, str):
        content = {"content_type": "text", "parts": [content]}
    author = {"role": role, "name": more.pop("name", None), "metadata": {}}
    return {
        "id": id,
        "author": author,
        "create_time": at,
        "update_time": None,
        "content": content,
        "status": "finished_successfully",
        "end_turn": True,
        "weight": 1.0,
        "metadata": {},
        "recipient": "all",
        **more,
    }


def chatgpt(**changes: Any) -> dict[str, Any]:
    """A question that was edited once, and an answer that was generated twice."""
    nodes = [
        node("root", None, None, "sys"),
        node(
            "sys",
            "root",
            said("sys", "system", "", metadata={"is_visually_hidden_from_conversation": True}),
            "q0",
            "q1",
        ),
        node("q0", "sys", said("q0", "user", "plan a trip", T + 1), "a0"),
        node("a0", "q0", said("a0", "assistant", "where to?", T + 2)),
        node("q1", "sys", said("q1", "user", "plan a trip to Rome", T + 5), "a1", "a2"),
        node("a1", "q1", said("a1", "assistant", "by train?", T + 6)),
        node("a2", "q1", said("a2", "assistant", "by plane?", T + 7), "q2"),
        node("q2", "a2", said("q2", "user", "yes", T + 8), "a3"),
        node("a3", "q2", said("a3", "assistant", "booked", T + 9)),
    ]
    return {
        "title": "A trip",
        "create_time": T + 0.5,
        "update_time": T + 10,
        "current_node": "a3",
        "mapping": {each["id"]: each for each in nodes},
        "conversation_id": "c-1",
        "id": "c-1",
        "is_archived": False,
        "default_model_slug": "gpt-x",
        "moderation_results": [],
        **changes,
    }


def chatgpt_parts() -> dict[str, Any]:
    """Reasoning, a call of a tool with its result, an image, and instructions that are hidden."""
    about = {"content_type": "user_editable_context", "user_profile": "I am Ada", "user_instructions": "be brief"}
    image = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1", "width": 8, "height": 8}
    thought = {"summary": "Adding", "content": "two and two", "chunks": [], "finished": True}
    contents = [
        said("m0", "user", about, T, metadata={"is_visually_hidden_from_conversation": True}),
        said("m1", "user", {"content_type": "multimodal_text", "parts": [image, "what is this?"]}, T + 1),
        said(
            "m2", "assistant", {"content_type": "thoughts", "thoughts": [thought], "source_analysis_msg_id": "x"}, T + 2
        ),
        said(
            "m3",
            "assistant",
            {"content_type": "code", "language": "python", "text": "2 + 2"},
            T + 3,
            recipient="python",
        ),
        said("m4", "tool", {"content_type": "execution_output", "text": "4"}, T + 4, name="python"),
        said("m5", "assistant", "It is four.", T + 5),
        said("m6", "assistant", {"content_type": "new_kind", "payload": {"deep": ["kept"]}}, T + 6),
    ]
    mapping = {}
    before = None
    for message in contents:
        mapping[message["id"]] = node(message["id"], before, message)
        if before is not None:
            mapping[before]["children"].append(message["id"])
        before = message["id"]
    return {
        "title": "Sums",
        "create_time": T,
        "update_time": T + 9,
        "mapping": mapping,
        "current_node": "m6",
        "id": "c-2",
    }


def iso(seconds: int) -> str:
    return f"2024-05-01T10:00:{seconds:02d}.000000Z"


def claude(**changes: Any) -> dict[str, Any]:
    blocks = [
        {"type": "thinking", "thinking": "a haiku has three lines"},
        {"type": "text", "text": "Rain.", "start_timestamp": iso(3), "citations": []},
        {"type": "tool_use", "name": "artifacts", "input": {"command": "create"}, "id": "t1"},
        {"type": "tool_result", "tool_use_id": "t1", "name": "artifacts", "content": [{"type": "text", "text": "OK"}]},
    ]
    notes = {"file_name": "notes.txt", "file_size": 9, "file_type": "txt", "extracted_content": "wet roofs"}
    return {
        "uuid": "k-1",
        "name": "A haiku",
        "created_at": iso(0),
        "updated_at": iso(30),
        "account": {"uuid": "u-1"},
        "chat_messages": [
            {
                "uuid": "m1",
                "sender": "human",
                "text": "a haiku, please",
                "created_at": iso(1),
                "updated_at": iso(1),
                "content": [{"type": "text", "text": "a haiku, please"}],
                "attachments": [notes],
                "files": [{"file_name": "roof.png", "file_uuid": "f-1"}],
            },
            {
                "uuid": "m2",
                "sender": "assistant",
                "text": "Rain.",
                "content": blocks,
                "created_at": iso(4),
                "updated_at": iso(5),
                "attachments": [],
                "files": [],
            },
            {"uuid": "m3", "sender": "human", "text": "thanks", "created_at": iso(9), "attachments": [], "files": []},
        ],
        **changes,
    }


def line(id: str, parent: str | None, kind: str, content: Any, at: int, **more: Any) -> dict[str, Any]:
    """A line of Claude Code."""
    message: dict[str, Any] = {"role": kind, "content": content}
    if kind == "assistant":
        message |= {
            "id": more.pop("msg", f"msg_{id}"),
            "type": "message",
            "model": "claude-x",
            "usage": {"input_tokens": 3},
        }
    return {
        "parentUuid": parent,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/ada/app",
        "sessionId": "s-1",
        "version": "2.0.1",
        "gitBranch": "main",
        "type": kind,
        "message": message,
        "uuid": id,
        "timestamp": iso(at),
        **more,
    }


def use(id: str, name: str = "Bash", **input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


def result(id: str, text: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": text}


def claude_code() -> list[dict[str, Any]]:
    """Two tools called at once, a sub-agent, and a question that was asked again in another way."""
    return [
        {"type": "summary", "summary": "Mend the tests", "leafUuid": "u7"},
        {"type": "file-history-snapshot", "messageId": "u1", "snapshot": {"trackedFileBackups": {}}},
        line("u0", None, "user", "fix it", 0),
        line("a0", "u0", "assistant", [{"type": "text", "text": "Which one?"}], 1),
        line("u1", None, "user", "the tests fail", 2),
        line("a1", "u1", "assistant", [{"type": "thinking", "thinking": "look first"}], 3, msg="msg_1"),
        line("a2", "a1", "assistant", [use("t1", command="pytest")], 4, msg="msg_1"),
        line("r1", "a2", "user", [result("t1", "1 failed")], 5, toolUseResult={"stdout": "1 failed"}),
        line("a3", "a2", "assistant", [use("t2", "Task", prompt="find it")], 6, msg="msg_1"),
        line("x1", None, "user", "find it", 7, isSidechain=True),
        line("x2", "x1", "assistant", [{"type": "text", "text": "in a.py"}], 8, isSidechain=True),
        line("r2", "a3", "user", [result("t2", "in a.py")], 9),
        {
            "type": "system",
            "subtype": "info",
            "content": "hooks ran",
            "uuid": "y1",
            "parentUuid": "r2",
            "timestamp": iso(10),
        },
        line("a4", "y1", "assistant", [{"type": "text", "text": "Mended."}], 11),
    ]


def codex() -> list[dict[str, Any]]:
    def of(kind: str, at: int, **payload: Any) -> dict[str, Any]:
        return {"timestamp": iso(at), "type": kind, "payload": payload}

    def item(kind: str, at: int, **fields: Any) -> dict[str, Any]:
        return of("response_item", at, **{"type": kind, **fields})

    return [
        of("session_meta", 0, id="x-1", timestamp=iso(0), cwd="/srv", cli_version="0.50.0", instructions=None),
        item("message", 1, role="user", content=[{"type": "input_text", "text": "list the files"}]),
        of("event_msg", 1, type="user_message", message="list the files"),
        of("turn_context", 1, cwd="/srv", model="gpt-x", approval_policy="never"),
        item("reasoning", 2, summary=[{"type": "summary_text", "text": "run ls"}], encrypted_content="gAAA"),
        item("function_call", 3, name="shell", arguments='{"command": ["ls"]}', call_id="c1"),
        item("function_call_output", 4, call_id="c1", output='{"output": "a.py"}'),
        item("custom_tool_call", 5, call_id="c2", name="apply_patch", input="*** Begin Patch"),
        item("custom_tool_call_output", 6, call_id="c2", output="done"),
        item("message", 7, role="assistant", content=[{"type": "output_text", "text": "There is a.py."}]),
        of("event_msg", 8, type="token_count", info={"total": 12}),
    ]


def librechat(**changes: Any) -> dict[str, Any]:
    def one(id: str, parent: str, by_user: bool, text: str, at: int, *children: Any, **more: Any) -> dict[str, Any]:
        sender = "User" if by_user else "GPT-X"
        return {
            "messageId": id,
            "parentMessageId": parent,
            "conversationId": "l-1",
            "sender": sender,
            "text": text,
            "isCreatedByUser": by_user,
            "createdAt": iso(at),
            "children": list(children),
            **more,
        }

    called = {"id": "t1", "name": "search", "args": '{"q": "tea"}', "output": "green", "type": "tool_call"}
    parts = [{"type": "text", "text": "Green tea."}, {"type": "tool_call", "tool_call": called}]
    nothing = "00000000-0000-0000-0000-000000000000"
    return {
        "conversationId": "l-1",
        "endpoint": "openAI",
        "title": "Tea",
        "exportAt": "10:00:00 GMT",
        "branches": True,
        "recursive": True,
        "options": {"model": "gpt-x", "temperature": 1},
        "messages": [
            one(
                "m1",
                nothing,
                True,
                "which tea?",
                1,
                one("m2", "m1", False, "Black tea.", 2),
                one("m3", "m1", False, "", 3, content=parts),
            )
        ],
        **changes,
    }


def open_webui(**changes: Any) -> dict[str, Any]:
    def one(id: str, parent: str | None, role: str, content: str, at: int, *children: str) -> dict[str, Any]:
        return {
            "id": id,
            "parentId": parent,
            "childrenIds": list(children),
            "role": role,
            "content": content,
            "timestamp": T + at,
        }

    nodes = [
        one("m1", None, "user", "hello", 1, "m2", "m3"),
        one("m2", "m1", "assistant", "hi", 2),
        one("m3", "m1", "assistant", "good day", 3),
    ]
    chat = {
        "id": "",
        "title": "Greetings",
        "models": ["llama-x"],
        "params": {"system": "be polite"},
        "tags": ["a"],
        "history": {"messages": {each["id"]: each for each in nodes}, "currentId": "m3"},
        "timestamp": T * 1000,
        "messages": [nodes[0], nodes[2]],
    }
    return {
        "id": "w-1",
        "user_id": "u-1",
        "title": "Greetings",
        "chat": chat,
        "created_at": T,
        "updated_at": T + 5,
        "archived": False,
        "pinned": False,
        "meta": {},
        **changes,
    }


def gemini() -> dict[str, Any]:
    return {
        "systemInstruction": {"parts": [{"text": "be nice"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "weather?"}, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"at": "Rome"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"sky": "blue"}}}]},
        ],
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Blue."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"totalTokenCount": 9},
    }


def ai_studio() -> dict[str, Any]:
    return {
        "runSettings": {"model": "models/gemini-x", "temperature": 1.0},
        "systemInstruction": {"parts": [{"text": "be nice"}]},
        "chunkedPrompt": {
            "chunks": [
                {"text": "a joke", "role": "user", "tokenCount": 2, "createTime": iso(1)},
                {"text": "find one", "role": "model", "isThought": True, "createTime": iso(2)},
                {"text": "Knock, knock.", "role": "model", "finishReason": "STOP", "createTime": iso(3)},
            ],
            "pendingInputs": [{"text": "", "role": "user"}],
        },
    }


def takeout() -> dict[str, Any]:
    return {
        "header": "Gemini Apps",
        "title": "Prompted how old is Rome?",
        "time": iso(1),
        "products": ["Gemini Apps"],
        "safeHtmlItem": [{"html": "<p>Very old.</p><p>Since 753&nbsp;BC.</p>"}],
    }


def tau_bench() -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "cancel", "arguments": '{"order": 1}'}}
    return {
        "task_id": 7,
        "reward": 1.0,
        "trial": 0,
        "info": {"task": {"user_id": "ada"}},
        "traj": [
            {"role": "system", "content": "policy"},
            {"role": "user", "content": "cancel my order"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "name": "cancel", "content": "cancelled"},
            {"role": "assistant", "content": "Done."},
        ],
    }


def openhands() -> list[dict[str, Any]]:
    about = {"function_name": "execute_bash", "tool_call_id": "c1", "total_calls_in_response": 1}
    metadata = {**about, "model_response": {"id": "r1", "choices": [{"message": {"content": "long"}}]}}

    def event(id: int, source: str, message: str, **fields: Any) -> dict[str, Any]:
        return {"id": id, "timestamp": iso(id), "source": source, "message": message, **fields}

    run = {"command": "ls", "thought": "look"}
    done = {"final_thought": "It works.", "outputs": {}}
    return [
        event(0, "agent", "You are", action="system", args={"content": "You are"}),
        event(1, "user", "fix", action="message", args={"content": "fix", "image_urls": None}),
        event(2, "environment", "", observation="agent_state_changed", content="", extras={"agent_state": "running"}),
        event(3, "agent", "Running", action="run", args=run, tool_call_metadata=metadata),
        event(4, "agent", "ran", cause=3, observation="run", content="a.py", extras={}, tool_call_metadata=metadata),
        event(5, "agent", "All done", action="finish", args=done),
    ]


EXAMPLES: dict[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (
        *(chatgpt, chatgpt_parts, claude, claude_code, codex, librechat, open_webui),
        *(gemini, ai_studio, takeout, tau_bench, openhands),
    )
}
