"""What is asked of Prometheus for a run, and to what the answer is attributed."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_sdk.engine.model import PPM, Arm, Leaf, Reach, RolloutState
from rollout_server.domain.guardrails.data import Cell, WindowSums
from rollout_server.domain.guardrails.spec import Measures, MetricSpec, Per, Source
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.metric_source import (
    MetricQuery,
    MetricWindow,
    Slot,
    query_of,
    shares_in_force,
    sums_of,
)

EVERYONE = Reach("canary", 10_000)
PILOTS = Reach("pilots", PPM, Leaf("plan", "equals", "pro"))
SOME = Reach("some", 10_000, Leaf("plan", "equals", "pro"))


def state(*reaches: Reach) -> RolloutState:
    return RolloutState(
        rollout="launch",
        flag="checkout",
        run=3,
        from_variant="off",
        to_variant="on",
        salt="s" * 16,
        reaches=reaches,
        allocation=7,
    )


def spec(numerator: str, denominator: str = "", **more: Any) -> MetricSpec:
    return MetricSpec(
        Measures.PROPORTION,
        Per.EVENT,
        source=Source.PROMETHEUS,
        numerator=numerator,
        denominator=denominator,
        late_ms=60_000,
        **more,
    )


COUNTERS = spec('sum(errors{arm="{arm}"})', 'all{arm="{arm}"}')


def asked(metric: MetricSpec, *reaches: Reach) -> MetricQuery:
    query = query_of("errors", metric, state(*reaches), "production")
    assert isinstance(query, MetricQuery)
    return query


def test_each_arm_is_asked_by_its_own_name_and_variant() -> None:
    """The control is who got `from`; everything else that a query may name is the same for both."""
    metric = spec(
        'e{a="{arm}",v="{variant}",r="{rollout}",n="{run}",f="{flag}",e="{environment}",s="{reach}",arm="{arm}"}'
    )
    texts = {one.slot.arm: one.numerator for one in asked(metric, EVERYONE).asked}
    assert texts[Arm.CANDIDATE].startswith(
        'e{a="candidate",v="on",r="launch",n="3",f="checkout",e="production",s="10000"'
    )
    assert texts[Arm.CONTROL].startswith('e{a="control",v="off",r="launch",n="3",f="checkout",e="production",s="10000"')


def test_counters_are_asked_without_their_sum() -> None:
    """So that each series' own fall is seen."""
    assert [(one.numerator, one.denominator) for one in asked(COUNTERS, EVERYONE).asked] == [
        ('errors{arm="candidate"}', 'all{arm="candidate"}'),
        ('errors{arm="control"}', 'all{arm="control"}'),
    ]
    assert not asked(COUNTERS, EVERYONE).is_bare


def test_a_bare_ratio_is_asked_as_it_is() -> None:
    """Its values are apart by its range, or by `late` where it is a recording rule without a range in sight."""
    query = asked(spec('rate(a{arm="{arm}"}[5m]) / rate(b[5m])'), EVERYONE)
    assert (query.is_bare, query.span_ms) == (True, 300_000)
    assert asked(spec('job:ratio{arm="{arm}"}'), EVERYONE).span_ms == 60_000


def test_who_is_exposed_whole_has_no_control_to_ask_for() -> None:
    """At 100 % there is a candidate alone, and its silence is no missing arm."""
    assert asked(COUNTERS, Reach("full", PPM)).arms == {Arm.CANDIDATE}
    assert asked(COUNTERS).asked == ()


@pytest.mark.parametrize(
    ("reaches", "shares"),
    [
        ((), set()),
        ((EVERYONE,), {10_000}),
        ((PILOTS,), {PPM}),
        ((PILOTS, EVERYONE), {PPM, 10_000}),
        ((SOME, Reach("quarter", 250_000)), {250_000}),
        ((PILOTS, EVERYONE, Reach("finish", PPM)), {PPM}),
        ((Reach("none", 0), EVERYONE), {10_000}),
    ],
)
def test_a_smaller_reach_than_everyones_is_nobodys(reaches: tuple[Reach, ...], shares: set[int]) -> None:
    """A unit's reach is the largest among the stages that hold it."""
    assert shares_in_force(reaches) == shares


def test_several_reaches_need_a_placeholder() -> None:
    """Pilots at 100 % beside everyone at 1 % are never compared with strangers: told apart, or not judged."""
    assert query_of("errors", COUNTERS, state(PILOTS, EVERYONE), "production") is Reason.MIXED_REACH
    half = spec('errors{arm="{arm}",reach="{reach}"}', 'all{arm="{arm}"}')
    assert query_of("errors", half, state(PILOTS, EVERYONE), "production") is Reason.MIXED_REACH
    told = asked(spec('errors{arm="{arm}",reach="{reach}"}', 'all{arm="{arm}",reach="{reach}"}'), PILOTS, EVERYONE)
    assert [(one.slot, one.numerator) for one in told.asked] == [
        (Slot(10_000, Arm.CANDIDATE), 'errors{arm="candidate",reach="10000"}'),
        (Slot(10_000, Arm.CONTROL), 'errors{arm="control",reach="10000"}'),
        (Slot(PPM, Arm.CANDIDATE), 'errors{arm="candidate",reach="1000000"}'),
    ]


def test_a_variant_alone_is_no_arm_where_some_are_not_reached() -> None:
    """Who is outside of the audience gets `from` too."""
    by_variant = spec('errors{v="{variant}"}', 'all{v="{variant}"}')
    assert asked(by_variant, EVERYONE).arms == set(Arm)
    assert query_of("errors", by_variant, state(SOME), "production") is Reason.MIXED_REACH
    assert asked(COUNTERS, SOME).arms == set(Arm)


def test_a_window_is_the_present_allocations_or_nobodys() -> None:
    """What began to be counted before the allocation opened is left out."""
    query = asked(COUNTERS, EVERYONE)
    cells = {Slot(10_000, Arm.CANDIDATE): Cell(10, 1.0), Slot(10_000, Arm.CONTROL): Cell(90, 2.0)}
    windows = [MetricWindow(4, 39_000, cells), MetricWindow(5, 50_000, cells), MetricWindow(6, 55_000, {})]
    assert sums_of(query, state(EVERYONE), windows, since_ms=50_000) == (
        WindowSums(3, 7, 10_000, "", "errors", 5, Cell(10, 1.0), Cell(90, 2.0)),
        WindowSums(3, 7, 10_000, "", "errors", 6),
    )


def test_each_reach_is_summed_by_itself() -> None:
    """They meet as log increments, never as rates."""
    query = asked(spec('e{arm="{arm}",r="{reach}"}', 'a{arm="{arm}",r="{reach}"}'), PILOTS, EVERYONE)
    cells = {Slot(10_000, Arm.CANDIDATE): Cell(10, 1.0), Slot(PPM, Arm.CANDIDATE): Cell(5, 5.0)}
    sums = sums_of(query, state(PILOTS, EVERYONE), [MetricWindow(5, 50_000, cells)], since_ms=0)
    assert [(one.reach_ppm, one.candidate.n, one.control.n) for one in sums] == [(10_000, 10, 0), (PPM, 5, 0)]
