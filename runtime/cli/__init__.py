"""The command line: ``greenroom [--data DIR] COMMAND``.

Modules here import the runtime and rich inside their functions, so that ``greenroom --help`` answers at once.
"""

from __future__ import annotations


def main() -> None:
    """The entry point of the ``greenroom`` command; leaves with exit code 0, 1 (failed) or 2 (usage)."""
    from .app import run

    run()
