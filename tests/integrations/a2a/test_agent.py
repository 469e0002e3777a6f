"""A real agent on the SDK's own request handler, with tasks in greenroom."""

from __future__ import annotations

import asyncio
from pathlib import Path

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatus,
)

from greenroom.runtime.integrations.a2a import GreenroomPushNotificationConfigStore, GreenroomTaskStore


class Asking(AgentExecutor):
    """Asks back once, then answers in pieces."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        if context.current_task is None:
            task = Task(id=context.task_id, context_id=context.context_id)
            task.status.CopyFrom(TaskStatus(state=TaskState.TASK_STATE_SUBMITTED))
            if context.message is not None:
                task.history.append(context.message)
            await event_queue.enqueue_event(task)
            await updater.requires_input(updater.new_agent_message([Part(text="How many?")]))
            return
        for n in range(3):
            await updater.add_artifact([Part(text=str(n))], artifact_id="answer", append=n > 0, last_chunk=n == 2)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


def said(text: str, task: Task | None = None) -> SendMessageRequest:
    message = Message(message_id=f"m-{text}", role=Role.ROLE_USER, parts=[Part(text=text)])
    if task is not None:
        message.task_id, message.context_id = task.id, task.context_id
    return SendMessageRequest(message=message)


def test_a_task_goes_on_after_a_restart(store_path: Path) -> None:
    card = AgentCard(name="asking", capabilities=AgentCapabilities(push_notifications=True, streaming=True))
    context = ServerCallContext()

    async def first() -> Task:
        tasks = GreenroomTaskStore(store_path)
        configs = GreenroomPushNotificationConfigStore(tasks.runtime)
        handler = DefaultRequestHandler(Asking(), tasks, card, push_config_store=configs)
        task = await handler.on_message_send(said("hello"), context)
        assert isinstance(task, Task)
        assert task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        wanted = TaskPushNotificationConfig(task_id=task.id, url="https://example.org/hook", token="t")
        await handler.on_create_task_push_notification_config(wanted, context)
        tasks.close()
        return task

    async def second(task: Task) -> None:
        tasks = GreenroomTaskStore(store_path)
        configs = GreenroomPushNotificationConfigStore(tasks.runtime)
        handler = DefaultRequestHandler(Asking(), tasks, card, push_config_store=configs)
        await handler.on_message_send(said("three", task), context)
        done = await handler.on_get_task(GetTaskRequest(id=task.id), context)
        assert done is not None
        assert done.status.state == TaskState.TASK_STATE_COMPLETED
        assert [part.text for part in done.artifacts[0].parts] == ["0", "1", "2"]
        texts = [part.text for message in done.history for part in message.parts]
        assert texts == ["hello", "How many?", "three"]
        listed = await handler.on_list_tasks(ListTasksRequest(context_id=task.context_id), context)
        assert [each.id for each in listed.tasks] == [task.id]
        assert (await configs.get_info_for_dispatch(task.id))[0].token == "t"
        tasks.close()

    asyncio.run(second(asyncio.run(first())))
