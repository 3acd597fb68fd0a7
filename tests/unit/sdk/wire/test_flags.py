"""Flags between their message and the model."""

from collections.abc import Callable

import pytest

from rollout_sdk.engine import limits
from rollout_sdk.engine.model import Flag, ValueType, Variant
from rollout_sdk.wire.flags import read_flag, write_flag
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import resources_pb2
from tests.small_rules import boolean, by_rollout, full

Change = Callable[[resources_pb2.Flag], object]


@pytest.mark.parametrize(
    "flag",
    [
        full(),
        boolean("plain"),
        by_rollout("moved"),
        Flag("text", ValueType.STRING, (Variant("a", ""), Variant("b", "ü")), "a", "b", "0123456789abcdef"),
        Flag("int", ValueType.INTEGER, (Variant("a", -(2**63)), Variant("b", 2**63 - 1)), "a", "b", "0123456789abcdef"),
        Flag("float", ValueType.FLOAT, (Variant("a", 0.1), Variant("b", 1e308)), "a", "b", "0123456789abcdef"),
    ],
    ids=lambda flag: flag.key,
)
def test_what_is_written_is_read_back(flag: Flag) -> None:
    """read(write(x)) = x for every type of value."""
    assert read_flag(write_flag(flag)) == flag


def edit(change: Change) -> resources_pb2.Flag:
    message = write_flag(full())
    change(message)
    return message


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda m: m.ClearField("type"), "type 0 is unknown"),
        (lambda m: setattr(m, "type", 9), "type 9 is unknown"),
        (lambda m: m.ClearField("salt"), "salt has 0 characters"),
        (lambda m: setattr(m, "salt", "ü" * 16), "of ASCII"),
        (lambda m: m.ClearField("variants"), "off names the variant"),
        (lambda m: m.variants.append(m.variants[0]), "two variants"),
        (lambda m: m.variants[0].ClearField("value"), "no value in a json flag"),
        (lambda m: setattr(m.variants[0].value, "text", "x"), "value of kind text in a json flag"),
        (lambda m: m.ClearField("off_variant"), "off names the variant ''"),
        (lambda m: setattr(m, "default_variant", "gone"), "default names the variant 'gone'"),
        (lambda m: m.requires[0].ClearField("flag"), "requires.0. names no flag"),
        (lambda m: m.requires[0].ClearField("variants"), "requires.0. names no variant"),
        (lambda m: setattr(m.targets[0], "variant", "gone"), "targets.0. names"),
        (lambda m: m.rules[0].ClearField("split"), "rules.0. has an outcome"),
        (lambda m: setattr(m.rules[0].split, "law", 2), "bucketing law 2"),
        (lambda m: m.rules[0].split.ClearField("law"), "bucketing law 0"),
        (lambda m: setattr(m.rules[0].split.weights[0], "share_ppm", 250_001), "add up to 1000001"),
        (lambda m: setattr(m.rules[0].split.weights[0], "variant", "gone"), "rules.0..split names"),
        (lambda m: setattr(m.rules[1], "rollout", ""), "rules.1..rollout names no rollout"),
        (lambda m: setattr(m.rules[1], "serve", "gone"), "rules.1..serve names"),
        (lambda m: m.never[0].ClearField("not"), "never.0.: a condition of a kind"),
    ],
)
def test_a_flag_that_cannot_be_evaluated_exactly_is_refused(change: Change, error: str) -> None:
    """Every blank, unknown or dangling field is refused, and the message says which."""
    with pytest.raises(WireError, match=error):
        read_flag(edit(change))


def test_a_blank_unit_means_the_default_kind() -> None:
    """The one blank of a flag that has a meaning."""
    assert read_flag(edit(lambda message: message.ClearField("unit"))).unit == "user"


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("rules", limits.RULES_PER_FLAG),
        ("requires", limits.REQUIRES_PER_FLAG),
        ("never", limits.NEVER_PER_FLAG),
    ],
)
def test_readers_take_twice_what_makers_may_publish(field: str, most: int) -> None:
    """A limit can be raised at the server without a lock-step upgrade."""
    message = write_flag(full())
    items = getattr(message, field)
    for _ in range(limits.READERS_FACTOR * most - len(items)):
        items.append(items[0])
    read_flag(message)
    items.append(items[0])
    with pytest.raises(WireError, match=f"{limits.READERS_FACTOR * most + 1} {field}"):
        read_flag(message)


def test_a_number_that_is_not_finite_is_refused() -> None:
    """NaN and infinity are no values of a flag."""
    flag = Flag("float", ValueType.FLOAT, (Variant("a", 0.5),), "a", "a", "0123456789abcdef")
    message = write_flag(flag)
    message.variants[0].value.number = float("inf")
    with pytest.raises(WireError, match="finite"):
        read_flag(message)
