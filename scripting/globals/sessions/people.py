"""The functions of `Session` for people and for other sessions: questions, shares and grants."""

from __future__ import annotations

from typing import Any, Final

from greenroom.scripting.definition.examples import call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import DICT, FLAG, TEXT, Page
from greenroom.scripting.definition.types import ANYTHING, TABLE, Json, OtherSession, SessionRef, Text
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import APPROVAL, SESSION
from greenroom.scripting.globals.rows import approval_row, filled
from greenroom.scripting.globals.samples import APPROVAL as AN_APPROVAL
from greenroom.scripting.globals.samples import OTHER
from greenroom.scripting.globals.samples import SESSION as A_SESSION

__all__ = ["SessionPeople"]

_QUESTION: Final = HOW | Options({"schema": TABLE, "expires": ANYTHING, "metadata": TABLE})
_SHARE: Final = HOW | Options({"expires_at": ANYTHING})
_SHARED: Final = call("Session.share", A_SESSION, OTHER)
_GRANTED: Final = call("Session.grantScope", A_SESSION, "user:7")


class SessionPeople:
    """Asks people, and shares sessions with others."""

    NAME = "Session"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    # -- questions to people

    @export(
        "askHuman",
        returns=TEXT,
        on=SESSION,
        options={"options": _QUESTION},
        example=example(A_SESSION, "Publish it?", {"metadata": {"step": 3}}),
    )
    def ask_human(self, session: SessionRef, question: Text, options: Any = UNDEFINED) -> str:
        """Ask people a question and return its id."""
        return self._context.session(session).ask_human(question, **options)

    @export(
        "approvals",
        returns=Page(APPROVAL),
        on=SESSION,
        counted=True,
        example=example(A_SESSION, "pending", before=[AN_APPROVAL]),
    )
    def approvals(self, session: SessionRef = UNDEFINED, status: Text = UNDEFINED) -> Any:
        """Return the session's questions, oldest first, or those with a status."""
        return [approval_row(each) for each in self._context.session(session).approvals(defined(status))]

    @export("getApproval", returns=APPROVAL, counted=True, example=example(AN_APPROVAL))
    def get_approval(self, approval: Text) -> dict[str, Any]:
        """Return a question by its id."""
        return approval_row(self._context.runtime.approvals.get(approval))

    @export(
        "answerApproval",
        returns=APPROVAL,
        counted=True,
        options={"options": HOW},
        example=example(AN_APPROVAL, True, "ann"),
    )
    def answer_approval(
        self, approval: Text, value: Json = UNDEFINED, by: Text = UNDEFINED, options: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Answer a question and return its row. For scripts of the host."""
        answered = self._context.runtime.approvals.answer(approval, defined(value), defined(by), **options)
        return approval_row(answered)

    @export(
        "cancelApproval",
        returns=APPROVAL,
        counted=True,
        options={"options": HOW},
        example=example(AN_APPROVAL, "no longer needed"),
    )
    def cancel_approval(self, approval: Text, reason: Text = UNDEFINED, options: Any = UNDEFINED) -> dict[str, Any]:
        """Cancel a question and return its row."""
        return approval_row(self._context.runtime.approvals.cancel(approval, defined(reason), **options))

    # -- sharing

    @export(
        "share",
        returns=DICT,
        on=SESSION,
        forms=("share(session, other [, permission] [, options])",),
        options={"options": _SHARE},
        read=False,
        example=example(A_SESSION, OTHER, "read", {"expires_at": "2100-01-01T00:00:00Z"}),
    )
    def share(
        self, session: SessionRef, other: OtherSession, permission: Json = "read", options: Json = UNDEFINED
    ) -> dict[str, Any]:
        """Let another session read all of this one, or change it too ("write"). Return the share."""
        if isinstance(permission, dict):
            permission, options = "read", permission
        wanted = _SHARE.read(options, "Session.share")
        kind = "read" if permission is UNDEFINED or permission is None else permission
        return filled(self._context.session(session).share(other, kind, **wanted).to_dict())

    @export(
        "revoke",
        returns=FLAG,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, OTHER, before=[_SHARED]),
    )
    def revoke(self, session: SessionRef, other: OtherSession, options: Any = UNDEFINED) -> bool:
        """End the share of a session with another one. Return whether there was one."""
        return self._context.session(session).revoke(other, **options)

    @export("shares", returns=Page(DICT), on=SESSION, counted=True, example=example(A_SESSION, before=[_SHARED]))
    def shares(self, session: SessionRef = UNDEFINED) -> Any:
        """Return the shares of a session with others."""
        return [filled(each.to_dict()) for each in self._context.session(session).shares()]

    @export("sharedSessions", returns=Page(DICT), on=SESSION, counted=True, example=example(OTHER, before=[_SHARED]))
    def shared_sessions(self, session: SessionRef = UNDEFINED) -> Any:
        """Return the shares that others have given to a session."""
        return [filled(each.to_dict()) for each in self._context.session(session).shared_sessions()]

    @export(
        "grantScope",
        returns=DICT,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, "user:7", "write"),
    )
    def grant_scope(
        self, session: SessionRef, scope: Text, permission: Text = "read", options: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Let a session use the state of a scope, and return the grant. For scripts of the host."""
        kind: Any = permission
        return filled(self._context.session(session).grant_scope(scope, kind, **options).to_dict())

    @export(
        "revokeScope",
        returns=FLAG,
        on=SESSION,
        options={"options": HOW},
        example=example(A_SESSION, "user:7", before=[_GRANTED]),
    )
    def revoke_scope(self, session: SessionRef, scope: Text, options: Any = UNDEFINED) -> bool:
        """End the grant of a scope. Return whether there was one. For scripts of the host."""
        return self._context.session(session).revoke_scope(scope, **options)

    @export("scopes", returns=Page(DICT), on=SESSION, counted=True, example=example(A_SESSION, before=[_GRANTED]))
    def scopes(self, session: SessionRef = UNDEFINED) -> Any:
        """Return the grants of scopes to a session."""
        return [each.to_dict() for each in self._context.session(session).scopes()]
