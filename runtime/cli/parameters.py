"""The parameters that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from . import completion

__all__ = ["ArtifactName", "ArtifactReference", "ArtifactVersion", "AsJson", "SessionId", "SessionIds"]

SessionId = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help="Id of the session, the first six or more digits of it, or key:KEY.",
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
    int | None,
    typer.Option("--version", min=1, metavar="N", help="This version; otherwise the latest.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, errors too, for programs.")]
