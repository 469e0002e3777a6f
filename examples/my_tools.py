"""A tool, a model and a schema for scripts. Used by examples: greenroom run … --plugin my_tools:register"""

from __future__ import annotations

import re
from typing import Any

from greenroom.runtime import AgentContext, AgentReply, Runtime, TokenUsage

WEATHER = {"Berlin": "sunny", "Bergen": "rain"}


def weather(city: str) -> dict[str, str]:
    """Return the weather of a city."""
    if city not in WEATHER:
        raise LookupError(f"no weather is known for {city}")
    return {"city": city, "sky": WEATHER[city]}


def rules(input: dict[str, Any], context: AgentContext) -> AgentReply:
    """Stand in for a language model: read the conversation, and ask for a tool or answer.

    A real one would send `input["messages"]` to its provider, and return what comes back in the same way.
    """
    messages: list[dict[str, Any]] = input["messages"]
    last = messages[-1]
    text = ""
    wanted: Any = None
    if last["role"] == "tool":
        text = f"The tool says: {last['content']}"
    elif city := re.search(r"weather in (\w+)", last["content"]):
        wanted = {"name": "weather", "input": {"city": city[1]}}
    elif sum_ := re.search(r"(\d+(?: [-+*/] \d+)+)", last["content"]):
        wanted = {"name": "calculator", "input": {"expression": sum_[1]}}
    elif "my name is" in last["content"].lower():
        text = f"Nice to meet you, {last['content'].split()[-1].rstrip('.')}."
    else:
        text = (
            f"{context.system_prompt} You have said {sum(each['role'] == 'user' for each in messages)} things so far."
        )
    words = sum(len(str(each["content"]).split()) for each in messages)
    return AgentReply(text, TokenUsage(words, len(text.split())), data={"tool_call": wanted})


PROFILE = {
    "type": "object",
    "properties": {"language": {"type": "string"}},
    "required": ["language"],
    "additionalProperties": False,
}


def renamed(old: dict[str, Any]) -> dict[str, Any]:
    """Return a profile that is older than its schema as the schema has it."""
    return {"language": old["lang"]}


def register(runtime: Runtime) -> None:
    """Register all of it: what `greenroom run --plugin` calls."""
    runtime.tools.register("weather", weather)
    runtime.agents.register("rules", rules)
    old = runtime.state_scope("user:old")
    if "profile" not in old:
        old.set("profile", {"lang": "fr"})
    runtime.schemas.register("profile", 2, PROFILE, scope="user:*", migrate={0: renamed})
