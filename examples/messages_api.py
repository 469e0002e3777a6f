"""Talk to sessions by messages: ask for an answer, or tell and go on. Run: python examples/messages_api.py"""

from concurrent.futures import ThreadPoolExecutor

from greenroom.runtime import InvalidSessionState, Runtime, messages

with Runtime.open() as runtime:
    ids = [runtime.create_session(name=f"worker {number}").id for number in range(4)]

    # tell: no reply, no waiting. A session handles its messages one by one, in the order they came.
    for session_id in ids:
        for value in range(100):
            runtime.tell(session_id, messages.SetVariable("step", value))
        print(runtime.ask(session_id, messages.GetVariable("step"), timeout=5.0))  # 99: after all that was told before

    # ask: the reply, or the error that the session raised. From as many threads as you like.
    def work(session_id: str) -> int:
        for number in range(50):
            runtime.ask(session_id, messages.AddMessage("assistant", f"note {number}"))
        return len(runtime.ask(session_id, messages.GetMessages()))

    with ThreadPoolExecutor(8) as pool:
        print(list(pool.map(work, ids * 2)))

    runtime.ask(ids[0], messages.SuspendSession())
    try:
        runtime.ask(ids[0], messages.SetVariable("step", 0))
    except InvalidSessionState as error:
        print(error.code, "-", error)
    print(runtime.ask(ids[0], messages.GetInfo()).status)  # reading works in every status
