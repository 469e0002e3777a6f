"""Tests of adapters run where their framework is installed: `.ci/integrations` makes such environments."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


def is_installed(adapter: str) -> bool:
    """Return whether the framework of an adapter is here, in a version that its extra takes."""
    try:
        return all(
            wanted.specifier.contains(version(wanted.name), prereleases=True)
            for wanted in map(Requirement, EXTRAS[adapter.replace("_", "-")])
        )
    except PackageNotFoundError:
        return False


ADAPTERS = sorted(folder.name for folder in Path(__file__).parent.iterdir() if folder.name.replace("_", "-") in EXTRAS)
collect_ignore = [adapter for adapter in ADAPTERS if not is_installed(adapter)]
