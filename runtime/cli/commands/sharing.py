"""``greenroom artifacts share``, ``unshare``, ``permissions``, ``shared``; ``greenroom sessions share``, ``unshare``,
``shares``; ``greenroom audit``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import counted, done, moment, one_line, print_json, print_rows, short_id, tell_beside
from greenroom.runtime.cli.parameters import ArtifactReference, ArtifactVersion, AsJson, SessionId, version_of
from greenroom.runtime.cli.store import KEY, the_session, the_store
from greenroom.runtime.cli.times import TIMES, moment_of

if TYPE_CHECKING:
    from greenroom.runtime import Grant, SessionShare

Other = Annotated[
    str,
    typer.Option(
        "--with",
        metavar="SESSION",
        help="Id of the other session, the first six or more digits of it, or key:KEY.",
        autocompletion=completion.sessions,
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Until then: RFC 3339, 24h or 7d from now, tomorrow.", show_default=False),
]


class Permission(StrEnum):
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class WholePermission(StrEnum):
    READ = "read"
    WRITE = "write"


class Access(StrEnum):
    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    LIST = "list"
    SHARE = "share"
    CHANGE_PERMISSIONS = "change_permissions"


def share(
    context: typer.Context,
    session: SessionId,
    artifact: ArtifactReference,
    other: Other,
    permission: Annotated[
        Permission,
        typer.Option(help="read; write: also store its next version; admin: all that the owner may."),
    ] = Permission.READ,
    expires: Expires = None,
    inherit: Annotated[bool, typer.Option("--inherit", help="Also with the sessions below the other one.")] = False,
    version: ArtifactVersion = None,
    as_json: AsJson = False,
) -> None:
    """Let another session use an artifact. It is one version that is shared, not what comes after it."""
    with the_store(context).writing() as runtime:
        grant = the_session(runtime, session).share(
            artifact,
            the_session(runtime, other),
            str(permission),
            moment_of(expires, "--expires", ahead=True),
            inherit,
            version=version_of(version),
        )
    if as_json:
        print_json(grant.to_dict())
    else:
        until = f"  until {moment(grant.expires_at)}" if grant.expires_at is not None else ""
        done(f"shared  {one_line(artifact)}  with {grant.session_id}  {grant.permission}{until}")


def unshare(
    context: typer.Context,
    session: SessionId,
    artifact: ArtifactReference,
    other: Other,
    permission: Annotated[
        Permission, typer.Option(help="Take this and what is above it; read takes all.")
    ] = Permission.READ,
    version: ArtifactVersion = None,
    as_json: AsJson = False,
) -> None:
    """Take back what another session may do with an artifact."""
    with the_store(context).writing() as runtime:
        found = the_session(runtime, session)
        had = found.revoke(artifact, the_session(runtime, other), str(permission), version=version_of(version))
    if as_json:
        print_json({"artifact": artifact, "revoked": had})
    else:
        done(f"{'revoked' if had else 'nothing to revoke'}  {one_line(artifact)}")


def permissions(
    context: typer.Context,
    session: SessionId,
    artifact: ArtifactReference,
    version: ArtifactVersion = None,
    as_json: AsJson = False,
) -> None:
    """List who may do what with an artifact."""
    with the_store(context).reading() as runtime:
        grants = the_session(runtime, session).permissions(artifact, version_of(version))
    if as_json:
        print_json([grant.to_dict() for grant in grants])
        return
    print_rows(
        ("session", "permission", "inherit", "granted (UTC)", "expires (UTC)"),
        [
            (
                grant.session_id,
                grant.permission,
                "yes" if grant.inherit else "no",
                moment(grant.granted_at),
                _end(grant),
            )
            for grant in grants
        ],
    )


def shared(context: typer.Context, session: SessionId, as_json: AsJson = False) -> None:
    """List what other sessions share with one."""
    with the_store(context).reading() as runtime:
        infos = the_session(runtime, session).shared_with_me()
    if as_json:
        print_json([info.to_dict() for info in infos])
        return
    print_rows(
        ("owner", "name", "type", "version", "artifact"),
        [
            (short_id(info.id.session_id), info.name, info.artifact_type, str(info.version), str(info.id))
            for info in infos
        ],
        right=("version",),
    )


def share_session(
    context: typer.Context,
    session: SessionId,
    other: Other,
    permission: Annotated[
        WholePermission,
        typer.Option(help="read; write: also change variables, messages, tags and metadata, and store artifacts."),
    ] = WholePermission.READ,
    expires: Expires = None,
    as_json: AsJson = False,
) -> None:
    """Let another session use all of a session, but not what is below it."""
    with the_store(context).writing() as runtime:
        until = moment_of(expires, "--expires", ahead=True)
        kind: Literal["read", "write"] = "write" if permission is WholePermission.WRITE else "read"
        made = the_session(runtime, session).share(the_session(runtime, other), kind, expires_at=until)
    if as_json:
        print_json(made.to_dict())
    else:
        when = f"  until {moment(made.expires_at)}" if made.expires_at is not None else ""
        done(f"shared  {made.session_id}  with {made.with_session}  {made.permission}{when}")


def unshare_session(context: typer.Context, session: SessionId, other: Other, as_json: AsJson = False) -> None:
    """End the share of a session with another one."""
    with the_store(context).writing() as runtime:
        found = the_session(runtime, session)
        had = found.revoke(the_session(runtime, other))
    if as_json:
        print_json({"session_id": found.id, "revoked": had})
    else:
        done(f"{'revoked' if had else 'nothing to revoke'}  {found.id}")


def shares(context: typer.Context, session: SessionId, as_json: AsJson = False) -> None:
    """List with which sessions one is shared, and which are shared with it."""
    with the_store(context).reading() as runtime:
        found = the_session(runtime, session)
        rows = [*found.shares(), *found.shared_sessions()]
    if as_json:
        print_json([each.to_dict() for each in rows])
        return
    print_rows(
        ("session", "with", "permission", "shared (UTC)", "expires (UTC)"),
        [
            (
                each.session_id,
                each.with_session,
                each.permission,
                moment(each.shared_at),
                _end(each),
            )
            for each in rows
        ],
    )


def _end(each: Grant | SessionShare) -> str:
    if each.expires_at is None:
        return "never"
    return moment(each.expires_at) + (" (over)" if each.expired else "")


def audit(
    context: typer.Context,
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="[SESSION]",
            help="Id of the session that acted or whose things they were, or its first digits; otherwise all.",
            show_default=False,
            autocompletion=completion.sessions,
        ),
    ] = None,
    artifact: Annotated[str | None, typer.Option(metavar="ID", help="Of this artifact.", show_default=False)] = None,
    access: Annotated[Access | None, typer.Option(help="Of this kind.", show_default=False)] = None,
    granted: Annotated[
        bool | None, typer.Option("--granted/--denied", help="Only what was let through, or was not.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Then or later: {TIMES}.", show_default=False)
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List who has tried to reach what of other sessions, newest first."""
    with the_store(context).reading() as runtime:
        who = None
        if session is not None:  # also one that has been deleted
            who = session if len(session) == 36 and not session.startswith(KEY) else the_session(runtime, session).id
        page = runtime.audit(
            session=who,
            artifact=artifact,
            access=str(access) if access is not None else None,
            granted=granted,
            after=moment_of(after, "--after"),
            before=moment_of(before, "--before"),
            limit=limit,
            offset=offset,
        )
    if as_json:
        print_json([record.to_dict() for record in page])
        return
    print_rows(
        ("time (UTC)", "access", "outcome", "session", "owner", "operation", "reason", "times"),
        [
            (
                moment(record.time),
                record.access,
                "granted" if record.granted else "denied",
                short_id(record.session) if record.session is not None else "the host",
                short_id(record.owner) if record.owner is not None else "-",
                record.operation,
                record.reason,
                str(record.times),
            )
            for record in page
        ],
        right=("times",),
    )
    if page.has_more:
        tell_beside(f"{len(page)} of {counted(page.total, 'record')}; more with --offset {offset + len(page)}")
