"""The variables of examples: sessions, artifacts and what else functions are shown with."""

from __future__ import annotations

from typing import Final

from greenroom.scripting.definition.examples import Call, Variable, call

__all__ = ["APPROVAL", "ARTIFACT", "CURRENT", "DONE", "MESSAGE", "OTHER", "RECORD", "SESSION", "VARIABLE"]

SESSION: Final = Variable("session", call("Session.create", {"name": "Analysis", "tags": ["nlp"]}))
OTHER: Final = Variable("other", call("Session.create", {"name": "Other"}))
CURRENT: Final[Call] = call("Session.setCurrent", SESSION)
DONE: Final[Call] = call("Session.complete", SESSION)
VARIABLE: Final[Call] = call("Session.setVariable", SESSION, "words", 7)
RECORD: Final[Call] = call("Session.putRecord", SESSION, "step/1", {"done": True})
MESSAGE: Final = Variable("message", call("Session.addMessage", SESSION, "user", "How many words are in this?"))
APPROVAL: Final = Variable("approval", call("Session.askHuman", SESSION, "Publish it?"))
ARTIFACT: Final = Variable(
    "artifact", call("Artifact.store", SESSION, "tool_result", "report.md", "# Report", {"tags": ["draft"]})
)
