"""Reasons in the words of OpenFeature and OpenTelemetry."""

import pytest
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason as Told
from opentelemetry.semconv._incubating.attributes.feature_flag_attributes import FeatureFlagResultReasonValues

from rollout_sdk.engine.model import Decision, Origin, Reason
from rollout_sdk.reasons import ERROR_CODES, STANDARD, standard_reason
from tests.rulesets import flag, serve


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_one_in_both_standards(reason: Reason) -> None:
    """A new one of ours fails here."""
    assert (reason in STANDARD) is not (reason in ERROR_CODES)
    told = standard_reason(Decision("f", None, reason, None, Origin()), None)
    assert told in set(Told)
    assert told.lower() in {value.value for value in FeatureFlagResultReasonValues}
    if reason in ERROR_CODES:
        assert told == "ERROR"
        assert ErrorCode(ERROR_CODES[reason])


def test_stale_wins_over_why_but_not_over_an_error() -> None:
    """Whoever looks at reasons alone learns that it may be out of date."""
    origin = Origin(stale=True)
    assert standard_reason(Decision("f", True, Reason.RULE, "on", origin), None) == "STALE"
    assert standard_reason(Decision("f", True, Reason.WRONG_TYPE, None, origin), None) == "ERROR"


def test_static_is_what_nobody_is_decided_by() -> None:
    """Where the flag is not known, the default is one."""
    decision = Decision("f", True, Reason.DEFAULT, "on", Origin())
    assert standard_reason(decision, flag()) == "STATIC"
    assert standard_reason(decision, flag("f", serve())) == "DEFAULT"
    assert standard_reason(decision, None) == "DEFAULT"
