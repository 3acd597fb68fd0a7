"""Reasons and errors in the words that OpenFeature and OpenTelemetry share."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rollout_sdk.engine.model import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Decision, Flag

STANDARD: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.TARGET: "TARGETING_MATCH",
        Reason.RULE: "TARGETING_MATCH",
        Reason.NEVER: "TARGETING_MATCH",
        Reason.SPLIT: "SPLIT",
        Reason.ROLLOUT: "SPLIT",
        Reason.KILLED: "DISABLED",
        Reason.REQUIREMENT: "DISABLED",
        Reason.DEFAULT: "DEFAULT",
        Reason.NO_UNIT: "DEFAULT",
        Reason.OVERRIDE: "STATIC",
    }
)
"""Of decisions by rules or by the overrides file."""

ERROR_CODES: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.NOT_READY: "PROVIDER_NOT_READY",
        Reason.UNKNOWN_FLAG: "FLAG_NOT_FOUND",
        Reason.WRONG_TYPE: "TYPE_MISMATCH",
        Reason.ERROR: "PARSE_ERROR",
    }
)
"""Of decisions that serve the caller's default; a reason is here or in `STANDARD`."""


def standard_reason(decision: Decision, flag: Flag | None) -> str:
    """Return the standard's reason of a decision.

    Args:
        decision: any.
        flag: as it is in force; one that nobody is decided by is STATIC. None where it is not known.
    """
    if decision.reason in ERROR_CODES:
        return "ERROR"
    if decision.stale:
        return "STALE"
    if decision.reason is Reason.DEFAULT and flag is not None:
        is_plain = not (flag.never or flag.requires or flag.targets or flag.rules)
        return "STATIC" if is_plain else "DEFAULT"
    return STANDARD[decision.reason]
