"""What this server tells about itself to Prometheus.

Labels are bounded by what is built in, by the environments of the settings, and by the rollouts that are running
(`api.rollout_metrics`): no unit, token, person or process is ever a label. What can be looked up is looked up, in
memory, when it is asked for; only what happens is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from rollout_server.api.convert_telemetry import REPORTED_LOSSES
from rollout_server.api.rollout_metrics import ControllerFigures, controller_families, store_families
from rollout_server.app.ingest_telemetry import LOSSES
from rollout_server.app.run_figures import rollout_figures
from rollout_server.domain.notification import Sending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from rollout_server.api.tls import Certificates
    from rollout_server.app.environment import Environment
    from rollout_server.app.hold_lease import HoldLease
    from rollout_server.app.ingest_telemetry import IngestTelemetry
    from rollout_server.app.notify import Notifier
    from rollout_server.app.run_rollouts import RunRollouts
    from rollout_server.app.served import Served
    from rollout_server.app.time_store import StoreTimes
    from rollout_server.domain.journal import Entry, State

_LAG_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_CALL_BUCKETS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)

# What has not happened yet is told as 0: Prometheus sees no increase in what appears with its first time.
_NO_LOSSES = dict.fromkeys((*LOSSES, *REPORTED_LOSSES), 0)
_ENDS = (Sending.DELIVERED, Sending.RETRYING, Sending.GIVEN_UP)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class EnvironmentFigures:
    """What one environment looks like at the moment of asking.

    Attributes:
        instances: processes by state.
        epoch_renewals: since this server started.
        is_following: the store answered when it was last asked; None where there is none.
        reports, unattributed, losses: of processes, since this server started; see `app.ingest_telemetry`.
        notifications: attempts to deliver one to a channel, by how they ended, since this server started.
        notifications_waiting: on their way now.
    """

    environment: str
    revision: int
    streams: int
    instances: Mapping[str, int]
    epoch_renewals: int
    is_following: bool | None
    reports: int = 0
    unattributed: int = 0
    losses: Mapping[str, int] = field(default_factory=dict)
    notifications: Mapping[str, int] = field(default_factory=dict)
    notifications_waiting: int = 0


def figures_of(
    one: Served, telemetry: IngestTelemetry, notifier: Notifier | None = None, *, leads: bool = False
) -> EnvironmentFigures:
    """Look an environment up; without a notifier, nobody is told anything.

    Of processes each server tells its own, and whoever leads those of servers that are gone: the sum is the fleet.
    """
    return EnvironmentFigures(
        environment=one.environment.name,
        revision=one.fan_out.position.revision,
        streams=one.streams,
        instances={state.value: count for state, count in one.fleet.counts(leads=leads).items()},
        epoch_renewals=one.fan_out.epoch_renewals,
        is_following=one.environment.is_following,
        reports=telemetry.reports,
        unattributed=telemetry.unattributed,
        losses={**_NO_LOSSES, **telemetry.losses},
        notifications={one.value: notifier.counts[one] for one in _ENDS} if notifier else {},
        notifications_waiting=notifier.waiting_count if notifier else 0,
    )


class Durability(Protocol):
    """What stores say of what they acknowledged."""

    @property
    def durability(self) -> str:
        """How durable it is, in words."""

    @property
    def is_durable(self) -> bool:
        """Whether it survives a loss of power."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures of a server are looked up.

    Attributes:
        served: by environment, as the next four.
        telemetry: of all of them.
        notifiers: of those where people are told.
        runs: of all of them.
        leases: of all of them.
        store: what its calls took.
        durability: of what is acknowledged.
        certificates: of the gRPC port; None serves in plaintext.
    """

    served: Mapping[str, Served]
    telemetry: Mapping[str, IngestTelemetry]
    notifiers: Mapping[str, Notifier]
    runs: Mapping[str, RunRollouts]
    leases: Mapping[str, HoldLease]
    store: StoreTimes
    durability: Durability
    certificates: Certificates | None

    def leads(self, name: str) -> bool:
        """Whether this server holds the lease of an environment."""
        return self.leases[name].fence() is not None

    def look(self) -> Callable[[], Iterable[Metric]]:
        """Look up what is told beside `EnvironmentFigures`; return what makes metrics of it, on any thread."""
        controllers = tuple(self._controller(name) for name in self.served)
        expires_at_s = self.certificates.expires_at_s if self.certificates is not None else None
        return lambda: self._families(controllers, expires_at_s)

    def _families(self, controllers: tuple[ControllerFigures, ...], expires_at_s: int | None) -> Iterator[Metric]:
        yield from controller_families(controllers)
        yield from store_families(self.store)
        yield expiry_family(expires_at_s)

    def _controller(self, name: str) -> ControllerFigures:
        environment, runs = self.served[name].environment, self.runs[name]
        return ControllerFigures(
            environment=name,
            fence=self.leases[name].fence(),
            ticks=runs.ticks.took,
            tick_age_ms=runs.ticks.age_ms(environment.clock.monotonic_ms()),
            tick_failures=runs.ticks.failures,
            rollouts=rollout_figures(environment.state.resources, runs.memories),
        )


def expiry_family(expires_at_s: int | None) -> Metric:
    """Return when the certificate of the gRPC port expires (Unix time); None where it has none."""
    expiry = GaugeMetricFamily(
        "rollout_tls_certificate_expiry_timestamp_seconds",
        "When the certificate in force expires (Unix time); absent without TLS.",
    )
    if expires_at_s is not None:
        expiry.add_metric([], expires_at_s)
    return expiry


def metrics_of(sources: Sources) -> Metrics:
    """Return the metrics of a server, by what it serves; it counts the commits from now on."""
    served, telemetry, notifiers = sources.served, sources.telemetry, sources.notifiers
    metrics = Metrics(
        lambda: [
            figures_of(served[name], telemetry[name], notifiers.get(name), leads=sources.leads(name)) for name in served
        ],
        sources.durability.durability,
        is_durable=sources.durability.is_durable,
        more=sources.look,
    )
    for one in served.values():
        metrics.follow(one.environment)
    return metrics


class Metrics:
    """Counts calls and changes; looks the rest up."""

    def __init__(
        self,
        figures: Callable[[], Iterable[EnvironmentFigures]],
        durability: str,
        *,
        is_durable: bool,
        more: Callable[[], Callable[[], Iterable[Metric]]] = lambda: tuple,
    ) -> None:
        """Start at zero, in a registry of its own.

        Args:
            figures: one for each environment, now.
            durability: how durable an acknowledged write is, in words; empty where nothing is written.
            is_durable: whether it survives a loss of power.
            more: looked up beside them; returns what makes metrics of it, on any thread.
        """
        self._figures = figures
        self._durability = durability
        self._is_durable = is_durable
        self._more = more
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "rollout_requests",
            "Calls answered, by method and gRPC status.",
            ["method", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "rollout_request_seconds",
            "Time to answer a unary call.",
            ["method"],
            buckets=_CALL_BUCKETS_S,
            registry=self._registry,
        )
        self._commits = Counter("rollout_commits", "Journal entries applied.", ["environment"], registry=self._registry)
        self._epochs = Counter(
            "rollout_epoch_changes",
            "The history became another one under this server: the store lost changes, or was restored.",
            ["environment"],
            registry=self._registry,
        )
        self._lag = Histogram(
            "rollout_lag_seconds",
            "From the commit of a revision until a process acknowledged it in force.",
            ["environment"],
            buckets=_LAG_BUCKETS_S,
            registry=self._registry,
        )
        self._refused = Counter("rollout_denied", "Calls without a token that may make them.", registry=self._registry)

    def answered(self, method: str, code: str, seconds: float | None) -> None:
        """Count a call; `seconds` is None for a stream, whose length says nothing."""
        self._calls.labels(method, code).inc()
        if seconds is not None:
            self._seconds.labels(method).observe(seconds)

    def denied(self) -> None:
        """Count a call that was turned away at the door."""
        self._refused.inc()

    def follow(self, environment: Environment) -> None:
        """Count an environment's entries, and the changes of its history, from now on."""
        self._commits.labels(environment.name)
        self._epochs.labels(environment.name)

        def heard(entry: Entry | None, before: State, after: State) -> None:
            if entry is not None:
                self.committed(environment.name)
            if before.position.epoch != after.position.epoch:
                self._epochs.labels(environment.name).inc()

        environment.subscribe(heard)

    def committed(self, environment: str) -> None:
        """Count an entry."""
        self._commits.labels(environment).inc()

    def acknowledged(self, environment: str, lag_ms: int) -> None:
        """Note how long a revision took to a process."""
        self._lag.labels(environment).observe(lag_ms / 1_000)

    def look(self) -> Callable[[], bytes]:
        """Look everything up, now and on the event loop, which takes a few milliseconds.

        Returns:
            What writes it in Prometheus' text format: with many rollouts ten times as long, so it is for a thread.
        """
        looked_up = _LookedUp(tuple(self._figures()), self._durability, self._more(), is_durable=self._is_durable)
        return lambda: generate_latest(self._registry) + generate_latest(looked_up)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format, at once."""
        return self.look()()


class _LookedUp(CollectorRegistry):
    """What was looked up at one moment, as a registry that is written once."""

    def __init__(
        self,
        figures: tuple[EnvironmentFigures, ...],
        durability: str,
        more: Callable[[], Iterable[Metric]],
        *,
        is_durable: bool,
    ) -> None:
        super().__init__()
        self._figures = figures
        self._durability = durability
        self._is_durable = is_durable
        self._more = more

    def collect(self) -> Iterator[Metric]:
        """Make metrics of it."""
        yield from self._environments(self._figures)
        yield from _telemetry(self._figures)
        yield from _notifications(self._figures)
        yield from self._more()

    def _environments(self, figures: tuple[EnvironmentFigures, ...]) -> Iterable[Metric]:
        revision = GaugeMetricFamily("rollout_revision", "Revision in force here.", labels=["environment"])
        streams = GaugeMetricFamily("rollout_streams", "Open Watch streams.", labels=["environment"])
        instances = GaugeMetricFamily(
            "rollout_instances",
            "Processes that count here and at no other server, by state.",
            labels=["environment", "state"],
        )
        renewals = GaugeMetricFamily(
            "rollout_epoch_renewals", "Epochs renewed because the history lost its tail.", labels=["environment"]
        )
        following = GaugeMetricFamily(
            "rollout_store_reachable", "1 while the store answers; reads go on without it.", labels=["environment"]
        )
        durable = GaugeMetricFamily(
            "rollout_store_durable", "1 where an acknowledged write survives a loss of power.", labels=["durability"]
        )
        if self._durability:
            durable.add_metric([self._durability], float(self._is_durable))
        for one in figures:
            revision.add_metric([one.environment], one.revision)
            streams.add_metric([one.environment], one.streams)
            renewals.add_metric([one.environment], one.epoch_renewals)
            if one.is_following is not None:
                following.add_metric([one.environment], float(one.is_following))
            for state, count in one.instances.items():
                instances.add_metric([one.environment, state], count)
        return [revision, streams, instances, renewals, following, durable]


def _notifications(figures: tuple[EnvironmentFigures, ...]) -> Iterable[Metric]:
    attempts = CounterMetricFamily(
        "rollout_notifications",
        "Attempts to deliver a notification to a channel, by how they ended.",
        labels=["environment", "outcome"],
    )
    waiting = GaugeMetricFamily("rollout_notifications_waiting", "Notifications on their way.", labels=["environment"])
    for one in figures:
        waiting.add_metric([one.environment], one.notifications_waiting)
        for outcome, count in one.notifications.items():
            attempts.add_metric([one.environment, outcome], count)
    return [attempts, waiting]


def _telemetry(figures: tuple[EnvironmentFigures, ...]) -> Iterable[Metric]:
    reports = CounterMetricFamily("rollout_reports", "Reports of processes taken.", labels=["environment"])
    unattributed = CounterMetricFamily(
        "rollout_unattributed", "Outcomes that belong to no arm.", labels=["environment"]
    )
    lost = CounterMetricFamily(
        "rollout_telemetry_lost", "Sums and outcomes not counted, by reason.", labels=["environment", "reason"]
    )
    for one in figures:
        reports.add_metric([one.environment], one.reports)
        unattributed.add_metric([one.environment], one.unattributed)
        for reason, count in one.losses.items():
            lost.add_metric([one.environment, reason], count)
    return [reports, unattributed, lost]
