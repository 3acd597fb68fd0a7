"""All checks over one environment."""

from rollout_server.domain.resources import Kind
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.domain.validation import Scope, validate_resources
from tests.small_rollouts import GUARDED, STATE, id_of, pipeline, wrong
from tests.small_state import document


def test_what_is_not_touched_is_not_looked_into() -> None:
    """What was in order still is; ids that do not exist are passed over."""
    broken = {**STATE.resources, id_of(Kind.METRIC, "errors"): document("Metric", "errors", measures="quantile")}
    cohorts = ruleset_of(STATE).cohorts
    gone = id_of(Kind.METRIC, "gone")
    assert validate_resources(broken, cohorts, Scope({gone}, {gone}, ())) == ()
    found = validate_resources(broken, cohorts, Scope(broken.keys(), (), ()))
    assert [(one.resource, one.path) for one in found] == [("metric/errors", "spec.quantile")]


def test_all_problems_come_at_once_with_their_resources() -> None:
    """One apply, every mistake in it, and what it breaks elsewhere."""
    metric = document("Metric", "errors", measures="proportion", bad="low", unit="percent")
    careless = pipeline({"name": "a", "share": "0%"}, guardrails=GUARDED, strata=["x", "x"])
    assert wrong(metric, careless) == [
        ("metric/errors", "spec.unit", "unexpected_unit"),
        ("pipeline/careful", "spec.strata[1]", "duplicate_stratum"),
        ("pipeline/careful", "spec.guardrails[0].limit", "wrong_sign"),
        ("pipeline/careful", "spec.stages[0].share", "bad_share"),
    ]


def test_an_edit_that_breaks_what_names_it_is_refused_there() -> None:
    """A metric that turns its direction around breaks the pipeline that guards by it."""
    assert wrong(document("Metric", "errors", measures="proportion", bad="low")) == [
        ("pipeline/careful", "spec.guardrails[0].limit", "wrong_sign")
    ]
