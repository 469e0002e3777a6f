"""Reply to queries, and to commands once their events are journaled. Runs in the actor's turn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import RecallCall
from greenroom.actors.messages.conversation import AddMessage, Turn, stored_turn
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.events import LinkEvents, PublishEvent
from greenroom.actors.messages.internal import Consumption, GetConsumption, KeepTime, VariableKeys, VariableSchemas
from greenroom.actors.messages.lifecycle import GetConfig
from greenroom.actors.scheduling.futures import DeferredReply, finished
from greenroom.actors.session import delegated, session_sharing
from greenroom.actors.session.decisions.calls import CALL_REPLIES
from greenroom.actors.session.decisions.configuring import CONFIG_REPLIES, get_config
from greenroom.actors.session.decisions.facts import retrieval
from greenroom.actors.session.decisions.records import RECORD_ANSWERS, RECORD_OUTCOMES
from greenroom.actors.session.decisions.workflows import WORKFLOW_REPLIES
from greenroom.actors.session.state.budgets import consumption
from greenroom.actors.session.state.schemas import schemas_of
from greenroom.actors.session.state.timeout import due_next
from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.artifacts.records import artifact_info
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.metering import built, hold, metering
from greenroom.storage.common.page import Page
from greenroom.storage.errors import (
    ArtifactNotFound,
    GreenroomError,
    IntegrityError,
    SchemaTooNew,
    ValidationError,
)

from .approvals import APPROVAL_ANSWERS, APPROVAL_REPLIES
from .forking import FORK_ANSWERS
from .turns import read_retracted, read_turn, read_turns

if TYPE_CHECKING:
    from greenroom.actors.session.live import LiveSession

__all__ = ["ANSWERS", "DECIDED", "REPLIES"]

_FEW_TURNS: Final = 64
"""So many turns are read within a fraction of a millisecond, if nothing of them is a content."""


def _get_variable(actor: LiveSession, query: m.GetVariable) -> Any:
    certain = actor.state.certain
    if certain is not None and query.key not in certain:
        raise actor.doubtful(f"variable {query.key!r}")
    packed = actor.state.variables.get(query.key)
    return query.default if packed is None else unpack_value(packed)


def _list_variables(actor: LiveSession, query: m.ListVariables) -> DeferredReply:
    prefix = query.prefix
    if actor.state.certain is not None:
        raise actor.doubtful("some variable")
    found = sorted(each for each in actor.state.variables.items() if each[0].startswith(prefix))

    def read() -> dict[str, Any]:
        if not metering():
            return {key: unpack_value(packed) for key, packed in found}
        values: dict[str, Any] = {}
        for key, packed in found:
            hold(len(key) + len(packed))
            value = values[key] = unpack_value(packed)
            built(value)
        return values

    return DeferredReply(read)


def _variable_keys(actor: LiveSession, query: VariableKeys) -> list[str]:
    if actor.state.certain is not None:
        raise actor.doubtful("some variable")
    return sorted(actor.state.variables)


def _variable_schemas(actor: LiveSession, query: VariableSchemas) -> dict[str, tuple[str, int] | None]:
    by = schemas_of(actor.state)
    return {key: tuple(by[key]) if key in by else None for key in _variable_keys(actor, VariableKeys())}


def _finish(actor: LiveSession, query: object) -> None:
    """Reply None: the reply itself says that all earlier messages have been handled."""


def _get_consumption(actor: LiveSession, query: object) -> dict[str, Consumption]:
    return consumption(actor.state, actor.limits)


def _get_info(actor: LiveSession, query: object) -> SessionInfo:
    return actor.state.info()


def _recall(actor: LiveSession, query: RecallCall) -> DeferredReply | None:
    earlier = actor.answered_before(query.call)
    return DeferredReply(lambda: (finished(earlier[0]),)) if earlier is not None else None


def _get_messages(actor: LiveSession, query: m.GetMessages) -> DeferredReply:
    before = actor.state.sequence + 1
    if query.before is not None:
        before = min(before, query.before)
    state, limit = actor.state, query.limit
    read = partial(read_turns, actor.services.store, state.session, before, limit, state.message_count)
    is_brief = limit is not None and limit <= _FEW_TURNS
    return DeferredReply(read, brief=partial(read, brief=True) if is_brief else None)


def _get_events(actor: LiveSession, query: m.GetEvents) -> DeferredReply:
    journal, session = actor.services.store.journal, actor.state.session
    most = max(0, actor.state.sequence - query.after)
    limit = most if query.limit is None else min(most, query.limit)
    read = lambda: list(journal.events(session, query.after, limit))  # noqa: E731
    return DeferredReply(partial(journal.settled, session, read))


def _get_artifact_info(actor: LiveSession, query: m.GetArtifactInfo) -> ArtifactInfo:
    return actor.artifact(query.ref, query.version)


def _get_artifact(actor: LiveSession, query: m.GetArtifact) -> DeferredReply:
    info = actor.artifact(query.ref, query.version)
    services = actor.services

    def read() -> Artifact:
        hold(info.size)
        artifact = Artifact(info, services.store.contents.read(bytes.fromhex(info.id.content_hash)))
        if services.tell is not None:
            services.tell(info.id.session_id, "artifact.retrieved", retrieval(info))
        return artifact

    return DeferredReply(read)


def _get_artifacts(actor: LiveSession, query: m.GetArtifacts) -> DeferredReply:
    found: dict[ArtifactId | str, ArtifactInfo] = {}
    errors: dict[ArtifactId | str, GreenroomError] = {}
    for ref in query.refs:
        try:
            found[ref] = _get_artifact_info(actor, m.GetArtifactInfo(ref))
        except (ArtifactNotFound, ValidationError, IntegrityError, SchemaTooNew) as error:
            errors[ref] = error
    services = actor.services

    def read() -> tuple[dict[ArtifactId | str, Artifact], dict[ArtifactId | str, GreenroomError]]:
        results: dict[ArtifactId | str, Artifact] = {}
        for ref, info in found.items():
            try:
                results[ref] = Artifact(info, services.store.contents.read(bytes.fromhex(info.id.content_hash)))
            except (ArtifactNotFound, IntegrityError, SchemaTooNew) as error:
                errors[ref] = error
                continue
            if services.tell is not None:
                services.tell(info.id.session_id, "artifact.retrieved", retrieval(info))
        return results, errors

    return DeferredReply(read)


def _query_artifacts(actor: LiveSession, query: m.QueryArtifacts) -> Any:
    state, search = actor.state, actor.services.store.search
    count, types = state.artifact_count, state.artifact_types

    def find() -> Page[ArtifactInfo]:
        page = search.plain_page(state.session, query.query, count, types)
        return page if page is not None else search.in_session(state.session, query.query, count)

    return DeferredReply(find)


def _list_artifacts(actor: LiveSession, query: m.ListArtifacts) -> Any:
    state = actor.state
    page = actor.services.store.artifacts.page
    return DeferredReply(partial(page, state.session, state.artifact_count, query.limit, query.offset))


def _list_versions(actor: LiveSession, query: m.ListArtifactVersions) -> DeferredReply:
    artifact = ArtifactId.named_by(query.name)
    name = query.name if artifact is None else actor.artifact(artifact, None).name
    return DeferredReply(partial(actor.services.store.artifacts.versions, actor.state.session, name))


def _list_names(actor: LiveSession, query: m.ListArtifactNames) -> DeferredReply:
    return DeferredReply(partial(actor.services.store.artifacts.names, actor.state.session, query.prefix))


ANSWERS: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    m.GetVariable: _get_variable,
    m.ListVariables: _list_variables,
    VariableKeys: _variable_keys,
    VariableSchemas: _variable_schemas,
    m.GetInfo: _get_info,
    m.Finish: _finish,
    GetConsumption: _get_consumption,
    GetConfig: get_config,
    RecallCall: _recall,
    m.GetMessages: _get_messages,
    m.GetEvents: _get_events,
    m.GetArtifactInfo: _get_artifact_info,
    m.GetArtifact: _get_artifact,
    m.GetArtifacts: _get_artifacts,
    m.QueryArtifacts: _query_artifacts,
    m.ListArtifacts: _list_artifacts,
    m.ListArtifactNames: _list_names,
    m.ListArtifactVersions: _list_versions,
    **RECORD_ANSWERS,
    **APPROVAL_ANSWERS,
    **FORK_ANSWERS,
    **delegated.ANSWERS,
    **session_sharing.ANSWERS,
}


# -- to commands, after their events


def _added_message(actor: LiveSession, command: AddMessage) -> Turn:
    return _turn_of(actor.decided, actor.state.updated_at, command)


def _added_messages(actor: LiveSession, command: m.AddMessages) -> list[Turn]:
    first, time = actor.decided - len(command.messages) + 1, actor.state.updated_at
    return [_turn_of(sequence, time, each) for sequence, each in enumerate(command.messages, first)]


def _turn_of(sequence: int, time: int, command: AddMessage) -> Turn:
    """Return the turn that a command has just added."""
    return stored_turn(sequence, time, _fields(command), command.content)


def _fields(command: AddMessage | m.StartMessage) -> dict[str, Any]:
    return {
        "role": command.role,
        "name": command.name,
        "tool_calls": command.tool_calls,
        "tool_call_id": command.tool_call_id,
        "metadata": command.metadata,
    }


def _started_message(actor: LiveSession, command: m.StartMessage) -> Turn:
    return stored_turn(actor.decided, actor.state.updated_at, _fields(command), "", None, True)


def _edited_message(actor: LiveSession, command: m.EditMessage | m.FinishMessage) -> DeferredReply:
    store, session = actor.services.store, actor.state.session
    return DeferredReply(partial(read_turn, store, session, command.sequence, actor.decided))


def _retracted_message(actor: LiveSession, command: m.Command[Turn]) -> DeferredReply:
    store, session, decided = actor.services.store, actor.state.session, actor.decided
    return DeferredReply(partial(read_retracted, store, session, decided))


def _deleted_artifacts(command: object, drafts: list[PendingEvent]) -> list[m.DeletedArtifact]:
    return [
        m.DeletedArtifact(data["sequence"], data["content_hash"].hex(), data["name"], data["version"])
        for type_, data, *_ in drafts
        if type_ == "artifact.deleted"
    ]


def _retracted_count(command: object, drafts: list[PendingEvent]) -> int:
    return sum(last - first + 1 for draft in drafts for first, last in draft.data["turns"])


def _journaled(actor: LiveSession, command: m.Command[Any]) -> DeferredReply:
    """Return the event that a command has just made, read from the journal."""
    state, journal = actor.state, actor.services.store.journal
    read = partial(journal.event, state.session, actor.decided)
    return DeferredReply(partial(journal.settled, state.session, read))


def _kept_time(actor: LiveSession, command: KeepTime) -> None:
    state = actor.state
    active = (lambda: command.now) if command.busy else actor.last_activity
    command.on_done(state.session, due_next(state, actor.limits, active), command.outcome)


def _stored_artifact(actor: LiveSession, command: m.StoreArtifact) -> ArtifactInfo:
    return _recorded(actor, actor.state.last_artifact, command)


def _stored_many(actor: LiveSession, command: m.StoreMany) -> list[ArtifactInfo]:
    first = actor.state.last_artifact - len(command.items) + 1
    return [_recorded(actor, number, item) for number, item in enumerate(command.items, first)]


def _recorded(actor: LiveSession, number: int, command: m.StoreArtifact) -> ArtifactInfo:
    assert command.record is not None  # set by the commit
    return artifact_info(actor.state.id, number, command.record)


def _saved(actor: LiveSession, command: m.SaveSession) -> Any:
    actor.save()  # an ended session may journal nothing more, but a snapshot is still written
    info = actor.state.info()
    if not command.sync:
        return info
    engine = actor.services.store.engine

    def finish() -> SessionInfo:
        engine.sync()
        return info

    return DeferredReply(finish)


def _loaded(actor: LiveSession, command: m.LoadSession) -> SessionInfo:
    actor.restored = False
    return actor.state.info()


REPLIES: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    **dict.fromkeys(
        (
            m.SuspendSession,
            m.ResumeSession,
            m.CompleteSession,
            m.FailSession,
            m.ArchiveSession,
            m.AddTag,
            m.RemoveTag,
            m.SetTags,
            m.RenameSession,
            m.DescribeSession,
            m.UpdateMetadata,
        ),
        _get_info,
    ),
    KeepTime: _kept_time,
    m.SaveSession: _saved,
    m.LoadSession: _loaded,
    m.AddMessage: _added_message,
    m.AddMessages: _added_messages,
    m.StartMessage: _started_message,
    **dict.fromkeys((m.EditMessage, m.FinishMessage), _edited_message),
    **dict.fromkeys((m.RetractMessage, m.PopMessage), _retracted_message),
    m.StoreArtifact: _stored_artifact,
    m.StoreMany: _stored_many,
    **APPROVAL_REPLIES,
    **CALL_REPLIES,
    **CONFIG_REPLIES,
    **WORKFLOW_REPLIES,
    **session_sharing.SHARING_REPLIES,
    **dict.fromkeys((PublishEvent, LinkEvents), _journaled),
}

DECIDED: Final[dict[type[Any], Callable[[Any, list[PendingEvent]], Any]]] = {
    m.DeleteVariable: lambda command, drafts: bool(drafts),
    m.DeleteMany: _deleted_artifacts,
    m.TruncateMessages: _retracted_count,
    m.ClearMessages: _retracted_count,
    **dict.fromkeys((m.RevokeArtifact, m.RevokeSession, m.RevokeScope), lambda command, drafts: bool(drafts)),
    **RECORD_OUTCOMES,
}
"""Replies that say what was decided, which may be nothing."""
