"""Metrics: what happens is counted, and no label grows with what people do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rollout_server.api.metrics import EnvironmentFigures, Metrics
from rollout_server.domain.rights import OPEN, RIGHTS
from tests.small_server import flag, http_get, world


def lines(metrics: Metrics) -> list[str]:
    return metrics.text().decode().splitlines()


def test_figures_are_looked_up_when_they_are_asked_for() -> None:
    revision = 1

    def figures() -> list[EnvironmentFigures]:
        return [EnvironmentFigures("production", revision, 3, {"in_force": 2, "straggling": 1}, 0, is_following=True)]

    metrics = Metrics(figures, "SQLite", is_durable=True)
    assert 'rollout_revision{environment="production"} 1.0' in lines(metrics)
    revision = 2
    told = lines(metrics)
    assert 'rollout_revision{environment="production"} 2.0' in told
    assert 'rollout_instances{environment="production",state="in_force"} 2.0' in told
    assert 'rollout_store_durable{durability="SQLite"} 1.0' in told
    assert 'rollout_streams{environment="production"} 3.0' in told


def test_what_is_in_no_sum_is_shown() -> None:
    """Losses are counted by a closed set of reasons."""
    one = EnvironmentFigures(
        "production", 1, 0, {}, 0, is_following=True, reports=7, unattributed=2, losses={"late": 3, "no_room": 1}
    )
    told = lines(Metrics(lambda: [one], "SQLite", is_durable=True))
    assert 'rollout_reports_total{environment="production"} 7.0' in told
    assert 'rollout_unattributed_total{environment="production"} 2.0' in told
    assert 'rollout_telemetry_lost_total{environment="production",reason="late"} 3.0' in told


def test_notifications_are_counted_by_how_they_ended() -> None:
    """Without any channel in a label; alert on what was given up."""
    one = EnvironmentFigures(
        "production",
        1,
        0,
        {},
        0,
        is_following=True,
        notifications={"delivered": 3, "given up": 1},
        notifications_waiting=2,
    )
    told = lines(Metrics(lambda: [one], "SQLite", is_durable=True))
    assert 'rollout_notifications_total{environment="production",outcome="delivered"} 3.0' in told
    assert 'rollout_notifications_total{environment="production",outcome="given up"} 1.0' in told
    assert 'rollout_notifications_waiting{environment="production"} 2.0' in told


def test_what_happens_is_counted() -> None:
    metrics = Metrics(list, "SQLite", is_durable=True)
    metrics.answered("/a/B", "OK", 0.02)
    metrics.answered("/a/B", "OK", None)
    metrics.denied()
    metrics.committed("production")
    metrics.acknowledged("production", 70)
    told = lines(metrics)
    assert 'rollout_requests_total{code="OK",method="/a/B"} 2.0' in told
    assert 'rollout_request_seconds_count{method="/a/B"} 1.0' in told
    assert "rollout_denied_total 1.0" in told
    assert 'rollout_commits_total{environment="production"} 1.0' in told
    assert 'rollout_lag_seconds_bucket{environment="production",le="0.1"} 1.0' in told
    assert 'rollout_lag_seconds_bucket{environment="production",le="0.05"} 0.0' in told


def test_each_server_counts_for_itself() -> None:
    """A registry of its own: two servers in one process do not add up."""
    first, second = (Metrics(list, "SQLite", is_durable=True) for _ in range(2))
    first.denied()
    assert "rollout_denied_total 0.0" in lines(second)


async def test_no_label_holds_a_flag_a_unit_or_a_process(tmp_path: Path) -> None:
    """Whatever people name, the number of series stays what is built in."""
    async with world(tmp_path, http_listen="127.0.0.1:0") as around:
        await around.admin.apply(*(flag(f"canary-{number}") for number in range(50)))
        for _ in range(5):
            await (await around.process(service="canary", host="canary")).next()
        _, body = await http_get(around.running.http_address, "/metrics")
        assert "canary" not in body
        series = [line for line in body.splitlines() if not line.startswith("#")]
        assert len(series) < 30 * len({*RIGHTS, *OPEN})
        assert 'rollout_streams{environment="production"} 5.0' in body


async def test_what_has_not_happened_yet_is_told_as_nothing(tmp_path: Path) -> None:
    """Prometheus sees no increase in what appears with its first time, so no alert would."""
    async with world(tmp_path, http_listen="127.0.0.1:0") as around:
        _, body = await http_get(around.running.http_address, "/metrics")
    told = body.splitlines()
    assert 'rollout_epoch_changes_total{environment="production"} 0.0' in told
    assert 'rollout_notifications_total{environment="production",outcome="given up"} 0.0' in told
    assert 'rollout_telemetry_lost_total{environment="production",reason="late"} 0.0' in told
    assert 'rollout_telemetry_lost_total{environment="production",reason="no_room"} 0.0' in told


async def test_another_history_is_counted(tmp_path: Path) -> None:
    """Whoever made it so: an alert says that the store lost something, or was restored."""
    async with world(tmp_path, http_listen="127.0.0.1:0") as around:
        environment = around.running.served["production"].environment
        await around.admin.apply(flag("checkout"))
        state = environment.state
        environment._take_over(replace(state, position=replace(state.position, epoch="another")))
        _, body = await http_get(around.running.http_address, "/metrics")
    assert 'rollout_epoch_changes_total{environment="production"} 1.0' in body.splitlines()


def test_what_was_looked_up_stays_as_it_was_while_it_is_written() -> None:
    """It is read on the event loop at one moment, and written on a thread while anything may change."""
    revision = 1

    def figures() -> list[EnvironmentFigures]:
        return [EnvironmentFigures("production", revision, 3, {}, 0, is_following=True)]

    metrics = Metrics(figures, "SQLite", is_durable=True)
    write = metrics.look()
    revision = 2
    assert 'rollout_revision{environment="production"} 1.0' in write().decode()
