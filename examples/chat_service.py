"""A chat service over HTTP: conversations by user, answers that stream, a tool, uploads, edits, several listeners.

Run: python examples/chat_service.py            a short conversation with the service, as a client sees it
     python examples/chat_service.py --serve 8000 --data chats

    POST   /chats/USER/CHAT             {"text": ...} → the answer as server-sent events
    GET    /chats/USER/CHAT             the conversation as JSON
    GET    /chats/USER/CHAT/events      history, then whatever happens, as server-sent events
    PATCH  /chats/USER/CHAT/SEQUENCE    {"text": ...} → edits a turn and drops the turns after it
    PUT    /chats/USER/CHAT/files/NAME  uploads a file
    GET    /chats/USER                  the newest conversations of a user
    DELETE /chats/USER                  deletes everything of a user

A real service authenticates its users and uses a web framework; the part that concerns greenroom stays the same.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from greenroom.runtime import GreenroomError, Runtime, Session


def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


def model(session: Session, question: str) -> Iterator[str]:
    """Stand in for a language model that may call a tool."""
    if question.startswith("count "):
        words = session.call_tool("count_words", {"text": question.removeprefix("count ")}, as_=int)
        yield f"{words} words"
        return
    yield "You "
    yield "said: "
    yield question


class Service:
    """What the service does, without HTTP."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        runtime.tools.register("count_words", count_words)

    def chat(self, user: str, name: str) -> Session:
        return self.runtime.get_or_create(key=f"{user}/{name}", created_by=user, name=name, tags=["chat"])

    def answer(self, user: str, name: str, text: str) -> Iterator[str]:
        session = self.chat(user, name)
        session.add_message("user", text)
        with session.stream_message("assistant") as message:
            for piece in model(session, text):
                message.write(piece)
                yield piece

    def edit(self, user: str, name: str, sequence: int, text: str) -> None:
        session = self.chat(user, name)
        session.edit_message(sequence, content=text)
        session.truncate_messages(after_sequence=sequence)

    def history(self, user: str, name: str) -> list[dict[str, Any]]:
        return [
            {"sequence": turn.sequence, "role": turn.role, "content": turn.content, "partial": turn.partial}
            for turn in self.chat(user, name).messages()
        ]

    def newest(self, user: str) -> list[str]:
        page = self.runtime.list_sessions(
            key_prefix=f"{user}/", created_by=user, sort_by="updated_at", descending=True, limit=20
        )
        return [info.name or "" for info in page]


class Handler(BaseHTTPRequestHandler):
    """One request. Errors of greenroom say what was wrong, so the client gets them as they are."""

    service: Service
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        user, name = self.names(2)
        text = str(self.body()["text"])
        self.stream({"piece": piece} for piece in self.service.answer(user, name, text))

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case ["chats", user]:
                self.reply(self.service.newest(user))
            case ["chats", user, name]:
                self.reply(self.service.history(user, name))
            case ["chats", user, name, "events"]:
                session = self.service.chat(user, name)
                self.stream({"sequence": each.sequence, "type": each.type} for each in session.follow(timeout=0.5))
            case _:
                self.reply({"error": "no such page"}, 404)

    def do_PATCH(self) -> None:
        user, name, sequence = self.names(3)
        self.service.edit(user, name, int(sequence), str(self.body()["text"]))
        self.reply(self.service.history(user, name))

    def do_PUT(self) -> None:
        user, name, _, file = self.names(4)
        data = self.rfile.read(int(self.headers["Content-Length"]))
        info = self.service.chat(user, name).store_artifact("user_input", file, data)
        self.reply({"name": info.name, "version": info.version, "size": info.size})

    def do_DELETE(self) -> None:
        (user,) = self.names(1)
        report = self.service.runtime.erase(created_by=user)
        self.reply({"deleted": len(report.sessions)})

    def names(self, count: int) -> list[str]:
        parts = self.path.strip("/").split("/")[1:]
        if len(parts) != count:
            raise ValueError(f"{self.path}: there is no such page")
        return parts

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def reply(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, rows: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for row in rows:
            self.wfile.write(f"data: {json.dumps(row)}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (GreenroomError, ValueError, KeyError) as error:
            self.reply({"error": type(error).__name__, "message": str(error)}, 400)

    def log_message(self, format: str, *args: Any) -> None:
        """Print no line for each request."""


def serve(runtime: Runtime, port: int) -> ThreadingHTTPServer:
    handler = type("Bound", (Handler,), {"service": Service(runtime)})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def talk(port: int) -> None:
    """Use the service as a client does."""

    def call(method: str, path: str, body: Any = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        connection.request(method, path, data)
        answer = connection.getresponse().read().decode()
        connection.close()
        return answer

    print("ask:", *call("POST", "/chats/ada/first", {"text": "Hello"}).split("\n\n"), sep="\n  ")
    print("a tool:", *call("POST", "/chats/ada/first", {"text": "count to be or not"}).split("\n\n"), sep="\n  ")
    print("upload:", call("PUT", "/chats/ada/first/files/notes.txt", b"some notes"))
    turns = json.loads(call("GET", "/chats/ada/first"))
    print("edit:", call("PATCH", f"/chats/ada/first/{turns[0]['sequence']}", {"text": "Hello there"}))
    print("again:", *call("POST", "/chats/ada/first", {"text": "And now?"}).split("\n\n"), sep="\n  ")
    print("history:", call("GET", "/chats/ada/first"))
    print("events:", call("GET", "/chats/ada/first/events").count("data:"))
    print("newest:", call("GET", "/chats/ada"))
    print("delete:", call("DELETE", "/chats/ada"))
    print("nothing left:", call("GET", "/chats/ada"))


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--serve", type=int, metavar="PORT", help="serve until interrupted")
    options.add_argument("--data", help="directory of the store; otherwise a temporary one")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, Runtime.open(given.data or f"{folder}/chats") as runtime:
        server = serve(runtime, given.serve or 0)
        if given.serve:
            print(f"http://127.0.0.1:{server.server_port}/")
            server.serve_forever()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        talk(server.server_port)
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    main()
