"""Open a store, work in a session, look at its events and artifacts. Run: python examples/quickstart.py"""

from greenroom.runtime import Runtime, SessionNotFound

with Runtime.open() as runtime:  # a temporary store; Runtime.open("data") keeps it
    session = runtime.create_session(name="Market research", tags=["demo"], metadata={"customer": "acme"})

    # The conversation
    session.add_message("user", "How many bakeries are there in Lyon?")
    session.add_message("assistant", "Let me look that up.")

    # Variables: any JSON value, or bytes
    session.set("plan", {"steps": ["search", "count", "answer"], "done": 0})
    plan = session.get("plan", as_=dict[str, object])
    assert plan is not None
    plan["done"] = 1
    session.set("plan", plan)

    # Artifacts: what the session consumed and produced. Storing under the same name makes the next version.
    session.store_artifact("tool_result", "bakeries.csv", "name,street\nLe Fournil,Rue A\n")
    info = session.store_artifact("tool_result", "bakeries.csv", "name,street\nLe Fournil,Rue A\nAu Levain,Rue B\n")
    print(f"{info.name} is at version {info.version}, {info.size} bytes")
    print("version 1 was:", session.get_artifact("bakeries.csv", version=1).content.decode().splitlines())

    session.complete()

    for event in session.events():
        print(f"{event.sequence:3} {event.type}")

    # The default lists active and suspended sessions. Filter by status for the others.
    for found in runtime.list_sessions(tags=["demo"], status="completed"):
        print(found.id, found.status, found.name, found.artifact_count, "artifacts")

    runtime.delete_session(session.id)
    try:
        runtime.session(session.id).info()
    except SessionNotFound:
        print("deleted, and nothing is left of it")
