"""What a flag serves to whom, in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_server.domain.files import read
from rollout_server.domain.resources import FlagStatus, Kind, Metadata, Resource, TokenSpec
from rollout_server.domain.serving import serving
from tests.rollout_room import CHECKOUT, documents, room
from tests.small_environment import document

STAFF = {"attribute": "email", "ends_with": "@example.com"}


def flag(spec: dict[str, Any], *, killed: bool = False) -> Resource:
    resource, problems = read({"kind": "Flag", "metadata": {"key": "checkout-v2"}, "spec": spec})
    assert resource, problems
    return Resource(resource.kind, resource.metadata, resource.spec, FlagStatus("a" * 16, killed=killed), 1)


QUARTER = {"split": {"on": "25%", "off": "75%"}}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({}, "off to everybody"),
        ({"default": "on"}, "on to everybody"),
        ({"rules": [{"id": "all", "serve": "on"}]}, "on to everybody"),
        ({"rules": [{"id": "all", **QUARTER}]}, "on to 25% of users, else off"),
        (
            {"unit": "tenant", "rules": [{"id": "some", "when": STAFF, "split": {"on": "0.5%", "off": "99.5%"}}]},
            "on to 0.5% of tenants by rule some, else off",
        ),
        (
            {
                "targets": {"on": ["user-1", "user-2"], "off": ["user-3"]},
                "rules": [{"id": "staff", "when": STAFF, "serve": "on"}, {"id": "trial", "when": STAFF, **QUARTER}],
            },
            "on to 2 named users, off to 1 named user, on by rule staff, on to 25% of users by rule trial, else off",
        ),
        (
            {"rules": [{"id": "staff", "when": STAFF, "serve": "on"}, {"id": "rest", "serve": "off"}]},
            "on by rule staff, else off",
        ),
        (
            {"never": ["banned"], "requires": [{"flag": "new-cart", "variants": ["on"]}]},
            "off to everybody; needs new-cart (on); never for cohort banned",
        ),
        ({"never": ["banned", "opted-out"]}, "off to everybody; never for cohort banned or opted-out"),
        ({"never": [STAFF]}, "off to everybody; never for 1 condition"),
        ({"never": ["a", "b", "c", "d", "e"]}, "off to everybody; never for 5 cohorts"),
        (
            {"never": ["banned", STAFF, {"not": STAFF}]},
            "off to everybody; never for cohort banned or 2 conditions",
        ),
        (
            {"rules": [{"id": f"r{number}", "when": STAFF, "serve": "on"} for number in range(9)]},
            ", ".join(f"on by rule r{number}" for number in range(6)) + ", 3 more rules, else off",
        ),
        ({"rules": [{"id": "all", "split": {"on": "100%", "off": "0%"}}]}, "on to all users, else off"),
        (
            {
                "variants": {"a": "a", "b": "b", "off": "-"},
                "off": "off",
                "default": "off",
                "rules": [{"id": "ab", "split": {"a": "50%", "b": "50%"}}],
            },
            "a to 50% and b to 50% of users, else off",
        ),
    ],
)
def test_the_sentence_follows_the_decision_order(spec: dict[str, Any], sentence: str) -> None:
    """Targets, rules, default; then what narrows them all."""
    assert serving(flag(spec)) == sentence


def test_what_a_rollout_decides_is_said_by_its_name() -> None:
    """How far it is, is the rollout's to say."""
    launch = {"id": "launch", "rollout": "checkout-v2"}
    assert serving(flag({"rules": [launch]})) == "as rollout checkout-v2 says"
    staff = {"id": "staff", "when": {"cohort": "staff"}, "serve": "on"}
    assert serving(flag({"rules": [staff, launch]})) == "on by rule staff, else as rollout checkout-v2 says"
    some = {**launch, "when": {"cohort": "beta"}}
    assert serving(flag({"rules": [some]})) == "as rollout checkout-v2 says by rule launch, else off"


def test_a_killed_flag_says_so_first() -> None:
    """Nothing else matters while a flag is killed."""
    assert serving(flag({"default": "on"}, killed=True)) == "killed: off to everybody"


def test_only_flags_serve() -> None:
    """Anything else is a bug of the caller."""
    with pytest.raises(TypeError, match="token/a"):
        serving(Resource(Kind.TOKEN, Metadata("a"), TokenSpec("", "sdk", "mia", 0, 1)))


async def test_a_rule_left_to_a_rollout_says_what_the_rollout_does() -> None:
    """Before its run, during it, and where the rollout is not known."""
    async with room() as stand:

        def said() -> str:
            resources = stand.environment.state.resources
            return serving(resources[CHECKOUT], {"launch": stand.rollout()})

        assert said() == "off, as rollout launch exposes nobody"
        await stand.start()
        assert said() == "on to 20% of everyone by rollout launch, else off"
        assert serving(stand.environment.state.resources[CHECKOUT]) == "as rollout launch says"


async def test_audiences_of_a_rollout_are_told_by_their_stages() -> None:
    """All that were entered, and of everyone the largest share; nobody is left at the whole of everyone."""
    staff = {"audience": {"cohort": "staff"}, "soak": "1s"}
    first, second = {"name": "staff", "share": "100%", **staff}, {"name": "some", "share": "40%", **staff}
    last = {"name": "quarter", "share": "25%", "soak": "1s"}
    cohort = document("Cohort", "staff", {"include": ["u-1", "u-2", "u-3"]})
    finish = {"finish": {"share": "100%", "watch": "1h"}}
    said = []
    async with room(cohort, *documents(first, second, last, pipeline=finish)) as stand:
        await stand.start()
        for _ in range(9):
            said.append(serving(stand.environment.state.resources[CHECKOUT], {"launch": stand.rollout()}))
            await stand.tick()
    assert list(dict.fromkeys(said)) == [
        "on to stage staff by rollout launch, else off",
        "on to stage staff and to 40% of stage some by rollout launch, else off",
        "on to stage staff and to 40% of stage some and to 25% of everyone by rollout launch, else off",
        "on to everyone by rollout launch",
    ]
