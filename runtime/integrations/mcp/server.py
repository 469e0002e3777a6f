"""The server: tools and resources over a runtime."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.server.mcpserver.resources import ResourceSecurity
from mcp_types import CallToolResult, TextContent, ToolAnnotations

from greenroom.runtime import (
    ArtifactNotFound,
    AsyncRuntime,
    AsyncSession,
    GreenroomError,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
    __version__,
)

from ..opening import Adapter, Opened
from .reach import Reach
from .reading import Reading
from .writing import Writing

__all__ = ["GreenroomServer", "server"]

P = ParamSpec("P")
T = TypeVar("T")

MAX_RESOURCE: Final = 1024 * 1024
"""The most bytes of an artifact that are given as a resource."""
_JSON: Final = "application/json"
_READS: Final = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES: Final = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)

_ALL: Final = """Sessions of LLM work, each with its conversation, variables, versioned artifacts and the journal of
all that happened. Begin with list_sessions or search. Long answers come in pages, long values are cut: every tool says
how to read on."""
_ONE: Final = """One session of LLM work and its descendants, with conversation, variables, versioned artifacts and the
journal of all that happened. Tools take this session where none is named. Long answers come in pages, long values are
cut: every tool says how to read on."""


class GreenroomServer(Adapter, MCPServer[Any]):
    """An MCP server over a runtime. `run()` serves stdin and stdout; `close` closes a store that was opened for it."""

    def __init__(self, opened: Opened, reach: Reach, *, write: bool) -> None:
        self._opened = opened
        instructions = " ".join((_ALL if reach.root is None else _ONE).split())
        self._parameters: dict[str, list[str]] = {}
        super().__init__("greenroom", instructions=instructions, version=__version__, log_level="WARNING")
        self._add_tools(reach, write=write)
        self._add_resources(Reading(reach), reach)

    @property
    def runtime(self) -> Runtime:
        """The runtime whose sessions are served."""
        return self._opened.runtime

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool. Raises ToolError, also for an argument that the tool does not have: nothing is left out
        silently."""
        known = self._parameters.get(name)
        unknown = sorted(set(arguments).difference(known)) if known is not None else []
        if known is not None and unknown:
            raise ToolError(f"{name} has no argument {unknown[0][:100]!r}; it takes {', '.join(known)}")
        result = await super().call_tool(name, arguments, context)
        if isinstance(result, CallToolResult) and result.structured_content is not None:
            # As text, answers are compact: indented, they could be many times as long as their bound.
            text = json.dumps(result.structured_content, ensure_ascii=False)
            result.content = [TextContent(type="text", text=text)]
        return result

    def __repr__(self) -> str:
        return f"<GreenroomServer of {self._opened.runtime!r}>"

    def _add_tools(self, reach: Reach, *, write: bool) -> None:
        sources = [(Reading(reach), _READS), *([(Writing(reach), _WRITES)] if write else [])]
        for source, hints in sources:
            for name in vars(type(source)):
                if not name.startswith("_"):
                    call = _answering(getattr(source, name), reach, ToolError)
                    text = " ".join((call.__doc__ or "").split())
                    self._parameters[name] = list(inspect.signature(call).parameters)
                    self.add_tool(call, name, description=text, annotations=hints)

    def _add_resources(self, reading: Reading, reach: Reach) -> None:
        names = ResourceSecurity(exempt_params={"session_id", "artifact"})  # keys and names, not paths of files

        def page(path: str, title: str, read: Callable[..., dict[str, Any]]) -> None:
            def of_session(session_id: str) -> str:
                return json.dumps(read(session_id), ensure_ascii=False)

            add = self.resource(
                f"greenroom://sessions/{{session_id}}{path}",
                name=path.strip("/") or "session", title=title, mime_type=_JSON, security=names,
            )  # fmt: skip
            add(_answering(of_session, reach, ResourceError))

        page("", "The facts of a session", reading.show_session)
        page("/conversation", "The newest messages of a session", reading.read_conversation)
        page("/timeline", "The first events of a session, in causal order", reading.read_timeline)
        page("/artifacts", "The newest artifacts of a session", reading.list_artifacts)
        page("/variables", "The variables of a session", reading.read_variables)

        def sessions() -> str:
            return json.dumps(reading.list_sessions(), ensure_ascii=False)

        def artifact(session_id: str, artifact: str) -> str | bytes:
            session = reach.session(session_id)
            info = reach.artifact(session, artifact, None)
            if info.size > MAX_RESOURCE:
                raise ValidationError(
                    f"artifact {info.name[:100]!r} has {info.size} bytes, a resource at most {MAX_RESOURCE}: "
                    "read it piece by piece with the tool read_artifact"
                )
            content = session.get_artifact(info.id).content
            try:
                return content.decode()
            except UnicodeDecodeError:
                return content

        self.resource("greenroom://sessions", name="sessions", title="The sessions changed last", mime_type=_JSON)(
            _answering(sessions, reach, ResourceError)
        )
        self.resource(
            "greenroom://sessions/{session_id}/artifacts/{artifact}",
            name="artifact", title="The content of an artifact", mime_type="application/octet-stream", security=names,
        )(_answering(artifact, reach, ResourceError))  # fmt: skip


def _answering(call: Callable[P, T], reach: Reach, failure: type[Exception]) -> Callable[P, T]:
    """Return a function that calls another on what is newest, and tells the client what greenroom refuses."""

    @functools.wraps(call)
    def answer(*args: P.args, **options: P.kwargs) -> T:
        try:
            reach.catch_up()
            return call(*args, **options)
        except (SessionNotFound, ArtifactNotFound) as error:
            raise (ResourceNotFoundError if failure is ResourceError else failure)(str(error)) from error
        except GreenroomError as error:
            raise failure(str(error)) from error

    return answer


def server(
    runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
    *,
    write: bool = False,
    session: Session | AsyncSession | str | None = None,
) -> GreenroomServer:
    """Return an MCP server over the sessions of a runtime, or of the store at a path.

    It changes nothing unless `write` is true. With `session`, a session or its id, it reaches that session and its
    descendants and nothing else. Raises SessionNotFound and what `Runtime.open` raises.

    Example:
        ```py
        server(rt).run()  # over stdin and stdout
        server(rt, session=s, write=True).run("streamable-http", port=8000)
        ```
    """
    opened = Opened(runtime)
    try:
        root = (
            None
            if session is None
            else opened.runtime.session(session.id if isinstance(session, Session | AsyncSession) else session).id
        )
        return GreenroomServer(opened, Reach(opened.runtime, root), write=write)
    except BaseException:
        opened.close()
        raise
