"""What would lead a rollout astray is refused at `apply`, at its place, all at once and with nothing written."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_server.app.apply import Apply, apply
from rollout_server.app.documents import Document
from rollout_server.app.fleet import NoFleet
from rollout_server.errors import InvalidInput
from tests.small_environment import MIA, document, opened

LAUNCH = {"id": "launch", "rollout": "launch"}
GOOD = (
    document("Flag", "checkout", {"rules": [LAUNCH]}),
    document("Metric", "errors", {"measures": "proportion"}),
    document("Metric", "latency", {"measures": "quantile", "quantile": "p95", "per": "event", "unit": "seconds"}),
    document("Metric", "conversion", {"measures": "proportion", "bad": "low"}),
    document("Cohort", "staff", {"include": ["u-1", "u-2", "u-3"]}),
    document("Policy", "people", {"groups": {"managers": ["mia", "kai"]}}),
    document("Pipeline", "careful", {"stages": [{"name": "canary", "share": "1%", "soak": "1h"}]}),
    document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}),
)
STAFF = {"cohort": "staff"}
PRO, FREE = ({"attribute": "plan", "equals": plan} for plan in ("pro", "free"))
HEALTHY = {"guardrails": "healthy"}
ERRORS = {"metric": "errors", "limit": "+20%"}


def stages(*given: dict[str, Any], **spec: Any) -> Document:
    named = [{"name": f"s{at}", "share": "10%", **stage} for at, stage in enumerate(given)]
    return document("Pipeline", "careful", {"stages": named, "guardrails": [ERRORS], **spec})


def limit(metric: str, value: object, **more: Any) -> Document:
    return stages({}, guardrails=[{"metric": metric, "limit": value, **more}])


def counted(numerator: str) -> Document:
    """A metric of Prometheus."""
    denominator = 'sum(requests{arm="{arm}"})'
    query = {"source": "prometheus", "late": "1m", "numerator": numerator, "denominator": denominator}
    return document("Metric", "errors", {"measures": "proportion", "per": "event", **query})


def launch(**spec: Any) -> Document:
    whole = {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful", **spec}
    return document("Rollout", "launch", whole)


BAD: list[tuple[str, tuple[Document, ...], list[tuple[str, str]]]] = [
    # Queries that Prometheus could not be asked
    ("no PromQL", (counted('sum(errors{arm="{arm}"}'),), [("spec.numerator", "bad_promql")]),
    ("a query that does not tell the arms apart", (counted("sum(errors)"),), [("spec.numerator", "bad_promql")]),
    # Limits with the wrong sign, or of another kind than their metric
    ("less is good", (limit("errors", "-20%"),), [("spec.guardrails[0].limit", "wrong_sign")]),
    ("more is good", (limit("conversion", "+3%"),), [("spec.guardrails[0].limit", "wrong_sign")]),
    ("no sign", (limit("errors", "20%"),), [("spec.guardrails[0].limit", "bad_percentage")]),
    ("all of it", (limit("conversion", "-100%"),), [("spec.guardrails[0].limit", "bad_limit")]),
    (
        "the metric turned round below its guardrail",
        (
            stages({}),
            document("Metric", "errors", {"measures": "proportion", "bad": "low"}),
        ),
        [("spec.guardrails[0].limit", "wrong_sign")],
    ),
    (
        "points of a duration",
        (limit("latency", {"relative": "+10%", "at_least": "0.1pp"}),),
        [("spec.guardrails[0].limit.at_least", "misfit")],
    ),
    (
        "a number of a share",
        (limit("errors", {"relative": "+10%", "at_least": 0.1}),),
        [("spec.guardrails[0].limit.at_least", "misfit")],
    ),
    ("a share above one", (limit("errors", {"absolute": 1.5}),), [("spec.guardrails[0].limit.absolute", "bad_limit")]),
    ("no duration", (limit("latency", {"absolute": -1}),), [("spec.guardrails[0].limit.absolute", "bad_limit")]),
    ("no metric", (limit("erors", "+20%"),), [("spec.guardrails[0].metric", "unknown_metric")]),
    # Stages
    ("no stages", (document("Pipeline", "careful", {"stages": []}),), [("spec.stages", "no_stages")]),
    ("no list of stages", (document("Pipeline", "careful", {}),), [("spec.stages", "missing_field")]),
    (
        "an empty stage",
        (document("Pipeline", "careful", {"stages": [{}]}),),
        [("spec.stages[0].name", "missing_field"), ("spec.stages[0].share", "missing_field")],
    ),
    ("a share of nothing", (stages({"share": "0%"}),), [("spec.stages[0].share", "bad_share")]),
    ("finish is taken", (stages({"name": "finish"}),), [("spec.stages[0].name", "reserved_name")]),
    # Audiences that nobody can match
    ("any of nothing", (stages({"audience": {"any": []}}),), [("spec.stages[0].audience", "empty_audience")]),
    (
        "two plans at once",
        (stages({"audience": {"all": [PRO, FREE]}}),),
        [("spec.stages[0].audience", "empty_audience")],
    ),
    (
        "in and out",
        (stages({"audience": {"all": [STAFF, {"not": STAFF}]}}),),
        [("spec.stages[0].audience", "empty_audience")],
    ),
    (
        "lists without a common unit",
        (stages({"audience": {"all": [STAFF, {"unit": "user", "in": ["u-9"]}]}}),),
        [("spec.stages[0].audience", "empty_audience")],
    ),
    (
        "a cohort that was emptied below its stage",
        (
            stages({"audience": STAFF}),
            document("Cohort", "staff", {"include": ["u-1"], "exclude": ["u-1"]}),
        ),
        [("spec.stages[0].audience", "empty_audience")],
    ),
    (
        "the rollout's never holds all of it",
        (stages({"audience": STAFF}), launch(never=[STAFF])),
        [("spec.pipeline", "empty_audience")],
    ),
    (
        "the flag's never holds all of it",
        (
            stages({"audience": {"all": [STAFF, PRO]}}),
            document("Flag", "checkout", {"never": [PRO], "rules": [LAUNCH]}),
        ),
        [("spec.pipeline", "empty_audience")],
    ),
    # Audiences too small for their exit
    (
        "a cohort of three",
        (stages({"audience": STAFF, "share": "100%", "exit": {"exposed": 4}}),),
        [("spec.pipeline", "audience_too_small")],
    ),
    (
        "two by name",
        (stages({"audience": {"unit": "user", "in": ["a", "b"]}, "share": "100%", "exit": {"exposed": 3}}),),
        [("spec.pipeline", "audience_too_small")],
    ),
    (
        "enough, but for never",
        (
            stages({"audience": STAFF, "share": "100%", "exit": {"exposed": 3}}),
            launch(never=[{"unit": "user", "equals": "u-1"}]),
        ),
        [("spec.pipeline", "audience_too_small")],
    ),
    (
        "a share that holds none of them",
        (stages({"audience": STAFF, "share": "0.01%", "exit": {"exposed": 1}}),),
        [("spec.pipeline", "audience_too_small")],
    ),
    # Healthy where no control can exist
    (
        "everybody is exposed",
        (stages({"share": "100%", "exit": HEALTHY}),),
        [("spec.stages[0].exit.guardrails", "no_control")],
    ),
    (
        "all of the staff are exposed",
        (stages({"audience": STAFF, "share": "100%", "exit": HEALTHY}),),
        [("spec.stages[0].exit.guardrails", "no_control")],
    ),
    (
        "one person is not split",
        (stages({"audience": {"unit": "user", "equals": "a"}, "share": "50%", "exit": HEALTHY}),),
        [("spec.pipeline", "no_control")],
    ),
    (
        "no guardrails",
        (stages({"exit": HEALTHY}, guardrails=[]),),
        [("spec.stages[0].exit.guardrails", "no_guardrails")],
    ),
    (
        "guardrails that only tell",
        (stages({"exit": HEALTHY}, guardrails=[{**ERRORS, "action": "notify"}]),),
        [("spec.stages[0].exit.guardrails", "no_guardrails")],
    ),
    # Groups of nobody
    (
        "nobody is in the group",
        (document("Policy", "people", {"groups": {"managers": []}}),),
        [("spec.groups.managers", "empty_group")],
    ),
    (
        "a person without a name",
        (document("Policy", "people", {"groups": {"managers": [" "]}}),),
        [("spec.groups.managers", "empty_person")],
    ),
    (
        "a group that does not exist",
        (stages({"exit": {"approval": {"from": "manager"}}}),),
        [("spec.stages[0].exit.approval.from", "unknown_group")],
    ),
    (
        "more people than there are",
        (stages({"exit": {"approval": {"from": "managers", "count": 3}}}),),
        [("spec.stages[0].exit.approval.count", "too_few_people")],
    ),
    (
        "an approval by nobody",
        (stages({"exit": {"approval": {"from": "managers", "count": 0}}}),),
        [("spec.stages[0].exit.approval.count", "bad_count")],
    ),
]


@pytest.mark.parametrize(("documents", "problems"), [pytest.param(*rest, id=name) for name, *rest in BAD])
async def test_what_leads_astray_is_refused(documents: tuple[Document, ...], problems: list[tuple[str, str]]) -> None:
    """Each by its path, with a hint, and the environment is as it was."""
    async with opened() as environment:
        await apply(environment, Apply(GOOD), MIA, NoFleet())
        before = environment.state
        with pytest.raises(InvalidInput) as refused:
            await apply(environment, Apply(documents), MIA, NoFleet())
        assert [(one.path, one.code) for one in refused.value.problems] == problems
        assert all(one.hint and one.resource for one in refused.value.problems)
        assert environment.state is before


async def test_all_problems_come_at_once() -> None:
    """A file with many faults is mended in one go."""
    async with opened() as environment:
        await apply(environment, Apply(GOOD), MIA, NoFleet())
        guards = [{**ERRORS, "limit": "-1%"}]
        faulty = stages({"name": "finish", "share": "0%", "audience": {"any": []}}, guardrails=guards)
        with pytest.raises(InvalidInput) as refused:
            await apply(environment, Apply((faulty,)), MIA, NoFleet())
        assert {one.code for one in refused.value.problems} == {
            "reserved_name",
            "bad_share",
            "empty_audience",
            "wrong_sign",
        }
