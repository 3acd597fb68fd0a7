"""Resources as a server would tell them."""

from __future__ import annotations

import json

from rollout_sdk.wire.v1 import control_pb2 as pb


def flag(key: str, *, version: int = 1, killed: bool = False, **spec: object) -> pb.Resource:
    """Return a flag with this spec."""
    document = {"kind": "Flag", "metadata": {"key": key, "owner": "shop"}, "spec": spec}
    status = {"salt": "abcdefghijklmnop", "law": 1, "killed": killed}
    return pb.Resource(
        document=pb.Document(kind="Flag", key=key, json=json.dumps(document)),
        status_json=json.dumps(status),
        version=version,
    )


def cohort(key: str, *, version: int = 1, **spec: object) -> pb.Resource:
    """Return a cohort with this spec."""
    document = {"kind": "Cohort", "metadata": {"key": key}, "spec": spec}
    return pb.Resource(
        document=pb.Document(kind="Cohort", key=key, json=json.dumps(document)), status_json="{}", version=version
    )
