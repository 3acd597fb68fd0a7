"""A relay tells of its upstream and of what it passes on, and claims no store."""

from __future__ import annotations

from rollout_server.api.relay_metrics import RelaySources, relay_metrics
from rollout_server.app.pass_on_reports import PassOnReports
from rollout_server.app.relayed import Relayed
from tests.doubles.fake_clock import FakeClock
from tests.doubles.scripted_upstream import ScriptedUpstream


async def test_what_a_relay_tells() -> None:
    relayed, reports = Relayed("production", FakeClock(), 10), PassOnReports(ScriptedUpstream())
    relayed.streams = 3
    await reports.take("rg_x", b"report")
    metrics = relay_metrics(RelaySources(relayed, reports, None))
    text = metrics.text().decode()
    assert 'rollout_upstream_reachable{environment="production"} 0.0' in text
    assert 'rollout_relayed_reports_total{environment="production",outcome="passed"} 1.0' in text
    assert 'rollout_streams{environment="production"} 3.0' in text
    assert "rollout_store_reachable{" not in text
    assert "rollout_store_durable{" not in text
    relayed.is_following = True
    assert 'rollout_upstream_reachable{environment="production"} 1.0' in metrics.text().decode()
