"""Bounds of documents."""

from __future__ import annotations

from rollout_sdk.engine import limits
from rollout_server.domain.files import bounds


def test_readers_take_what_makers_may_make() -> None:
    """A million UUIDs fit one file, and twice the documents of one apply fit too."""
    assert limits.KEYS_PER_COHORT * len('"00000000-0000-0000-0000-000000000000",') < bounds.TEXT_BYTES_MAX
    assert bounds.DOCUMENTS_MAX >= limits.READERS_FACTOR * limits.DOCUMENTS_PER_APPLY


def test_the_deepest_good_document_is_read() -> None:
    """Conditions and values of twice the makers' depth lie within the depth of a document."""
    around = len(("document", "spec", "rules", "rule"))
    assert around + 2 * limits.READERS_FACTOR * limits.CONDITION_DEPTH <= bounds.DEPTH_MAX
    assert around + limits.READERS_FACTOR * limits.JSON_DEPTH <= bounds.DEPTH_MAX
