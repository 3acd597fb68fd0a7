"""Signed checkpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.model import Position
from rollout_server.domain.checkpoint import Sealed, read_checkpoint, seal, unseal
from rollout_server.domain.entries import Head
from rollout_server.domain.files import write_stored
from rollout_server.errors import Corrupt
from tests.doubles.memory_journal import KEY
from tests.journal_world import cohort, flag

HEAD = Head(7, b"\7" * 32, 99)
RESOURCES = {resource.id: resource.at_version(3) for resource in (flag("b"), flag("a", "on"), cohort("c", "u-1"))}
TREES = {name: write_stored(resource) for name, resource in RESOURCES.items()}
SEALED = seal("production", HEAD, TREES, KEY)


def test_a_checkpoint_is_read_as_it_was_sealed() -> None:
    """State, position and time come back; the epoch is the one in force."""
    found = read_checkpoint(SEALED, "production", KEY, "epoch-2")
    assert dict(found.state.resources) == RESOURCES
    assert (found.state.position, found.state.at_ms) == (Position("epoch-2", 7, b"\7" * 32), 99)
    assert found.sealed == SEALED


def test_sealing_depends_on_content_alone() -> None:
    """The order in which resources were found makes no difference, anything else does."""
    assert seal("production", HEAD, dict(reversed(TREES.items())), KEY) == SEALED
    others = [
        seal("staging", HEAD, TREES, KEY),
        seal("production", replace(HEAD, revision=8), TREES, KEY),
        seal("production", HEAD, {}, KEY),
        seal("production", HEAD, TREES, bytes(32)),
    ]
    assert len({SEALED.signature, *(other.signature for other in others)}) == 5


@pytest.mark.parametrize("at", [0, 20, len(SEALED.body) - 1])
def test_one_changed_byte_is_a_forgery(at: int) -> None:
    """Every byte of the body is vouched for."""
    body = bytearray(SEALED.body)
    body[at] ^= 1
    with pytest.raises(Corrupt, match="not signed with this server's key"):
        unseal(Sealed(bytes(body), SEALED.signature), "production", KEY)


def test_another_key_or_environment_does_not_vouch() -> None:
    """A checkpoint of another server, or of another environment of this one, is refused."""
    with pytest.raises(Corrupt, match="not signed"):
        unseal(SEALED, "production", bytes(32))
    with pytest.raises(Corrupt, match="'production'"):
        unseal(SEALED, "staging", KEY)


def test_the_beginning_needs_no_signature() -> None:
    """Where nothing was compacted, there is nothing to vouch for."""
    assert unseal(None, "production", KEY) == (Head(), {})
    assert read_checkpoint(None, "production", KEY, "e").state.position.revision == 0


def test_a_short_key_is_refused() -> None:
    """A key that could be guessed vouches for nothing."""
    with pytest.raises(ValueError, match="32 bytes"):
        seal("production", HEAD, TREES, b"short")


def test_a_resource_that_does_not_parse_is_damage() -> None:
    """Signed but unreadable: named as damage, not as a bug."""
    broken = seal("production", HEAD, {flag("a").id: {"kind": "Flag"}}, KEY)
    with pytest.raises(Corrupt, match="checkpoint of production"):
        read_checkpoint(broken, "production", KEY, "e")
    assert unseal(broken, "production", KEY)[0] == HEAD
