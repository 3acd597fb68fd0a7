"""Conditions become closures: True, False, or None for unknown, in Kleene's logic."""

from __future__ import annotations

from rollout_sdk.engine.operands import OPERATORS, Fault, check_leaf

__all__ = ["OPERATORS", "Fault", "check_leaf"]
