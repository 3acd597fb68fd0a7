"""Where the examples are: beside this package in a wheel, beside its folder in a checkout."""

from __future__ import annotations

from pathlib import Path

from rollout_server.cli.failures import CommandFailed


def examples() -> Path:
    """Return their folder.

    Raises:
        CommandFailed: they are not installed.
    """
    package = Path(__file__).resolve().parent.parent
    for place in (package / "_examples", package.parent / "examples"):
        if (place / "flags").is_dir():
            return place
    raise CommandFailed(
        "the examples are not installed", "reinstall: pip install --force-reinstall 'rollout-guard[all]'"
    )
