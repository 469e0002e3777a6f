"""Take a batch past the hooks of its commands. For the hooks, each command is one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from greenroom.actors import messages as m
from greenroom.actors.hooks.call import Call
from greenroom.actors.hooks.chain import AFTER_PART_CHANGE, BEFORE_PART, FAILED_PART, ask
from greenroom.actors.hooks.services import HookServices
from greenroom.actors.hooks.subject import Failure
from greenroom.actors.messages.parameters import MessageSubject
from greenroom.actors.scheduling.futures import TellReceipt
from greenroom.storage.errors import GreenroomError

from .around import Answered, prepare
from .interceptor import HookedMessage, ManyStored

__all__ = ["HookedBatch"]


@dataclass(slots=True)
class _Part:
    """One command with hooks, at its place in the batch."""

    hooked: HookedMessage
    call: Call
    subject: Any
    many: ManyStored | None = None
    """Set for a `StoreMany`: for the hooks, each of its artifacts is one operation."""

    def finish(self, reply: Any) -> Any:
        """Call the hooks after the command, and return its reply as they leave it."""
        try:
            if self.many is not None:
                return self.many.finish(reply)
            return self.hooked.after_part(self.call, self.subject, reply, AFTER_PART_CHANGE)
        finally:
            self.call.journal()


class HookedBatch:
    """Asks batches while any class of messages has hooks.

    The hooks before the commands run in the order of the commands, then all is written, then the hooks after them run
    in the opposite order. They may change, answer or refuse a command. To refuse one refuses the batch. None can be
    redirected or repeated by itself.
    """

    def __init__(self, services: HookServices, of: Mapping[type[Any], HookedMessage]) -> None:
        self._services = services
        self._of = of

    def __call__(self, session_id: str, batch: m.Batch, timeout: float) -> list[Any]:
        begun = monotonic()
        run = _Run(self._of, session_id, batch, timeout)
        try:
            if run.message is None:
                return run.finish([])
            left = timeout - (monotonic() - begun)
            if left <= 0:
                raise run.late()
            try:
                replies = self._services.delivery.routing.ask(session_id, run.message, left)
            except GreenroomError as error:
                run.failed(error)
                raise
            return run.finish(replies)
        finally:
            run.journal()

    def tell(self, session_id: str, batch: m.Batch) -> None:
        """Call the hooks before the commands on this thread, and send the batch. The hooks after them run on a thread
        of their own, once it has been handled."""
        services = self._services
        run = _Run(self._of, session_id, batch, services.wait_limit)
        if run.message is None:
            run.journal()
            return

        def conclude(handled: Callable[[], Any]) -> None:
            try:
                try:
                    replies = handled()
                except GreenroomError as error:
                    run.failed(error)
                    raise
                run.finish(replies)
            finally:
                run.journal()

        def on_done(handled: Callable[[], Any]) -> None:
            services.besides(partial(conclude, handled), f"session:{session_id}: Batch")

        services.delivery.routing.tell(session_id, run.message, TellReceipt(on_done, services.delivery.discard))


class _Run:
    """One batch on its way past the hooks."""

    def __init__(self, of: Mapping[type[Any], HookedMessage], session_id: str, batch: m.Batch, timeout: float) -> None:
        """Call the hooks before each command. Raises HookCancelled for all of them if one is refused."""
        self._parts: dict[int, _Part] = {}
        self._answers: dict[int, Any] = {}
        self._places = batch.places
        commands: list[m.Command[Any]] = []
        left: list[int] = []
        try:
            for at, (target, command) in enumerate(zip(batch.targets, batch.commands, strict=True)):
                hooked = of.get(command.__class__)
                try:
                    if hooked is not None:
                        command = self._before(hooked, at, target or session_id, command, timeout)
                except Answered as answered:
                    self._answers[at] = answered.value
                else:
                    commands.append(command)
                    left.append(at)
        except BaseException:
            self.journal()
            raise
        self.message = batch.made_of(commands, left) if commands or not batch.commands else None
        """The commands left to perform; None if hooks have answered all of them."""

    def _before(self, hooked: HookedMessage, at: int, to: str, command: Any, timeout: float) -> m.Command[Any]:
        subject: Any = MessageSubject(command)
        call = hooked.call(to, subject, timeout)
        part = self._parts[at] = _Part(hooked, call, subject)
        if isinstance(command, m.StoreMany):
            part.many = ManyStored(hooked, call, command)
            if part.many.message is None:
                raise Answered(part.finish([]))
            subject = MessageSubject(part.many.message)
        elif hooked.before:
            try:
                subject, _, _ = prepare(call, subject, hooked.before, BEFORE_PART)
            except Answered:
                del self._parts[at]
                call.journal()
                raise
        part.subject = subject
        message: m.Command[Any] = hooked.carrying(call, subject, None)
        return message

    def finish(self, replies: list[Any]) -> list[Any]:
        """Call the hooks after the commands, and return the replies of all of them in their order."""
        done = iter(replies)
        found = [self._answers[at] if at in self._answers else next(done) for at in range(len(self._places))]
        for at, part in reversed(self._parts.items()):
            if at not in self._answers:
                found[at] = part.finish(found[at])
        return found

    def failed(self, error: GreenroomError) -> None:
        """Call the hooks at the failure of the command that was refused."""
        place = error.fields.get("index")
        part = self._parts.get(self._places.index(place)) if place in self._places else None
        phase = part.hooked.failures(error) if part is not None else ()
        if part is not None and phase:
            ask(phase, part.call, Failure(part.subject, error), FAILED_PART)

    def late(self) -> GreenroomError:
        """Return the error of a batch whose hooks have used up its time."""
        return next(iter(self._parts.values())).call.late()

    def journal(self) -> None:
        """Journal the executions of hooks that did not travel with the batch."""
        for part in self._parts.values():
            part.call.journal()
