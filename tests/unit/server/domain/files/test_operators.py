"""Operators in files."""

from __future__ import annotations

from rollout_sdk.engine.operands import OPERATORS, TYPE_NAMES
from rollout_server.domain.files.operators import SHAPES, TYPE_CLASSES


def test_files_know_every_operator_of_the_engine() -> None:
    """A new operator is writable the day it is decidable."""
    assert list(SHAPES) == list(OPERATORS)
    assert TYPE_CLASSES == TYPE_NAMES
