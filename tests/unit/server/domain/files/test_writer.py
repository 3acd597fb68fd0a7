"""Resources to trees."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import InCohort, ValueType
from rollout_server.domain.files.flags import BOOLEAN_VARIANTS
from rollout_server.domain.files.writer import write
from rollout_server.domain.resources import CohortSpec, FlagSpec, Kind, Metadata, Resource, TokenSpec


def test_defaults_are_left_out_and_fields_have_one_order() -> None:
    """A small flag is a small file; a large one reads the same way every time."""
    flag = Resource(Kind.FLAG, Metadata("a"), FlagSpec(ValueType.BOOLEAN, BOOLEAN_VARIANTS, "off", "off"))
    assert write(flag) == {"kind": "Flag", "metadata": {"key": "a"}}
    metadata = Metadata("c", "sales", "Pilots.", ("a",), "2027-06-01")
    cohort = Resource(Kind.COHORT, metadata, CohortSpec("tenant", ("t-9",), ("t-7",), InCohort("b")))
    tree = write(cohort)
    assert list(tree) == ["kind", "metadata", "spec"]
    assert list(tree["metadata"]) == ["key", "owner", "description", "tags", "expires"]  # type: ignore[arg-type]
    assert tree["spec"] == {"unit": "tenant", "include": ["t-9"], "exclude": ["t-7"], "when": {"cohort": "b"}}


def test_tokens_are_never_written_for_people() -> None:
    """Not even their hashes leave by this door."""
    token = Resource(Kind.TOKEN, Metadata("a"), TokenSpec("00", "sdk", "mia", 0, 1))
    with pytest.raises(ValueError, match="not written by people"):
        write(token)
