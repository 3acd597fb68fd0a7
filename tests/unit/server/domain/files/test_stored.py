"""The stored form."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import Json, ValueType
from rollout_server.domain.files.flags import BOOLEAN_VARIANTS
from rollout_server.domain.files.stored import read_status, read_stored, write_status, write_stored
from rollout_server.domain.resources import (
    CohortSpec,
    CohortStatus,
    FlagSpec,
    FlagStatus,
    Kind,
    Metadata,
    Resource,
    TokenSpec,
    TokenStatus,
)
from rollout_server.errors import Corrupt

FLAG = Resource(
    Kind.FLAG,
    Metadata("a"),
    FlagSpec(ValueType.BOOLEAN, BOOLEAN_VARIANTS, "off", "off"),
    FlagStatus("abcdefghijklmnop", 1, killed=True),
    7,
)
COHORT = Resource(Kind.COHORT, Metadata("b"), CohortSpec(include=("u-1",)), CohortStatus(), 8)
TOKEN = Resource(Kind.TOKEN, Metadata("c"), TokenSpec("ab" * 32, "sdk", "mia", 1, 2), TokenStatus(3), 9)


@pytest.mark.parametrize("resource", [FLAG, COHORT, TOKEN])
def test_a_stored_resource_comes_back_whole(resource: Resource) -> None:
    """Spec, status and version, of every kind."""
    assert read_stored(write_stored(resource)) == resource
    assert resource.status == read_status(resource.kind, write_status(resource))


def test_the_bytes_of_a_flag_are_pinned() -> None:
    """Every field of a status is written, in one order: digests rest on it."""
    stored = write_stored(FLAG)
    assert list(stored) == ["kind", "metadata", "spec", "status", "version"]
    assert stored["status"] == {"salt": "abcdefghijklmnop", "law": 1, "killed": True}


@pytest.mark.parametrize("name", ["kind", "metadata", "spec", "status", "version"])
@pytest.mark.parametrize("value", [None, "x", [], {"odd": 1}])
@pytest.mark.parametrize("resource", [FLAG, COHORT, TOKEN])
def test_damage_is_told_as_damage(resource: Resource, name: str, value: Json) -> None:
    """Whatever part is lost or changed in kind, it is the store's fault and nobody's input."""
    tree = write_stored(resource)
    tree[name] = value
    with pytest.raises(Corrupt, match="entry 17"):
        read_stored(tree, "entry 17")
    del tree[name]
    with pytest.raises(Corrupt, match="entry 17"):
        read_stored(tree, "entry 17")


def test_a_status_of_another_form_is_damage() -> None:
    """A flag without its salt would move everybody."""
    with pytest.raises(Corrupt):
        read_status(Kind.FLAG, {"law": 1, "killed": False})


def test_a_document_is_no_state() -> None:
    """What has no status is not stored."""
    with pytest.raises(ValueError, match="no status"):
        write_stored(Resource(Kind.COHORT, Metadata("b"), CohortSpec()))


def test_depth_is_damage() -> None:
    """Nothing that deep was ever written."""
    tree: object = 1
    for _ in range(100_000):
        tree = [tree]
    with pytest.raises(Corrupt, match="nested"):
        read_stored(tree)
