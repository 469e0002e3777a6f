"""``greenroom sessions``: look at sessions and change their status."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.command import Commands
from greenroom.runtime.cli.output import (
    brief,
    console,
    counted,
    done,
    is_terminal,
    moment,
    one_line,
    print_fields,
    print_json,
    print_rows,
    printable,
    short_id,
    size,
    tell_beside,
)
from greenroom.runtime.cli.parameters import (
    AsJson,
    Cursor,
    OfCreator,
    OfParent,
    SessionId,
    SessionIds,
    Since,
    Until,
    UpdatedSince,
    UpdatedUntil,
    WithKeyPrefix,
    WithMetadata,
    WithStatus,
    WithTags,
    criteria_of,
    entries_of,
    texts_of,
)
from greenroom.runtime.cli.store import the_session, the_sessions, the_store
from greenroom.runtime.cli.times import TIMES, place_of
from greenroom.storage.common.message_text import text_of
from greenroom.storage.errors import InvalidOperation, shown

if TYPE_CHECKING:
    from rich.tree import Tree

    from greenroom.runtime import Message, PastState, Runtime, Session, SessionInfo, SessionTree

app = Commands(help="List, show and change sessions.")


@app.command("list")
def list_sessions(
    context: typer.Context,
    status: WithStatus = None,
    tag: WithTags = None,
    search: Annotated[str | None, typer.Option(help="Only with this text in name or description.")] = None,
    created_by: OfCreator = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="created_at, updated_at, name, artifact_count, operation_count, or with --key-prefix key.",
            autocompletion=completion.one_of(
                "created_at", "updated_at", "name", "artifact_count", "operation_count", "key"
            ),
            show_default="created_at, or key with --key-prefix",
        ),
    ] = None,
    descending: Annotated[bool, typer.Option("--descending", help="Largest or newest first.")] = False,
    after: Since = None,
    before: Until = None,
    updated_after: UpdatedSince = None,
    updated_before: UpdatedUntil = None,
    key_prefix: WithKeyPrefix = None,
    parent: OfParent = None,
    metadata: WithMetadata = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    cursor: Cursor = None,
    total: Annotated[bool, typer.Option("--total", help="Also count all of them, in the line on stderr.")] = False,
    as_json: AsJson = False,
) -> None:
    """List sessions: active and suspended ones, unless a --status is given."""
    query: dict[str, Any] = {"sort_by": sort, "descending": descending, "limit": limit, "offset": offset}
    query |= {"cursor": cursor, **({"search": search} if search else {}), **criteria_of(context)}
    with the_store(context).reading() as runtime:
        if parent is not None:
            query["parent"] = the_session(runtime, parent).id
        page = runtime.list_sessions(query)
        # By status alone they are counted already; with filters only on demand, and while the store is open.
        filtered = query.keys() - {"sort_by", "descending", "limit", "offset", "cursor", "status"}
        known = total or (page.has_more and not filtered)
        there = f"{len(page)} of {counted(page.total, 'session')}" if known else counted(len(page), "session")
        ended = runtime.count_sessions({**query, "status": "all"}) if not (page or status or offset or cursor) else 0
    foot = f"{there}; more with --cursor {page.next_cursor}" if page.has_more else there if total else None
    if ended:
        foot = f"no session is active or suspended; {counted(ended, 'session')} with --status all"
    if as_json:
        print_json([info.to_dict() for info in page])
        if foot is not None:
            tell_beside(foot)
        return
    print_rows(
        ("id", "status", "name", "tags", "artifacts", "updated (UTC)"),
        [
            (
                short_id(info.id),
                info.status,
                info.name or "",
                ", ".join(info.tags),
                str(info.artifact_count),
                moment(info.updated_at),
            )
            for info in page
        ],
        right=("artifacts",),
    )
    if foot is not None:
        tell_beside(foot)


@app.command()
def show(
    context: typer.Context,
    session: SessionId,
    messages: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Also the newest N messages.", show_default=False)
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="EVENT|TIME",
            help=f"As it was after the event with this sequence, or at this time: {TIMES}.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one session: its fields, its variables and, when asked for, its newest messages. With --at, show it as it
    was at a moment of its past, also its artifacts, questions and records."""
    with the_store(context).reading() as runtime:
        found = the_session(runtime, session)
        if at is not None:
            sequence, when = place_of(at, "--at")
            past = found.at(sequence=sequence, time=when)
            _show_past(past, messages, as_json=as_json)
            return
        info = found.info()
        variables = found.variables()
        turns = found.messages(limit=messages) if messages else []
    if as_json:
        value = info.to_dict() | {"variables": variables}
        print_json(value | ({"messages": [turn.to_dict() for turn in turns]} if messages else {}))
        return
    print_fields(_fields(info) | {f"variable {key}": brief(item) for key, item in variables.items()})
    for turn in turns:
        _print_message(turn)


