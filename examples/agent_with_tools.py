"""An agent calls a tool; the journal keeps both calls. Run: python examples/agent_with_tools.py"""

from decimal import Decimal

from greenroom.runtime import AgentContext, AgentReply, CallFailed, Runtime, TokenUsage


def weather(city: str, days: int = 1) -> dict[str, object]:
    """The weather of a city."""
    if city == "Atlantis":
        raise LookupError("no such city")
    hours = [{"hour": hour, "sky": "sunny", "degrees": 15 + hour % 12} for hour in range(24)]
    return {"city": city, "days": ["sunny"] * days, "hours": hours}


def model(input: str, context: AgentContext) -> AgentReply:
    """Stand in for a language model: ask the tool about the last word of the question."""
    report = context.call_tool("weather", {"city": input.rstrip("?").split()[-1]})
    text = f"{context.system_prompt} {report['city']}: {report['days'][0]}."
    return AgentReply(text, TokenUsage(len(input.split()), len(text.split())), cost_usd=Decimal("0.000021"))


with Runtime.open() as runtime:
    runtime.tools.register("weather", weather)
    runtime.agents.register("acme/", model)
    runtime.agents.create("reporter", "acme/small", system_prompt="Today in", tools=["weather"])
    session = runtime.create_session(name="questions")

    print(session.call_agent("reporter", "How is the weather in Berlin?").text)
    try:
        session.call_agent("reporter", "How is the weather in Atlantis?")
    except CallFailed as error:
        print(error)

    # The journal has the calls of the agent and, within them, those of the tool.
    for event in session.events():
        if event.type.startswith(("tool.", "agent.")):
            outcome = event.data.get("error") or event.data.get("result") or event.data["input"]
            print(event.sequence, event.type, event.data["name"], str(outcome)[:80])

    # An output of 256 bytes or more is also kept as an artifact.
    for artifact in session.list_artifacts():
        print(artifact.artifact_type, artifact.name, artifact.custom["parameters"])

    # Outside of a session nothing is journaled; `invoke` never raises.
    print("6 * 7 =", runtime.tools.invoke("calculator", {"expression": "6 * 7"}).result)
    print(runtime.tools.invoke("weather", {"town": "Berlin"}).error)
