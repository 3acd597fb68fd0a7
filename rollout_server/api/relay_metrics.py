"""What a relay tells about itself to Prometheus, beside what every server tells of its streams and calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from rollout_server.api.metrics import EnvironmentFigures, Metrics, expiry_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric

    from rollout_server.api.tls import Certificates
    from rollout_server.app.pass_on_reports import PassOnReports
    from rollout_server.app.relayed import Relayed


@dataclass(frozen=True, slots=True)
class RelaySources:
    """Where the figures of a relay are looked up; `certificates` is None in plaintext."""

    relayed: Relayed
    reports: PassOnReports
    certificates: Certificates | None

    def figures(self) -> list[EnvironmentFigures]:
        """Look the environment up, as every server does."""
        one = self.relayed
        instances = {state.value: count for state, count in one.instances.counts().items()}
        return [EnvironmentFigures(one.name, one.fan_out.position.revision, one.streams, instances, 0, None)]

    def look(self) -> Callable[[], Iterable[Metric]]:
        """Look up what relays alone tell; return what makes metrics of it, on any thread."""
        name, is_following = self.relayed.name, self.relayed.is_following
        outcomes = {"passed": self.reports.passed, "put_off": self.reports.put_off, "refused": self.reports.refused}
        expires_at_s = self.certificates.expires_at_s if self.certificates is not None else None

        def families() -> Iterable[Metric]:
            following = GaugeMetricFamily(
                "rollout_upstream_reachable",
                "1 while this relay follows its upstream; what was heard last is served without it.",
                labels=["environment"],
            )
            following.add_metric([name], float(is_following))
            reports = CounterMetricFamily(
                "rollout_relayed_reports",
                "Reports of processes: passed upstream, put off (their process sends them again), refused by upstream.",
                labels=["environment", "outcome"],
            )
            for outcome, count in outcomes.items():
                reports.add_metric([name, outcome], count)
            return [following, reports, expiry_family(expires_at_s)]

        return families


def relay_metrics(sources: RelaySources) -> Metrics:
    """Return the metrics of a relay."""
    return Metrics(sources.figures, "", is_durable=False, more=sources.look)
