"""Resources as the server tells them, read back into the words of the domain."""

from __future__ import annotations

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli import standing
from rollout_server.cli.failures import CommandFailed
from rollout_server.domain.resources import FlagStatus


def message(document: str, status: str) -> pb.Resource:
    return pb.Resource(document=pb.Document(kind="Flag", key="a", json=document), status_json=status, version=4)


def test_document_status_and_version() -> None:
    read = standing.read(
        message('{"kind": "Flag", "metadata": {"key": "a"}}', '{"salt": "abcdefghijklmnop", "law": 1, "killed": true}')
    )
    assert (str(read.id), read.version) == ("flag/a", 4)
    assert read.status == FlagStatus("abcdefghijklmnop", killed=True)


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ('{"kind": "Flag", "metadata": {"key": "a"}, "spec": {"later": 1}}', "{}"),
        ('{"kind": "Flag", "metadata": {"key": "a"}}', '{"later": 1}'),
    ],
)
def test_what_a_later_release_wrote_is_named_and_not_guessed(document: str, status: str) -> None:
    with pytest.raises(CommandFailed, match="what this command line does not know") as failed:
        standing.read(message(document, status))
    assert "upgrade" in failed.value.hint
