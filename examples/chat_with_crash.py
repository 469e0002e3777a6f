"""A chat that continues after its process was killed between two turns.

Run: python examples/chat_with_crash.py
The chat runs in a child process, which kills itself with SIGKILL after two answers. A second child process opens
the same store, finds the conversation as it was, and finishes it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

from greenroom.runtime import Runtime

QUESTIONS = [
    "What is a green room?",
    "Who waits there?",
    "And when the power fails?",
    "Then the show goes on?",
]


def model(question: str, turns: int) -> str:
    """Stand in for an LLM."""
    return f"(answer {turns // 2 + 1}) You asked: {question}"


def chat(store: str, die_after: int | None) -> None:
    """Ask the questions that have no answer yet. Kill this process after answer `die_after`."""
    with Runtime.open(store) as runtime:
        known = runtime.list_sessions(tags=["chat"])
        session = runtime.session(known[0].id) if known else runtime.create_session(name="chat", tags=["chat"])
        answered = sum(message.role == "assistant" for message in session.messages())
        print(f"  process {os.getpid()} begins with {answered} answers in the store", flush=True)
        for number, question in enumerate(QUESTIONS[answered:], start=answered + 1):
            before = len(session.messages())
            session.add_message("user", question)
            session.add_message("assistant", model(question, before))
            session.set("answered", number)
            print(f"  {question} ✓", flush=True)
            if number == die_after:
                os.kill(os.getpid(), signal.SIGKILL)
        session.complete()


def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        for arguments in (["2"], []):
            print("a process chats" + (", and is killed after two answers:" if arguments else ":"), flush=True)
            subprocess.run([sys.executable, __file__, "--chat", store, *arguments], check=False)
        with Runtime.open(store, read_only=True) as runtime:
            (info,) = runtime.list_sessions(status="completed")
            session = runtime.session(info.id)
            print(f"the conversation, complete with {session.get('answered', as_=int)} answers:")
            for message in session.messages():
                print(f"  {message.role:>9}: {message.content}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--chat"]:
        chat(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
    else:
        main()
