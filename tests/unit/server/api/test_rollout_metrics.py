"""Rollouts, guardrails and the controller as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from rollout_server.api.rollout_metrics import ControllerFigures, controller_families, store_families
from rollout_server.app.durations import Durations
from rollout_server.app.run_figures import RolloutFigures, RunFigures, rollout_figures
from rollout_server.app.time_store import JOURNAL, WRITE, StoreTimes
from rollout_server.domain.guardrails.verdict import Reason, Standing, Verdict
from tests.certificates import Authority
from tests.rollout_room import documents, guarded, room
from tests.small_server import http_get, world


def told(families: Iterable[Any]) -> list[str]:
    """The lines that Prometheus would read."""

    class Once:
        def collect(self) -> Iterable[Any]:
            return list(families)

    registry = CollectorRegistry()
    registry.register(Once())
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def controller(*shown: RunFigures, **given: Any) -> list[str]:
    figures = {
        "environment": "production",
        "fence": 7,
        "ticks": Durations((1.0,)),
        "tick_age_ms": 2_500,
        "tick_failures": 3,
        "rollouts": RolloutFigures({"running": len(shown), "held": 0}, shown, 2),
    }
    return told(controller_families([ControllerFigures(**{**figures, **given})]))


def test_whoever_drives_says_so() -> None:
    """With its token, and the age of its last tick."""
    lines = controller()
    assert 'rollout_lease_held{environment="production"} 1.0' in lines
    assert 'rollout_lease_fence{environment="production"} 7.0' in lines
    assert 'rollout_tick_age_seconds{environment="production"} 2.5' in lines
    assert 'rollout_tick_failures_total{environment="production"} 3.0' in lines
    assert 'rollout_flags_killed{environment="production"} 2.0' in lines


def test_whoever_does_not_drive_has_neither_token_nor_age() -> None:
    """A tick that hung while the lease was lost must not look like one that is late."""
    lines = controller(fence=None)
    assert 'rollout_lease_held{environment="production"} 0.0' in lines
    assert not [line for line in lines if line.startswith(("rollout_lease_fence", "rollout_tick_age"))]


def test_a_guardrail_shows_every_figure_that_it_has() -> None:
    """And none that it has not: an interval without an end is no number to draw."""
    verdict = Verdict(
        "errors", Standing.DEGRADED, Reason.PAST_LIMIT, "", 0.2, relative=True, log_e=5.5, estimate=0.4, low=0.3,
        high=inf, candidate_units=10, control_units=90,
    )  # fmt: skip
    run = RunFigures("launch", "checkout", 3, "running", "canary", 50_000, False, 10, 90, 1_500, (("errors", verdict),))
    lines = controller(run)
    labels = 'environment="production",guardrail="errors",rollout="launch"'
    assert f'rollout_guardrail{{{labels},standing="degraded"}} 1.0' in lines
    assert f"rollout_guardrail_estimate{{{labels}}} 0.4" in lines
    assert f"rollout_guardrail_low{{{labels}}} 0.3" in lines
    assert f"rollout_guardrail_limit{{{labels}}} 0.2" in lines
    assert f"rollout_guardrail_log_e{{{labels}}} 5.5" in lines
    assert f'rollout_guardrail_units{{arm="candidate",{labels}}} 10.0' in lines
    assert not [line for line in lines if line.startswith("rollout_guardrail_high")]


def test_a_run_shows_where_it_is() -> None:
    run = RunFigures("launch", "checkout", 3, "held", "canary", 50_000, True, 10, 90, 1_500)
    lines = controller(run)
    where = 'environment="production",flag="checkout",phase="held",rollout="launch",run="3",stage="canary"'
    assert f"rollout_run{{{where}}} 1.0" in lines
    one = 'environment="production",rollout="launch"'
    assert f"rollout_run_share_ratio{{{one}}} 0.05" in lines
    assert f"rollout_run_needs_person{{{one}}} 1.0" in lines
    assert f'rollout_run_units{{arm="control",{one}}} 90.0' in lines
    assert f"rollout_run_soak_left_seconds{{{one}}} 1.5" in lines
    assert 'rollout_runs{environment="production",phase="held"} 0.0' in lines


def test_what_only_the_driving_server_knows_is_absent_elsewhere() -> None:
    """Not zero: a sum over servers would be wrong."""
    lines = controller(RunFigures("launch", "checkout", 3, "running", "canary", 50_000, False))
    assert not [line for line in lines if line.startswith(("rollout_run_units", "rollout_run_soak"))]


def test_calls_to_the_store_are_told_by_part_and_direction() -> None:
    times = StoreTimes("redis", iter([0.0, 0.02]).__next__)
    with times.timing(JOURNAL, WRITE):
        pass
    lines = told(store_families(times))
    labels = 'operation="write",part="journal",store="redis"'
    assert f'rollout_store_seconds_bucket{{le="0.01",{labels}}} 0.0' in lines
    assert f'rollout_store_seconds_bucket{{le="0.025",{labels}}} 1.0' in lines
    assert f"rollout_store_seconds_sum{{{labels}}} 0.02" in lines


async def test_ticks_are_counted_and_told_with_the_run_that_they_drive() -> None:
    """From the controller's memory, with no store asked."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as around:
        await around.start()
        await around.live(3, candidate=(20, 1), control=(80, 4))
        around.store.is_away = True
        figures = rollout_figures(around.environment.state.resources, around.runs.memories)
        ticks = around.runs.ticks
        age_ms = ticks.age_ms(around.clock.monotonic_ms())
        lines = controller(ticks=ticks.took, tick_age_ms=age_ms, tick_failures=ticks.failures, rollouts=figures)
    assert 'rollout_tick_seconds_count{environment="production"} 3.0' in lines
    assert 'rollout_tick_failures_total{environment="production"} 0.0' in lines
    assert any(line.startswith("rollout_guardrail{") and 'guardrail="process_lost"' in line for line in lines)


async def test_a_server_tells_when_its_certificate_expires(tmp_path: Path) -> None:
    authority = Authority()
    cert, key = authority.sign(days=1).write(tmp_path)
    async with world(tmp_path / "data", http_listen="127.0.0.1:0", tls_cert=cert, tls_key=key) as around:
        _, body = await http_get(around.running.http_address, "/metrics")
    (line,) = (one for one in body.splitlines() if one.startswith("rollout_tls_certificate_expiry_timestamp_seconds "))
    assert float(line.split()[1]) > 1e9
