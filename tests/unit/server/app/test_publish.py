"""Publish: the reader that SDKs run is asked before anything is committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rollout_sdk.engine.model import Flag, Leaf, Rule, Ruleset, Serve
from rollout_server.app.documents import Document, read_documents
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import NoFleet
from rollout_server.app.publish import check_publishable, unsupported
from rollout_server.domain.plan import Plan, Wish, plan
from rollout_server.errors import InvalidInput, Refused
from tests.small_environment import cohort, flag, opened, put


class Recording(NoFleet):
    """Remembers what it was asked, and lacks what it is told to lack."""

    def __init__(self, *lacking: str) -> None:
        self.lacking = lacking
        self.asked: Mapping[str, frozenset[str]] = {}

    def unsupported(self, needed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
        self.asked = needed
        return self.lacking


def planned(environment: Environment, *documents: Document) -> Plan:
    made = plan(environment.state, Wish(read_documents(documents).resources))
    assert made.problems == ()
    return made


def tampered(made: Plan, **fields: Any) -> Plan:
    """The plan as a maker with a fault would have made it: flag "a" is otherwise than validated."""
    after = made.rulesets[1]
    flag_a: Flag = replace(after.flags["a"], **fields)
    spoiled: Ruleset = replace(after, flags={**after.flags, "a": flag_a})
    return replace(made, rulesets=(made.rulesets[0], spoiled))


async def test_what_every_sdk_can_run_passes() -> None:
    """Every kind of condition, split, cohort and prerequisite that validation lets through is readable."""
    async with opened() as environment:
        await put(environment, flag("parent"), cohort("beta", "u-1", "u-2"))
        made = planned(
            environment,
            cohort(
                "wide", "u-3", exclude=["u-1"], when={"any": [{"cohort": "beta"}, {"unit": "user", "starts_with": "x"}]}
            ),
            flag(
                "a",
                {"when": {"all": [{"cohort": "wide"}, {"attribute": "v", "semver": ">=1.2.0 <2"}]}, "serve": "on"},
                {"when": {"attribute": "ip", "cidr": "10.0.0.0/8"}, "split": {"on": "25%", "off": "75%"}},
                requires=[{"flag": "parent", "variants": ["on"]}],
                never=["beta"],
                targets={"on": ["u-9"]},
            ),
            flag("j", variants={"x": {"deep": [1, 2.5, None, True]}, "off": {}}, off="off", default="x"),
        )
        await check_publishable(made, NoFleet(), allow_unsupported=False)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"rules": (Rule("r", Serve("on"), Leaf("a", "telepathy", "x")),)}, "unreadable"),
        ({"salt": "short"}, "unreadable"),
        ({"off": "nowhere"}, "unreadable"),
        ({"unit": ""}, "altered"),
    ],
)
async def test_what_a_faulty_maker_made_is_stopped(fields: dict[str, Any], code: str) -> None:
    """Validation that agrees with itself is not enough: what SDKs cannot read, or would read otherwise, is refused."""
    async with opened() as environment:
        made = tampered(planned(environment, flag("a"), flag("fine")), **fields)
        with pytest.raises(InvalidInput) as refusal:
            await check_publishable(made, NoFleet(), allow_unsupported=True)
        assert {problem.resource for problem in refusal.value.problems} == {"flag/a"}
        assert {problem.code for problem in refusal.value.problems} == {code}


async def test_connected_sdks_are_asked_about_what_moves() -> None:
    """The flags that change and those that depend on a change, each with all it needs, cohorts included."""
    async with opened() as environment:
        await put(environment, cohort("beta", "u-1"), flag("a", never=["beta"]), flag("other"))
        made = planned(environment, cohort("beta", when={"attribute": "ip", "cidr": "10.0.0.0/8"}))
        fleet = Recording("web@host-1 (pid 7): a needs op:cidr")
        assert unsupported(made, fleet) == fleet.lacking
        assert set(fleet.asked) == {"a"}
        assert "op:cidr" in fleet.asked["a"]
        with pytest.raises(Refused) as refusal:
            await check_publishable(made, fleet, allow_unsupported=False)
        assert (refusal.value.rule, "--allow-unsupported" in refusal.value.hint) == ("unsupported", True)
        await check_publishable(made, fleet, allow_unsupported=True)
