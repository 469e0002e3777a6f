"""``greenroom stats``: what the store holds, and what the sessions in it have done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import counted, print_fields, print_json, print_rows, short_id, size, tell_beside
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import Store, the_session, the_store
from greenroom.runtime.cli.times import TIMES, moment_of

from .maintenance import progress

if TYPE_CHECKING:
    from greenroom.runtime import AggregateMetrics, CallTable, Distribution, Figures, SessionMetrics

_MOST_TYPES = 10
_OF_INTEREST = ("path", "disk_bytes", "sessions", "artifacts")
"""What people look for. The rest is about the engine, and in --json too."""


def stats(
    context: typer.Context,
    details: Annotated[
        bool, typer.Option("--details", help="Also which sessions, types and names take most space.")
    ] = False,
    engine: Annotated[
        bool, typer.Option("--engine", help="Also the figures of the storage engine: caches, commits, tables.")
    ] = False,
    sessions: Annotated[
        bool, typer.Option("--sessions", help="What all sessions together have done, and which stand out.")
    ] = False,
    session: Annotated[
        str | None,
        typer.Option(
            metavar="SESSION",
            help="What one session has done: its id, or its first digits.",
            show_default=False,
            autocompletion=completion.sessions,
        ),
    ] = None,
    tools: Annotated[
        bool, typer.Option("--tools", help="The calls of tools, agents, hooks and scripts, of all sessions or of one.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Count events from then on: {TIMES}.", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Count events before then.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Name this many that stand out.")] = 5,
    privacy: Annotated[
        bool, typer.Option("--privacy", help="Pseudonyms in place of session ids and creators.")
    ] = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="Print the store's figures for Prometheus.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count what the store holds, or, from the journals, what its sessions have done."""
    store = the_store(context)
    activity = sessions or tools or session is not None
    if prometheus:
        if activity or details or engine or as_json:
            raise typer.BadParameter("it goes with no other option", param_hint="--prometheus")
        with store.reading() as runtime:
            print(runtime.analytics.prometheus(), end="")
        return
    if not activity:
        for option, given in (("--since", since), ("--until", until), ("--privacy", privacy or None)):
            if given is not None:
                raise typer.BadParameter("it needs --sessions, --session or --tools", param_hint=option)
        _tell_store(store, details, engine, as_json)
        return
    for option, is_given in (("--details", details), ("--engine", engine)):
        if is_given:
            raise typer.BadParameter("it does not go with --sessions, --session and --tools", param_hint=option)
    found = _read(store, session, moment_of(since, "--since"), moment_of(until, "--until"), top, privacy or None)
    if as_json:
        print_json(found.to_dict())
        return
    if session is not None and not tools:
        _tell_session(found)
    elif sessions:
        _tell_sessions(found)
    if tools:
        if sessions:
            print()
        _tell_calls(found)


def _read(
    store: Store, session: str | None, since: datetime | None, until: datetime | None, top: int, privacy: bool | None
) -> Any:
    with store.reading() as runtime:
        analytics = runtime.analytics
        if session is not None:
            return analytics.session(the_session(runtime, session), since=since, until=until, privacy=privacy)
        with progress("reading") as tell:
            return analytics.aggregate(since=since, until=until, top=top, privacy=privacy, on_progress=tell)


# -- the store


def _tell_store(store: Store, details: bool, engine: bool, as_json: bool) -> None:
    with store.reading() as runtime, progress("counting"):
        found = runtime.stats(details)
    if as_json:
        print_json(found)
        return
    usage = found.pop("usage", {})
    first = {name: found.pop(name) for name in _OF_INTEREST}
    print_fields(_flat(first))
    if engine:
        print()
        print_fields(_flat(found))
    for by, shares in usage.items():
        print()
        print_rows(
            (by, "items", "content", "its own, stored", "journal"),
            [
                (
                    name,
                    str(share["items"]),
                    size(share["logical_bytes"]),
                    size(share["unique_bytes"]),
                    size(share["journal_bytes"]),
                )
                for name, share in shares.items()
            ],
            right=("items", "content", "its own, stored", "journal"),
        )


def _flat(value: dict[str, Any], above: str = "") -> dict[str, str]:
    """Nested counts as one level of names; bytes also in units that people read."""
    flat: dict[str, str] = {}
    for key, item in value.items():
        name = f"{above} {key}".strip().replace("_", " ")
        if isinstance(item, dict):
            flat |= _flat(item, name)
        elif isinstance(item, int) and "bytes" in key:
            flat[name] = f"{item} ({size(item)})"
        else:
            flat[name] = str(item)
    return flat


# -- what sessions have done


