"""What a plan reads of a resource, as a short text that is another one when that moved.

A version moves with every entry that touches a resource. That is the right thing to bind to for all kinds but one: the
run of a rollout moves its status all the time, by itself, without anybody editing anything. Of a run, plans read
whether it is open and which number it has, not how far it is.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from rollout_server.domain.files.canonical import canonical_json
from rollout_server.domain.files.stored import write_status
from rollout_server.domain.files.writer import write
from rollout_server.domain.resources import RolloutStatus

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json
    from rollout_server.domain.resources import Resource


def stamp(resource: Resource | None) -> str:
    """Return the stamp of a resource as it stands; empty where there is none.

    Returns:
        Its version, or of a rollout SHA-256 over what was written and `facts`, in lowercase hex.
    """
    if resource is None:
        return ""
    if not isinstance(resource.status, RolloutStatus):
        return str(resource.version)
    return sha256(canonical_json({**write(resource), "status": facts(resource)})).hexdigest()


def facts(resource: Resource) -> dict[str, Json]:
    """Return of the status what a plan rests on: all of it, but of a run only its number and whether it is open."""
    status = resource.status
    if not isinstance(status, RolloutStatus):
        return write_status(resource)
    standing = "open" if status.is_active else status.phase.value if status.phase else ""
    return {"salt": status.salt, "law": status.law, "run": status.runs, "standing": standing}
