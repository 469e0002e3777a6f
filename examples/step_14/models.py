"""A server that stands for OpenAI and Anthropic, so that the tutorial runs without keys: `python models.py 8099`.

Its clerk reads amounts as a model might that nobody has told how they are written here: 1.250,00 is 1.25 to it.
"""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

_numbers = count(1)


def read_amount(text: str, knows: bool) -> int:
    """Return an amount in cents. Whoever does not know that a dot is between thousands takes it for the decimal one."""
    if "." in text and not knows:
        return round(float(text.partition(",")[0]) * 100)
    return int(text.replace(".", "").replace(",", ""))


def decide(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the call of the tool that the last mail asks for."""
    system, mail = messages[0]["content"], messages[-1]["content"]
    order = int(re.findall(r"order (\d+)", mail, re.IGNORECASE)[0])
    cents = read_amount(re.findall(r"([\d.,]*\d) EUR", mail)[0], "thousands" in system)
    function = {"name": "refund", "arguments": json.dumps({"order": order, "cents": cents})}
    return {"id": f"call_{next(_numbers)}", "type": "function", "function": function}


class Models(BaseHTTPRequestHandler):
    """Answers chat completions and messages."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one call of a model."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": None, "tool_calls": [decide(asked["messages"])]}
            body = {
                "id": f"chatcmpl-{next(_numbers)}",
                "object": "chat.completion",
                "created": 1,
                "model": asked["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": 40 * len(asked["messages"]), "completion_tokens": 20, "total_tokens": 20},
            }
            body["usage"]["total_tokens"] += body["usage"]["prompt_tokens"]
        else:
            body = {
                "id": f"msg_{next(_numbers)}",
                "type": "message",
                "role": "assistant",
                "model": asked["model"],
                "content": [{"type": "text", "text": "All customers have their money."}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 30, "output_tokens": 8},
            }
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Models).serve_forever()
