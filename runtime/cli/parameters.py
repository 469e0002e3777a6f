"""The parameters that several commands take."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from . import completion
from .times import TIMES, moment_of

__all__ = [
    "ArtifactName",
    "ArtifactReference",
    "ArtifactVersion",
    "AsJson",
    "Correlation",
    "Cursor",
    "OfCreator",
    "OfParent",
    "OneOrAllSessions",
    "SessionId",
    "SessionIds",
    "SessionOrNone",
    "Since",
    "Until",
    "UpdatedSince",
    "UpdatedUntil",
    "WithKeyPrefix",
    "WithMetadata",
    "WithStatus",
    "WithTags",
    "criteria_of",
    "entries_of",
    "json_or_text",
    "texts_of",
    "version_of",
]


def version_of(text: str | None) -> int | str | None:
    """Return the version that a text names: its number, else its label."""
    return int(text) if text is not None and text.isdecimal() else text


def json_or_text(text: str) -> Any:
    """Return the value of a text in JSON, or the text itself if it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def entries_of(texts: Iterable[str], option: str, form: str = "KEY=VALUE") -> dict[str, Any]:
    """Return KEY=VALUE texts as an object. Each value is JSON, or text. `form` is how the option's help calls them."""
    return {key: json_or_text(value) for key, value in texts_of(texts, option, form).items()}


def texts_of(texts: Iterable[str], option: str, form: str) -> dict[str, str]:
    """Return KEY=TEXT texts as an object. A key that their form calls SEQUENCE is a whole number."""
    entries: dict[str, str] = {}
    for each in texts:
        key, equals, value = each.partition("=")
        if not key or not equals or (form.startswith("SEQUENCE=") and not key.isdecimal()):
            raise typer.BadParameter(f"{each!r} is not of the form {form}", param_hint=option)
        entries[key] = value
    return entries


SessionId = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help="Id of the session, the first six or more digits of it, or key:KEY.",
        autocompletion=completion.sessions,
    ),
]
OneOrAllSessions = Annotated[
    str | None,
    typer.Argument(
        metavar="[SESSION]",
        help="Id of the session, the first six or more digits of it, or key:KEY; otherwise all sessions.",
        show_default=False,
        autocompletion=completion.sessions,
    ),
]
SessionOrNone = Annotated[
    str | None,
    typer.Argument(
        metavar="SESSION",
        help="Id of the session, the first six or more digits of it, or key:KEY. Not needed with --correlation.",
        show_default=False,
        autocompletion=completion.sessions,
    ),
]
Correlation = Annotated[
    str | None,
    typer.Option(
        "--correlation",
        metavar="ID",
        help="Only events with this correlation id; without a session, of all sessions.",
        show_default=False,
    ),
]
SessionIds = Annotated[
    list[str],
    typer.Argument(
        metavar="SESSION",
        help="Ids of sessions, the first six or more digits of each, or key:KEY.",
        autocompletion=completion.sessions,
    ),
]
ArtifactReference = Annotated[
    str,
    typer.Argument(metavar="ARTIFACT", help="Name or id of the artifact.", autocompletion=completion.artifacts),
]
ArtifactName = Annotated[
    str, typer.Argument(metavar="ARTIFACT", help="Name of the artifact.", autocompletion=completion.artifacts)
]
ArtifactVersion = Annotated[
    str | None,
    typer.Option(
        "--version", metavar="N|LABEL", help="The version of this number or label; else the latest.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, errors too, for programs.")]
Cursor = Annotated[
    str | None,
    typer.Option(
        metavar="CURSOR",
        help="Go on after an earlier page. A line on stderr says the cursor, with --json and --quiet too.",
        show_default=False,
    ),
]

# What selects sessions: `criteria_of` makes criteria of these options.
WithStatus = Annotated[
    list[str] | None,
    typer.Option(
        help="Only sessions with this status (may be repeated), or 'all'.", autocompletion=completion.statuses
    ),
]
WithTags = Annotated[
    list[str] | None, typer.Option(help="Only sessions with this tag (repeated: with all of them).", show_default=False)
]
OfCreator = Annotated[str | None, typer.Option(help="Only sessions created by this user.", show_default=False)]
OfParent = Annotated[
    str | None,
    typer.Option(
        metavar="SESSION",
        help="Only children of this session.",
        autocompletion=completion.sessions,
        show_default=False,
    ),
]
WithKeyPrefix = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only sessions with a key that begins so.", show_default=False),
]
WithMetadata = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Only sessions with this entry in the metadata; the value is JSON, or text.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help=f"Only sessions created then or later: {TIMES}.", show_default=False),
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only sessions created before then.", show_default=False)
]
UpdatedSince = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only sessions changed then or later.", show_default=False)
]
UpdatedUntil = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only sessions not changed since then.", show_default=False)
]


def criteria_of(context: typer.Context) -> dict[str, Any]:
    """Return the criteria that the options of a command give, without the parent: to find that, the store must be
    open. Options that were not given are left out. Raises BadParameter."""
    given = context.params
    criteria: dict[str, Any] = {
        "status": tuple(given["status"] or ()),
        "tags": tuple(given["tag"] or ()),
        "created_by": given["created_by"],
        "key_prefix": given["key_prefix"],
        "metadata": entries_of(given["metadata"] or (), "--metadata"),
        "created_after": moment_of(given["after"], "--after"),
        "created_before": moment_of(given["before"], "--before"),
        "updated_after": moment_of(given["updated_after"], "--updated-after"),
        "updated_before": moment_of(given["updated_before"], "--updated-before"),
    }
    return {name: value for name, value in criteria.items() if value not in (None, (), {})}
