"""Rollout Guard in the caller's process: `Client` decides flags, here, without asking anybody.

    from rollout_sdk import Client, Context

    client = Client("localhost:7070", token=...)
    if client.enabled("checkout-v2", Context("user-42", country="TH")):
        ...

gRPC and protobuf are loaded by the client's own thread, not by this import.
"""

from __future__ import annotations

from rollout_sdk.client import Client
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Arm, Decision, Reason
from rollout_sdk.errors import Corrupt, InvalidSettings, RolloutError
from rollout_sdk.scope import Scope, current_scope
from rollout_sdk.settings import Settings
from rollout_sdk.status import Status

__version__ = "0.1.0"

__all__ = [
    "Arm",
    "Client",
    "Context",
    "Corrupt",
    "Decision",
    "InvalidSettings",
    "Reason",
    "RolloutError",
    "Scope",
    "Settings",
    "Status",
    "__version__",
    "current_scope",
]
