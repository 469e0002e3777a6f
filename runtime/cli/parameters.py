"""The parameters that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from . import completion

__all__ = [
    "ArtifactName",
    "ArtifactReference",
    "ArtifactVersion",
    "AsJson",
    "OneOrAllSessions",
    "SessionId",
    "SessionIds",
    "version_of",
]


def version_of(text: str | None) -> int | str | None:
    """Return the version that a text names: its number, else its label."""
    return int(text) if text is not None and text.isdecimal() else text


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