def _show_past(past: PastState, messages: int | None, *, as_json: bool) -> None:
    if as_json:
        print_json(past.to_dict())
        return
    print_fields(
        _fields(past.info)
        | {f"variable {key}": brief(item) for key, item in past.variables.items()}
        | {
            f"artifact {each.name} {each.version}": f"{each.artifact_type}, {size(each.size)}"
            for each in past.artifacts
        }
        | {f"question {each.sequence}": f"{each.status}: {brief(each.question)}" for each in past.approvals}
        | {f"record {brief(os.fsdecode(key))}": size(int(str(each["size"]))) for key, each in past.records.items()}
        | {"messages": str(len(past.messages))}
    )
    for turn in past.messages[-messages:] if messages else []:
        _print_message(turn)


def records(
    context: typer.Context,
    session: SessionId,
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="Write out the value under this key.", show_default=False),
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="Only keys that begin with this.", show_default=False)
    ] = "",
    reverse: Annotated[bool, typer.Option("--reverse", help="The greatest keys first.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the records of a session in the order of their keys, or write out the value of one, byte for byte."""
    missing = object()
    with the_store(context).reading() as runtime:
        kept = the_session(runtime, session).records
        if key is not None:
            value = kept.get(os.fsencode(key), missing)
            if value is missing:
                raise InvalidOperation(f"the session has no record {shown(key)}: greenroom records SESSION lists them")
            if as_json or not isinstance(value, bytes):
                print_json(value)
            else:
                sys.stdout.flush()
                sys.stdout.buffer.write(value)
                sys.stdout.buffer.flush()
            return
        rows = kept.scan(os.fsencode(prefix), reverse=reverse, limit=limit)
        total = kept.count(os.fsencode(prefix))
    if as_json:
        print_json([{"key": name, "value": value} for name, value in rows])
        return
    print_rows(["key", "value"], [[name.decode(errors="backslashreplace"), brief(value)] for name, value in rows])
    if total > len(rows):
        tell_beside(f"{len(rows)} of {counted(total, 'record')}; more with --limit")


@app.command()
def tree(
    context: typer.Context,
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="Where to begin; otherwise every session without parent.",
            autocompletion=completion.sessions,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show sessions with their children."""
    with the_store(context).reading() as runtime:
        trees = [the_session(runtime, session).tree()] if session else _roots(runtime)
    if as_json:
        print_json([_tree_to_dict(item) for item in trees])
        return
    out = console()
    if not is_terminal():
        out.width = 1 << 16  # nothing is cut for programs
    for item in trees:
        out.print(_rich_tree(item), soft_wrap=True)


@app.command()
def suspend(context: typer.Context, sessions: SessionIds, as_json: AsJson = False) -> None:
    """Suspend active sessions: they take no writes until resumed."""
    _change(context, sessions, lambda session: session.suspend(), as_json)


@app.command()
def resume(context: typer.Context, sessions: SessionIds, as_json: AsJson = False) -> None:
    """Make suspended sessions active again."""
    _change(context, sessions, lambda session: session.resume(), as_json)


@app.command()
def complete(context: typer.Context, sessions: SessionIds, as_json: AsJson = False) -> None:
    """Complete sessions. This is final."""
    _change(context, sessions, lambda session: session.complete(), as_json)


@app.command()
def fail(
    context: typer.Context,
    session: SessionId,
    reason: Annotated[str, typer.Option(help="Why it failed; kept with the session.")] = "failed by hand",
    as_json: AsJson = False,
) -> None:
    """Fail a session. This is final."""
    _change(context, [session], lambda found: found.fail(reason), as_json)


@app.command()
def archive(context: typer.Context, sessions: SessionIds, as_json: AsJson = False) -> None:
    """Archive completed or failed sessions: they leave the usual listings and keep everything."""
    _change(context, sessions, lambda session: session.archive(), as_json)


@app.command()
def rename(
    context: typer.Context,
    session: SessionId,
    name: Annotated[str, typer.Argument(help="The new name.")],
    description: Annotated[str | None, typer.Option(help="Also describe it so.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Give a session another name."""

    def change(found: Session) -> SessionInfo:
        renamed = found.rename(name)
        return found.describe(description or None) if description is not None else renamed

    _change(context, [session], change, as_json)


@app.command()
def fork(
    context: typer.Context,
    session: SessionId,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="N|TIME",
            help=f"The last event to take along, or a time ({TIMES}); otherwise all.",
            show_default=False,
        ),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a variable in the fork; the value is JSON, or text."),
    ] = None,
    system_prompt: Annotated[str | None, typer.Option(help="Replace the system prompt.", show_default=False)] = None,
    edit_message: Annotated[
        list[str] | None, typer.Option(metavar="SEQUENCE=TEXT", help="Replace the content of a message.")
    ] = None,
    drop_message: Annotated[list[int] | None, typer.Option(metavar="SEQUENCE", help="Take a message out.")] = None,
    add_message: Annotated[list[str] | None, typer.Option(metavar="ROLE=TEXT", help="Add a message.")] = None,
    tool_result: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CALL=VALUE",
            help="Replace what a tool returned; the call is the sequence of its event, or the call id of a message.",
        ),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Add a tag to the fork.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new session that begins with the history of another, shares its content and is a child of it.

    Options change the fork before anybody sees it: they may be repeated.
    """
    changes: dict[str, object] = {
        "system_prompt": system_prompt,
        "edit_messages": texts_of(edit_message or (), "--edit-message", "SEQUENCE=TEXT"),
        "drop_messages": drop_message,
        "tool_results": entries_of(tool_result or (), "--tool-result", "CALL=VALUE"),
        "add_messages": [
            {"role": role, "content": text}
            for each in add_message or ()
            for role, text in texts_of([each], "--add-message", "ROLE=TEXT").items()
        ],
        "variables": entries_of(variables or (), "--set"),
        "tags": tag,
    }
    wanted = {name: value for name, value in changes.items() if value is not None and value not in ({}, [])}
    with the_store(context).writing() as runtime:
        number, when = place_of(at, "--at") if at is not None else (None, None)
        info = the_session(runtime, session).fork(number, wanted, at_time=when).info()
    if as_json:
        print_json(info.to_dict())
        return
    print(f"forked  {info.id}  {one_line(info.name or '')}".rstrip())


@app.command()
def delete(
    context: typer.Context,
    sessions: SessionIds,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask (it asks in a terminal only).")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete sessions with their journal, variables and artifacts. This cannot be undone."""
    deleted: list[SessionInfo] = []
    with the_store(context).writing() as runtime:
        for found in the_sessions(runtime, sessions):
            info = found.info()
            label = f"{short_id(info.id)} {one_line(info.name or '')}".rstrip()
            if not yes and sys.stdin.isatty():
                typer.confirm(f"Delete {label} with {counted(info.artifact_count, 'artifact')}?", abort=True)
            found.delete()
            deleted.append(info)
            if not as_json:
                done(f"deleted  {label}")
    if as_json:
        print_json([{"id": info.id, "name": info.name} for info in deleted])


def _change(context: typer.Context, names: list[str], change: Any, as_json: bool) -> None:
    changed: list[SessionInfo] = []
    with the_store(context).writing() as runtime:
        for session in the_sessions(runtime, names):
            info: SessionInfo = change(session)
            changed.append(info)
            if not as_json:
                done(f"{info.status}  {short_id(info.id)}  {one_line(info.name or '')}".rstrip())
    if as_json:
        print_json([info.to_dict() for info in changed])


def _roots(runtime: Runtime) -> list[SessionTree]:
    """Return the trees of all sessions that have no parent, or whose parent is gone."""
    return [
        runtime.session(info.id).tree()
        for info in runtime.iterate_sessions(status="all")
        if info.parent_session_id is None or not runtime.exists(info.parent_session_id)
    ]


def _fields(info: SessionInfo) -> dict[str, str]:
    shown = {}
    row: dict[str, Any] = {**info.to_dict()}
    for name, value in row.items():
        if value in (None, [], {}):
            continue
        if name == "total_artifact_size":
            shown[name] = f"{value} ({size(value)})"
        elif name == "duration":
            shown[name] = f"{value:.3f} s"
        else:
            shown[name] = brief(value, 1000)
    return shown


def _print_message(turn: Message) -> None:
    content: str | None = turn.text
    parts: Any = turn.content
    if isinstance(parts, list):
        texts = (text_of(part) or f"[{part.get('type')}]" if isinstance(part, dict) else str(part) for part in parts)
        content = "".join(texts)
    called: list[Any] = [*(turn.tool_calls or ())]
    calls = [call.get("function", {}).get("name", "?") for call in called if isinstance(call, dict)]
    marks = [*(["partial"] if turn.partial else []), *(["edited"] if turn.edited_at is not None else [])]
    head = f"{turn.sequence} {turn.role}" + (f" → {', '.join(calls)}" if calls else "")
    head += f" ({', '.join(marks)})" if marks else ""
    if is_terminal():
        console().rule(printable(head), align="left", style="dim")
    else:
        print(f"--- {printable(head)}")
    if content:
        print(printable(content))


def _tree_to_dict(item: SessionTree) -> dict[str, Any]:
    return item.info.to_dict() | {"children": [_tree_to_dict(child) for child in item.children]}


def _rich_tree(item: SessionTree) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    def label(info: SessionInfo) -> Text:
        name = one_line(info.name or "")
        return Text.assemble(
            (short_id(info.id), "cyan"),
            f"  {info.status}  {name}",
            (f"  {counted(info.artifact_count, 'artifact')}", "dim"),
        )

    root = Tree(label(item.info))
    waiting = [(root, child) for child in reversed(item.children)]
    while waiting:
        above, child = waiting.pop()
        branch = above.add(label(child.info))
        waiting += [(branch, grandchild) for grandchild in reversed(child.children)]
    return root
