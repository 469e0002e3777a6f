"""Take messages past the hooks at their points: around the delivery, on the sender's thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from greenroom.actors import messages as m
from greenroom.actors.hooks.call import Call
from greenroom.actors.hooks.chain import (
    AFTER_CHANGE,
    AFTER_PART_CHANGE,
    AFTER_PART_READ,
    AFTER_READ,
    BEFORE,
    BEFORE_PART,
    Phase,
    Role,
    ask,
)
from greenroom.actors.hooks.services import HookServices
from greenroom.actors.hooks.subject import Reply, Subject
from greenroom.actors.messages.parameters import MessageSubject
from greenroom.actors.scheduling.futures import TellReceipt
from greenroom.storage.errors import HookCancelled, InvalidOperation, ResourceLimitExceeded

from .around import Answered, around, conclude, go_on, prepare

__all__ = ["HookedMessage", "ManyStored"]


class HookedMessage:
    """Asks messages of one class that has hooks. The stage of hooks calls it in place of the next stage."""

    __slots__ = ("_after", "_conflict", "_kind", "_limit", "_name", "_plain", "_role", "_services", "_short", "before")

    def __init__(
        self,
        services: HookServices,
        kind: type[m.Message[Any]],
        before: Phase,
        after: Phase,
        conflict: Phase,
        limit: Phase,
    ) -> None:
        self._services = services
        self._kind = kind
        self._name = kind.__name__
        self.before = before
        self._after = after
        self._conflict = conflict if kind.points.conflict else ()
        self._limit = limit
        self._plain = kind not in (m.LoadSession, m.StoreMany, m.GetArtifacts)
        self._short = not (after or self._conflict or limit)
        self._role = AFTER_READ if issubclass(kind, m.Query) else AFTER_CHANGE

    @property
    def guards(self) -> bool:
        """Whether a hook runs before the message."""
        return bool(self.before)

    def __call__(self, session_id: str, message: Any, timeout: float) -> Any:
        if session_id.__class__ is not str:
            return self._services.delivery.routing.ask(session_id, message, timeout)  # which refuses the id
        if self._plain and session_id[14:15] != "8":
            services = self._services
            subject: Any = MessageSubject(message)
            call = Call(services, subject, self._name, session_id, timeout)
            if not self._short:
                return around(call, subject, self.before, self._after, self.failures, self._deliver, self._role)
            # Only hooks before the message, which mostly decide nothing: this path costs least.
            try:
                subject = ask(self.before, call, subject, BEFORE)
                if call.decision is not None or call.records is not None:
                    return go_on(call, subject, self._deliver, self._role)
            finally:
                if call.records is not None:
                    call.journal()
            left = timeout - (monotonic() - call.begun)
            if left <= 0:
                raise call.late()
            return services.delivery.routing.ask(session_id, subject.message, left)
        kind = self._kind
        if kind is m.LoadSession and not self._services.delivery.is_restoring(session_id):
            return self._services.delivery.routing.ask(session_id, message, timeout)  # it is in memory already
        subject = MessageSubject(message)
        call = self.call(session_id, subject, timeout)
        if kind is m.StoreMany:
            return self._store_many(call, message)
        if kind is m.GetArtifacts:
            return self._get_many(call, subject)
        return around(call, subject, self.before, self._after, self.failures, self._deliver, self._role)

    def tell(self, session_id: str, message: Any) -> None:
        """Call the hooks before the message on this thread, and send it. The hooks after it run on a thread of their
        own, once it has been handled."""
        services = self._services
        if session_id.__class__ is not str:
            services.delivery.routing.tell(session_id, message)
            return
        subject: Any = MessageSubject(message)
        call = self.call(session_id, subject, services.wait_limit)
        target = keep = batch = None
        try:
            if self._kind is m.StoreMany:
                batch = ManyStored(self, call, message)
                if batch.message is None:
                    call.journal()
                    return
                subject = MessageSubject(batch.message)
            elif self.before:
                subject, target, keep = prepare(call, subject, self.before)
        except Answered:
            call.journal()
            return
        except BaseException:
            call.journal()
            raise
        outgoing = self.carrying(call, subject, target)
        call.journal()
        delivery = services.delivery
        if target is not None:
            target = delivery.admission.admit(target, outgoing)
        receipt = TellReceipt(partial(self._on_done, call, subject, target, keep, batch), delivery.discard)
        delivery.routing.tell(target or session_id, outgoing, receipt)

    def tell_unasked(self, session_id: str, message: Any) -> None:
        """Send a message of the runtime's own. All of its hooks run on a thread of their own."""
        services = self._services
        services.besides(partial(self, session_id, message, services.wait_limit), f"session:{session_id}: {self._name}")

    def happened(self, session_id: str, message: Any) -> None:
        """Call the hooks after a message on another thread, for a change that has happened without the message."""
        if not self._after:
            return
        call = self.call(session_id, MessageSubject(message), self._services.wait_limit)

        def job() -> None:
            try:
                reply = self._services.delivery.routing.ask(session_id, m.GetInfo(), self._services.wait_limit)
                ask(self._after, call, Reply(call.original, reply), AFTER_PART_CHANGE)
            finally:
                call.journal()

        self._services.besides(job, f"{call.about}: {self._name}")

    def _on_done(
        self,
        call: Call,
        subject: Any,
        target: str | None,
        keep: Any,
        batch: ManyStored | None,
        handled: Callable[[], Any],
    ) -> None:
        """Call the hooks after a message that was told and has been handled, or at its failure, on another thread."""
        outcome = [handled]
        call.timeout = None

        def perform(call: Call, subject: Any, target: str | None) -> Any:
            return outcome.pop()() if outcome else self._deliver(call, subject, target)

        def job() -> None:
            try:
                after = self._after if batch is None else ()
                reply = conclude(call, subject, target, keep, perform, after, self.failures, self._role)
                if batch is not None:
                    batch.finish(reply)
            finally:
                call.journal()

        self._services.besides(job, f"{call.about}: {self._name}")

    # -- messages about many artifacts: for the hooks, each artifact is an operation

    def _store_many(self, call: Call, message: m.StoreMany) -> Any:
        try:
            batch = ManyStored(self, call, message)
            if batch.message is None:
                return batch.finish([])
            subject = MessageSubject(batch.message)
            infos = conclude(call, subject, None, None, self._deliver, (), self.failures, self._role)
            return batch.finish(infos)
        finally:
            call.journal()

    def _get_many(self, call: Call, subject: MessageSubject) -> Any:
        reply = around(call, subject, self.before, (), self.failures, self._deliver, self._role)
        results, errors = dict(reply[0]), dict(reply[1])
        for ref, artifact in list(results.items()):
            part = self._part(call, MessageSubject(m.GetArtifact(ref)))
            try:
                results[ref] = self.after_part(part, part.original, artifact, AFTER_PART_READ)
            except HookCancelled as error:
                del results[ref]
                errors[ref] = error
            finally:
                part.journal()
        return results, errors

    def _part(self, call: Call, subject: MessageSubject) -> Call:
        part = Call(
            self._services,
            subject,
            subject.message.__class__.__name__,
            call.session_id,
            call.timeout,
        ).with_facts(call.about, call.notes(), call.address)
        part.begun = call.begun
        return part

    def after_part(self, part: Call, subject: Subject, reply: Any, role: Role) -> Any:
        if not self._after:
            return reply
        done: Any = ask(self._after, part, Reply(subject, reply), role)
        return part.decision.value if part.decision is not None else done.reply

    # --

    def call(self, session_id: str, subject: Subject, timeout: float) -> Call:
        services = self._services
        if session_id[14:15] == "8":
            scope = services.scope_name(session_id)
            if scope is not None:
                return Call(services, subject, self._name, None, timeout).with_facts(f"scope:{scope}", None, session_id)
        return Call(services, subject, self._name, session_id, timeout)

    def failures(self, error: BaseException) -> Phase:
        if isinstance(error, ResourceLimitExceeded):
            return self._limit
        if isinstance(error, InvalidOperation) and error.fields.get("conflict"):
            return self._conflict
        return ()

    def _deliver(self, call: Call, subject: Any, target: str | None) -> Any:
        services = self._services
        message = subject.message if call.records is None else self.carrying(call, subject, target)
        if target is not None:
            target = services.delivery.admission.admit(target, message)
        if call.timeout is None:
            left = services.wait_limit
        else:
            left = call.timeout - (monotonic() - call.begun)
            if left <= 0:
                raise call.late()
        return services.delivery.routing.ask(target or call.recipient or "", message, left)

    @staticmethod
    def carrying(call: Call, subject: Any, target: str | None) -> Any:
        """Return the message with the events about its hooks, so that both are written in one commit."""
        message = subject.message
        if (
            call.records
            and target is None
            and isinstance(message, m.Command)
            and not subject.crosses(call.recipient or "")
        ):
            message = message.copy()
            message.records = call.take_records()
        return message


