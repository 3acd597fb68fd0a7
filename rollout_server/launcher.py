"""The `rollout` command before anything is known to be installed; standard library only.

The base install is the SDK, and it brings this command too. Whoever types it there learns which install is missing.
"""

import importlib
import sys

_OURS = frozenset({"rollout_sdk", "rollout_server"})
_INSTALL = "pip install 'rollout-guard[all]'"


def main() -> int | str | None:
    """Run the command line; without the extra, name the `pip install` to type.

    Returns:
        What `sys.exit` takes: the command's own code, or 1 when the extra is not installed.
    """
    try:
        command = importlib.import_module("rollout_server.cli.main").main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OURS:
            raise  # a broken install or a bug of ours, which no extra mends
        sys.stderr.write(f"rollout: the command line is not installed (no module {error.name}). Type:\n\n")
        sys.stderr.write(f"    {_INSTALL}\n\n")
        return 1
    result: int | str | None = command()
    return result
