"""A server that answers with given bytes, and what providers' answers look like on the wire."""

from __future__ import annotations

import json
import struct
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from greenroom.runtime.recording.understanding import ModelCall, Prices, model_call

PRICES = Prices(
    {"gpt-4o": {"input": 2.5, "output": 10, "cached": 1.25}, "claude-sonnet-4-5": {"input": 3, "output": 15}}
)


class Server(ThreadingHTTPServer):
    """Answers with given bytes, and keeps each exchange as a boundary would record it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: tuple[int, str, list[bytes]] = (200, "application/json", [])
        self.exchanges: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.gzip = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def understood(self) -> ModelCall:
        call = model_call(*self.exchanges[-1], PRICES)
        assert call is not None
        assert call.problems == ()
        return call


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status, kind, chunks = self.server.answer
        headers = [["content-type", kind]]
        if self.server.gzip:
            pack = zlib.compressobj(wbits=31)
            chunks = [pack.compress(b"".join(chunks)) + pack.flush()]
            headers.append(["content-encoding", "gzip"])
        given = {
            "method": "POST",
            "url": self.server.url + self.path,
            "headers": [[name, value] for name, value in self.headers.items()],
            "body": body,
        }
        outcome = {"status": status, "headers": headers, "chunks": chunks, "gaps": [5_000_000], "complete": True}
        self.server.exchanges.append((given, outcome))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(sum(map(len, chunks))))
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)

    def log_message(self, *args: object) -> None:
        pass


def sse(*events: dict[str, Any] | str, named: bool = False) -> list[bytes]:
    return [
        (f"event: {event['type']}\n" if named and isinstance(event, dict) else "").encode()
        + f"data: {json.dumps(event) if isinstance(event, dict) else event}\n\n".encode()
        for event in events
    ]


def event_stream(*events: tuple[str, dict[str, Any]], exception: bool = False) -> list[bytes]:
    return [_message(name, json.dumps(payload).encode(), exception) for name, payload in events]


def _message(name: str, payload: bytes, exception: bool) -> bytes:
    kind = "exception" if exception else "event"
    rows = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    headers = b"".join(
        bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for key, value in rows.items()
    )
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def plain(value: dict[str, Any]) -> list[bytes]:
    return [json.dumps(value).encode()]
