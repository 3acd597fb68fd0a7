"""For tests of code that uses flags.

    flags = fixed({"checkout-v2": True, "page-limit": 20})   # no server, no threads, no files
    flags = from_files("flags/")                             # decides as after `rollout apply -f flags/`

    with Server() as server:                                 # real gRPC on loopback
        server.set({"checkout-v2": True})
        with server.client() as client: ...

With pytest, the fixtures `rollout_flags` and `rollout_server` and the mark `rollout` are there by themselves.
"""

from __future__ import annotations

from rollout_sdk.testing.clients import LocalClient, RulesetClient, fixed, from_files
from rollout_sdk.testing.ledger import Process
from rollout_sdk.testing.server import Server

__all__ = ["LocalClient", "Process", "RulesetClient", "Server", "fixed", "from_files"]
