"""Free ports."""

from __future__ import annotations

import socket

from rollout_server.cli.ports import HOST, any_free, free


def test_a_port_that_is_held_is_not_given() -> None:
    """0 asks the system for another one."""
    with socket.create_server((HOST, 0)) as held:
        assert free(held.getsockname()[1]) == 0
    port = any_free()
    assert free(port) == port
