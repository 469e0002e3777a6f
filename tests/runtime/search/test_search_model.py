"""Whatever happens to a store, search finds what a look at everything finds."""

from __future__ import annotations

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import Runtime, Session
from greenroom.storage.common.words import split_words

WORDS = ("red", "Rot", "東京都", "e\u0301te", "ÉTE", "x1", "👩 y", "reds")
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
WANTED = st.sampled_from(("red", "rot", "京都", "都", "éte", "red*", "x1 y", '"red rot"', "nothing"))


def fits(text: str, wanted: str) -> bool:
    """Whether a text has all that is wanted, looked at word by word."""
    words = list(split_words(text))
    if wanted.startswith('"'):
        return ("red", "rot") in pairwise(words)
    if wanted.endswith("*") or wanted == "都":
        return any(word.startswith(wanted.rstrip("*")) for word in words)
    return all(each in words for each in split_words(wanted) if len(each) > 1 or each == "y")


class SearchMachine(RuleBasedStateMachine):
    """Does to a store what hosts do, searches now and then, and compares."""

    sessions: Bundle[str] = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.rt = self.opened()

    def opened(self) -> Runtime:
        return Runtime.open(self.folder / "store", config={"handle_signals": False})

    def teardown(self) -> None:
        self.rt.close()
        shutil.rmtree(self.folder)

    def handle(self, session: str) -> Session | None:
        return self.rt.session(session) if self.rt.exists(session) else None

    @rule(target=sessions, name=TEXTS, described=st.none() | TEXTS)
    def create(self, name: str, described: str | None) -> str:
        return self.rt.create_session(name=name, description=described, created_by="ada").id

    @rule(target=sessions, session=sessions)
    def fork(self, session: str) -> str:
        handle = self.handle(session)
        return handle.fork().id if handle is not None else session

    @rule(session=sessions, name=TEXTS)
    def rename(self, session: str, name: str) -> None:
        if (handle := self.handle(session)) is not None:
            handle.rename(name)

    @rule(session=sessions, text=TEXTS)
    def say(self, session: str, text: str) -> None:
        if (handle := self.handle(session)) is not None:
            handle.add_message("user", text)

    @rule(session=sessions, text=TEXTS, whole=st.booleans())
    def stream(self, session: str, text: str, whole: bool) -> None:
        if (handle := self.handle(session)) is not None:
            stream = handle.stream_message("assistant")
            stream.__enter__()
            stream.write(text)
            if whole:
                stream.__exit__(None, None, None)
            else:
                stream.__exit__(ValueError, ValueError(), None)

    @rule(session=sessions, text=TEXTS, at=st.integers(0, 3))
    def edit(self, session: str, text: str, at: int) -> None:
        handle = self.handle(session)
        if handle is not None and len(turns := handle.messages()) > at:
            handle.edit_message(turns[at].sequence, content=text)

    @rule(session=sessions, all_of_them=st.booleans())
    def retract(self, session: str, all_of_them: bool) -> None:
        handle = self.handle(session)
        if handle is not None and handle.messages():
            if all_of_them:
                handle.clear_messages()
            else:
                handle.pop_message()

    @rule(session=sessions, name=st.sampled_from(WORDS[:2]), text=TEXTS)
    def store(self, session: str, name: str, text: str) -> None:
        if (handle := self.handle(session)) is not None:
            handle.store_artifact("note", f"{name}.txt", text)

    @rule(session=sessions)
    def delete_artifact(self, session: str) -> None:
        handle = self.handle(session)
        if handle is not None and (infos := handle.list_artifacts()):
            handle.delete_artifact(infos[0].id)

    @rule(session=sessions, grantee=sessions, shared=st.booleans())
    def share(self, session: str, grantee: str, shared: bool) -> None:
        handle, other = self.handle(session), self.handle(grantee)
        if handle is not None and other is not None and session != grantee:
            if shared:
                handle.share(other)
            else:
                handle.revoke(other)

    @rule(session=sessions)
    def move(self, session: str) -> None:
        """Delete a session and bring it back under its id."""
        if (handle := self.handle(session)) is not None:
            bundle = self.folder / "bundle"
            handle.export(bundle)
            handle.delete()
            self.rt.import_bundle(bundle)
            bundle.unlink()

    @rule(session=consumes(sessions))
    def delete(self, session: str) -> None:
        if (handle := self.handle(session)) is not None:
            handle.delete()

    @rule()
    def truncate(self) -> None:
        self.rt.retention(max_journal_events=3, dry_run=False)

    @rule(compact=st.booleans())
    def erase(self, compact: bool) -> None:
        if self.rt.count_sessions(status="all") > 4:
            self.rt.erase("ada", compact=compact)

    @rule()
    def restart(self) -> None:
        self.rt.close()
        self.rt = self.opened()

    @rule(wanted=WANTED, as_session=st.none() | sessions)
    def search(self, wanted: str, as_session: str | None) -> None:
        if as_session is not None and not self.rt.exists(as_session):
            return
        with acting(principal=as_session, realm=self.rt.core.security) if as_session else acting(principal=None):
            hits = self.rt.search(wanted, limit=1000)
        found = sorted((hit.session_id, hit.kind, hit.sequence or (hit.artifact and hit.artifact.sequence) or 0)
                       for hit in hits)  # fmt: skip
        assert found == sorted(self.looked_for(wanted, as_session))
        assert all(hit.marks for hit in hits)

    def may_read(self, by: str, session: Session) -> bool:
        """Whether a session may read another one: it is above it (a fork is below its origin), or has a share."""
        above: Session | None = session
        while above is not None:
            if above.id == by:
                return True
            parent = above.info().parent_session_id
            above = self.handle(parent) if parent is not None else None
        return by in [each.with_session for each in session.shares()]

    def looked_for(self, wanted: str, by: str | None) -> list[tuple[str, str, Any]]:
        found: list[tuple[str, str, Any]] = []
        for info in self.rt.list_sessions(status="all", limit=None):
            session = self.rt.session(info.id)
            if by is not None and not self.may_read(by, session):
                continue
            if (
                fits(info.name or "", wanted)
                or fits(info.description or "", wanted)
                or (fits(f"{info.name} | {info.description}", wanted) and not wanted.startswith('"'))
            ):
                found.append((info.id, "name", 0))
            found += [(info.id, "message", turn.sequence) for turn in session.messages() if fits(turn.text, wanted)]
            for each in session.list_artifacts():
                text = session.get_artifact(each.id).content.decode()
                if fits(f"{each.name} {text}" if not wanted.startswith('"') else text, wanted):
                    found.append((info.id, "artifact", each.id.sequence))
        return found


SearchMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestSearch = SearchMachine.TestCase
