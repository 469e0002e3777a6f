"""A desk that refunds what customers ask for: a model reads their mails, a tool pays, another model sums up the day."""

from __future__ import annotations

import json
from pathlib import Path

import anthropic
import openai

from greenroom.runtime import tool

SYSTEM = "You refund orders. Call refund with the number of the order and the amount in cents."
REFUND = {
    "type": "function",
    "function": {
        "name": "refund",
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "integer"}, "cents": {"type": "integer"}},
            "required": ["order", "cents"],
        },
    },
}


@tool
def inbox() -> list[str]:
    """Return the mails of today."""
    return Path("mails.txt").read_text("utf-8").splitlines()


@tool
def refund(order: int, cents: int) -> str:
    """Pay, unless it is not what the customer has paid."""
    paid = json.loads(Path("paid.json").read_text("utf-8"))[str(order)]
    if cents != paid:
        raise ValueError(f"order {order}: {cents} cents are asked for, but {paid} were paid")
    with Path("bank.txt").open("a", encoding="utf-8") as bank:
        bank.write(f"{order} {cents}\n")
    return "paid"


def work() -> str:
    """Refund everything, and return the report of the day."""
    clerk, writer = openai.OpenAI(), anthropic.Anthropic()
    messages: list = [{"role": "system", "content": SYSTEM}]
    for mail in inbox():
        messages.append({"role": "user", "content": mail})
        answer = clerk.chat.completions.create(model="gpt-4o", messages=messages, tools=[REFUND])
        decision = answer.choices[0].message
        messages.append(decision.model_dump(exclude_none=True))
        for call in decision.tool_calls or ():
            result = refund(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    report = writer.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=200,
        messages=[{"role": "user", "content": f"Sum up: {len(messages)} messages, all refunds were paid."}],
    )
    return report.content[0].text


if __name__ == "__main__":
    print(work())