class ManyStored:
    """A `StoreMany` on its way past the hooks. For them, storing each artifact is one operation."""

    def __init__(self, hooked: HookedMessage, call: Call, message: m.StoreMany) -> None:
        """Call the hooks before each artifact. Raises HookCancelled for all artifacts if one of them is refused."""
        self._hooked = hooked
        self._parts: list[tuple[Call, Any, bool]] = []
        items: list[m.StoreArtifact] = []
        for item in message.items:
            part = hooked._part(call, MessageSubject(item))
            subject: Any = part.original
            try:
                if hooked.before:
                    subject, _, _ = prepare(part, subject, hooked.before, BEFORE_PART)
            except Answered as answered:
                self._parts.append((part, answered.value, False))
            else:
                items.append(subject.message)
                self._parts.append((part, subject, True))
            finally:
                for record in part.take_records() or ():
                    call.record(record)
        self.message = m.StoreMany(items) if items or not message.items else None
        """The artifacts left to store; None if hooks have answered for all of them."""
        if self.message is not None:
            self.message.durability, self.message.condition = message.durability, message.condition

    def finish(self, infos: list[Any]) -> list[Any]:
        """Return the replies for all artifacts in their order, as the hooks after them leave them."""
        stored = iter(infos)
        replies = []
        for part, subject, kept in self._parts:
            if not kept:
                replies.append(subject)
                continue
            try:
                replies.append(self._hooked.after_part(part, subject, next(stored), AFTER_PART_CHANGE))
            finally:
                part.journal()
        return replies
