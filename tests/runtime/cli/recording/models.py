"""A server of a model, and programs that call it: what the tests of recorded programs run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["AGENT", "Model"]

AGENT = """\
import json, os, sys, urllib.request

from greenroom.runtime import tool


@tool
def weather(city):
    with open("tool-calls", "a") as file:
        file.write(city + "\\n")
    return {"city": city, "temp": 21}


def ask(messages):
    body = json.dumps({"model": "m1", "messages": messages, "temperature": 1}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer secret-key"}
    request = urllib.request.Request(os.environ["MODEL_URL"] + "/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["choices"][0]["message"]


messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Weather in Rome?"}]
while True:
    reply = ask(messages)
    messages.append(reply)
    if not reply.get("tool_calls"):
        break
    for call in reply["tool_calls"]:
        result = weather(**json.loads(call["function"]["arguments"]))
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
print("answer:", reply["content"])
sys.exit(len(sys.argv) - 1)
"""
"""Asks a model, calls the tool that it wants, asks again, prints the answer, and ends with as many as its arguments."""


class Model:
    """A server that answers as OpenAI's does: first it wants the weather, then it says what it was told. Each answer
    has a number that no other has."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        """The bodies of all requests."""
        self.says: Callable[[int, dict[str, Any]], str] = lambda number, asked: f"{number}: {self.last(asked)}"
        """Returns what the model says, by the number of the request and its body."""
        self.gate = threading.Event()
        """Requests from the second one on wait for it."""
        self.gate.set()
        model = self

        class Requests(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked.append(asked)
                number = len(model.asked)
                if number > 1:
                    model.gate.wait(30)
                body = json.dumps(model.answer(number, asked)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @staticmethod
    def last(asked: dict[str, Any]) -> str:
        return str(asked["messages"][-1]["content"])

    def answer(self, number: int, asked: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.says(number, asked)}
        if asked["messages"][-1]["role"] == "user":
            function = {"name": "weather", "arguments": '{"city": "Rome"}'}
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"call_{number}", "function": function}],
            }
        return {
            "id": f"chat-{number}",
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }

    def stop(self) -> None:
        """Close the port: whoever calls now gets an error."""
        self.gate.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
