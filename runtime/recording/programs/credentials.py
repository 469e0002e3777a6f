"""The credentials that a program needs to call its providers live. Only names of environment variables are looked at,
never their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from greenroom.runtime.recording.tape.model import Crossing

__all__ = ["PLACEHOLDER", "missing_credentials", "stand_ins", "unset_credentials"]

PLACEHOLDER: Final = "not-a-key-this-is-an-offline-replay"
"""Stands for a key in a replay: clients ask for one before they are called, and no call goes out."""

_OF_HOSTS: Final = (
    ("openai.azure.com", ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_KEY")),
    ("api.openai.com", ("OPENAI_API_KEY",)),
    ("api.anthropic.com", ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")),
    ("generativelanguage.googleapis.com", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    ("aiplatform.googleapis.com", ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_KEY")),
    ("openrouter.ai", ("OPENROUTER_API_KEY", "OPENAI_API_KEY")),
    ("api.mistral.ai", ("MISTRAL_API_KEY",)),
    ("api.groq.com", ("GROQ_API_KEY",)),
    ("api.deepseek.com", ("DEEPSEEK_API_KEY", "OPENAI_API_KEY")),
    ("api.together.xyz", ("TOGETHER_API_KEY", "TOGETHERAI_API_KEY")),
    ("api.x.ai", ("XAI_API_KEY",)),
    ("api.cohere.com", ("CO_API_KEY", "COHERE_API_KEY")),
)
_STAND_INS: Final = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AZURE_OPENAI_API_KEY", "OPENROUTER_API_KEY",
    "MISTRAL_API_KEY", "GROQ_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
)  # fmt: skip
_OTHERS: Final = {"GEMINI_API_KEY": "GOOGLE_API_KEY", "ANTHROPIC_API_KEY": "ANTHROPIC_AUTH_TOKEN"}
"""Names that serve as well, and of which a client wants no two."""
_OF_AWS: Final = (
    "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
"""Any of them says where the keys of AWS come from."""


def missing_credentials(steps: Iterable[Crossing], environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the hosts among those that steps called for which no key is set, each with the names of the variables that
    could hold one. Hosts that are not known are not among them."""
    missing: dict[str, tuple[str, ...]] = {}
    for each in steps:
        host = (urlsplit(str(each.input.get("url"))).hostname or "") if each.kind == "http" else ""
        names = next((names for known, names in _OF_HOSTS if host == known or host.endswith(f".{known}")), ())
        if names and not any(environment.get(name) for name in names):
            missing[host] = names
    return missing


def unset_credentials(read: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return the variables with keys that a program has read, and that are not set any more. Keys of AWS come from
    other places too."""
    of_aws = any(environment.get(name) for name in _OF_AWS)
    return [name for name in read if not environment.get(name) and not (of_aws and name.startswith("AWS_"))]


def stand_ins(environment: Mapping[str, str], steps: Iterable[Crossing] = ()) -> dict[str, str]:
    """Return variables that let clients of providers be made without a key, for a program that calls nobody. Keys that
    the program has asked a server of AWS for are answered from its recorded steps."""
    own_keys = any(environment.get(name) for name in _OF_AWS) or any(map(_gives_keys, steps))
    return {
        name: PLACEHOLDER
        for name in _STAND_INS
        if not environment.get(name)
        and not environment.get(_OTHERS.get(name, ""))
        and not (own_keys and name.startswith("AWS_"))
    }


def _gives_keys(step: Crossing) -> bool:
    host = (urlsplit(str(step.input.get("url"))).hostname or "") if step.kind == "http" else ""
    return host.startswith(("169.254.", "sts."))
