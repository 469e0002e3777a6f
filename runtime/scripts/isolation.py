"""Decides where a script runs: on a thread of this process, or in a process of its own."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, cast

from greenroom.storage.errors import ConfigurationError, ValidationError, shown

__all__ = ["ISOLATIONS", "TRUSTS", "Isolation", "isolation_of"]

Isolation: TypeAlias = Literal["thread", "process"]
ISOLATIONS: Final = ("thread", "process")
TRUSTS: Final = ("host", "untrusted")


def isolation_of(given: str | None, trust: str, profile: str, default: Isolation | None) -> Isolation:
    """Return where a script runs. `trust` says whose the script is: the host's, or that of somebody whom it does not
    trust. `default` is the runtime's setting.

    Raises ValidationError for an unknown name, and ConfigurationError for a profile that does not go with it.
    """
    _known("isolation", given, (None, *ISOLATIONS))
    _known("trust", trust, TRUSTS)
    unlimited = profile == "trusted"
    if unlimited and trust == "untrusted":
        raise ConfigurationError(
            "profile 'trusted' gives a script the whole standard library, so it is for scripts of the host: "
            "run scripts of others with profile 'sandboxed' or 'files'"
        )
    if unlimited and given == "process":
        raise ConfigurationError(
            "profile 'trusted' needs files and processes, which isolation 'process' takes from a script: "
            "run it with isolation='thread', or with profile 'sandboxed' or 'files'"
        )
    if given is not None:
        return cast(Isolation, given)
    if default is not None and not unlimited:
        return default
    return "process" if trust == "untrusted" else "thread"


def _known(field: str, value: object, names: tuple[str | None, ...]) -> None:
    if value not in names:
        known = ", ".join(repr(each) for each in names if each is not None)
        raise ValidationError(f"{field}: there is no {shown(value)}; there are: {known}", field=field)
