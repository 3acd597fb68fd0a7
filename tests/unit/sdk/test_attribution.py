"""Whom an outcome belongs to, and under which name outcomes are told apart."""

import pytest

from rollout_sdk.attribution import STRATUM_CHARS, stratum_of
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.sample import run_key

KEY = run_key("launch", "s" * 16, 1)
CONTEXT = Context.of(
    {"user": "u-1", "tenant": "acme"},
    {
        "country": "KR",
        "beta": True,
        "size": 3,
        "plan": {"tier": "pro"},
        "odd": object(),
        "bad": "a\nb",
        "long": "x" * 99,
    },
)


@pytest.mark.parametrize(
    ("strata", "wanted"),
    [
        ((), ""),
        (("country",), "country=KR"),
        (("country", "plan.tier"), "country=KR,plan.tier=pro"),
        (("beta",), "beta=true"),
        (("size",), "size=3"),
        (("missing",), "missing="),
        (("odd",), "odd="),
        (("bad",), "bad="),
    ],
)
def test_attributes_are_told_apart_by_value(strata: tuple[str, ...], wanted: str) -> None:
    """A value that is no text, number or boolean, or would break a line, is nothing."""
    assert stratum_of(strata, CONTEXT, KEY) == wanted


def test_units_are_told_apart_without_their_key() -> None:
    """A tenant's key never leaves the process; the same tenant has the same name in every process of the run."""
    told = stratum_of(("tenant",), CONTEXT, KEY)
    assert "acme" not in told
    assert told == stratum_of(("tenant",), Context.of({"tenant": "acme"}), KEY)
    assert told != stratum_of(("tenant",), Context.of({"tenant": "acme"}), run_key("launch", "s" * 16, 2))


def test_names_are_bounded() -> None:
    """Whatever a caller holds."""
    assert len(stratum_of(("long", "country"), CONTEXT, KEY)) == STRATUM_CHARS
