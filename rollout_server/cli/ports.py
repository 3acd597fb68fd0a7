"""Free ports of this machine, for servers that are started beside a command."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def free(port: int) -> int:
    """Return the port if nobody holds it, else 0: any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return 0
    return port


def any_free() -> int:
    """Return a port that nobody holds now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
