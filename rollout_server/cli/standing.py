"""Resources as the server tells them, read back into the words of the domain: for files and for differences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_server.cli import messages
from rollout_server.cli.failures import CommandFailed

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.domain.resources import Resource


def read(message: control_pb2.Resource) -> Resource:
    """Return a resource with its status and version.

    Raises:
        CommandFailed: this command line cannot read it; the server is newer.
    """
    from rollout_server.domain.files import read as read_document
    from rollout_server.domain.files import read_status
    from rollout_server.errors import Corrupt

    resource, problems = read_document(messages.parsed(message.document.json))
    named = messages.resource_id(message.document.kind, message.document.key)
    if resource is None:
        raise CommandFailed(
            f"{named} holds what this command line does not know",
            "upgrade it to the server's release; -o json shows the resource as it is",
            details=[str(problem) for problem in problems],
        )
    status = messages.parsed(message.status_json)
    try:
        known = read_status(resource.kind, status if status is not None else {})
    except Corrupt as corrupt:
        raise CommandFailed(
            f"the status of {named} holds what this command line does not know: {corrupt}",
            "upgrade it to the server's release; -o json shows the resource as it is",
        ) from corrupt
    return replace(resource, status=known, version=message.version)
