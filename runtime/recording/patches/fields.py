"""The table of what a patch can change. The documentation is made from it, and a test runs its examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["FIELDS", "PARAMETERS", "ROOTS", "Field", "table"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a patch can name. `of` is the side it belongs to: the answer of the last step that is replayed, or
    the requests after it."""

    path: str
    of: Literal["answer", "requests"]
    meaning: str
    example: str


PARAMETERS: Final = (
    "model", "temperature", "top_p", "top_k", "max_tokens", "stop", "seed", "tools", "tool_choice",
)  # fmt: skip
"""What a request has beside its conversation."""

FIELDS: Final = (
    Field("llm.system", "requests", "the system prompt, in every model call", 'llm.system+=" Answer in one word."'),
    Field("llm.model", "requests", "the model, in every model call", 'llm.model="other-model"'),
    Field("llm.temperature", "requests", "in every model call", "llm.temperature=0"),
    Field("llm.top_p", "requests", "in every model call", "llm.top_p=0.5"),
    Field("llm.top_k", "requests", "in every model call, where the provider knows it", "llm.top_k=1"),
    Field("llm.max_tokens", "requests", "the most tokens of a reply, in every model call", "llm.max_tokens=50"),
    Field("llm.stop", "requests", "where a reply stops, in every model call", 'llm.stop=["END"]'),
    Field("llm.seed", "requests", "in every model call, where the provider knows it", "llm.seed=7"),
    Field("llm.tools", "requests", "what the model may call, as its provider has it, in every call", "llm.tools=[]"),
    Field("llm.tool_choice", "requests", "as its provider has it, in every call", "del llm.tool_choice"),
    Field(
        "llm.messages",
        "requests",
        "the conversation of the next model call, and of later ones as long as they begin with the same messages. "
        "`+=` adds one, a text as the user's",
        'llm.messages+={"role": "user", "content": "Are you sure?"}',
    ),
    Field("llm.messages[N]", "requests", "one message of it; negative from the end", "del llm.messages[-1]"),
    Field(
        "llm.messages[N].content",
        "requests",
        "its text, in every provider's format; what is below has the provider's own names",
        'llm.messages[-1].content="What is the weather in Paris?"',
    ),
    Field("response.text", "answer", "what the model said, streamed or not", 'response.text="I do not know."'),
    Field(
        "response.tool_calls",
        "answer",
        "what the model wants to call: a list of {id, name, arguments}",
        'response.tool_calls=[{"name": "weather", "arguments": {"city": "Oslo"}}]',
    ),
    Field(
        "response.tool_calls[N].arguments",
        "answer",
        "the arguments of one of these calls",
        'response.tool_calls[0].arguments.city="Oslo"',
    ),
    Field(
        "response.PATH",
        "answer",
        "any other field of the answer's JSON body, as the provider has it; of a stream: of the answer that it adds up "
        "to",
        'response.usage={"total_tokens": 3}',
    ),
    Field(
        "tool.NAME.arguments",
        "requests",
        "what a tool is called with the next time. If the last replayed step is a model's answer that calls it: in "
        "that answer",
        'tool.weather.arguments.city="Oslo"',
    ),
    Field(
        "tool.NAME.result",
        "answer",
        "what a tool returned, if it is the last replayed step. Otherwise what the next model call is told that it "
        "returned",
        'tool.weather.result={"temp": 30}',
    ),
    Field("http.body.PATH", "requests", "a field of the JSON body of the next HTTP call", 'http.body.user="me"'),
    Field("http.headers.NAME", "requests", "a header of the next HTTP call", 'http.headers.x-trial="1"'),
    Field("http.status", "answer", "the status of the answer", "http.status=429"),
)  # fmt: skip


def _names() -> Mapping[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for each in FIELDS:
        root, *path = each.path.replace("[", ".").split(".")
        place = 1 if root == "tool" else 0
        names.setdefault(root, set()).add(path[place])
    return {root: frozenset(found) for root, found in names.items()}


ROOTS: Final = _names()
"""What a patch can begin with, and the fields of each."""


def table() -> str:
    """Return the table as Markdown."""
    rows = ["| field | of | what it is | example |", "| --- | --- | --- | --- |"]
    sides = {"answer": "the answer of step N", "requests": "what is called after it"}
    rows += [f"| `{each.path}` | {sides[each.of]} | {each.meaning} | `{each.example}` |" for each in FIELDS]
    return "\n".join(rows) + "\n"