def _tell_session(found: SessionMetrics) -> None:
    _print_known(
        {
            "session": found.session_id,
            "status": found.status,
            "created by": found.created_by or "",
            "duration": _time(found.duration),
            **_figures(found),
            "artifacts": f"{found.artifacts} ({size(found.artifact_bytes)})",
            "state": size(found.state_bytes),
        }
    )
    _tell_types(found.by_type)


def _tell_sessions(found: AggregateMetrics) -> None:
    by_status = ", ".join(f"{count} {status}" for status, count in found.by_status.items())
    _print_known(
        {
            "sessions": f"{found.sessions} ({by_status})" if by_status else str(found.sessions),
            "with events": str(found.active_sessions),
            **_figures(found),
            "artifacts": f"{found.artifacts} ({size(found.artifact_bytes)})",
            "duration": _spread(found.durations, _time),
            "operations each": _spread(found.operations_per_session, lambda value: f"{value:.0f}"),
            "state": _spread(found.state_bytes, lambda value: size(round(value))),
        }
    )
    _tell_types(found.by_type)
    rows = [
        (
            ranking,
            _shown(each.session_id),
            _ranked(ranking, each.value),
        )
        for ranking, ranked in found.top.items()
        for each in ranked
    ]
    if rows:
        print()
        print_rows(("most", "id", "value"), rows, right=("value",))
    if found.damaged:
        tell_beside(f"{counted(found.damaged, 'damaged session')} not counted: see greenroom verify")


def _shown(session_id: str) -> str:
    """Return an id as tables show it; a pseudonym whole, since nothing finds a session by the beginning of one."""
    return session_id if session_id.startswith("session-") else short_id(session_id)


def _figures(found: Figures) -> dict[str, str]:
    use, saves = found.resources, found.checkpoints
    between = f", {_time(saves.mean_interval)} apart" if saves.mean_interval is not None else ""
    return {
        "events": str(found.events),
        "operations": str(found.operations),
        "first event": _when(found.first_activity),
        "last event": _when(found.last_activity),
        "calls that succeeded": _rate(found.success_rate),
        "errors": ", ".join(f"{count} {code}" for code, count in found.errors.items()),
        "messages": ", ".join(f"{count} {role}" for role, count in found.messages_by_role.items()),
        "tokens": f"{use.tokens} ({use.input_tokens} in, {use.output_tokens} out)",
        "cost": f"${use.cost_usd:.6f}".rstrip("0").rstrip("."),
        "stored": f"{counted(use.artifacts_stored, 'artifact')}, {size(use.bytes_stored)}",
        "saves": f"{saves.count}{between}",
    }


def _print_known(fields: dict[str, str]) -> None:
    print_fields({name: value for name, value in fields.items() if value})


def _tell_types(by_type: Mapping[str, int]) -> None:
    if not by_type:
        return
    print()
    shown = list(by_type.items())[:_MOST_TYPES]
    rest = sum(by_type.values()) - sum(count for _, count in shown)
    rows = [*((type_, str(count)) for type_, count in shown), *([("others", str(rest))] if rest else [])]
    print_rows(("event", "count"), rows, right=("count",))


def _tell_calls(found: Figures) -> None:
    rows = [
        row
        for kind, table in (
            ("tool", found.tools),
            ("agent", found.agents),
            ("model", found.models),
            ("hook", found.hooks),
            ("script", found.scripts),
        )
        for row in _calls(kind, table)
    ]
    columns = ("kind", "name", "calls", "success", "mean", "median", "p95", "max", "tokens", "cost")
    print_rows(columns, rows, right=columns[2:])


def _calls(kind: str, table: CallTable) -> list[tuple[str, ...]]:
    return [
        (
            kind,
            name,
            str(each.calls),
            _rate(each.success_rate),
            *(_time(value) for value in (each.seconds.mean, each.seconds.median, each.seconds.p95, each.seconds.max)),
            str(each.tokens or ""),
            f"${each.cost_usd:.4f}" if each.cost_usd else "",
        )
        for name, each in table.by_name.items()
    ]


def _spread(values: Distribution, shown: Any) -> str:
    if not values.count:
        return ""
    return f"mean {shown(values.mean)}, median {shown(values.median)}, p95 {shown(values.p95)}, max {shown(values.max)}"


def _ranked(ranking: str, value: float) -> str:
    if ranking == "bytes":
        return size(round(value))
    return f"${value:.4f}" if ranking == "cost" else f"{value:.0f}"


def _rate(value: float | None) -> str:
    return f"{value:.1%}" if value is not None else ""


def _time(seconds: float | None) -> str:
    """Return a duration in the unit that people would use."""
    if seconds is None:
        return ""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _when(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment is not None else ""
