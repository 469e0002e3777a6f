"""Send messages to sessions: `ask` waits for the reply, `tell` does not. Run: python examples/messages_api.py"""

from concurrent.futures import ThreadPoolExecutor

from greenroom.runtime import InvalidSessionState, Runtime, messages

with Runtime.open() as runtime:
    ids = [runtime.create_session(name=f"worker {number}").id for number in range(4)]

    # tell: no reply, no waiting. A session handles its messages one by one, in the order of arrival.
    for session_id in ids:
        for value in range(100):
            runtime.tell(session_id, messages.SetVariable("step", value))
        # The messages that were told before are handled first.
        print("the last step told was", runtime.ask(session_id, messages.GetVariable("step"), timeout=5.0))

    # ask: returns the reply, or raises the session's error. Any number of threads may ask.
    def work(session_id: str) -> int:
        for number in range(50):
            runtime.ask(session_id, messages.AddMessage("assistant", f"note {number}"))
        return len(runtime.ask(session_id, messages.GetMessages()))

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(work, ids * 2))
    print("messages that each of 8 workers found, two in a session:", counts)

    runtime.ask(ids[0], messages.SuspendSession())
    try:
        runtime.ask(ids[0], messages.SetVariable("step", 0))
    except InvalidSessionState as error:
        print(error.code, "-", error)
    print("still readable:", runtime.ask(ids[0], messages.GetInfo()).status)
