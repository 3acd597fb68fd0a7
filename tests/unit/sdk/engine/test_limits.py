import re

from rollout_sdk.engine import limits


def test_readers_accept_at_least_twice_what_makers_may() -> None:
    """A later maker with higher limits must not break the readers that are out there."""
    assert limits.READERS_FACTOR >= 2


def test_the_limits_that_were_promised() -> None:
    """Lowering one of these breaks somebody's files."""
    promised = {
        "VARIANTS_PER_FLAG": 256,
        "RULES_PER_FLAG": 256,
        "REQUIRES_PER_FLAG": 64,
        "TARGET_UNITS_PER_FLAG": 10_000,
        "CONDITION_DEPTH": 16,
        "CONDITION_NODES": 1_000,
        "VALUES_PER_OPERAND": 10_000,
        "KEYS_PER_COHORT": 1_000_000,
        "JSON_BYTES": 64 * 1024,
        "REGEX_BYTES": 1024,
        "DOCUMENTS_PER_APPLY": 5_000,
    }
    assert {name: getattr(limits, name) for name in promised} == promised


def test_keys_cannot_be_confused() -> None:
    """Keys are lowercase ASCII: no twins, no paths, no controls."""
    good = re.compile(limits.KEY_PATTERN)
    assert all(good.fullmatch(key) for key in ("a", "0", "checkout-v2", "a.b_c-d"))
    assert not any(good.fullmatch(key) for key in ("", "A", "-a", ".a", "a/b", "a\n", "\u0430", "a b"))
